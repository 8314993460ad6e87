"""What the engine asks of a database. `transact` is the one way to write; `Reads` serve lists and pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Protocol, TypeAlias, TypeVar

from msgspec import Struct

from oris.core.api_key import ApiKey
from oris.core.audit import AuditHead, AuditRecord
from oris.core.audit_anchor import AuditAnchor
from oris.core.changes import Changes, Handed, HandedStep
from oris.core.events import Entry
from oris.core.hold import Hold
from oris.core.mode import Mode
from oris.core.model import ClosedLease, DeadLetter, Job, Lane, PrunedRun, ReplayStatus, Tenant, Wait, Worker
from oris.core.needs import Loaded, Needs
from oris.core.old import OldestRuns
from oris.core.replies import RaisedWait
from oris.ids import JobKey, LeaseId, RunId, TenantId, ThreadId, WaitId, WorkerKey
from oris.storage.pages import Page, Place

T = TypeVar("T")

Work: TypeAlias = Callable[[Loaded, int], Changes]
"""`work(loaded, now_ms)`: synchronous and pure, so a rolled-back transaction is simply run again."""


class Stretch(Struct, Generic[T], frozen=True):
    """Items in order, bounded in number and in bytes, but one at least if there is one."""

    items: tuple[T, ...]
    more: bool
    """There are others behind them."""


class Told(Struct, frozen=True):
    """An event with its payload; None: it never had one, or it was erased."""

    entry: Entry
    payload: bytes | None
    damaged: bool = False
    """The payload is not what was written."""


class SavedCheckpoint(Struct, frozen=True):
    """Where in a timeline a checkpoint was saved."""

    seq: int
    run_id: RunId
    at_ms: int


class StepCounts(Struct, frozen=True):
    """The steps of a run: those whose latest report is a success, and the others."""

    succeeded: int
    open: int


class JobFilter(Struct, frozen=True):
    """Which threads a list shows."""

    tenant_id: TenantId | None = None
    status: str | None = None
    workflow: str | None = None


class AuditFilter(Struct, frozen=True):
    """Which audit records a list shows. Times in ms, `from` inclusive, `to` exclusive."""

    tenant_id: TenantId | None = None
    request_id: str | None = None
    action: str | None = None
    actor_id: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    control_only: bool = False
    """Leave out the records that open chains (`chain.open`)."""


class DeadLetterFilter(Struct, frozen=True):
    """Which dead letters a list shows."""

    tenant_id: TenantId | None = None
    workflow: str | None = None
    status: ReplayStatus | None = None


class InterruptFilter(Struct, frozen=True):
    """Which interrupts a list shows."""

    tenant_id: TenantId | None = None
    status: str | None = None
    run_id: RunId | None = None
    thread_id: ThreadId | None = None
    workflow: str | None = None


class WaitValue(Struct, frozen=True):
    """What a wait was raised with, and what it was settled with; None: with nothing, or it is not settled."""

    raised: bytes | None
    settled: bytes | None
    damaged_seq: int = 0
    """The event whose payload is not what was written; neither value is told then. 0: none."""

    @property
    def size(self) -> int:
        """Bytes of both."""
        return len(self.raised or b"") + len(self.settled or b"")


class StoredKeys(Struct, frozen=True):
    """The keys that let anybody in, and whether there ever was one."""

    keys: tuple[ApiKey, ...]
    any_ever: bool


OldPlace: TypeAlias = tuple[int, int, int]
"""Where a walk over old runs goes on."""


class OldThreads(Struct, frozen=True):
    """Threads whose oldest run may go, as can be told at a glance, and where the walk goes on; None: at the end."""

    threads: tuple[JobKey, ...]
    after: OldPlace | None


class OldWorkers(Struct, frozen=True):
    """Workers that hold nothing and were granted nothing for long, and where the walk goes on; None: at the end."""

    workers: tuple[WorkerKey, ...]
    after: tuple[int, WorkerKey] | None


class OldAudit(Struct, frozen=True):
    """The beginning of an audit chain."""

    chain_id: str
    anchor: AuditAnchor | None
    records: tuple[AuditRecord, ...]


class Statistics(Struct, frozen=True):
    """What the gauges show; counted by the store."""

    waiting: int
    """Runs scheduled, queued or backing off."""
    leased: int
    dead_letters: int
    """Those that nobody has replayed yet."""
    oldest_queued_ms: int | None
    """Since when the longest-waiting due run has been available."""
    pending_interrupts: int = 0
    delayed: int = 0
    """Those of the waiting runs that are not due yet: scheduled, or backing off."""

    workflows_held: int = 0

    @property
    def due(self) -> int:
        """Those that could run now."""
        return self.waiting - self.delayed


class Earliest(Struct, frozen=True):
    """The next deadline of any thread, by either clock; None: there is none."""

    wake_ms: int | None
    """By the engine's clock."""
    due_ms: int | None
    """By the calendar."""


