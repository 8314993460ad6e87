"""Events: the only things that change a run. Folding a thread's events gives its stored state.

Each entry of a timeline carries the hash of the one before it, over fixed fields and the SHA-256 of its payload,
so a payload can be erased and the chain still verifies. docs/events.md is made from the docstrings here; the state that
an event leads to is in `core.fold`.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import msgspec
from msgspec import UNSET, Struct, UnsetType

from oris.core.chain import Entry
from oris.core.model import Source, StepStatus, TimeoutStatus, WaitKind, WaitMode
from oris.ids import LeaseId, RunId, WaitId, WorkerId, WorkerKey, worker_of

LossCause = Literal["ttl", "superseded", "disconnected"]


class ReplayOf(Struct, frozen=True, omit_defaults=True):
    """What a replay continues from. It names earlier events of the same thread and copies nothing."""

    target: str
    """What is replayed, a checkpoint or a state. A target completes at most once."""
    run_id: RunId
    """The run whose state is continued."""
    until_seq: int
    """The last event of that run that counts."""
    sources: tuple[Source, ...] = ()
    """All runs whose succeeded steps count as its own, each with the last event that counts."""
    input_seq: int = 0
    """The event whose payload is the input; 0: there is none."""
    checkpoint_seq: int = 0
    """The event whose payload is the checkpoint; 0: there is none."""
    checkpoint_run: RunId | None = None
    """The run that saved the checkpoint."""
    checkpoint_bytes: int = 0
    """Size of the checkpoint."""
    handout_bytes: int = 0
    """The most that its first grant will carry, values of earlier waits included."""
    dead_letter: RunId | None = None
    """The failed run whose dead letter was replayed."""


class RunCreated(Struct, frozen=True, tag="run_created", omit_defaults=True):
    """A submit or a replay was accepted. `attempt_queued` follows in the same commit when `due_ms` is null. Payload:
    the input; a replay has none and names the earlier input."""

    workflow: str
    """The workflow that workers ask for."""
    priority: int
    """0 to 100; higher first."""
    available_ms: int
    """The run's place in the queue: when it can run first, by the clock of leases."""
    due_ms: int | None
    """The date for which it is scheduled; null: it can run now."""
    traceparent: str
    """The trace of the request (W3C)."""
    timeout_ms: int | None = None
    """Limit of the time under lease, summed over the run."""
    on_timeout: TimeoutStatus = "failed"
    """How the run ends when it passes that limit."""
    retry_policy: msgspec.Raw | UnsetType = UNSET
    """As the submit gave it."""
    idempotency_key: str | None = None
    """The key that is bound to this run."""
    metadata: msgspec.Raw | UnsetType = UNSET
    """As the submit gave it."""
    input_bytes: int = 0
    """Size of the input."""
    replay: ReplayOf | None = None
    """Present when the run is a replay."""


class AttemptQueued(Struct, frozen=True, tag="attempt_queued", omit_defaults=True):
    """The attempt can run now and waits for a worker."""

    available_ms: int | None = None
    """The run's place in the queue, if it differs from the one in `run_created`."""


class LeaseGranted(Struct, frozen=True, tag="lease_granted", omit_defaults=True):
    """A worker got the attempt and holds it until `expires_ms`. Renewals and outages extend that without an event."""

    lease_id: LeaseId
    worker_key: WorkerKey
    fence: int
    """Rises with every grant of the thread, so that other systems can refuse an older holder."""
    expires_ms: int
    """When the lease ends unless it is renewed."""
    poll_id: str | None = None
    """The poll that got it; the same `poll_id` gets the lease again."""
    session: str | None = None
    """The worker's process; a newer session of the worker ends the lease."""


class StepRecorded(Struct, frozen=True, tag="step_recorded", omit_defaults=True):
    """A worker reported a step. Payload: the step's output or error, if it sent one."""

    action_id: str
    """The step's name within the run."""
    status: StepStatus
    """`succeeded` is final."""
    dedupe_token: str
    """A report with the same token and payload is a repeat."""
    payload_bytes: int = 0


class CheckpointSaved(Struct, frozen=True, tag="checkpoint_saved"):
    """A worker saved a checkpoint, with a step or a suspend. Payload: the checkpoint's values."""

    payload_bytes: int


class RaisedWait(Struct, frozen=True, omit_defaults=True):
    """One new wait of a `suspended` event."""

    wait_id: WaitId
    kind: WaitKind
    key: str
    """The wait's name within the run."""
    due_ms: int | None = None
    """A timer's date, or when an interrupt expires."""
    expire_bytes: int = 0
    """Size of the value that it is settled with when nobody answers."""


class Suspended(Struct, frozen=True, tag="suspended", omit_defaults=True):
    """A worker closed its lease because the run waits for a time or for people. Payload: for each new wait, in order,
    `[value, value on expiry]`."""

    lease_id: LeaseId
    mode: WaitMode
    """Whether the run continues after all waits are settled, or after the first."""
    waits: tuple[RaisedWait, ...]
    """The new waits. A wait that was raised before is not repeated here."""
    open: int
    """Number of all named waits that are not settled."""
    interrupts: int
    """Number of those that wait for people."""
    due_ms: int | None = None
    """The earliest date of those waits."""


class WaitSettled(Struct, frozen=True, tag="wait_settled", omit_defaults=True):
    """A timer has ended, or an interrupt was answered or has expired. Payload: the answer; for an expired interrupt
    none."""

    wait_id: WaitId
    kind: WaitKind
    status: Literal["resumed", "expired"]
    """`resumed`: the time has come, or somebody answered; `expired`: nobody answered in time."""
    by: str | None = None
    due_ms: int | None = None
    """The earliest date of the waits that are left."""
    handout_bytes: int = 0
    """What it adds to the size of the next grant."""


