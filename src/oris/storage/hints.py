"""Hints: what one node tells the others after a commit, so that they look at the store at once.

A hint is never needed for correctness: it may be lost, doubled, late or out of order. Who gets one reads the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from msgspec import Struct

from oris.core.model import Lane
from oris.ids import JobKey, NodeId, TenantId, WorkerKey


class Hint(Struct, frozen=True):
    """What may have changed."""

    node: NodeId
    """Who tells it."""
    lanes: tuple[Lane, ...] = ()
    """Jobs were queued in these."""
    threads: tuple[JobKey, ...] = ()
    """Something has happened on these."""
    workers: tuple[WorkerKey, ...] = ()
    """Leases of these have ended or are to end, or their session has changed."""
    tenants: tuple[TenantId, ...] = ()
    """Leases of these have ended."""
    holds: tuple[Lane, ...] = ()
    """What is held against these workflows has changed."""
    modes: bool = False
    """An operator has switched something."""

    @property
    def is_empty(self) -> bool:
        """True when it tells of nothing."""
        return not (self.lanes or self.threads or self.workers or self.tenants or self.holds or self.modes)


class Hints(Protocol):
    """The way to the other nodes and from them."""

    def publish(self, hint: Hint) -> None:
        """Tell the others. Synchronous; never blocks and never raises."""

    def listen(self, told: Callable[[Hint], None]) -> AbstractContextManager[None]:
        """While this is open, `told` is called with what others publish. It must neither block nor raise."""


class NoHints:
    """For a node that is alone, and for stores that can tell nothing: the backstop finds what others do."""

    def publish(self, hint: Hint) -> None:
        """See `Hints`."""

    @contextmanager
    def listen(self, told: Callable[[Hint], None]) -> Iterator[None]:
        """See `Hints`."""
        yield


class LocalHints:
    """Between nodes of one process."""

    def __init__(self) -> None:
        self._listeners: dict[Callable[[Hint], None], None] = {}

    def publish(self, hint: Hint) -> None:
        """See `Hints`. A node hears itself too, as with a database's notifications."""
        for told in list(self._listeners):
            told(hint)

    @contextmanager
    def listen(self, told: Callable[[Hint], None]) -> Iterator[None]:
        """See `Hints`."""
        self._listeners[told] = None
        try:
            yield
        finally:
            del self._listeners[told]