class Reads(Protocol):
    """Reads outside the commit path; each sees one committed state. Checkpoints; cancelling one leaves nothing."""

    async def tenants_of(self, thread_id: ThreadId) -> Sequence[TenantId]:
        """The tenants that have a thread of this name; at most two are told."""

    async def job(self, job_key: JobKey) -> Job | None:
        """A thread's latest run."""

    async def run(self, run_id: RunId) -> Job | None:
        """A run, the latest of its thread or one before."""

    async def runs(self, job_key: JobKey, after: Place | None, limit: int) -> Page[Job]:
        """A thread's runs."""

    async def jobs(self, where: JobFilter, after: Place | None, limit: int) -> Page[Job]:
        """Threads, each with its latest run. A page may be short of `limit` although a next one exists."""

    async def payloads(self, job_key: JobKey, seqs: Sequence[int]) -> Mapping[int, bytes]:
        """The payloads of these events, those that have one."""

    async def timeline(self, job_key: JobKey, after_seq: int, limit: int) -> Sequence[Entry]:
        """Events in order, from `after_seq` + 1."""

    async def told(self, job_key: JobKey, after_seq: int, limit: int, max_bytes: int) -> Stretch[Told]:
        """Events in order with their payloads, from `after_seq` + 1; `max_bytes` of data and payloads together."""

    async def checkpoints(self, job_key: JobKey, after: Place | None, limit: int) -> Page[SavedCheckpoint]:
        """The checkpoints of a thread's runs."""

    async def closed_lease(self, lease_id: LeaseId) -> ClosedLease | None:
        """How a lease ended, when it has."""

    async def steps(self, run_id: RunId, after_seq: int, limit: int, max_bytes: int) -> Stretch[HandedStep]:
        """The latest report of each step of a run, by seq, those it has taken over from others included; `max_bytes` of
        outputs and errors together."""

    async def step_counts(self, run_id: RunId) -> StepCounts:
        """How many steps of a run stand as succeeded, and how many do not."""

    async def retries(self, run_id: RunId, after_seq: int, limit: int) -> Stretch[Entry]:
        """The `retry_scheduled` events of a run, in order."""

    async def dead_letters(self, where: DeadLetterFilter, after: Place | None, limit: int) -> Page[DeadLetter]:
        """Dead letters."""

    async def dead_letter(self, run_id: RunId) -> DeadLetter | None:
        """The dead letter of a run."""

    async def interrupts(self, where: InterruptFilter, after: Place | None, limit: int) -> Page[Wait]:
        """Interrupts."""

    async def wait(self, wait_id: WaitId) -> Wait | None:
        """One wait."""

    async def wait_values(self, waits: Sequence[Wait], max_bytes: int) -> Sequence[WaitValue]:
        """What waits were raised and settled with: of the first ones, as many as `max_bytes` hold, one at least."""

    async def settled_values(
        self, job_key: JobKey, waits: Sequence[RaisedWait], max_bytes: int
    ) -> Sequence[bytes | None]:
        """What waits of a thread were settled with: of the first ones, as many as `max_bytes` hold, one at least."""

    async def workers(self, tenant_id: TenantId | None, after: Place | None, limit: int) -> Page[Worker]:
        """Workers that have a row, by when they were seen first; None: of all tenants."""

    async def worker(self, worker_key: WorkerKey) -> Worker | None:
        """One of them."""

    async def hold(self, lane: Lane) -> Hold | None:
        """What is known of a workflow's losses; None: its last lease was not lost."""

    async def tenant(self, tenant_id: TenantId) -> Tenant | None:
        """A tenant that ever had a job."""

    async def audit(self, where: AuditFilter, after: Place | None, limit: int) -> Page[AuditRecord]:
        """Audit records."""

    async def audit_heads(self) -> Sequence[AuditHead]:
        """The ends of all audit chains, the newest 100."""

    async def api_keys(self, tenant_id: TenantId | None, after: Place | None, limit: int) -> Page[ApiKey]:
        """Stored keys, revoked and expired ones too, of one tenant or (None) all. A page may be short of `limit`."""

    async def stored_keys(self, now_ms: int) -> StoredKeys:
        """What is needed to tell who calls: the keys that are neither revoked nor expired."""

    async def dead_leases(self, workers: Sequence[WorkerKey] | None, limit: int) -> Sequence[JobKey]:
        """Threads whose lease is of a session that is over, of these workers or (None) of all; in no order."""

    async def leased(self, before_ms: int, after: int, limit: int) -> Sequence[tuple[int, JobKey]]:
        """Threads whose lease ends before this time, each with a number; those after a number, in its order."""

    async def due(self, now_ms: int, date_ms: int, limit: int) -> Sequence[JobKey]:
        """Threads whose wake-up time, by the engine's clock, or whose date, by the calendar, has come: of each kind the
        earliest first."""

    async def earliest(self) -> Earliest:
        """When the sweeper has to look next."""

    async def lanes(self, limit: int, after: Lane | None = None) -> Sequence[Lane]:
        """The first lanes with a due job behind this one, in their order; found by a loose scan."""

    async def old_threads(self, before_ms: int, after: OldPlace | None, limit: int) -> OldThreads:
        """Threads whose oldest run was over before this time, the oldest first. `limit` runs are looked at."""

    async def oldest_runs(self, threads: Sequence[tuple[JobKey, int]], limit: int) -> Sequence[OldestRuns]:
        """A page of each thread's kept runs, the oldest first: from the beginning (0), or where a page before ended."""

    async def pruned_runs(self, limit: int) -> Sequence[PrunedRun]:
        """Pruned runs that have left rows, the oldest first."""

    async def old_workers(self, before_ms: int, after: tuple[int, WorkerKey] | None, limit: int) -> OldWorkers:
        """Workers that hold nothing and were granted nothing since this time. `limit` workers are looked at."""

    async def old_sessions(self, before_ms: int, limit: int) -> Sequence[tuple[WorkerKey, str]]:
        """Sessions that ended before this time, the oldest first."""

    async def old_nodes(self, before_ms: int, limit: int) -> Sequence[str]:
        """Nodes that have committed nothing since this time, and for which nothing is switched."""

    async def old_audit(self, after: str, limit: int) -> OldAudit | None:
        """The first records that are kept of the next audit chain; None: there is none."""

    async def modes(self) -> Sequence[Mode]:
        """What operators have switched, for the cluster and for single nodes."""

    async def nodes(self) -> Sequence[tuple[str, int]]:
        """Nodes that have committed anything, each with when it did so last; at most 100."""

    async def statistics(self) -> Statistics:
        """Counts for the gauges."""


class Store(Protocol):
    """One open database."""

    @property
    def reads(self) -> Reads: ...

    async def transact(self, needs: Needs, work: Work, batch_id: str) -> Mapping[RunId, Handed]:
        """Load what `needs` names, call `work` with it and the store's time, write its changes, commit.

        All or nothing; the answer is what was read for the changes' handouts. Raises Unavailable (nothing written),
        OutcomeUnknown, or whatever `work` raised (rolled back). Not to be cancelled half-way: the caller shields it,
        and the store bounds its own time.
        """

    async def high_water_ms(self) -> int:
        """The latest time any batch was committed at; 0 in a new store."""

    async def calm_ms(self) -> int:
        """Until when some node has owed no lease anything; 0 in a new store. See `Changes.calm_ms`."""

    async def aclose(self) -> None:
        """Close every connection. Bounded."""
