"""An engine over a real store (`tests/stores.py`), on virtual time; commits can be held, counted and made to fail."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Generic, TypeVar

import trio
from msgspec.structs import replace
from trio.testing import wait_all_tasks_blocked

from oris import ids
from oris.clock import EngineClock
from oris.core import commands as c
from oris.core.audit_anchor import Uncut
from oris.core.changes import Changes, Handed
from oris.core.commands import Want
from oris.core.invariants import Snapshot, check_all
from oris.core.mode import Modes
from oris.core.model import Job
from oris.core.needs import Loaded, Needs
from oris.core.outage import Outage
from oris.core.replies import Refusal, Reply, Submitted
from oris.engine.batch import Batch, Outcome
from oris.engine.engine import Engine, EngineSettings, Polled
from oris.engine.observer import Observer, Passed, Sample
from oris.engine.unit import Answered, Unit
from oris.ids import LeaseId, NodeId, RunId, TenantId, ThreadId, WorkerId
from oris.storage.hints import Hints
from oris.storage.reads import Reads
from oris.storage.store import Store, Work

from ..stores import Database, new_database

START_MS = 1_700_000_000_000
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PATIENCE_S = 600.0
"""Virtual seconds that a whole test may take."""
MOST_AT_ONCE = 3000
"""Transactions that a test may make in one moment."""
R = TypeVar("R")


class Spinning(BaseException):
    """Transactions without end, and no time passes."""


class VirtualClock:
    """Trio's mock clock as the machine's clocks, so that engine time and virtual time agree until somebody sets it."""

    def __init__(self) -> None:
        self.off_ms = 0

    def wall_ms(self) -> int:
        return START_MS + self.off_ms + round(trio.current_time() * 1000)

    def monotonic_s(self) -> float:
        return trio.current_time()


class ScriptedStore:
    """A real store whose commits are counted, and held, slowed or failed as the test says."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.commits: list[Needs] = []
        """What each transaction needed, in order."""
        self.made: list[list[RunId]] = []
        """The new runs of each transaction's work, also of those that failed."""
        self.gate: trio.Event | None = None
        self.late_gate: trio.Event | None = None
        self.entered = trio.Event()
        self.takes_s = 0.0
        self._since_s = -1.0
        self._at_once = 0
        self.before: Callable[[Needs], BaseException | None] = lambda needs: None
        self.after: Callable[[Needs], BaseException | None] = lambda needs: None

    @property
    def shared(self) -> bool:
        """See `Store`."""
        return self.inner.shared

    @property
    def hints(self) -> Hints:
        """See `Store`."""
        return self.inner.hints

    @property
    def reads(self) -> Reads:
        return self.inner.reads

    async def transact(self, needs: Needs, work: Work, batch_id: str) -> Mapping[RunId, Handed]:
        self.commits.append(needs)
        self._guard()
        runs: list[RunId] = []
        self.made.append(runs)
        if self.late_gate is None:
            self.entered.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.takes_s:
            await trio.sleep(self.takes_s)

        def seen(loaded: Loaded, now_ms: int) -> Changes:
            changes = work(loaded, now_ms)
            runs[:] = [job.run_id for job in changes.jobs.values()]
            error = self.before(needs)
            if error is not None:
                raise error
            return changes

        handed = await self.inner.transact(needs, seen, batch_id)
        if self.late_gate is not None:
            self.entered.set()
            await self.late_gate.wait()
        error = self.after(needs)
        if error is not None:
            raise error
        return handed

    def _guard(self) -> None:
        """A committer that spins keeps the clock from jumping: fail instead of hanging."""
        if trio.current_time() != self._since_s:
            self._since_s, self._at_once = trio.current_time(), 0
        self._at_once += 1
        if self._at_once > MOST_AT_ONCE:
            raise Spinning

    async def high_water_ms(self) -> int:
        return await self.inner.high_water_ms()

    async def calm_ms(self) -> int:
        return await self.inner.calm_ms()

    async def aclose(self) -> None:
        await self.inner.aclose()

    def let_go(self) -> None:
        """No commit waits any longer."""
        for gate in (self.gate, self.late_gate):
            if gate is not None:
                gate.set()
        self.gate = self.late_gate = None

    def hold(self) -> trio.Event:
        """The next commits wait until the event is set."""
        self.gate, self.entered = trio.Event(), trio.Event()
        return self.gate

    def hold_answers(self) -> None:
        """The next commits are made, and answered only when `let_go` is called."""
        self.late_gate, self.entered = trio.Event(), trio.Event()


