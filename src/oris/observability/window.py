"""A share over the last minutes, out of a ring of buckets."""

from __future__ import annotations

from collections.abc import Callable


class SlidingShare:
    """How many of the last events were of one sort. Forgets in steps of a bucket; costs the same at any rate."""

    def __init__(self, monotonic_s: Callable[[], float], bucket_s: int = 10, buckets: int = 60) -> None:
        """`monotonic_s` never falls. With the default sizes the window is ten minutes."""
        self._monotonic_s = monotonic_s
        self._bucket_s = bucket_s
        self._parts = [0] * buckets
        self._wholes = [0] * buckets
        self._current = self._number()

    def add(self, part: int, whole: int) -> None:
        """Count `whole` events, `part` of which are of the sort."""
        index = self._advance() % len(self._parts)
        self._parts[index] += part
        self._wholes[index] += whole

    def share(self) -> float:
        """From 0 to 1; 0 while nothing has happened."""
        self._advance()
        whole = sum(self._wholes)
        return sum(self._parts) / whole if whole else 0.0

    def _number(self) -> int:
        return int(self._monotonic_s()) // self._bucket_s

    def _advance(self) -> int:
        """Empty the buckets that time has passed over; the number of the current one."""
        now, size = self._number(), len(self._parts)
        for number in range(max(self._current + 1, now - size + 1), now + 1):
            self._parts[number % size] = 0
            self._wholes[number % size] = 0
        self._current = max(self._current, now)
        return self._current
