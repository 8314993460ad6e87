"""Every wish to change state. A command changes one thread with its worker's and tenant's rows, or a worker alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import Struct

from oris.core.api_key import KeyRole
from oris.core.model import OnExpire, OnReject, RetryPolicy, StepStatus, TimeoutStatus, WaitKind, WaitMode
from oris.ids import AttemptId, JobKey, KeyId, LeaseId, NodeId, RunId, TenantId, ThreadId, WaitId, WorkerKey

if TYPE_CHECKING:
    from oris.core.audit_anchor import AuditAnchor
    from oris.core.old import Cut


class Submit(Struct, frozen=True):
    """Start a run on a thread. `request_hash` stands for all the caller said, after defaults.

    `earlier_hashes` are what earlier versions would have kept for the same, where those are others.
    """

    job_key: JobKey
    tenant_id: TenantId
    thread_id: ThreadId
    workflow: str
    priority: int
    input: bytes | None
    idempotency_key: str | None
    request_hash: bytes
    traceparent: str
    timeout_ms: int | None = None
    on_timeout: TimeoutStatus = "failed"
    retry_policy: RetryPolicy | None = None
    delay_ms: int | None = None
    run_at_ms: int | None = None
    metadata: bytes | None = None
    earlier_hashes: tuple[bytes, ...] = ()


class Cancel(Struct, frozen=True):
    """End a run that is not over. `run_id` is a precondition; `grace_ms` leaves a worker that long to end it itself."""

    job_key: JobKey
    reason: str | None
    run_id: RunId | None = None
    grace_ms: int | None = None


class Replay(Struct, frozen=True):
    """Start a run from the state that another run of its thread had come to: at a checkpoint, or at its end.

    `run_id` is a precondition: the thread's latest run, or the one that the latest is the replay of.
    """

    job_key: JobKey
    traceparent: str
    checkpoint: tuple[RunId, int] | None = None
    run_id: RunId | None = None


class ReplayDeadLetter(Struct, frozen=True):
    """Start a run from the state in which a run of its thread has failed."""

    job_key: JobKey
    run_id: RunId
    traceparent: str


class Heartbeat(Struct, frozen=True):
    """Renew one lease. `single` asks for refusals instead of a `lost` state."""

    worker_key: WorkerKey
    lease_id: LeaseId
    ttl_ms: int
    single: bool


class ReportStep(Struct, frozen=True):
    """Record one step, its output or error, and perhaps a checkpoint. `token` makes repeats harmless."""

    worker_key: WorkerKey
    attempt_id: AttemptId
    lease_id: LeaseId
    action_id: str
    status: StepStatus
    token: str
    body: bytes | None
    checkpoint: bytes | None


class Ack(Struct, frozen=True):
    """Close a lease with the attempt's end. `body` is the result or the error, the client's bytes."""

    worker_key: WorkerKey
    attempt_id: AttemptId
    lease_id: LeaseId
    terminal_status: Literal["completed", "failed", "cancelled"]
    body: bytes | None
    retryable: bool = True
    retry_policy: RetryPolicy | None = None


class WaitSpec(Struct, frozen=True):
    """A wait that a worker raises. Times are absolute (`at_ms`) or from now on (`after_ms`); an interrupt may have
    none."""

    kind: WaitKind
    key: str
    at_ms: int | None = None
    after_ms: int | None = None
    value: bytes | None = None
    on_expire: OnExpire = "cancel"
    expire_value: bytes | None = None
    on_reject: OnReject = "cancel"


class Suspend(Struct, frozen=True):
    """Close a lease: there is nothing to do until the waits are settled."""

    worker_key: WorkerKey
    attempt_id: AttemptId
    lease_id: LeaseId
    waits: tuple[WaitSpec, ...]
    mode: WaitMode
    checkpoint: bytes | None = None


class Resume(Struct, frozen=True):
    """Somebody answers an interrupt. `value` is the client's bytes."""

    wait_id: WaitId
    value: bytes
    by: str


class ResumeThread(Struct, frozen=True):
    """Somebody answers the only interrupt that a thread's run waits for, or the one with this key. `run_id` is a
    precondition."""

    job_key: JobKey
    value: bytes
    by: str
    run_id: RunId | None = None
    key: str | None = None


class Reject(Struct, frozen=True):
    """Somebody refuses an interrupt."""

    wait_id: WaitId
    reason: str | None
    by: str


class Release(Struct, frozen=True):
    """Give a lease back. `worker_key` None: the server takes back what a caller never received."""

    worker_key: WorkerKey | None
    lease_id: LeaseId
    delay_ms: int = 0


