"""Bugs that the simulator has found, each in its smallest form."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import trio
import trio.testing
from msgspec.structs import replace

from oris.clock import EngineClock, SystemClock
from oris.core.audit_anchor import Uncut
from oris.core.changes import Changes, no_changes
from oris.core.commands import Submit, Want
from oris.core.hold import HoldRules
from oris.core.mode import Modes
from oris.core.model import ClosedLease, ClosedState, Lane, Worker
from oris.core.outage import Outage
from oris.core.quarantine import QuarantineRules
from oris.core.replies import Granted, Refusal
from oris.engine.batch import Batch, Outcome
from oris.engine.bell import Bell
from oris.engine.demand import Demand
from oris.engine.engine import Engine, EngineSettings
from oris.engine.observer import Passed, Sample
from oris.engine.parked import Parked
from oris.engine.unit import Unit
from oris.errors import OutcomeUnknown
from oris.ids import NO_TENANT, JobKey, LeaseId, TenantId, ThreadId, WorkerId, job_key, worker_key
from oris.sim import simulate
from oris.sim.clock import JumpingClock, WallClock
from oris.sim.faults import Faults
from oris.sim.holds import HoldAccount
from oris.sim.judge import Judge
from oris.sim.outages import KnownOutages, Outages
from oris.sim.sessions import WorkerCheck
from oris.sim.sizes import NODE
from oris.sim.store import FaultyStore
from oris.sim.streams import Streams
from oris.sim.switcher import Switcher
from oris.sim.trace import Trace
from oris.sim.witness import Witness

from ..stores import new_database

ACME = TenantId("acme")
MAIL, PAY = Lane(ACME, "mail"), Lane(ACME, "pay")
"""Two lanes of one tenant."""


def a_demand() -> Demand:
    """No poll waits; a tenant may hold one lease."""
    return Demand(Bell(), 1)


def a_want(name: str, workflows: frozenset[str] | None = None) -> Want:
    """One job, please."""
    return Want(worker_key(NO_TENANT, WorkerId(name)), None, 1, 1000, 10, 1, workflows)


def test_a_lane_raised_while_its_tenant_is_at_the_limit_waits_with_the_others() -> None:
    demand = a_demand()
    demand.raise_level(MAIL)
    demand.lower([], [MAIL])
    demand.raise_level(PAY)
    assert demand.may_hold_work(PAY)
    assert demand.take({}, []) == ([], {})
    demand.lease_ended(worker_key(NO_TENANT, WorkerId("w")), ACME)
    assert set(demand.take({}, [a_want("w")])[1]) == {MAIL, PAY}


def test_a_lane_not_looked_at_waits_too_once_its_tenant_is_found_at_the_limit() -> None:
    demand = a_demand()
    demand.raise_level(MAIL)
    demand.raise_level(PAY)
    demand.lower([], [MAIL])
    assert demand.take({PAY: 1}, []) == ([], {})


def test_a_job_queued_now_is_not_granted_before_the_lanes_of_its_tenant_are_read() -> None:
    demand = a_demand()
    demand.raise_level(MAIL)
    demand.lower([], [MAIL])
    assert demand.may_hold_work(PAY)
    assert not demand.may_hold_work(Lane(TenantId("beta"), "pay"))


def test_an_older_poll_that_goes_along_sees_all_lanes_of_the_tenant() -> None:
    demand = a_demand()
    older = Parked(a_want("old"), 0)
    demand.park(older)
    assert demand.take({}, [])[0] == [older]
    demand.served(older, Granted((), (), None, 0, 10), {})
    demand.raise_level(MAIL)
    demand.raise_level(PAY)
    demand.lower([], [MAIL, PAY])
    taken, heads = demand.take({}, [a_want("new", frozenset({"pay"}))])
    assert taken == [older]
    assert set(heads) == {MAIL, PAY}


class OneUnknownOutcome(Faults):
    """The first commit happens, and nobody knows; after that all is well."""

    def __init__(self) -> None:
        super().__init__(Streams(0))
        self._left = 1

    def strikes(self, kind: str) -> bool:
        struck = kind == "unknown_written" and self._left > 0
        self._left -= struck
        return struck


class Silent:
    """An observer that is not interested."""

    def committed(self, outcome: Outcome, batch: Batch, took_ms: float) -> None: ...

    def commit_failed(self, error: Exception, batch: object = None, took_ms: float = 0.0) -> None: ...

    def command_failed(self, error: Exception) -> None: ...

    def refused(self, refusal: Refusal, count: int) -> None: ...

    def outage(self, outage: Outage) -> None: ...

    def mode_changed(self, modes: Modes) -> None: ...

    def sampled(self, sample: Sample, level: int) -> None: ...

    def clock_jumped(self, by_ms: int) -> None: ...

    def clock_skewed(self, by_ms: int) -> None: ...

    def retention_passed(self, passed: Passed) -> None: ...

    def audit_not_cut(self, uncut: Uncut) -> None: ...


def a_submit(thread: str, workflow: str) -> Unit:
    """A job of the tenant."""
    name = ThreadId(thread)
    return Unit("submit", [Submit(job_key(ACME, name), ACME, name, workflow, 0, None, None, b"", "")])


async def test_after_an_unknown_outcome_the_older_job_still_goes_first(autojump_clock: trio.testing.MockClock) -> None:
    clock = EngineClock(SystemClock())
    inner = await new_database().open(clock.now_ms)
    store = FaultyStore(
        inner,
        OneUnknownOutcome(),
        crash=lambda: None,
        trouble=lambda: None,
        seen=lambda changes, handed, now_ms: None,
        outages=KnownOutages(),
        now_ms=clock.now_ms,
    )
    engine = Engine(store, clock, Random(1), Silent(), EngineSettings())
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.committer.run, lambda: None)
        with pytest.raises(OutcomeUnknown):
            await engine.ask(a_submit("older", "pay"))
        nursery.start_soon(engine.ask, a_submit("younger", "mail"))
        polled = await engine.poll(a_want("w"), 5.0)
        nursery.cancel_scope.cancel()
    assert polled.granted is not None
    assert [job.thread_id for job in polled.granted.jobs] == ["older"]


async def _switched_off_once_more(self: Switcher) -> None:
    """A switch was late on its way: it comes after the operator has switched everything on."""
    for node in (None, NODE):
        while not await self._switch(node, submit=True, dispatch=True):
            await trio.sleep(0.2)
    if not hasattr(self, "was_late"):
        self.was_late = True  # type: ignore[attr-defined]
        while not await self._switch(None, submit=True, dispatch=False):
            await trio.sleep(0.2)


def test_an_operator_looks_again_when_a_late_switch_has_turned_something_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Switcher, "all_on", _switched_off_once_more)
    outcome = simulate(1)
    assert outcome.violations == ()
    assert outcome.sometimes["mode dispatch_off"]


A_WORKER = Worker(
    worker_key(NO_TENANT, WorkerId("w")), 2, 1, 5, session="old", session_ms=5, incidents=2, incident_ms=5
)


def rows(worker: Worker, *closed: ClosedLease) -> Changes:
    changes = no_changes()
    changes.workers[worker.worker_key] = worker
    changes.closed.extend(closed)
    return changes


def a_close(state: ClosedState) -> ClosedLease:
    return ClosedLease(LeaseId("l"), JobKey("/t"), A_WORKER.worker_key, state, b"", b"", 9)


@pytest.mark.parametrize(
    ("after", "closed", "right"),
    [
        # A close clears the name, then another process takes it: the first incident of the next row.
        ({"session": "new", "session_ms": 9, "incidents": 1, "incident_ms": 9}, True, True),
        ({"incidents": 0}, True, True),
        ({"incidents": 0}, False, False),
        ({"session": "new", "session_ms": 9, "incidents": 1, "incident_ms": 9}, False, False),
        ({"incidents": 1, "incident_ms": 9}, True, False),
        ({"incidents": 1}, True, False),
    ],
)
def test_a_name_is_cleared_by_a_close_and_may_be_spoilt_again_in_the_same_commit(
    after: dict[str, Any], closed: bool, right: bool
) -> None:
    judge = Judge(lambda: None)
    trace = Trace(WallClock(JumpingClock(lambda: None)))
    holds = HoldAccount(judge, trace, HoldRules())
    check = WorkerCheck(
        Witness(judge, trace, 5, lambda: 0, Outages([KnownOutages()]), holds), judge, trace, QuarantineRules()
    )
    check(rows(A_WORKER), 6)
    judge.found.clear()
    check(rows(replace(A_WORKER, **after), *([a_close("closed")] if closed else [])), 9)
    assert ([found.rule for found in judge.found] == []) is right
