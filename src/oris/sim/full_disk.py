"""Another program fills the machine's disk for a while: new runs cannot be committed, the rest finds room."""

from __future__ import annotations

from collections.abc import Callable

from oris.core.changes import Changes
from oris.errors import Unavailable
from oris.sim.faults import Faults

NOTICED_S = 0.3
"""So long after it the server looks at its disk; until then it finds out by the commits that fail."""


class FullDisk:
    """When it is full, and who is to be told."""

    def __init__(self, faults: Faults, monotonic_s: Callable[[], float], trouble: Callable[[], None]) -> None:
        """`trouble` is told of every commit that has to be made again."""
        self._faults = faults
        self._monotonic_s = monotonic_s
        self._trouble = trouble
        self._since_s = 0.0
        self._until_s = 0.0

    def fill(self, until_s: float | None = None) -> float:
        """From now on until then, or for some seconds; the answer is until when."""
        self._since_s = self._monotonic_s()
        if until_s is None:
            until_s = self._since_s + self._faults.how("disk_full").uniform(0.2, 4.0)
        self._until_s = until_s
        return until_s

    @property
    def full(self) -> bool:
        """Whether it is full now."""
        return not self._faults.healed and self._monotonic_s() < self._until_s

    def no_room(self) -> bool:
        """What the server's own look at the disk tells."""
        return self.full and self._monotonic_s() >= self._since_s + NOTICED_S

    def take(self, changes: Changes) -> None:
        """Write them, or raise Unavailable."""
        if self.full and any(entry.event_type == "run_created" for entry in changes.entries):
            self._trouble()
            raise Unavailable("simulated: the disk is full", cause="disk_full")
