"""Events: the only things that change a run. Folding a thread's events gives its stored state.

Each entry of a timeline carries the hash of the one before it, over fixed fields and the SHA-256 of its payload,
so a payload can be erased and the chain still verifies.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Literal, TypeAlias, get_args

import msgspec
from msgspec import UNSET, Struct, UnsetType

from oris.core.model import Source, StepStatus, TimeoutStatus, WaitKind, WaitMode
from oris.ids import JobKey, LeaseId, RunId, WaitId, WorkerId, WorkerKey, worker_of

LossCause = Literal["ttl", "superseded", "disconnected"]
"""Nobody renewed it; a newer session has replaced its own; its session was cut off."""


class ReplayOf(Struct, frozen=True, omit_defaults=True):
    """What a replay goes on from, by reference: earlier events of the same thread."""

    target: str
    run_id: RunId
    until_seq: int
    """The run whose state it is, and the last of its events that counts."""
    sources: tuple[Source, ...] = ()
    """All runs whose succeeded steps count as its own, and the last event of each that does."""
    input_seq: int = 0
    checkpoint_seq: int = 0
    checkpoint_run: RunId | None = None
    checkpoint_bytes: int = 0
    handout_bytes: int = 0
    """What its first grant will carry, at most: the values of the waits that the run before has had are in it."""
    dead_letter: RunId | None = None
    """The failed run whose dead letter somebody has replayed."""


class RunCreated(Struct, frozen=True, tag="run_created", omit_defaults=True):
    """A submit, or a replay, was accepted. Payload: the input; a replay has that of the run it goes on from."""

    workflow: str
    priority: int
    available_ms: int
    due_ms: int | None
    traceparent: str
    timeout_ms: int | None = None
    on_timeout: TimeoutStatus = "failed"
    retry_policy: msgspec.Raw | UnsetType = UNSET
    idempotency_key: str | None = None
    metadata: msgspec.Raw | UnsetType = UNSET
    input_bytes: int = 0
    replay: ReplayOf | None = None


class AttemptQueued(Struct, frozen=True, tag="attempt_queued", omit_defaults=True):
    """The attempt is due and waits for a worker."""

    available_ms: int | None = None
    """When the run became available first, where that is another time than was foreseen when it was made."""


class LeaseGranted(Struct, frozen=True, tag="lease_granted", omit_defaults=True):
    """One worker holds the attempt until `expires_ms`, unless it renews."""

    lease_id: LeaseId
    worker_key: WorkerKey
    fence: int
    expires_ms: int
    poll_id: str | None = None
    session: str | None = None


class StepRecorded(Struct, frozen=True, tag="step_recorded", omit_defaults=True):
    """A worker reported a step. Payload: its output or its error."""

    action_id: str
    status: StepStatus
    dedupe_token: str
    payload_bytes: int = 0


class CheckpointSaved(Struct, frozen=True, tag="checkpoint_saved"):
    """Payload: the values."""

    payload_bytes: int


class RaisedWait(Struct, frozen=True, omit_defaults=True):
    """One wait of a suspension; what it was raised with is in the event's payload, at its place among the new ones."""

    wait_id: WaitId
    kind: WaitKind
    key: str
    due_ms: int | None = None
    expire_bytes: int = 0
    """Size of what it is settled with when nobody answers."""


class Suspended(Struct, frozen=True, tag="suspended", omit_defaults=True):
    """The worker has nothing to do until these waits are settled. Payload: `[[value, value on expiry], ...]`."""

    lease_id: LeaseId
    mode: WaitMode
    waits: tuple[RaisedWait, ...]
    """The new ones; a wait that is raised again is none."""
    open: int
    """How many of all that it named are not settled."""
    interrupts: int
    """How many of those wait for people."""
    due_ms: int | None = None
    """The earliest of their times."""


class WaitSettled(Struct, frozen=True, tag="wait_settled", omit_defaults=True):
    """A wait has come to its end. Payload: the value somebody gave."""

    wait_id: WaitId
    kind: WaitKind
    status: Literal["resumed", "expired"]
    by: str | None = None
    due_ms: int | None = None
    """The earliest time of those that are left."""
    handout_bytes: int = 0
    """What it adds to a grant, without what its suspension has told of."""


class Rejected(Struct, frozen=True, tag="rejected", omit_defaults=True):
    """Somebody has refused an interrupt. Payload: the reason, when there is one."""

    wait_id: WaitId
    reason: str | None
    by: str | None = None
    due_ms: int | None = None
    handout_bytes: int = 0


class Resumed(Struct, frozen=True, tag="resumed"):
    """The suspension is over: the run goes on, and what is left of its waits is dropped."""


