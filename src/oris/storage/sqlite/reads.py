"""Reads beside the commits: each one short read transaction, on a connection of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from oris.core.api_key import ApiKey
from oris.core.audit import AuditHead, AuditRecord
from oris.core.changes import HandedStep
from oris.core.events import Entry, body_of
from oris.core.hold import Hold
from oris.core.mode import Mode
from oris.core.model import ClosedLease, DeadLetter, Job, Lane, PrunedRun, Tenant, Wait, Worker
from oris.core.old import OldestRuns
from oris.core.replies import RaisedWait
from oris.errors import DataDamaged
from oris.ids import JobKey, LeaseId, RunId, TenantId, ThreadId, WaitId, WorkerKey
from oris.storage.pages import Page, Place
from oris.storage.sqlite import pages, queries, retention
from oris.storage.store import (
    AuditFilter,
    DeadLetterFilter,
    Earliest,
    InterruptFilter,
    JobFilter,
    OldAudit,
    OldPlace,
    OldThreads,
    OldWorkers,
    SavedCheckpoint,
    Statistics,
    StepCounts,
    StoredKeys,
    Stretch,
    Told,
    WaitValue,
)

T = TypeVar("T")


class Runner(Protocol):
    """Runs a query on a free connection, inside a read transaction. Raises Unavailable."""

    def __call__(self, query: Callable[[sqlite3.Connection], T], /) -> Awaitable[T]: ...


class SqliteReads:
    """`Reads` for SQLite; see there."""

    def __init__(self, run: Runner, on_damage: Callable[[DataDamaged], None]) -> None:
        """`on_damage` is told of what is damaged where the rest is told all the same."""
        self._run = run
        self._on_damage = on_damage

    async def tenants_of(self, thread_id: ThreadId) -> Sequence[TenantId]:
        """The tenants that have a thread of this name; at most two are told."""
        return await self._run(lambda c: queries.tenants_of(c, thread_id))

    async def job(self, job_key: JobKey) -> Job | None:
        """A thread's latest run."""
        return await self._run(lambda c: queries.job(c, job_key))

    async def run(self, run_id: RunId) -> Job | None:
        """A run, the latest of its thread or one before."""
        return await self._run(lambda c: queries.run(c, run_id))

    async def runs(self, job_key: JobKey, after: Place | None, limit: int) -> Page[Job]:
        """A thread's runs."""
        return await self._run(lambda c: pages.runs_page(c, job_key, after, limit))

    async def jobs(self, where: JobFilter, after: Place | None, limit: int) -> Page[Job]:
        """Threads, each with its latest run; at most 10,000 rows are looked at."""
        return await self._run(lambda c: pages.jobs_page(c, where, after, limit))

    async def payloads(self, job_key: JobKey, seqs: Sequence[int]) -> Mapping[int, bytes]:
        """The payloads of these events, those that have one."""
        return await self._run(lambda c: queries.payloads(c, job_key, seqs))

    async def timeline(self, job_key: JobKey, after_seq: int, limit: int) -> Sequence[Entry]:
        """Events in order, from `after_seq` + 1."""
        entries = await self._run(lambda c: queries.timeline(c, job_key, after_seq, limit))
        for entry in entries:
            if body_of(entry) is None:
                self._on_damage(DataDamaged(job_key, entry.seq))
        return entries

    async def told(self, job_key: JobKey, after_seq: int, limit: int, max_bytes: int) -> Stretch[Told]:
        """Events in order with their payloads, from `after_seq` + 1."""
        found = await self._run(lambda c: queries.told(c, job_key, after_seq, limit, max_bytes))
        for line in found.items:
            if line.damaged:
                self._on_damage(DataDamaged(job_key, line.entry.seq))
        return found

    async def checkpoints(self, job_key: JobKey, after: Place | None, limit: int) -> Page[SavedCheckpoint]:
        """The checkpoints of a thread's runs."""
        return await self._run(lambda c: pages.checkpoints_page(c, job_key, after, limit))

    async def closed_lease(self, lease_id: LeaseId) -> ClosedLease | None:
        """How a lease ended, when it has."""
        return await self._run(lambda c: queries.closed_lease(c, lease_id))

    async def steps(self, run_id: RunId, after_seq: int, limit: int, max_bytes: int) -> Stretch[HandedStep]:
        """The latest report of each step of a run, by seq."""
        return await self._run(lambda c: queries.steps(c, run_id, after_seq, limit, max_bytes))

    async def step_counts(self, run_id: RunId) -> StepCounts:
        """How many steps of a run stand as succeeded, and how many do not."""
        return await self._run(lambda c: queries.step_counts(c, run_id))

    async def retries(self, run_id: RunId, after_seq: int, limit: int) -> Stretch[Entry]:
        """The `retry_scheduled` events of a run, in order."""
        return await self._run(lambda c: queries.retries(c, run_id, after_seq, limit))

    async def dead_letters(self, where: DeadLetterFilter, after: Place | None, limit: int) -> Page[DeadLetter]:
        """Dead letters."""
        return await self._run(lambda c: pages.dead_letters_page(c, where, after, limit))

    async def dead_letter(self, run_id: RunId) -> DeadLetter | None:
        """The dead letter of a run."""
        return await self._run(lambda c: queries.dead_letter(c, run_id))

    async def interrupts(self, where: InterruptFilter, after: Place | None, limit: int) -> Page[Wait]:
        """Interrupts; at most 10,000 rows are looked at."""
        return await self._run(lambda c: pages.interrupts_page(c, where, after, limit))

    async def wait(self, wait_id: WaitId) -> Wait | None:
        """One wait."""
        return await self._run(lambda c: queries.wait(c, wait_id))

    async def wait_values(self, waits: Sequence[Wait], max_bytes: int) -> Sequence[WaitValue]:
        """What waits were raised and settled with, of the first that fit, one at least."""
        found = await self._run(lambda c: queries.wait_values(c, waits, max_bytes))
        for wait, value in zip(waits, found, strict=False):
            if value.damaged_seq:
                self._on_damage(DataDamaged(wait.job_key, value.damaged_seq))
        return found

    async def settled_values(
        self, job_key: JobKey, waits: Sequence[RaisedWait], max_bytes: int
    ) -> Sequence[bytes | None]:
        """What waits of a thread were settled with, of the first that fit, one at least."""
        return await self._run(lambda c: queries.settled_values(c, job_key, waits, max_bytes))

    async def workers(self, tenant_id: TenantId | None, after: Place | None, limit: int) -> Page[Worker]:
        """Workers that were ever granted something."""
        return await self._run(lambda c: pages.workers_page(c, tenant_id, after, limit))

    async def worker(self, worker_key: WorkerKey) -> Worker | None:
        """One of them."""
        return await self._run(lambda c: queries.worker(c, worker_key))

    async def hold(self, lane: Lane) -> Hold | None:
        """What is known of a workflow's losses."""
        return await self._run(lambda c: queries.hold(c, lane))

    async def tenant(self, tenant_id: TenantId) -> Tenant | None:
        """A tenant that ever had a job."""
        return await self._run(lambda c: queries.tenant(c, tenant_id))

    async def audit(self, where: AuditFilter, after: Place | None, limit: int) -> Page[AuditRecord]:
        """Audit records; at most 10,000 are looked at."""
        return await self._run(lambda c: pages.audit_page(c, where, after, limit))

    async def audit_heads(self) -> Sequence[AuditHead]:
        """The ends of all audit chains, the newest 100."""
        return await self._run(queries.audit_heads)

    async def api_keys(self, tenant_id: TenantId | None, after: Place | None, limit: int) -> Page[ApiKey]:
        """Stored keys; at most 10,000 are looked at."""
        return await self._run(lambda c: pages.api_keys_page(c, tenant_id, after, limit))

    async def stored_keys(self, now_ms: int) -> StoredKeys:
        """Those that let anybody in."""
        return await self._run(lambda c: queries.stored_keys(c, now_ms))

    async def due(self, now_ms: int, date_ms: int, limit: int) -> Sequence[JobKey]:
        """Threads whose wake-up time, or whose date, has come."""
        return await self._run(lambda c: queries.due(c, now_ms, date_ms, limit))

    async def dead_leases(self, workers: Sequence[WorkerKey] | None, limit: int) -> Sequence[JobKey]:
        """Threads whose lease is of a session that is over."""
        return await self._run(lambda c: queries.dead_leases(c, workers, limit))

    async def leased(self, before_ms: int, after: int, limit: int) -> Sequence[tuple[int, JobKey]]:
        """Threads whose lease ends before this time, each with a number; those after a number, in its order."""
        return await self._run(lambda c: queries.leased(c, before_ms, after, limit))

    async def earliest(self) -> Earliest:
        """When the sweeper has to look next."""
        return await self._run(queries.earliest)

    async def lanes(self, limit: int, after: Lane | None = None) -> Sequence[Lane]:
        """Lanes with a due job, found by a loose scan."""
        return await self._run(lambda c: queries.lanes(c, limit, after))

    async def old_threads(self, before_ms: int, after: OldPlace | None, limit: int) -> OldThreads:
        """Threads whose oldest run was over before this time."""
        return await self._run(lambda c: retention.old_threads(c, before_ms, after, limit))

    async def oldest_runs(self, threads: Sequence[tuple[JobKey, int]], limit: int) -> Sequence[OldestRuns]:
        """A page of each thread's kept runs, the oldest first."""
        return await self._run(lambda c: [retention.oldest_runs(c, key, after, limit) for key, after in threads])

    async def pruned_runs(self, limit: int) -> Sequence[PrunedRun]:
        """Pruned runs that have left rows."""
        return await self._run(lambda c: retention.pruned_runs(c, limit))

    async def old_workers(self, before_ms: int, after: tuple[int, WorkerKey] | None, limit: int) -> OldWorkers:
        """Workers that hold nothing and were granted nothing since this time."""
        return await self._run(lambda c: retention.old_workers(c, before_ms, after, limit))

    async def old_sessions(self, before_ms: int, limit: int) -> Sequence[tuple[WorkerKey, str]]:
        """Sessions that ended before this time."""
        return await self._run(lambda c: retention.old_sessions(c, before_ms, limit))

    async def old_nodes(self, before_ms: int, limit: int) -> Sequence[str]:
        """Nodes that have committed nothing since this time."""
        return await self._run(lambda c: retention.old_nodes(c, before_ms, limit))

    async def old_audit(self, after: str, limit: int) -> OldAudit | None:
        """The first records that are kept of the next audit chain."""
        return await self._run(lambda c: retention.old_audit(c, after, limit))

    async def modes(self) -> Sequence[Mode]:
        """What operators have switched, for the cluster and for single nodes."""
        return await self._run(queries.modes)

    async def nodes(self) -> Sequence[tuple[str, int]]:
        """Nodes that have committed anything, each with when it did so last; at most 100."""
        return await self._run(queries.nodes)

    async def statistics(self) -> Statistics:
        """Counts for the gauges."""
        return await self._run(queries.counters)
