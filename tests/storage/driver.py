"""The least of an engine: commands decided by the real rules over a real store, one batch a call."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeVar

from msgspec import Struct

from oris import ids
from oris.audit_actions import AuditAction
from oris.core import commands as c
from oris.core.audit import Audit, AuditHead, record
from oris.core.changes import Changes, Handed
from oris.core.commands import Command, Want
from oris.core.decide import add_needs, decide
from oris.core.dispatch import dispatch
from oris.core.facts import Facts
from oris.core.invariants import Snapshot, check_all
from oris.core.limits import Limits
from oris.core.model import Job, Lane, RetryPolicy
from oris.core.needs import Loaded, Needs
from oris.core.replies import Granted, Reply
from oris.core.stamp import Stamp
from oris.ids import JobKey, RunId, TenantId, ThreadId, WorkerId, WorkerKey
from oris.storage.store import Store

T = TypeVar("T")
START_MS = 1_700_000_000_000
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ACME = TenantId("acme")


Action = Literal["insert", "update", "delete"]
"""What is done to a row: it was not there before, it was another one, or it is not there afterwards."""


class Ticks:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.ms = START_MS

    def __call__(self) -> int:
        return self.ms


class Harness(Protocol):
    """A store under test, and what a test may do to its database. What is made must be undone by the fixture."""

    clock: Ticks

    @property
    def store(self) -> Store:
        """The store as it is now; a reopened one is another."""

    async def reopen(self, node_id: str = "node-1") -> None:
        """Close the store and open it again."""

    async def crash(self) -> None:
        """Go on with what the death of the process at this moment would leave."""

    async def snapshot(self) -> Snapshot:
        """All rows."""

    async def refuse(self, table: str, action: Action) -> None:
        """From now on a transaction that does this to a row of the table fails: nothing of it is committed. What it
        raises says `planted`. The table is called as SQL stores call it."""

    async def heal(self) -> None:
        """Take that back."""


class Done(Struct):
    """What came of a batch."""

    replies: list[Reply]
    granted: list[Granted]
    handed: Mapping[RunId, Handed]

    def job(self) -> Job:
        """The one job that was granted."""
        (granted,) = self.granted
        (job,) = granted.jobs
        return job


class Driver:
    """Commits batches on a harness's store."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.limits = Limits()
        self.audit_head = AuditHead("chain-1", 0, bytes(32))
        self._seeds = ids.SeedSource(random.Random(1))
        self._batches = 0

    @property
    def store(self) -> Store:
        """The store as it is now; a reopened one is another."""
        return self.harness.store

    async def commit(
        self,
        *commands: Command,
        wants: Sequence[Want] = (),
        lanes: Sequence[Lane] = (),
        audit: Sequence[Audit] = (),
        calm_ms: int | None = None,
        seen: Callable[[Changes], None] = lambda changes: None,
    ) -> Done:
        """One batch, as the committer makes it; `seen` is shown its changes. Raises what `transact` raises."""
        needs = Needs()
        for command in commands:
            add_needs(needs, command)
        for want in wants:
            needs.workers.add(want.worker_key)
            if want.poll_id is not None:
                needs.polls.add((want.worker_key, want.poll_id))
            needs.threads |= want.threads or frozenset()
        needs.heads = {lane: 10 for lane in (lanes or (Lane(ACME, "default"),))} if wants else {}
        seeds = [self._seeds.next(self.harness.clock()) for _ in range(len(commands) + len(audit) + 1)]
        done = Done([], [], {})
        head = self.audit_head

        def work(loaded: Loaded, now_ms: int) -> Changes:
            facts = Facts(loaded, self.limits, audit_head=head)
            facts.changes.calm_ms = now_ms if calm_ms is None else calm_ms
            stamps = iter([Stamp(now_ms, seed) for seed in seeds])
            for command in commands:
                decision = decide(facts, command, next(stamps))
                facts.apply(decision, now_ms)
                done.replies.append(decision.reply)
            for line in audit:
                assert facts.audit_head is not None
                facts.audit(record(facts.audit_head, line, "ok", b"{}", next(stamps)))
            done.granted = dispatch(facts, list(wants), next(stamps), 1000).granted if wants else []
            assert facts.audit_head is not None
            self.audit_head = facts.audit_head
            seen(facts.changes)
            return facts.changes

        done.handed = await self.store.transact(needs, work, self.next_batch_id())
        return done

    async def load(self, needs: Needs) -> Loaded:
        """What the store loads for these needs; nothing is written."""
        found: list[Loaded] = []

        def work(loaded: Loaded, now_ms: int) -> Changes:
            found.append(loaded)
            return nothing()

        await self.store.transact(needs, work, self.next_batch_id())
        return found[0]

    async def verify(self) -> Snapshot:
        """All invariants of the rows as they are now."""
        rows = await self.harness.snapshot()
        assert check_all(rows) == []
        return rows

    def next_batch_id(self) -> str:
        """A fresh one."""
        self._batches += 1
        return f"batch-{self._batches}"


