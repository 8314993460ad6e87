"""A whole Oris without engine, tasks or sockets: the real rules over the store in memory, a clock that only the test
moves.

Every batch is decided as the committer does it: load what is needed, decide each command, dispatch once at the end,
write. After every batch the laws of `laws.py` are checked, so every test here tests them too.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, TypeVar, cast

import msgspec

from oris import ids
from oris.core import commands as c
from oris.core.chain import Entry
from oris.core.changes import Changes, Decision
from oris.core.commands import Want
from oris.core.decide import add_needs, decide
from oris.core.dispatch import Dispatched, dispatch
from oris.core.events import Body, decode
from oris.core.facts import Facts
from oris.core.hold import Hold
from oris.core.limits import Limits
from oris.core.mode import CLUSTER, Modes
from oris.core.model import DELAYED, Job, Lane, RetryPolicy, Step, StepStatus, TimeoutStatus, Wait, WaitMode, Worker
from oris.core.needs import Loaded, Needs
from oris.core.outage import Outage
from oris.core.replies import (
    Acked,
    CancelledRun,
    Granted,
    Refusal,
    Released,
    Reply,
    Reported,
    SessionDropped,
    Submitted,
    Suspended,
)
from oris.core.stamp import Stamp
from oris.ids import JobKey, LeaseId, NodeId, RunId, TenantId, ThreadId, WaitId, WorkerKey
from oris.storage.memory.find import queued
from oris.storage.memory.load import load
from oris.storage.memory.store import MemoryStore
from oris.storage.memory.tables import Tables, Volume

from . import laws

START_MS = 1_700_000_000_000
TRACE = "00-00000000000000000000000000000002-0000000000000002-01"
R = TypeVar("R")


def the(kind: type[R], reply: object) -> R:
    """The reply, which has to be of this kind."""
    assert isinstance(reply, kind), reply
    return reply


def reason(reply: object) -> str:
    """The reason word of a refusal."""
    details = the(Refusal, reply).details
    assert details is not None
    return cast("str", details["reason"])


def worker_key(name: str, tenant: str = "") -> WorkerKey:
    """The key of a worker's row."""
    return ids.worker_key(TenantId(tenant), ids.WorkerId(name))


