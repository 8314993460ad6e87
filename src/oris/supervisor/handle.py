"""What a running child holds of its supervisor."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from oris.supervisor.report import TreeStatus


class Handle:
    """One per run of a child; a restarted child is given a new one. Nothing here blocks.

    `stopping` is set when the child is asked to end; it then has its grace to return. `beat()` is the proof of
    progress of the loop that matters, at least every `stall_after_s`; around a wait for work that may rightly
    last for ever, `with handle.idle():` says that silence is no hang.
    """

    def __init__(self, name: str, ask_stop: Callable[[str], None], tree_status: Callable[[], TreeStatus]) -> None:
        self.name = name
        self.stopping = trio.Event()
        self.ask_stop = ask_stop
        """Ask for the ordered stop of the whole tree, with a reason; the second time: stop now."""
        self.tree_status = tree_status
        self.beat_at = trio.current_time()
        """When progress was last seen, in seconds of Trio's clock."""
        self._idle_depth = 0

    def beat(self) -> None:
        """Say that there was progress."""
        self.beat_at = trio.current_time()

    @contextmanager
    def idle(self) -> Iterator[None]:
        """Not watched inside; leaving it, by an error or a cancellation too, is a beat."""
        self._idle_depth += 1
        try:
            yield
        finally:
            self._idle_depth -= 1
            self.beat()

    @property
    def is_idle(self) -> bool:
        """Whether the child is inside `idle()`."""
        return self._idle_depth > 0