def nothing() -> Changes:
    """An empty batch."""
    return Facts(Loaded(), Limits()).changes


def key(thread: str, tenant: str = ACME) -> JobKey:
    """A thread's key."""
    return ids.job_key(TenantId(tenant), ThreadId(thread))


def worker(name: str = "w1", tenant: str = ACME) -> WorkerKey:
    """A worker's key."""
    return ids.worker_key(TenantId(tenant), WorkerId(name))


def submit(
    thread: str,
    *,
    tenant: str = ACME,
    workflow: str = "default",
    priority: int = 0,
    input: bytes | None = b'{"n": 1}',
    idempotency_key: str | None = None,
    delay_ms: int | None = None,
    retry_policy: RetryPolicy | None = None,
    metadata: bytes | None = None,
) -> c.Submit:
    """A submit of a thread."""
    return c.Submit(
        job_key=key(thread, tenant),
        tenant_id=TenantId(tenant),
        thread_id=ThreadId(thread),
        workflow=workflow,
        priority=priority,
        input=input,
        idempotency_key=idempotency_key,
        request_hash=b"h" * 32,
        traceparent=TRACE,
        delay_ms=delay_ms,
        retry_policy=retry_policy,
        metadata=metadata,
    )


def want(
    name: str = "w1",
    limit: int = 1,
    poll_id: str | None = None,
    ttl_ms: int = 30_000,
    session: str | None = None,
    threads: frozenset[ThreadId] | None = None,
) -> Want:
    """A poll."""
    return Want(worker(name), None, limit, ttl_ms, 100, 1000, poll_id=poll_id, session=session, threads=threads)


def opened(session: str, name: str = "w1") -> c.OpenSession:
    """A worker's process names itself."""
    return c.OpenSession(worker(name), session)


def replayed(thread: str, checkpoint: str | None = None) -> c.Replay:
    """A replay of a thread's latest state, or of a checkpoint."""
    return c.Replay(key(thread), TRACE, None if checkpoint is None else ids.checkpoint_of(checkpoint))


def ack(job: Job, status: str = "completed", body: bytes | None = b'{"ok": true}', retryable: bool = True) -> c.Ack:
    """The end of a granted job."""
    assert job.worker_key is not None
    assert job.lease_id is not None
    return c.Ack(job.worker_key, ids.attempt_of(job.run_id), job.lease_id, status, body, retryable)  # type: ignore[arg-type]


def report(job: Job, action: str, body: bytes | None = b'"done"', checkpoint: bytes | None = None) -> c.ReportStep:
    """A step of a granted job, succeeded."""
    assert job.worker_key is not None
    assert job.lease_id is not None
    attempt = ids.attempt_of(job.run_id)
    return c.ReportStep(job.worker_key, attempt, job.lease_id, action, "succeeded", f"t-{action}", body, checkpoint)


def suspend(job: Job, *waits: c.WaitSpec) -> c.Suspend:
    """A granted job waits for all of these."""
    assert job.worker_key is not None
    assert job.lease_id is not None
    return c.Suspend(job.worker_key, ids.attempt_of(job.run_id), job.lease_id, waits, "all")


def question(key: str = "approve", **more: Any) -> c.WaitSpec:
    """A wait for somebody's answer."""
    return c.WaitSpec("interrupt", key, value=b'{"ask":"%s"}' % key.encode(), **more)


def heartbeat(job: Job, ttl_ms: int = 30_000) -> c.Heartbeat:
    """A renewal of a granted job."""
    assert job.worker_key is not None
    assert job.lease_id is not None
    return c.Heartbeat(job.worker_key, job.lease_id, ttl_ms, single=True)


def audited(
    action: AuditAction = "job.run", request_id: str = "r1", actor_id: str = "ops", tenant: str = ACME
) -> Audit:
    """A line for the trail."""
    return Audit("api_key", actor_id, "admin", tenant, "127.0.0.1", action, "thread", "t", request_id)