@dataclass
class Recorder:
    """An observer that remembers."""

    batches: list[tuple[Outcome, Batch]] = field(default_factory=list)
    failed: list[Exception] = field(default_factory=list)
    bugs: list[Exception] = field(default_factory=list)
    levels: list[int] = field(default_factory=list)
    turned_away: int = 0
    outages: list[Outage] = field(default_factory=list)
    jumps: list[int] = field(default_factory=list)
    skews: list[int] = field(default_factory=list)
    modes: list[Modes] = field(default_factory=list)
    passes: list[Passed] = field(default_factory=list)
    uncut: list[Uncut] = field(default_factory=list)

    def committed(self, outcome: Outcome, batch: Batch, took_ms: float) -> None:
        self.batches.append((outcome, batch))

    def commit_failed(self, error: Exception, batch: Batch | None = None, took_ms: float = 0.0) -> None:
        self.failed.append(error)

    def command_failed(self, error: Exception) -> None:
        self.bugs.append(error)

    def refused(self, refusal: Refusal, count: int) -> None:
        self.turned_away += count

    def outage(self, outage: Outage) -> None:
        self.outages.append(outage)

    def mode_changed(self, modes: Modes) -> None:
        self.modes.append(modes)

    def retention_passed(self, passed: Passed) -> None:
        self.passes.append(passed)

    def audit_not_cut(self, uncut: Uncut) -> None:
        self.uncut.append(uncut)

    def sampled(self, sample: Sample, level: int) -> None:
        self.levels.append(level)

    def clock_jumped(self, by_ms: int) -> None:
        self.jumps.append(by_ms)

    def clock_skewed(self, by_ms: int) -> None:
        self.skews.append(by_ms)


def no_beat() -> None:
    """Nobody watches."""


@dataclass
class World:
    """An engine that runs, with a line for each thing a caller can do."""

    engine: Engine
    store: ScriptedStore
    database: Database
    observer: Recorder
    nursery: trio.Nursery

    async def submit(self, thread: str, **said: Any) -> Reply:
        return (await self.engine.ask(Unit("submit", [submit(thread, **said)]))).replies[0]

    async def submitted(self, thread: str, **said: Any) -> Submitted:
        return the(Submitted, await self.submit(thread, **said))

    async def ask(self, *commands: c.Command) -> Answered:
        return await self.engine.ask(Unit("write", commands))

    async def finish(self, job: Job, want: Want) -> Polled:
        """What the poll has got that came with an ack."""
        _, polled = await self.engine.ask_and_poll(Unit("write", [ack(job)]), want)
        return polled

    async def poll(self, worker: str, limit: int = 1, wait_s: float = 0.0, **said: Any) -> Polled:
        return await self.engine.poll(want(worker, limit, **said), wait_s)

    async def grant(self, worker: str, **said: Any) -> Job:
        """Exactly one job, which has to be there."""
        (job,) = granted(await self.poll(worker, **said))
        return job

    async def start(self, thread: str, worker: str, **said: Any) -> Job:
        """A running job."""
        await self.submitted(thread)
        return await self.grant(worker, **said)

    async def job(self, thread: str, tenant: str = "") -> Job:
        found = await self.store.reads.job(ids.job_key(TenantId(tenant), ThreadId(thread)))
        assert found is not None
        return found

    def soon(self, work: Callable[[], Awaitable[R]]) -> Later[R]:
        """Have it done by a task of its own."""
        later: Later[R] = Later()
        self.nursery.start_soon(later.run, work)
        return later

    def rows(self) -> Snapshot:
        """All that is committed."""
        return self.database.rows()

    def check_rows(self) -> Snapshot:
        """The store is as it must be."""
        rows = self.rows()
        assert check_all(rows) == []
        return rows

    def check(self) -> None:
        """Nothing is parked, queued or waited for, and the store is as it must be."""
        assert len(self.engine.demand) == 0
        assert len(self.engine.waiters) == 0
        assert len(self.engine.listeners) == 0
        assert self.engine._inbox.depth() == 0
        self.check_rows()


