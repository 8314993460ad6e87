"""The clocks: whether the wall clock has jumped, and whether it and the engine's clock are far apart.

Both are told once. What they mean is in `oris.clock`: no lease moves by either, and dates go by the wall clock.
"""

from __future__ import annotations

from oris.clock import EngineClock
from oris.engine.observer import Observer

FAR_MS = 60_000
"""A difference that somebody should look into: a clock that was wrong once, or is wrong now."""


class ClockWatch:
    """Looked at by the monitor. Synchronous."""

    def __init__(self, clock: EngineClock, observer: Observer) -> None:
        self._clock = clock
        self._observer = observer
        self._is_first = True
        self._is_far = False
        """Somebody was told of a difference that is there still."""

    def look(self) -> int:
        """How far the calendar is ahead of the engine's clock, in ms; jumps and large differences are told."""
        jump_ms, skew_ms = self._clock.jump_ms(), self._clock.skew_ms()
        was_set = self._is_first or abs(jump_ms) > FAR_MS
        self._is_first = False
        if jump_ms:
            self._observer.clock_jumped(jump_ms)
        if abs(skew_ms) > FAR_MS and (was_set or not self._is_far):
            self._is_far = True
            self._observer.clock_skewed(skew_ms)
        elif self._is_far and not skew_ms:
            self._is_far = False
            self._observer.clock_skewed(0)
        return skew_ms
