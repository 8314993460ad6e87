"""What every read begins with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from oris.storage.memory.tables import Tables


class CommittedReads:
    """Reads of the last committed state."""

    def __init__(self, committed: Callable[[], Awaitable[Tables]]) -> None:
        """`committed` is a checkpoint and gives that state. It raises Unavailable."""
        self._committed = committed