class World:
    """The rules over a store, with a readable line for each thing a client or worker can do."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.now_ms = START_MS
        self.skew_ms = 0
        """How far the calendar is ahead of `now_ms`."""
        self.limits = limits or Limits()
        self.tenant_limit = 1000
        self.heads_read = 1000
        self.admission: Refusal | None = None
        self.outages: tuple[Outage, ...] = ()
        self.modes = Modes("here")
        self.volume = Volume()
        self.store = MemoryStore(self.volume, lambda: self.now_ms, NodeId("here"))
        self.last = Dispatched([], set(), set(), [], {})
        self._seeds = ids.SeedSource(random.Random(1))

    def batch(
        self, commands: Sequence[c.Command], wants: Sequence[Want] = (), parked: int | None = None
    ) -> list[Reply]:
        """Decide all of it in one commit; `last` tells what the polls got."""
        decided: list[Facts] = []
        replies = []

        def work(loaded: Loaded, now_ms: int) -> Changes:
            facts = self._facts(loaded)
            decided.append(facts)
            for command in commands:
                decision = self._decide(facts, command)
                facts.apply(decision, now_ms)
                replies.append(decision.reply)
            self.last = dispatch(facts, list(wants), self._stamp(), self.tenant_limit, parked)
            return facts.changes

        before, old = self.tables, laws.what_is_known_of_old_runs(self.tables)
        self.store.transact_nowait(self._needs(commands, wants), work, "batch")
        (facts,) = decided
        self.modes = facts.modes
        laws.check(self.tables, before.jobs, facts.changes, self.now_ms)
        laws.a_thread_at_one_place_has_the_same_old_runs(old, self.tables)
        return replies

    def ask(self, command: c.Command) -> Reply:
        """One command in a commit of its own."""
        return self.batch([command])[0]

    def later(self, ms: int) -> None:
        """Let time pass; nothing sweeps by itself."""
        self.now_ms += ms

    @property
    def date_ms(self) -> int:
        """The time by the calendar."""
        return self.now_ms + self.skew_ms

    @property
    def tables(self) -> Tables:
        """All rows, as they are committed."""
        return self.volume.tables

    def load(self, needs: Needs) -> Loaded:
        """What a batch would find."""
        return load(self.tables, needs)

    def lanes(self) -> dict[Lane, list[Job]]:
        """All queued jobs, lane by lane, in order."""
        lanes = {job.lane for job in self.tables.jobs.values() if job.status == "queued"}
        return {lane: queued(self.tables, lane) for lane in lanes}

    def depth(self) -> int:
        """Runs that are due and wait."""
        return sum(job.status == "queued" for job in self.tables.jobs.values())

    def delayed(self) -> int:
        """Runs that wait for their time."""
        return sum(job.status in DELAYED for job in self.tables.jobs.values())

    def job(self, thread: str, tenant: str = "") -> Job:
        """A thread's row."""
        return self.tables.jobs[key(thread, tenant)]

    def entries(self, thread: str, tenant: str = "") -> list[Entry]:
        """A thread's events that were not erased."""
        return [entry for entry in self.tables.entries.values() if entry.job_key == key(thread, tenant)]

    def reports(self, run: RunId, action: str) -> list[Step]:
        """The reports of a step of a run."""
        steps = self.tables.steps.values()
        return [step for step in steps if (step.run_id, step.action_id) == (run, action)]

    def events(self, thread: str, tenant: str = "") -> list[str]:
        """The types of a thread's events."""
        return [entry.event_type for entry in self.entries(thread, tenant)]

    def bodies(self, thread: str, kind: type[R]) -> list[R]:
        """A thread's events of one kind."""
        found: list[Body] = [decode(entry.data) for entry in self.entries(thread)]
        return [body for body in found if isinstance(body, kind)]

    def submit(self, thread: str, **said: Any) -> Reply:
        """Ask for a run."""
        return self.ask(submit(thread, **said))

    def poll(self, worker: str, limit: int = 1, **said: Any) -> Granted:
        """Ask for work."""
        self.batch([], [want(worker, limit, **said)])
        return self.last.granted[0]

    def got(self, worker: str, limit: int = 1, **said: Any) -> list[str]:
        """The threads that a poll was granted, in order."""
        return [job.thread_id for job in self.poll(worker, limit, **said).jobs]

    def start(self, thread: str, worker: str = "w1", ttl_ms: int = 30_000, **said: Any) -> Job:
        """Submit a run and have it granted; the row then."""
        the(Submitted, self.submit(thread, **said))
        return self.grant(thread, worker, ttl_ms=ttl_ms)

    def grant(self, thread: str, worker: str = "w1", **said: Any) -> Job:
        """Have one thread granted, which is first in line."""
        (job,) = self.poll(worker, **said).jobs
        assert job.thread_id == thread
        return job

    def ack(self, job: Job, status: str = "completed", **said: Any) -> Reply:
        """Close a lease."""
        return self.ask(ack(job, status, **said))

    def acked(self, job: Job, status: str = "completed", **said: Any) -> Acked:
        """Close a lease, which has to work."""
        return the(Acked, self.ack(job, status, **said))

    def report(self, job: Job, action: str, status: StepStatus = "succeeded", **said: Any) -> Reply:
        """Report a step."""
        return self.ask(report(job, action, status, **said))

    def reported(self, job: Job, action: str, status: StepStatus = "succeeded", **said: Any) -> Reported:
        """Report a step, which has to work."""
        return the(Reported, self.report(job, action, status, **said))

    def beat(self, job: Job, ttl_ms: int = 30_000, *, single: bool = True, worker: str | None = None) -> Reply:
        """Renew a lease."""
        return self.ask(heartbeat(job, ttl_ms, single=single, worker=worker))

    def release(self, job: Job, delay_ms: int = 0, *, worker: str | None = None) -> Reply:
        """Give a lease back."""
        return self.ask(c.Release(_worker(job, worker), _lease(job), delay_ms))

    def released(self, job: Job, delay_ms: int = 0) -> Released:
        """Give a lease back, which has to work."""
        return the(Released, self.release(job, delay_ms))

    def cancel(self, thread: str, why: str | None = None, run: RunId | None = None) -> Reply:
        """End a run."""
        return self.ask(c.Cancel(key(thread), why, run))

    def replay(self, thread: str, checkpoint: str | None = None, run: RunId | None = None) -> Reply:
        """Go on from an earlier state."""
        named = None if checkpoint is None else ids.checkpoint_of(checkpoint)
        return self.ask(c.Replay(key(thread), TRACE, named, run))

    def replay_dead_letter(self, thread: str, run: RunId) -> Reply:
        """Go on from where a run has failed."""
        return self.ask(c.ReplayDeadLetter(key(thread), run, TRACE))

    def cancelled(self, thread: str) -> CancelledRun:
        """End a run, which has to work."""
        return the(CancelledRun, self.cancel(thread))

    def sweep(self, thread: str, tenant: str = "") -> Reply:
        """Apply a thread's deadlines."""
        return self.ask(c.Sweep(key(thread, tenant)))

    def suspend(self, job: Job, *waits: c.WaitSpec, mode: WaitMode = "all", checkpoint: bytes | None = None) -> Reply:
        """Close a lease: nothing to do until these are settled."""
        attempt = ids.attempt_of(job.run_id)
        return self.ask(c.Suspend(_worker(job, None), attempt, _lease(job), waits, mode, checkpoint))

    def suspended(self, job: Job, *waits: c.WaitSpec, **said: Any) -> Suspended:
        """The same, which has to work."""
        return the(Suspended, self.suspend(job, *waits, **said))

    def answer(self, wait_id: WaitId, value: bytes = b'"yes"', by: str = "ann") -> Reply:
        """Somebody answers an interrupt."""
        return self.ask(c.Resume(wait_id, value, by))

    def reject(self, wait_id: WaitId, why: str | None = None) -> Reply:
        """Somebody refuses one."""
        return self.ask(c.Reject(wait_id, why, "ann"))

    def wait(self, key: str) -> Wait:
        """The wait of this key, of whatever run."""
        (found,) = [wait for wait in self.tables.waits.values() if wait.key == key]
        return found

    def open_session(self, worker: str, session: str) -> Reply:
        """A worker's process names itself."""
        return self.ask(c.OpenSession(worker_key(worker), session))

    def drop_session(self, worker: str, session: str) -> bool:
        """Nothing is heard of a worker's process any more; whether that cost it leases."""
        return the(SessionDropped, self.ask(c.DropSession(worker_key(worker), session))).cut

    def wait_out(self, thread: str) -> Job:
        """Let a pausing run's pause pass; the row then."""
        job = self.job(thread)
        if job.status == "retry_backoff":
            assert job.due_ms is not None
            self.later(max(0, job.due_ms - self.now_ms))
            self.sweep(thread)
        return self.job(thread)

    def hold(self, workflow: str = "default", tenant: str = "") -> Hold | None:
        """What is known of a workflow's losses."""
        return self.tables.holds.get(Lane(TenantId(tenant), workflow))

    def worker(self, name: str) -> Worker:
        """A worker's row."""
        return self.tables.workers[worker_key(name)]

    def _needs(self, commands: Sequence[c.Command], wants: Sequence[Want]) -> Needs:
        needs = Needs(modes={CLUSTER, "here"})
        for command in commands:
            add_needs(needs, command)
        for wanted in wants:
            needs.workers.add(wanted.worker_key)
            if wanted.poll_id is not None:
                needs.polls.add((wanted.worker_key, wanted.poll_id))
            needs.threads |= wanted.threads or frozenset()
        if wants:
            fresh = (Lane(cmd.tenant_id, cmd.workflow) for cmd in commands if isinstance(cmd, c.Submit))
            again = (job.lane for job in self.tables.jobs.values())
            needs.heads = {lane: self.heads_read for lane in sorted({*self.lanes(), *fresh, *again})}
        return needs

    def _facts(self, loaded: Loaded) -> Facts:
        return Facts(
            loaded,
            self.limits,
            admission=self.admission,
            outages=self.outages,
            node_id=NodeId("here"),
            skew_ms=self.skew_ms,
        )

    def _stamp(self) -> Stamp:
        return Stamp(self.now_ms, self._seeds.next(self.now_ms), self.skew_ms)

    def _decide(self, facts: Facts, command: c.Command) -> Decision:
        """Decide twice: the same stamp gives the same decision, and the facts are as they were."""
        stamp = self._stamp()
        before = laws.picture(facts)
        again = decide(facts, command, Stamp(stamp.now_ms, stamp.seed, stamp.skew_ms))
        decision = decide(facts, command, stamp)
        assert laws.plain(again) == laws.plain(decision)
        assert laws.picture(facts) == before
        return decision


