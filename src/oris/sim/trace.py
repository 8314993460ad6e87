"""The trace: everything that can be observed, with virtual times, as one running hash."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256

from oris.sim.clock import WallClock


class Trace:
    """Same seed, same hash: in any process, whatever the hash seed of its strings."""

    def __init__(self, clock: WallClock, *, keep: bool = False) -> None:
        self._clock = clock
        self._hash = sha256()
        self.lines: list[str] | None = [] if keep else None
        self.sometimes: Counter[str] = Counter()
        """How often each state, event and refusal was seen."""

    def note(self, kind: str, what: str) -> None:
        """Something could be observed."""
        line = f"{self._clock.monotonic_s():.6f} {kind} {what}\n"
        self._hash.update(line.encode())
        if self.lines is not None:
            self.lines.append(line)

    def saw(self, what: str) -> None:
        """Count something that should be seen sometimes."""
        self.sometimes[what] += 1

    def digest(self) -> str:
        """The hash so far."""
        return self._hash.hexdigest()