class Rejected(Struct, frozen=True, tag="rejected", omit_defaults=True):
    """Somebody rejected an interrupt. Payload: the reason, if one was given."""

    wait_id: WaitId
    reason: str | None
    """The reason that was given."""
    by: str | None = None
    due_ms: int | None = None
    """The earliest date of the waits that are left."""
    handout_bytes: int = 0
    """What it adds to the size of the next grant."""


class Resumed(Struct, frozen=True, tag="resumed"):
    """The run no longer waits; waits that are left are dropped. `attempt_queued` follows in the same commit."""


class RetryScheduled(Struct, frozen=True, tag="retry_scheduled"):
    """The attempt failed and will be tried again. Payload: the error."""

    lease_id: LeaseId
    retry_no: int
    """1 for the first retry."""
    due_ms: int
    """When it is queued again, by the clock of leases."""
    strategy: str
    """`fixed` or `exponential`."""
    backoff_ms: int
    """The pause that was drawn."""
    max_retries: int
    """The policy's limit."""


class LeaseExpired(Struct, frozen=True, tag="lease_expired", omit_defaults=True):
    """The lease was lost; the next grant has the next attempt number. `attempt_queued` or `failed` follows at once when
    `due_ms` is absent."""

    lease_id: LeaseId
    worker_key: WorkerKey
    expired_ms: int
    """When the lease ended. The event may come later."""
    cause: LossCause = "ttl"
    """`ttl`: it was not renewed; `superseded`: a newer session of its worker; `disconnected`: its worker's connection
    broke."""
    due_ms: int | None = None
    """When the attempt is queued again, by the clock of leases."""
    losses: int | None = None
    """Losses in a row that count now; absent: one more than before."""


class LeaseReleased(Struct, frozen=True, tag="lease_released", omit_defaults=True):
    """The worker gave the attempt back, or its grant could not be delivered. It does not count as a loss.
    `attempt_queued` follows at once when `due_ms` is absent."""

    lease_id: LeaseId
    due_ms: int | None = None
    """The date at which it is queued again."""


class TimedOut(Struct, frozen=True, tag="timed_out"):
    """The run used up its time under lease (`timeout_ms`). `failed` or `cancelled` follows in the same commit."""

    lease_id: LeaseId
    worker_key: WorkerKey
    at_ms: int
    """When the time was used up."""


class CancelRequested(Struct, frozen=True, tag="cancel_requested", omit_defaults=True):
    """Somebody asked for the end of the run. With `terminate`, `cancelled` follows in the same commit."""

    mode: Literal["terminate", "graceful"]
    """`graceful`: the worker is told, and has until `due_ms`."""
    reason: str | None
    """The reason that was given."""
    due_ms: int | None = None
    """When the run ends at the latest, by the clock of leases."""


class Cancelled(Struct, frozen=True, tag="cancelled", omit_defaults=True):
    """The run was cancelled. Payload: the result that its worker sent, if it sent one."""

    reason: str
    """The reason of the cancel, or `cancelled`, `by_worker`, `timed_out`, `rejected`, `interrupt_expired`."""
    lease_id: LeaseId | None = None
    worker_key: WorkerKey | None = None
    by_worker: bool = False
    """Whether the worker ended it and sent a result."""


class Completed(Struct, frozen=True, tag="completed"):
    """The run completed. Payload: the result, if the worker sent one."""

    lease_id: LeaseId


class Failed(Struct, frozen=True, tag="failed", omit_defaults=True):
    """The run failed. `dead_lettered` follows in the same commit. Payload: the error."""

    reason: str
    """`failed`, `retries_exhausted`, `lease_losses`, `timed_out` or `interrupt_expired`."""
    lease_id: LeaseId | None = None


class DeadLettered(Struct, frozen=True, tag="dead_lettered"):
    """The failed run was put among the dead letters."""

    reason: str
    """The reason of the `failed` event."""


Body: TypeAlias = (
    RunCreated
    | AttemptQueued
    | LeaseGranted
    | StepRecorded
    | CheckpointSaved
    | Suspended
    | WaitSettled
    | Rejected
    | Resumed
    | RetryScheduled
    | LeaseExpired
    | LeaseReleased
    | TimedOut
    | CancelRequested
    | Cancelled
    | Completed
    | Failed
    | DeadLettered
)


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Body] = msgspec.json.Decoder(Body)


_TYPES: dict[type, str] = {body: str(body.__struct_config__.tag) for body in get_args(Body)}
_KNOWN_TYPES = frozenset(_TYPES.values())


class _Newer(Struct):
    """What any event has, whatever version wrote it."""

    type: str
    """Its event type."""


_newer_decoder = msgspec.json.Decoder(_Newer)


def type_of(body: Body) -> str:
    """The event type of a body."""
    return _TYPES[type(body)]


def encode(body: Body) -> bytes:
    """The body as it is stored and hashed."""
    return _encoder.encode(body)


def decode(data: bytes) -> Body:
    """The body out of its stored form."""
    return _decoder.decode(data)


def body_of(entry: Entry) -> Body | None:
    """What an entry tells; None: its row is damaged, or a newer version has written an event that this one lacks."""
    try:
        return _decoder.decode(entry.data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def is_damaged(entry: Entry) -> bool:
    """Whether a row is not what was written. An event of a newer version is shown as it is: during an upgrade nodes of
    two versions read one timeline."""
    if entry.event_type in _KNOWN_TYPES:
        return body_of(entry) is None
    try:
        return _newer_decoder.decode(entry.data.decode()).type != entry.event_type
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return True


def worker_in(key: WorkerKey | None) -> WorkerId | None:
    """The worker's name for the timeline."""
    return None if key is None else worker_of(key)
