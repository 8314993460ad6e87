"""What a command answers. A lost race is an answer like any other: `Refusal`."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from oris.core.api_key import ApiKey
from oris.core.mode import Mode
from oris.core.model import Job, Lane, Status, Wait, WaitKind, WaitStatus, Worker
from oris.errors import ConflictReason, Details, ErrorCode
from oris.ids import AttemptId, CheckpointId, JobKey, LeaseId, RunId, ThreadId, WaitId


class Refusal(Struct, frozen=True):
    """The state forbids it, or there is no such thing. Nothing of the command itself was written."""

    code: ErrorCode
    message: str
    details: Details | None = None
    retry_after_s: int | None = None


class Submitted(Struct, frozen=True):
    """A run was made, or an earlier identical submit made it (`replay`).

    `status` is None when that earlier run is no longer the thread's latest: it is over, and a read tells how.
    """

    thread_id: ThreadId
    run_id: RunId
    status: Status | None
    seq: int
    replay: bool
    traceparent: str


class Replayed(Struct, frozen=True):
    """A run was made from another one's state, or an earlier replay of the same has completed (`replay`)."""

    thread_id: ThreadId
    run_id: RunId
    status: Status
    checkpoint_id: CheckpointId | None
    result_seq: int
    replay: bool
    traceparent: str
    replay_count: int = 0
    """How often the dead letter has been replayed, when one was."""


class Beaten(Struct, frozen=True):
    """One lease after a heartbeat."""

    lease_id: LeaseId
    state: Literal["held", "cancelling", "cancelled", "timed_out", "lost"]
    expires_ms: int
    traceparent: str | None = None


class Reported(Struct, frozen=True):
    """One step after a report."""

    attempt_id: AttemptId
    status: Literal["reported", "reported_idempotent"]
    checkpoint_id: CheckpointId | None
    traceparent: str


class Acked(Struct, frozen=True):
    """The answer that is kept with the closed lease."""

    attempt_id: AttemptId
    status: Literal["completed", "failed", "cancelled", "retry_scheduled"]
    next_attempt_no: int
    next_retry_ms: int | None
    traceparent: str


class Released(Struct, frozen=True):
    """A lease that was given back."""

    lease_id: LeaseId


class RaisedWait(Struct, frozen=True):
    """One wait after a suspend; a settled one names what it was settled with."""

    wait_id: WaitId
    kind: WaitKind
    key: str
    status: WaitStatus
    value_seq: int = 0
    value_index: int = 0
    settled_seq: int = 0


class Suspended(Struct, frozen=True):
    """The answer that is kept with the closed lease."""

    attempt_id: AttemptId
    job_key: JobKey
    status: Literal["suspended", "interrupted", "queued", "cancelled"]
    waits: tuple[RaisedWait, ...]
    traceparent: str


class Settled(Struct, frozen=True):
    """A wait that somebody has settled."""

    wait: Wait


class CancelledRun(Struct, frozen=True):
    """A run that is over because somebody asked, or will be soon."""

    thread_id: ThreadId
    run_id: RunId
    status: Status
    reason: str


class Swept(Struct, frozen=True):
    """Deadlines were looked at; `wake_ms` is the next one."""

    wake_ms: int | None


class SessionOpened(Struct, frozen=True):
    """The session is its worker's newest; `replaced` the one before, when there was another."""

    session: str
    replaced: str | None


class SessionDropped(Struct, frozen=True):
    """`cut`: the worker's leases are over; else it held none, or a newer session is at work."""

    cut: bool


class HoldCleared(Struct, frozen=True):
    """Nothing is held against the workflow any more."""

    lane: Lane
    was_held: bool


class QuarantineCleared(Struct, frozen=True):
    """The worker as it stands now."""

    worker: Worker


class KeyCreated(Struct, frozen=True):
    """The key as stored."""

    key: ApiKey


class KeyRevoked(Struct, frozen=True):
    """The key, which nobody gets in with any more."""

    key: ApiKey


class KeyUsesNoted(Struct, frozen=True):
    """`count` keys have a newer time of their last use."""

    count: int


class ModeSet(Struct, frozen=True):
    """The mode as it was written."""

    mode: Mode


class RunsPruned(Struct, frozen=True):
    """So many runs were let go. None: the thread is not where it was when they were found, or has a deadline due."""

    count: int


class Forgotten(Struct, frozen=True):
    """So much was let go: workers, sessions, audit records, or pruned runs of which rows were deleted."""

    count: int


class Audited(Struct, frozen=True):
    """An audit record was written."""

    audit_id: str


class LifeShown(Struct, frozen=True):
    """That the node could commit is written."""


Blocked = Literal["worker_limit", "tenant_limit", "quarantined", "session_superseded"]
"""What keeps a poll from work. The last is for good."""


class Granted(Struct, frozen=True):
    """What one poll got. `redelivered` were its leases already, from an earlier answer to the same poll id."""

    jobs: tuple[Job, ...]
    redelivered: tuple[Job, ...]
    blocked: Blocked | None
    worker_leased: int
    worker_limit: int
    tenant_id: str | None = None
    tenant_leased: int | None = None
    tenant_limit: int | None = None
    quarantined_until_ms: int | None = None
    """When a quarantined worker may ask for a probe; None when it has one, or is not quarantined."""
    cut: bool = False
    """It got nothing because the commit had handed out as much as it may; there was something for it."""
    no_room: bool = False
    """It got nothing new because of answers that nobody has read yet; there may be something for it."""
    carried_bytes: int = 0
    """What goes out with all of it, at most."""


Reply = (
    Refusal
    | Submitted
    | Replayed
    | Beaten
    | Reported
    | Acked
    | Released
    | CancelledRun
    | Suspended
    | Settled
    | Swept
    | SessionOpened
    | SessionDropped
    | QuarantineCleared
    | HoldCleared
    | KeyCreated
    | KeyRevoked
    | KeyUsesNoted
    | ModeSet
    | RunsPruned
    | Forgotten
    | Audited
    | LifeShown
    | Granted
)


SWITCHED_OFF = Refusal(
    ErrorCode.UNAVAILABLE,
    "an operator has switched new jobs off; existing jobs continue, try again later",
    {"reason": "draining"},
    5,
)


def conflict(reason: ConflictReason, message: str, **details: str | int | list[str] | None) -> Refusal:
    """A 409 with its reason. Nothing else makes one, so that no reason goes unchecked."""
    return Refusal(ErrorCode.CONFLICT, message, {"reason": reason, **details})


def lease_of_another_attempt() -> Refusal:
    """The 400 for a lease and an attempt that do not belong together."""
    return Refusal(ErrorCode.INVALID_ARGUMENT, "the lease belongs to another attempt", {"field": "attempt_id"})


def run_mismatch(latest: RunId) -> Refusal:
    """The 409 for a caller who has named a run that is not the thread's latest."""
    return conflict("run_mismatch", "run_id is not the latest run of the thread", run_id=latest)


def session_superseded() -> Refusal:
    """The 409 for a process whose name another one has taken."""
    return conflict("session_superseded", "a newer session has replaced this one; end this process")


def not_found(what: str) -> Refusal:
    """A 404."""
    return Refusal(ErrorCode.NOT_FOUND, f"no such {what}")
