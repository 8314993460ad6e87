"""The rows the rules work on. Each is frozen; its fields are the columns of a `runtime_*` table."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from oris.ids import (
    CheckpointId,
    IdempotencyKey,
    JobKey,
    LeaseId,
    RunId,
    TenantId,
    ThreadId,
    WaitId,
    WorkerKey,
    checkpoint_id,
)

Status = Literal[
    "scheduled",
    "queued",
    "running",
    "suspended",
    "interrupted",
    "cancelling",
    "retry_backoff",
    "completed",
    "failed",
    "cancelled",
]
TERMINAL: frozenset[str] = frozenset({"completed", "failed", "cancelled"})
DELAYED: frozenset[str] = frozenset({"scheduled", "retry_backoff"})
"""Waiting for their time: not due yet. They have limits of their own."""
WAITING: frozenset[str] = DELAYED | {"queued"}
"""Waiting for a worker, now or later. The limits on the queue's depth count those that are due: the queued ones."""
SUSPENDED: frozenset[str] = frozenset({"suspended", "interrupted"})
"""Waiting for something else; holding no worker."""

TimeoutStatus = Literal["failed", "cancelled"]
WaitMode = Literal["all", "any"]
WaitKind = Literal["time", "interrupt"]
WaitStatus = Literal["pending", "resumed", "rejected", "expired", "dropped"]
OnExpire = Literal["cancel", "fail", "resume"]
OnReject = Literal["cancel", "resume"]
StepStatus = Literal["started", "succeeded", "failed"]
ClosedState = Literal["expired", "cancelled", "timed_out", "released", "closed", "superseded"]


class RetryPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """How a failed attempt is tried again. Backoffs are in ms; the jitter is full."""

    strategy: Literal["fixed", "exponential"]
    backoff_ms: int
    max_retries: int
    max_backoff_ms: int | None = None
    multiplier: float = 2.0


