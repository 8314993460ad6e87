"""The end of a worker that somebody has asked for, by SIGTERM or Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Stopped(BaseException):
    """The end has come where it does no harm."""


class Stop:
    """Ends the main thread where it only waits; elsewhere it goes on to the next such place.

    What is done and recorded is not cut apart: an effect whose record is missing would be carried out again.
    """

    def __init__(self) -> None:
        self.asked = False
        self._waits = False

    def ask(self) -> None:
        """From a signal handler, which runs between any two steps of the main thread and so may take no lock. Asked
        twice, the process ends at once."""
        if self.asked:
            raise SystemExit("ended at once: other workers get its jobs when the leases expire")
        self.asked = True
        if self._waits:
            raise Stopped

    @contextmanager
    def interrupts(self) -> Iterator[None]:
        """What is in here may be cut off. Raises Stopped, also when the end was asked for before."""
        self._waits = True
        try:
            if self.asked:
                raise Stopped
            yield
        finally:
            self._waits = False