class RetryScheduled(Struct, frozen=True, tag="retry_scheduled"):
    """The attempt failed and will be tried again at `due_ms`. Payload: the error."""

    lease_id: LeaseId
    retry_no: int
    due_ms: int
    strategy: str
    backoff_ms: int
    max_retries: int


class LeaseExpired(Struct, frozen=True, tag="lease_expired", omit_defaults=True):
    """Nobody renewed in time, or its session is over; the next grant is a new attempt number."""

    lease_id: LeaseId
    worker_key: WorkerKey
    expired_ms: int
    cause: LossCause = "ttl"
    due_ms: int | None = None
    """When the attempt is queued again; None: at once, or the run is over."""
    losses: int | None = None
    """How many it has lost in a row by now; None: one more than before."""


class LeaseReleased(Struct, frozen=True, tag="lease_released", omit_defaults=True):
    """The worker gave the attempt back; nothing is counted against it."""

    lease_id: LeaseId
    due_ms: int | None = None


class TimedOut(Struct, frozen=True, tag="timed_out"):
    """The run used up its time under lease."""

    lease_id: LeaseId
    worker_key: WorkerKey
    at_ms: int


class CancelRequested(Struct, frozen=True, tag="cancel_requested", omit_defaults=True):
    """Somebody asked for the end of the run."""

    mode: Literal["terminate", "graceful"]
    reason: str | None
    due_ms: int | None = None


class Cancelled(Struct, frozen=True, tag="cancelled", omit_defaults=True):
    """The run ended without finishing. Payload: the result its worker sent, if any."""

    reason: str
    lease_id: LeaseId | None = None
    worker_key: WorkerKey | None = None
    by_worker: bool = False


class Completed(Struct, frozen=True, tag="completed"):
    """The run finished. Payload: the result."""

    lease_id: LeaseId


class Failed(Struct, frozen=True, tag="failed", omit_defaults=True):
    """The run ended in failure. Payload: the error."""

    reason: str
    lease_id: LeaseId | None = None


class DeadLettered(Struct, frozen=True, tag="dead_lettered"):
    """The failed run waits in the dead letters for somebody to look at it."""

    reason: str


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


class Entry(Struct, frozen=True):
    """One line of a timeline, as stored; field order is column order."""

    job_key: JobKey
    seq: int
    event_type: str
    run_id: RunId
    attempt_no: int
    worker_id: WorkerId | None
    at_ms: int
    data: bytes
    """The body, JSON with its type."""
    payload_digest: bytes | None
    hash: bytes
    skew_ms: int = 0
    """How far `at_ms`, which goes by the calendar, was ahead of the engine's time."""


GENESIS = bytes(32)
"""The hash before the first entry of every timeline."""

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Body] = msgspec.json.Decoder(Body)


_TYPES: dict[type, str] = {body: str(body.__struct_config__.tag) for body in get_args(Body)}


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
    """What an entry tells; None: its row is damaged."""
    try:
        return _decoder.decode(entry.data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def link(
    previous: bytes,
    job_key: JobKey,
    seq: int,
    event_type: str,
    at_ms: int,
    run_id: RunId,
    attempt_no: int,
    worker_id: WorkerId | None,
    data: bytes,
    payload_digest: bytes | None,
    skew_ms: int = 0,
) -> bytes:
    """The hash that ties an entry to the one before it."""
    # Every part ends where it says or is counted: no two different entries join to the same bytes.
    worker = "" if worker_id is None else f"@{worker_id}"
    at = f"{at_ms}{skew_ms:+d}" if skew_ms else str(at_ms)
    fields = f"{job_key}\n{seq}\n{event_type}\n{at}\n{run_id}\n{attempt_no}\n{worker}\n{len(data)}\n".encode()
    return sha256(b"".join((previous, fields, data, payload_digest or b""))).digest()


def first_bad_seq(entries: list[Entry], previous: bytes = GENESIS, after_seq: int = 0) -> int | None:
    """Where a timeline stops being gapless and chained; None when it holds from `after_seq` on."""
    for expected, entry in enumerate(entries, after_seq + 1):
        digest = link(
            previous,
            entry.job_key,
            entry.seq,
            entry.event_type,
            entry.at_ms,
            entry.run_id,
            entry.attempt_no,
            entry.worker_id,
            entry.data,
            entry.payload_digest,
            entry.skew_ms,
        )
        if entry.seq != expected or entry.hash != digest:
            return expected
        previous = entry.hash
    return None


def worker_in(key: WorkerKey | None) -> WorkerId | None:
    """The worker's name for the timeline."""
    return None if key is None else worker_of(key)