def key(thread: str, tenant: str = "") -> JobKey:
    """The key of a thread's row."""
    return ids.job_key(TenantId(tenant), ThreadId(thread))


def submit(
    thread: str,
    *,
    tenant: str = "",
    workflow: str = "default",
    priority: int = 0,
    input: bytes | None = b'{"n":1}',
    idempotency_key: str | None = None,
    timeout_ms: int | None = None,
    on_timeout: TimeoutStatus = "failed",
    retry: RetryPolicy | None = None,
    delay_ms: int | None = None,
    run_at_ms: int | None = None,
    metadata: bytes | None = None,
) -> c.Submit:
    """The wish for a run."""
    said = (workflow, priority, input, timeout_ms, on_timeout, retry, delay_ms, run_at_ms, metadata)
    return c.Submit(
        job_key=key(thread, tenant),
        tenant_id=TenantId(tenant),
        thread_id=ThreadId(thread),
        workflow=workflow,
        priority=priority,
        input=input,
        idempotency_key=idempotency_key,
        request_hash=sha256(msgspec.json.encode(said)).digest(),
        traceparent="00-00000000000000000000000000000001-0000000000000001-01",
        timeout_ms=timeout_ms,
        on_timeout=on_timeout,
        retry_policy=retry,
        delay_ms=delay_ms,
        run_at_ms=run_at_ms,
        metadata=metadata,
    )


