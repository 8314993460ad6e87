"""Time. Workers' clocks are never trusted; a node has one engine clock, and every decision gets its time as an input.

The engine clock starts at the later of wall clock and the stored high-water mark, then follows the monotonic clock,
slewed towards the wall clock by at most a tenth: it never goes back, and a jump of the wall clock moves no lease.

What people mean by a date goes by the calendar instead: when a job is to run, when a question expires, when something
was done. The calendar is the engine's time and the skew, which is how far the wall clock is from it.
"""

from __future__ import annotations

import time
from threading import Lock
from typing import Protocol

SLEW = 0.1
JUMP_MS = 1000
"""A difference between the clocks that is worth telling."""
SLACK_MS = 500
"""The calendar is never further from the wall clock than this. Within it, as mostly, it goes by the engine clock,
and dates rise like the engine's time; beyond, it keeps this distance, so that nothing jumps when slewing ends."""


class Clock(Protocol):
    """Where the engine clock gets its time from."""

    def wall_ms(self) -> int:
        """Unix time in ms, as the machine believes it to be."""

    def monotonic_s(self) -> float:
        """Seconds since some moment; never goes back."""


class SystemClock:
    """The machine's clocks."""

    def wall_ms(self) -> int:
        """Unix time in ms."""
        return time.time_ns() // 1_000_000

    def wall_ns(self) -> int:
        """Unix time in ns, for spans."""
        return time.time_ns()

    def monotonic_s(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()


class EngineClock:
    """The one clock of a node's decisions, in whole ms. Rises or stands still, over restarts too."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._read_at = clock.monotonic_s()
        self._now = float(clock.wall_ms())
        self._offset_ms = self._off_ms()

    def start_after(self, high_water_ms: int) -> None:
        """Never tell a time before this one: the store has seen it already."""
        with self._lock:
            self._now = max(self._now, float(high_water_ms))

    def jump_ms(self) -> int:
        """How far the wall clock has jumped against the monotonic one since this was last asked; 0 up to a second.

        A machine that was suspended sees one too. For one task: each jump is told once.
        """
        before_ms, self._offset_ms = self._offset_ms, self._off_ms()
        by_ms = round(self._offset_ms - before_ms)
        return by_ms if abs(by_ms) > JUMP_MS else 0

    def _off_ms(self) -> float:
        return self._clock.wall_ms() - self._clock.monotonic_s() * 1000.0

    def now_ms(self) -> int:
        """The engine's time. Callable from any thread: the store asks inside its transactions."""
        with self._lock:
            read_at = self._clock.monotonic_s()
            passed = (read_at - self._read_at) * 1000.0
            self._read_at = read_at
            ahead = self._now + passed - self._clock.wall_ms()
            most = passed * SLEW
            self._now += passed - min(most, max(-most, ahead))
            return int(self._now)

    def skew_ms(self) -> int:
        """How far the calendar is ahead of the engine's time, or behind it (negative)."""
        ahead_ms = self._clock.wall_ms() - self.now_ms()
        if -SLACK_MS <= ahead_ms <= SLACK_MS:
            return 0
        return ahead_ms - SLACK_MS if ahead_ms > 0 else ahead_ms + SLACK_MS

    def calendar_ms(self) -> int:
        """The date: what the wall clock says, within half a second, also just after it was set."""
        return self.now_ms() + self.skew_ms()

    def cautious_ms(self) -> int:
        """The earlier of the engine's time and the wall clock's, for what may be done late, but never early.

        A clock that was ahead when the engine started, and was set right since, is believed at once.
        """
        return min(self.now_ms(), self._clock.wall_ms())
