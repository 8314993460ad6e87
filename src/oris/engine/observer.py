"""Who is told what the engine does: metrics and logs hang here, the engine knows neither."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from oris.core.mode import Modes
from oris.core.outage import Outage
from oris.core.replies import Refusal
from oris.engine.batch import Batch, Outcome


class Sample(Struct, frozen=True):
    """One look at the server's health."""

    loop_lag_ms: float
    commit_ms: float
    inbox: float
    """How full the inbox' submit lane is, 0 to 1."""


class Observer(Protocol):
    """Every method is synchronous and must not raise."""

    def committed(self, outcome: Outcome, batch: Batch, took_ms: float) -> None:
        """A batch is durable and published."""

    def commit_failed(self, error: Exception, batch: Batch | None = None, took_ms: float = 0.0) -> None:
        """A batch was rolled back, or nobody knows; None: the store could not be read after one."""

    def command_failed(self, error: Exception) -> None:
        """Deciding one command raised: a bug."""

    def refused(self, refusal: Refusal, count: int) -> None:
        """New runs were turned away at the gate."""

    def outage(self, outage: Outage) -> None:
        """The node could not commit for a while, and can again: leases live on for it."""

    def mode_changed(self, modes: Modes) -> None:
        """What is switched on here was learnt at the start, or has changed."""

    def sampled(self, sample: Sample, level: int) -> None:
        """The monitor has looked; `level` is the admission level."""

    def clock_jumped(self, by_ms: int) -> None:
        """The wall clock has been set forward, or back (negative). No lease moves by it."""


class Beat(Protocol):
    """A progress stamp: called whenever a task has shown that it does not hang."""

    def __call__(self) -> None: ...
