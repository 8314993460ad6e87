"""Virtual time: it stands still while anything can run, and jumps to the next deadline when nothing can."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import trio

EPOCH_MS = 1_800_000_000_000
"""What the wall clock shows when a simulation begins."""


class JumpingClock(trio.abc.Clock):
    """A clock for `trio.run`. Trio asks it how long to sleep just when it would; so it need not be told to jump."""

    def __init__(self, on_standstill: Callable[[], None]) -> None:
        """`on_standstill` is called when every task waits and no deadline is left: a deadlock. It must end it."""
        self._now_s = 0.0
        self._on_standstill = on_standstill

    def start_clock(self) -> None:
        """Nothing to do: time begins at 0."""

    def current_time(self) -> float:
        """Virtual seconds since the start."""
        return self._now_s

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Be there at once."""
        if deadline == inf:
            self._on_standstill()
        else:
            self._now_s = max(self._now_s, deadline)
        return 0.0


class WallClock:
    """What the machine's clocks show: an `oris.clock.Clock` over virtual time. The wall clock may be set."""

    def __init__(self, clock: JumpingClock) -> None:
        self._clock = clock
        self.off_ms = 0
        """How far the wall clock is set off."""
        self._most_off_ms = 0
        self.stood_still_s = 0.0
        """For how long the server's process has stood still: time that has passed for its clocks alone."""

    def set(self, off_ms: int) -> None:
        """Set the wall clock so far off."""
        self.off_ms = off_ms
        self._most_off_ms = max(self._most_off_ms, off_ms)

    def set_late(self) -> None:
        """Set it to the latest it was ever set to, so that no date that somebody has given is far away."""
        self.set(self._most_off_ms)

    def wall_ms(self) -> int:
        """Unix time in ms."""
        return EPOCH_MS + self.off_ms + int(self.monotonic_s() * 1000.0)

    def monotonic_s(self) -> float:
        """Virtual seconds, standstills included."""
        return self._clock.current_time() + self.stood_still_s


async def pause(seconds: float) -> None:
    """Let virtual time pass. A checkpoint."""
    await trio.sleep_until(trio.current_time() + seconds)
