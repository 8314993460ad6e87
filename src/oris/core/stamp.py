"""What a decision may know of time and chance."""

from __future__ import annotations

from oris import ids

_MASK = (1 << 64) - 1


class Stamp:
    """`now_ms` is the store's time of this batch, by the engine's clock: leases, graces and backoffs go by it.
    `skew_ms` is how far the calendar is ahead of it; `date_ms` is the time by the calendar, by which goes what is shown
    to people, and what they have given a date. `seed` was fixed when the unit was first taken.

    Deciding again with the same seed gives the same ids and the same jitter.
    """

    __slots__ = ("_drawn", "date_ms", "now_ms", "seed", "skew_ms")

    def __init__(self, now_ms: int, seed: int, skew_ms: int = 0) -> None:
        self.now_ms = now_ms
        self.skew_ms = skew_ms
        self.date_ms = now_ms + skew_ms
        self.seed = seed
        self._drawn = 0

    def number(self) -> int:
        """A fresh 128-bit number, rising within the stamp."""
        self._drawn += 1
        return self.seed + self._drawn

    def run_id(self) -> ids.RunId:
        """A fresh run id."""
        return ids.run_id(self.number())

    def turn(self) -> int:
        """A 63-bit number that rises within the stamp, and from seed to seed even when no time passes between them."""
        self._drawn += 1
        return (self.seed >> 60) + self._drawn

    def bits(self) -> int:
        """64 well-mixed bits that look random and depend on the seed alone (splitmix64's finalizer)."""
        self._drawn += 1
        folded = self.seed ^ (self.seed >> 61)
        z = (folded * 0x9E3779B97F4A7C15 + self._drawn * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def fraction(self) -> float:
        """A number in [0, 1)."""
        return (self.bits() >> 11) / (1 << 53)