def want(
    worker: str,
    limit: int = 1,
    *,
    ttl_ms: int = 30_000,
    workflows: set[str] | None = None,
    tenant: str | None = None,
    worker_limit: int = 100,
    tenant_limit: int = 1000,
    poll_id: str | None = None,
    session: str | None = None,
    threads: set[str] | None = None,
) -> Want:
    """A poll."""
    return Want(
        worker_key(worker, tenant or ""),
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


def ack(
    job: Job,
    status: str = "completed",
    *,
    body: bytes | None = None,
    retryable: bool = True,
    retry: RetryPolicy | None = None,
    worker: str | None = None,
    attempt_id: str | None = None,
) -> c.Ack:
    """The closing of a lease, as its worker says it unless told otherwise."""
    return c.Ack(
        worker_key=_worker(job, worker),
        attempt_id=ids.AttemptId(attempt_id or ids.attempt_of(job.run_id)),
        lease_id=_lease(job),
        terminal_status=cast("Any", status),
        body=body,
        retryable=retryable,
        retry_policy=retry,
    )


def asking(key: str = "q", **said: Any) -> c.WaitSpec:
    """A question to people."""
    return c.WaitSpec("interrupt", key, value=said.pop("value", b'"may I?"'), **said)


def timer(key: str = "t", after_ms: int = 60_000) -> c.WaitSpec:
    """A wait for a time."""
    return c.WaitSpec("time", key, after_ms=after_ms)


def report(
    job: Job,
    action: str,
    status: StepStatus = "succeeded",
    *,
    token: str = "t",
    body: bytes | None = b'"out"',
    checkpoint: bytes | None = None,
    worker: str | None = None,
    attempt_id: str | None = None,
) -> c.ReportStep:
    """The report of a step."""
    return c.ReportStep(
        worker_key=_worker(job, worker),
        attempt_id=ids.AttemptId(attempt_id or ids.attempt_of(job.run_id)),
        lease_id=_lease(job),
        action_id=action,
        status=status,
        token=token,
        body=body,
        checkpoint=checkpoint,
    )


def heartbeat(job: Job, ttl_ms: int = 30_000, *, single: bool = True, worker: str | None = None) -> c.Heartbeat:
    """The renewal of a lease."""
    return c.Heartbeat(_worker(job, worker), _lease(job), ttl_ms, single)


def _lease(job: Job) -> LeaseId:
    assert job.lease_id is not None
    return job.lease_id


def _worker(job: Job, name: str | None) -> WorkerKey:
    if name is not None:
        return worker_key(name)
    assert job.worker_key is not None
    return job.worker_key
