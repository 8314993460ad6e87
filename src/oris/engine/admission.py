"""Admission: whether new runs are let in, and the monitor that decides it by what it measures.

It also watches the wall clock, because it looks often.

The level rises when the loop lags, commits are slow or the inbox fills, and falls again only after a calm while
(hysteresis). It touches submits alone: who holds work goes on being served.
"""

from __future__ import annotations

from collections.abc import Callable

import trio
from msgspec import Struct
from trio import TASK_STATUS_IGNORED, TaskStatus

from oris.core.mode import Modes
from oris.core.replies import SWITCHED_OFF, Refusal
from oris.engine.clock_watch import ClockWatch
from oris.engine.observer import Beat, Sample
from oris.errors import ErrorCode

SAMPLE_S = 0.1
NO_ROOM = Refusal(
    ErrorCode.UNAVAILABLE,
    "the disk is nearly full; existing jobs continue, try new jobs again later",
    {"reason": "store_unavailable", "cause": "disk_full"},
    5,
)


class Thresholds(Struct, frozen=True):
    """When the gate closes, in ms and parts of the inbox; it opens again at half of each."""

    loop_lag_ms: float = 500.0
    commit_ms: float = 1000.0
    inbox: float = 0.8
    close_after: int = 3
    """Bad samples in a row."""
    open_after: int = 10
    """Calm samples in a row."""


class Admission:
    """The gate for new runs. Pure but for its own state."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds
        self._bad = 0
        self._calm = 0
        self.draining = False
        """Set at a stop: new runs are refused, repeats of a bound idempotency key still answered."""
        self.modes = Modes()
        """What operators have switched, as the store has it."""
        self.overloaded = False
        self.no_room: Callable[[], bool] = lambda: False
        """Whether the disk has too little room for new runs. The store's to tell; asked at each of them."""

    @property
    def level(self) -> int:
        """0 open, 1 overloaded, 2 draining or switched off, 3 no room on the disk."""
        if self.draining or not self.modes.submit:
            return 2
        return 3 if self.no_room() else int(self.overloaded)

    def refusal(self, *, passes_switch: bool = False) -> Refusal | None:
        """What a new run is answered; None lets it in. `passes_switch`: also when new runs are switched off."""
        if self.draining:
            return Refusal(ErrorCode.UNAVAILABLE, "the server is stopping; try again later", {"reason": "draining"}, 1)
        if not self.modes.submit and not passes_switch:
            return SWITCHED_OFF
        if self.no_room():
            return NO_ROOM
        if self.overloaded:
            text = "the server is overloaded; existing jobs continue, try again later"
            return Refusal(ErrorCode.BACKPRESSURE, text, {"reason": "rate_limited"}, 1)
        return None

    def note(self, sample: Sample) -> None:
        """Take a sample into account."""
        limits = self._thresholds
        worst = max(
            sample.loop_lag_ms / limits.loop_lag_ms, sample.commit_ms / limits.commit_ms, sample.inbox / limits.inbox
        )
        self._bad = self._bad + 1 if worst >= 1.0 else 0
        self._calm = self._calm + 1 if worst < 0.5 else 0
        if self._bad >= limits.close_after:
            self.overloaded = True
        elif self._calm >= limits.open_after:
            self.overloaded = False


class Monitor:
    """The task that samples. `commit_ms` tells how long the commit under way, or the last one, has taken.

    `on_look` is called at every look with the loop's lag in ms, first of all.
    """

    def __init__(
        self,
        admission: Admission,
        *,
        commit_ms: Callable[[], float],
        inbox: Callable[[], float],
        on_look: Callable[[float], None],
        on_sample: Callable[[Sample, int], None],
        clocks: ClockWatch,
    ) -> None:
        self._admission = admission
        self._commit_ms = commit_ms
        self._inbox = inbox
        self._on_look = on_look
        self._on_sample = on_sample
        self._clocks = clocks

    async def run(self, beat: Beat, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Sample until cancelled."""
        task_status.started()
        while True:
            due = trio.current_time() + SAMPLE_S
            await trio.sleep_until(due)
            lag_ms = max(0.0, trio.current_time() - due) * 1000.0
            self._on_look(lag_ms)
            sample = Sample(lag_ms, self._commit_ms(), self._inbox(), self._clocks.look())
            self._admission.note(sample)
            self._on_sample(sample, self._admission.level)
            beat()