class Sweep(Struct, frozen=True):
    """Apply the due deadlines of one thread; nothing else."""

    job_key: JobKey


class Prune(Struct, frozen=True):
    """Let the oldest runs of a thread go, which are old enough and needed by nobody: see `core.retention.may_go`."""

    job_key: JobKey
    cut: Cut


class Erase(Struct, frozen=True):
    """Delete some of the rows that a pruned run has left: at most so many of each kind, and about so many bytes."""

    run_id: RunId
    rows_max: int
    bytes_max: int


class ForgetWorker(Struct, frozen=True):
    """Let a worker's row go of which nothing was heard since this time, and that holds nothing."""

    worker_key: WorkerKey
    before_ms: int


class ForgetSessions(Struct, frozen=True):
    """Let sessions go that ended long ago."""

    sessions: tuple[tuple[WorkerKey, str], ...]


class ForgetNodes(Struct, frozen=True):
    """Let nodes go that have not committed anything since this time: each container that ever ran had a name."""

    node_ids: tuple[NodeId, ...]
    before_ms: int


class PruneAudit(Struct, frozen=True):
    """Let the beginning of an audit chain go, up to the record that the anchor names, and keep the anchor."""

    anchor: AuditAnchor


class OpenSession(Struct, frozen=True):
    """A worker's process names itself. A new one replaces the one before, whose leases are over at once."""

    worker_key: WorkerKey
    session: str


class DropSession(Struct, frozen=True):
    """Nothing is heard of a worker's process any more: its leases are over, if it still is the one at work."""

    worker_key: WorkerKey
    session: str


class ClearHold(Struct, frozen=True):
    """An operator has mended what killed the workers of a workflow."""

    tenant_id: TenantId
    workflow: str


class ClearQuarantine(Struct, frozen=True):
    """An operator trusts a worker again."""

    worker_key: WorkerKey


class CreateKey(Struct, frozen=True):
    """Let whoever knows a secret in. `digest` is its SHA-256: the secret itself comes no further than the API."""

    key_id: KeyId
    role: KeyRole
    tenant_id: TenantId | None
    digest: bytes
    expires_ms: int | None = None


class RevokeKey(Struct, frozen=True):
    """Shut a key out for good. `tenant_id` is that of the caller, to whom other tenants' keys do not exist."""

    key_id: KeyId
    tenant_id: TenantId | None


class NoteKeyUses(Struct, frozen=True):
    """Remember when keys were last used."""

    used: tuple[tuple[KeyId, int], ...]


class SetMode(Struct, frozen=True):
    """An operator switches new runs, or the giving out of work, off or on; at one node, or (`mode.CLUSTER`) at all."""

    node: str
    submit: bool
    dispatch: bool
    reason: str | None
    by: str


class ShowLife(Struct, frozen=True):
    """The node can commit: should it die, its next start takes no time before this for lost."""


Command: TypeAlias = (
    Submit
    | Cancel
    | Replay
    | ReplayDeadLetter
    | Heartbeat
    | ReportStep
    | Ack
    | Release
    | Sweep
    | Suspend
    | Resume
    | ResumeThread
    | Reject
    | OpenSession
    | DropSession
    | ClearQuarantine
    | ClearHold
    | CreateKey
    | RevokeKey
    | NoteKeyUses
    | SetMode
    | Prune
    | Erase
    | ForgetWorker
    | ForgetSessions
    | ForgetNodes
    | PruneAudit
    | ShowLife
)


def makes_run(command: Command) -> bool:
    """Whether a new run may come of it."""
    return isinstance(command, Submit | Replay | ReplayDeadLetter)


def may_be_repeat(command: Command) -> bool:
    """Whether it makes sense while no new runs are let in: it may have been done, and is then answered as it was."""
    keyed = isinstance(command, Submit) and command.idempotency_key is not None
    return keyed or isinstance(command, Replay | ReplayDeadLetter)


class Want(Struct, frozen=True):
    """A poll: what one worker would take now. Limits are already the lower of the server's and the worker's."""

    worker_key: WorkerKey
    tenant_id: TenantId | None
    """The tenant its credential is bound to; None: all tenants."""
    limit: int
    ttl_ms: int
    worker_limit: int
    tenant_limit: int
    workflows: frozenset[str] | None = None
    poll_id: str | None = None
    session: str | None = None
    """The process that asks; it is granted nothing unless it is its worker's newest."""
    threads: frozenset[ThreadId] | None = None
    """Only jobs of these threads, wherever they stand in the queue."""
