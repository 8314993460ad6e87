"""Who is told what the engine does: metrics and logs hang here, the engine knows neither."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from oris.core.audit_anchor import Uncut
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
    skew_ms: int = 0
    """How far the calendar is ahead of the engine's clock, or behind it (negative)."""


class Passed(Struct):
    """What one pass of retention has let go."""

    runs: int = 0
    audit_records: int = 0
    workers: int = 0
    sessions: int = 0


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

    def retention_passed(self, passed: Passed) -> None:
        """A pass of retention is over that has let something go."""

    def audit_not_cut(self, uncut: Uncut) -> None:
        """The beginning of an audit chain is old, and stays: it is not in order."""

    def sampled(self, sample: Sample, level: int) -> None:
        """The monitor has looked; `level` is the admission level."""

    def clock_jumped(self, by_ms: int) -> None:
        """The wall clock has been set forward, or back (negative). No lease moves by it."""

    def clock_skewed(self, by_ms: int) -> None:
        """At the start, or after a jump, the wall clock is more than a minute ahead of the engine's, or behind it
        (negative); 0: not any more."""


class Beat(Protocol):
    """A progress stamp: called whenever a task has shown that it does not hang."""

    def __call__(self) -> None: ...