class Later(Generic[R]):
    """A call under way in another task."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.done = trio.Event()
        self.error: Exception | None = None
        self._value: list[R] = []

    async def run(self, work: Callable[[], Awaitable[R]]) -> None:
        with self.scope:
            try:
                self._value.append(await work())
            except Exception as error:
                self.error = error
        self.done.set()

    async def get(self) -> R:
        """What came of it."""
        await self.done.wait()
        if self.error is not None:
            raise self.error
        return self._value[0]

    @property
    def value(self) -> R:
        assert self.done.is_set(), "still under way"
        return self._value[0]


@asynccontextmanager
async def running(
    settings: EngineSettings | None = None,
    *,
    database: Database | None = None,
    committer: bool = True,
    sweeper: bool = False,
    monitor: bool = False,
    check: bool = True,
    unchecked: str | None = None,
    watched_by: Callable[[EngineClock], Observer] | None = None,
    wall: VirtualClock | None = None,
    patience_s: float = PATIENCE_S,
    node: str = "node",
    hints: Hints | None = None,
) -> AsyncIterator[World]:
    """An engine with its committer, and the other tasks on request; stopped in order at the end. With `hints` it is one
    of several nodes on a database.

    Its rows are checked whatever the test leaves behind, unless it says why they need not hold; with `check`, that it
    leaves nobody waiting too.
    """
    database = database or new_database()
    clock = EngineClock(wall or VirtualClock())
    async with aclosing(await database.open(clock.now_ms, node, hints)) as inner:
        high_water_ms = await inner.high_water_ms()
        clock.start_after(high_water_ms)
        store, observer = ScriptedStore(inner), Recorder()
        told = observer if watched_by is None else watched_by(clock)
        chance = random.Random(f"{node} {7 + high_water_ms}")
        engine = Engine(store, clock, chance, told, replace(settings or EngineSettings(), node_id=NodeId(node)))
        with trio.fail_after(patience_s):
            async with trio.open_nursery() as nursery:
                world = World(engine, store, database, observer, nursery)
                if committer:
                    await nursery.start(engine.committer.run, no_beat)
                if hints is not None:
                    await nursery.start(engine.cluster.run, no_beat)
                if sweeper:
                    await nursery.start(engine.sweeper.run, no_beat)
                if monitor:
                    await nursery.start(engine.monitor.run, no_beat)
                try:
                    yield world
                    await wait_all_tasks_blocked()
                    if check:
                        world.check()
                    elif unchecked is None:
                        world.check_rows()
                finally:
                    store.let_go()
                    nursery.cancel_scope.cancel(reason="the test is over")


def submit(
    thread: str, *, tenant: str = "", workflow: str = "default", key: str | None = None, **said: Any
) -> c.Submit:
    """The wish for a run."""
    body = said.pop("input", b'{"n":1}')
    return c.Submit(
        job_key=ids.job_key(TenantId(tenant), ThreadId(thread)),
        tenant_id=TenantId(tenant),
        thread_id=ThreadId(thread),
        workflow=workflow,
        priority=said.pop("priority", 0),
        input=body,
        idempotency_key=key,
        request_hash=sha256(body or b"").digest(),
        traceparent=TRACE,
        **said,
    )


def submits(*threads: str, **said: Any) -> Unit:
    """The wish for several runs, in one unit."""
    return Unit("submit", [submit(thread, **said) for thread in threads])


def want(
    worker: str,
    limit: int = 1,
    *,
    ttl_ms: int = 30_000,
    tenant: str | None = None,
    workflows: Sequence[str] | None = None,
    worker_limit: int = 100,
    tenant_limit: int = 1000,
    poll_id: str | None = None,
    session: str | None = None,
    threads: Sequence[str] | None = None,
) -> Want:
    """A poll."""
    return Want(
        ids.worker_key(TenantId(tenant or ""), WorkerId(worker)),
        None if tenant is None else TenantId(tenant),
        limit,
        ttl_ms,
        worker_limit,
        tenant_limit,
        None if workflows is None else frozenset(workflows),
        poll_id,
        session,
        None if threads is None else frozenset(map(ThreadId, threads)),
    )


def ack(job: Job, status: Any = "completed", **said: Any) -> c.Ack:
    """The end of an attempt, as its worker says it."""
    assert job.worker_key is not None
    return c.Ack(job.worker_key, ids.attempt_of(job.run_id), lease_of(job), status, said.pop("body", None), **said)


def heartbeat(job: Job, ttl_ms: int = 30_000) -> c.Heartbeat:
    """The renewal of a lease."""
    assert job.worker_key is not None
    return c.Heartbeat(job.worker_key, lease_of(job), ttl_ms, single=True)


def cancel(thread: str, tenant: str = "") -> c.Cancel:
    """The end of a run."""
    return c.Cancel(ids.job_key(TenantId(tenant), ThreadId(thread)), "not wanted")


def lease_of(job: Job) -> LeaseId:
    assert job.lease_id is not None
    return job.lease_id


def granted(polled: Polled) -> tuple[Job, ...]:
    """The jobs a poll got."""
    return () if polled.granted is None else polled.granted.jobs


def the(kind: type[R], reply: object) -> R:
    """The reply, which has to be of this kind."""
    assert isinstance(reply, kind), reply
    return reply


def reason(reply: object) -> str:
    """The reason word of a refusal."""
    details = the(Refusal, reply).details
    assert details is not None
    return str(details["reason"])