class Job(Struct, frozen=True):
    """The wide root: one row per (tenant, thread), holding its latest run. Times are ms by the engine's clock, but for
    `created_ms`, `thread_created_ms` and, of a run that waits for a date, `due_ms`: they go by the calendar (see
    `core.deadlines`).

    Fields ending in `_seq` name the event whose payload they mean (0: none): payloads are never among the facts.
    """

    job_key: JobKey
    tenant_id: TenantId
    thread_id: ThreadId
    run_id: RunId
    workflow: str
    priority: int
    status: Status
    reason: str | None
    attempt_no: int
    retries: int
    losses: int
    """Leases lost in a row; progress resets it."""
    available_ms: int
    """When the run became available first: with priority and run id the dispatch order, never changed."""
    due_ms: int | None
    """When a scheduled or backing-off run is queued."""
    queued_ms: int
    """When it was queued last."""
    fence: int
    lease_id: LeaseId | None
    worker_key: WorkerKey | None
    poll_id: str | None
    lease_granted_ms: int
    lease_expires_ms: int
    lost_ms: int
    """When the last lease expired, 0 once the run is granted again: the start of a recovery."""
    timeout_ms: int | None
    on_timeout: TimeoutStatus
    used_ms: int
    """Time under leases that have ended."""
    retry_policy: bytes | None
    idempotency_key: str | None
    metadata: bytes | None
    traceparent: str
    input_seq: int
    checkpoint_seq: int
    result_seq: int
    error_seq: int
    handout_bytes: int
    """Size of the input, the newest checkpoint, the steps and the values of waits: what a grant will carry, at most."""
    checkpoint_bytes: int
    created_ms: int
    thread_created_ms: int
    """When the thread's first run was made; its place in lists."""
    updated_ms: int
    seq: int
    head_hash: bytes
    wake_ms: int | None
    """No later than the earliest deadline: when the sweeper has to look. A heartbeat does not move it."""
    lease_session: str | None = None
    """The session of the worker that the lease was granted to, if it named one."""
    lease_ttl_ms: int = 0
    """For how long the lease was granted."""
    wait_mode: WaitMode | None = None
    """While suspended: whether all its waits have to be settled, or any."""
    waits_open: int = 0
    """How many of them are not."""
    interrupts_open: int = 0
    """How many of those wait for people."""
    waits_raised: int = 0
    """How many waits the run has raised, ever."""
    cancel_due_ms: int | None = None
    """Until when a worker that was asked to end may go on."""
    replay_of: RunId | None = None
    """The run whose state this one began with; None: it was submitted."""
    replay_target: str | None = None
    """What the replay has claimed; see `core.replays`."""
    sources: bytes | None = None
    """Whose succeeded steps count as its own, and up to which event: `[[run, seq], ...]`, the oldest first."""
    checkpoint_run: RunId | None = None
    """The run that saved the checkpoint, while that is another one."""
    steps_succeeded: int = 0
    """How many of its own steps have."""
    lease_asked_ms: int = 0
    """When the lease ends by what its worker has asked for; an outage moves `lease_expires_ms` beyond."""
    pruned_seq: int = 0
    """Up to here the thread's timeline was pruned; 0: it is whole. What is kept begins with the event behind it."""
    pruned_hash: bytes = b""
    """The hash of that event: what the first one that is kept is chained to."""
    pruned_runs: int = 0
    """How many of the thread's runs were pruned, ever."""
    pruned_fence: int = 0
    """The fence that the first run that is kept began with."""
    skew_ms: int = 0
    """How far the calendar was ahead of the engine's clock at the last event."""

    @property
    def updated_date_ms(self) -> int:
        """The date of the last event. Retention goes by `updated_ms`: no clock that was wrong makes it early."""
        return self.updated_ms + self.skew_ms

    @property
    def is_pruned(self) -> bool:
        """Whether this very run was pruned: the row is the thread's anchor, and to others there is no such thread."""
        return self.pruned_seq >= self.seq

    @property
    def order(self) -> tuple[int, int, str]:
        """The dispatch order: the smallest goes first."""
        return (-self.priority, self.available_ms, self.run_id)

    @property
    def lane(self) -> Lane:
        """The queue this job stands in."""
        return Lane(self.tenant_id, self.workflow)

    @property
    def checkpoint_id(self) -> CheckpointId | None:
        """The newest checkpoint's id, be it of a run before."""
        if not self.checkpoint_seq:
            return None
        return checkpoint_id(self.checkpoint_run or self.run_id, self.checkpoint_seq)


class Lane(Struct, frozen=True, order=True):
    """One queue of due work. Dispatch reads the heads of lanes, so that a blocked lane costs the others nothing."""

    tenant_id: TenantId
    workflow: str


class Worker(Struct, frozen=True):
    """What limits, sessions and quarantine need to know of a worker."""

    worker_key: WorkerKey
    leased: int
    first_seen_ms: int
    last_seen_ms: int
    session: str | None = None
    """The process that works under this name now; None: none has named one."""
    session_ms: int = 0
    """Since when it does. A lease of another session is over since then."""
    cut_ms: int = 0
    """When its session was cut off last: its leases granted before are over."""
    granted_ms: int = 0
    """When its session was granted a lease last; 0: not yet."""
    incidents: int = 0
    """Losses in a row, with nothing closed normally between them; see `core.quarantine`."""
    incident_ms: int = 0
    """When the last one was."""
    quarantined_until_ms: int = 0
    """Until when it is granted nothing."""
    incident_runs: str = ""
    """The runs whose losses its incidents are, the last ones; see `core.quarantine`."""


def is_superseded(job: Job, worker: Worker) -> bool:
    """True when another process works under the name of the lease's holder by now."""
    return job.lease_session is not None and job.lease_session != worker.session


class EndedSession(Struct, frozen=True):
    """A session that a newer one of its worker has replaced; it is dead for good."""

    worker_key: WorkerKey
    session: str
    ended_ms: int


