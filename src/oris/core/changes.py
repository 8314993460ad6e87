"""What a decision adds to the store, and what a whole batch adds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct, field

from oris.core.tenant import Counts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oris.core.api_key import ApiKey
    from oris.core.audit import AuditRecord
    from oris.core.audit_anchor import AuditAnchor
    from oris.core.chain import Entry
    from oris.core.hold import Hold
    from oris.core.mode import Mode
    from oris.core.model import (
        ClosedLease,
        DeadLetter,
        EndedSession,
        IdempotentSubmit,
        Job,
        Lane,
        Payload,
        PrunedRun,
        ReplayClaim,
        Step,
        Wait,
        Worker,
    )
    from oris.core.replies import Granted, Reply
    from oris.ids import JobKey, KeyId, NodeId, RunId, TenantId, WaitId, WorkerKey


LeaseEnd = Literal["lost", "normal", "taken"]
"""Lost by its worker, closed by it, or taken from it."""


class Pruned(Struct, frozen=True):
    """The runs of one thread that were let go, the oldest first."""

    job_key: JobKey
    run_ids: tuple[RunId, ...]
    whole: bool
    """The last of them is the thread's latest: nothing is kept."""
    pruned_ms: int


class Erasure(Struct, frozen=True):
    """Rows of a pruned run that are deleted: at most so many of each kind, payloads of about so many bytes. When none
    is left, the store forgets the run."""

    run: PrunedRun
    rows_max: int
    bytes_max: int


class Decision(Struct, frozen=True):
    """What one command does. `before` and `job` are the thread's row around it; None and None: nothing changes."""

    reply: Reply
    before: Job | None = None
    job: Job | None = None
    entries: tuple[Entry, ...] = ()
    payloads: tuple[Payload, ...] = ()
    steps: tuple[Step, ...] = ()
    closed: tuple[ClosedLease, ...] = ()
    idempotent: IdempotentSubmit | None = None
    past_run: Job | None = None
    dead_letter: DeadLetter | None = None
    lease_end: LeaseEnd | None = None
    """How the lease that `before` holds ended: what it says of its worker."""
    worker: Worker | None = None
    """The worker's row, for commands about a worker alone; the very same object when it does not change."""
    ended_session: EndedSession | None = None
    waits: tuple[Wait, ...] = ()
    api_keys: tuple[ApiKey, ...] = ()
    """The keys that the command has made or changed."""
    claim: ReplayClaim | None = None
    replayed: tuple[DeadLetter, ...] = ()
    """Dead letters that somebody has replayed, as they are then."""
    mode: Mode | None = None
    pruned: Pruned | None = None
    erased: Erasure | None = None
    forgotten_worker: WorkerKey | None = None
    forgotten_sessions: tuple[tuple[WorkerKey, str], ...] = ()
    forgotten_nodes: tuple[NodeId, ...] = ()
    anchor: AuditAnchor | None = None
    """What is kept of the beginning of an audit chain."""
    sign_of_life: bool = False
    """Nothing changes, and that the node could commit is written."""
    unheld: Lane | None = None
    """The workflow whose losses an operator has forgiven."""


class TenantChange(Struct, frozen=True):
    """What is added to the counters of a tenant; `served` is its newest turn. Its fields are those of `Tenant`."""

    tenant_id: TenantId
    waiting: int = 0
    leased: int = 0
    served: int = 0
    delayed: int = 0


class Handout(Struct, frozen=True):
    """The payloads a granted job carries to its worker; read in the commit that grants it."""

    job_key: JobKey
    run_id: RunId
    input_seq: int
    checkpoint_seq: int
    has_waits: bool = False
    """The run has raised some."""
    sources: tuple[tuple[RunId, int], ...] = ()
    """Whose succeeded steps are handed too, and up to which event."""


class HandedResume(Struct, frozen=True):
    """A settled wait as the next attempt is handed it; `value` is what it was settled with."""

    wait_id: str
    kind: str
    key: str
    status: str
    value: bytes | None


