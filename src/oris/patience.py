"""How long a caller still waits for something to happen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio


class Patience:
    """One caller's. Whatever waits for it to be told something, and not for its own commit, waits under `at_most`."""

    __slots__ = ("_waits", "over")

    def __init__(self) -> None:
        self.over = False
        """The caller waits no longer: it is answered with what there is."""
        self._waits: list[trio.CancelScope] = []

    @contextmanager
    def at_most(self, seconds: float) -> Iterator[trio.CancelScope]:
        """As `trio.move_on_after`, and not beyond `end`."""
        with trio.move_on_after(0.0 if self.over else seconds) as scope:
            self._waits.append(scope)
            try:
                yield scope
            finally:
                self._waits.remove(scope)

    def end(self) -> None:
        """The caller has said all that it will ever say, and may have gone. Synchronous, and harmless when repeated."""
        self.over = True
        for scope in self._waits:
            scope.cancel(reason="the caller waits no longer")