class IdempotentSubmit(Struct, frozen=True):
    """A key that an accepted submit has bound."""

    key: IdempotencyKey
    job_key: JobKey
    run_id: RunId
    request_hash: bytes
    created_ms: int


class ClosedLease(Struct, frozen=True):
    """How a lease ended. A closing write keeps its request's hash and its answer, so a repeat is answered the same."""

    lease_id: LeaseId
    job_key: JobKey
    worker_key: WorkerKey
    state: ClosedState
    request_hash: bytes | None
    answer: bytes | None
    closed_ms: int


class Step(Struct, frozen=True):
    """One report of a step; `latest` marks the one that counts now. `seq` is its event, which carries the payload."""

    run_id: RunId
    action_id: str
    status: StepStatus
    dedupe_token: str
    digest: bytes
    seq: int
    checkpoint_seq: int
    latest: bool


class Wait(Struct, frozen=True):
    """Something a run waits for, or has waited for. It settles once; its key names it within its run.

    `value_seq` and `value_index` name the value it was raised with: its place in that event's payload. `settled_seq` is
    the event whose payload settled it (0: none did).
    """

    wait_id: WaitId
    run_id: RunId
    job_key: JobKey
    tenant_id: TenantId
    thread_id: ThreadId
    workflow: str
    kind: WaitKind
    key: str
    status: WaitStatus
    due_ms: int | None
    on_expire: OnExpire
    on_reject: OnReject
    value_seq: int
    value_index: int
    created_ms: int
    settled_ms: int | None = None
    settled_by: str | None = None
    settled_seq: int = 0
    settled_digest: bytes | None = None
    """Of the value, or the reason, it was settled with: a repeat is told by it."""


class Payload(Struct, frozen=True):
    """A client's JSON bytes, kept beside the event that brought them."""

    job_key: JobKey
    seq: int
    body: bytes


ReplayStatus = Literal["pending", "replayed"]


class DeadLetter(Struct, frozen=True):
    """The record of a run that ended `failed`, and of what was done about it."""

    run_id: RunId
    job_key: JobKey
    tenant_id: TenantId
    thread_id: ThreadId
    workflow: str
    attempt_no: int
    reason: str
    error_seq: int
    dead_ms: int
    replay_status: ReplayStatus = "pending"
    replay_count: int = 0
    replayed_ms: int | None = None
    """When that was last."""
    replay_run_id: RunId | None = None
    """The run that it came to last."""


class ReplayClaim(Struct, frozen=True):
    """Who has claimed a replay target. How that run stands says whether it is free again; see `core.replays`."""

    target: str
    job_key: JobKey
    run_id: RunId
    source_run_id: RunId
    """The run whose state the target is."""
    checkpoint_id: CheckpointId | None
    """What its run began with, as it was answered."""
    claimed_ms: int


class PrunedRun(Struct, frozen=True):
    """A run that was pruned and of which rows may still be there: events, payloads, steps, waits, closed leases. To be
    erased, and not to be shown. `seq` is its last event."""

    run_id: RunId
    job_key: JobKey
    seq: int
    pruned_ms: int


class SavedCheckpoint(Struct, frozen=True):
    """A checkpoint as a replay needs to know it. `digest` is that of its values."""

    job_key: JobKey
    run_id: RunId
    seq: int
    digest: bytes
    size_bytes: int
    handout_bytes: int
    """What a run that goes on from here is handed: the input, the values, and the steps that had succeeded."""


Source = tuple[RunId, int]
"""A run, and the last of its events that counts."""


_sources_decoder = msgspec.json.Decoder(tuple[Source, ...])


def sources_of(job: Job) -> tuple[Source, ...]:
    """Whose succeeded steps a run has taken over, the oldest first; no step stands in two of them."""
    return () if job.sources is None else _sources_decoder.decode(job.sources)


_policy_decoder = msgspec.json.Decoder(RetryPolicy)


def stored_policy(policy: bytes | None) -> RetryPolicy | None:
    """The retry policy out of its column."""
    return None if policy is None else _policy_decoder.decode(policy)