RESUMES_MAX = 1000
"""Settled waits that an attempt is handed, those settled last."""
_WAIT_BYTES = 128
"""A handed wait's names and marks, beside its key and its value."""


def handed_wait_bytes(key: str, value: bytes | None = None) -> int:
    """What a settled wait takes of an answer."""
    return _WAIT_BYTES + len(key) + (0 if value is None else len(value))


class HandedStep(Struct, frozen=True):
    """A recorded step as the next attempt is handed it; `body` is the output or the error."""

    action_id: str
    status: str
    seq: int
    body: bytes | None


class Handed(Struct, frozen=True):
    """What was read for a `Handout`."""

    input: bytes | None
    checkpoint: bytes | None
    steps: tuple[HandedStep, ...]
    steps_truncated: bool
    resumes: tuple[HandedResume, ...] = ()
    resumes_truncated: bool = False
    """Older ones were left out: their values are had by raising their keys again."""


def handed_to(granted: Granted | None, handed: Mapping[RunId, Handed]) -> Mapping[RunId, Handed]:
    """Of what a commit has read for all polls, what this one gets: who waits, or is slow to read, must not keep what
    the others were given."""
    jobs = () if granted is None else granted.jobs or granted.redelivered
    return {job.run_id: handed[job.run_id] for job in jobs if job.run_id in handed}


class Changes(Struct):
    """The rows of one batch, last state of each. An empty one is not written at all."""

    jobs: dict[JobKey, Job]
    entries: list[Entry]
    payloads: list[Payload]
    steps: list[Step]
    closed: list[ClosedLease]
    idempotent: list[IdempotentSubmit]
    past_runs: list[Job]
    dead_letters: list[DeadLetter]
    workers: dict[WorkerKey, Worker]
    """Their rows; what is added to `leased` is in `worker_leases`."""
    tenants: dict[TenantId, TenantChange]
    audit: list[AuditRecord]
    handouts: list[Handout]
    ended_sessions: list[EndedSession]
    waits: dict[WaitId, Wait]
    claims: dict[str, ReplayClaim]
    modes: dict[str, Mode]
    worker_leases: dict[WorkerKey, int] = field(default_factory=dict)
    """What is added to the leases that each worker's row counts. Counters are added to, never set: another node may
    have added to them since they were read."""
    total: Counts = Counts()
    """What is added to the counts of this node."""
    calm_ms: int = 0
    """Until when nothing was owed to any lease: until here no time has been lost to one. 0: nobody knows."""
    skew_ms: int = 0
    """How far the calendar was ahead of the engine's time."""
    sign_of_life: bool = False
    """That this was committed is to be written, though nothing else is."""
    api_keys: dict[KeyId, ApiKey] = field(default_factory=dict)
    pruned: list[Pruned] = field(default_factory=list)
    erased: list[Erasure] = field(default_factory=list)
    forgotten_workers: list[WorkerKey] = field(default_factory=list)
    """Deleted before anything else is written: who is heard of afterwards has a row again."""
    forgotten_sessions: list[tuple[WorkerKey, str]] = field(default_factory=list)
    forgotten_nodes: list[NodeId] = field(default_factory=list)
    anchors: dict[str, AuditAnchor] = field(default_factory=dict)
    """By chain; the records up to each go."""
    holds: dict[Lane, Hold | None] = field(default_factory=dict)
    """None: nothing is held against the workflow any more, and its row is deleted."""

    @property
    def empty(self) -> bool:
        """True when there is nothing to write; handouts are only read."""
        written = (self.jobs, self.workers, self.tenants, self.audit, self.api_keys, self.modes)
        gone = (self.erased, self.forgotten_workers, self.forgotten_sessions, self.forgotten_nodes, self.anchors)
        return not any(written) and not any(gone) and not self.holds and not self.sign_of_life


def no_changes() -> Changes:
    """A batch that has not done anything yet."""
    return Changes({}, [], [], [], [], [], [], [], {}, {}, [], [], [], {}, {}, {})
