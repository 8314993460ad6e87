"""When Python looks for garbage among all objects: not whenever it likes, because meanwhile everything stands still.

With 2,000 connections such a look takes a third of a second, and by Python's own rule one comes every few seconds, as
parked requests are what it calls growth. Nearly all is freed without it, by counting references; what it finds are the
few objects that refer to each other. So it is made to take no more than a small part of the time, and what has been
there since the start is left out. The looks among young objects, which are short, stay as they are.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

WORTH = 10
"""Looks among the middle-aged since the last one among all: Python's own threshold."""
AT_THE_LATEST = 1000
"""After so many of them Python goes ahead by itself: a bound on memory."""
REST_PARTS = 200
"""A look among all is followed by so many times its duration without one."""


class Garbage:
    """The looks among all objects of this process. Every method is synchronous."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._rests_until_s = 0.0

    def begin(self) -> None:
        """Everything is imported and built: it is no garbage, and need not be looked at again."""
        gc.collect()
        gc.freeze()
        young, middle_aged, _ = gc.get_threshold()
        gc.set_threshold(young, middle_aged, AT_THE_LATEST)

    def look(self) -> bool:
        """Look among all objects if it is time to; call it every few seconds. True when it was."""
        start_s = self._monotonic_s()
        if start_s < self._rests_until_s or gc.get_count()[2] < WORTH:
            return False
        gc.collect()
        end_s = self._monotonic_s()
        self._rests_until_s = end_s + REST_PARTS * (end_s - start_s)
        return True
