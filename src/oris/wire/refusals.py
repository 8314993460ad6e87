"""The words a refusal is made of: reasons by HTTP status, and the `details` that come with each code."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from oris.errors import ErrorCode
from oris.wire import fields as f
from oris.wire.words import LeaseEnd, named

ConflictReason: TypeAlias = Literal[
    "idempotency_mismatch",
    "run_active",
    "run_terminal",
    "run_mismatch",
    "ambiguous_thread",
    "lease_lost",
    "lease_owner_mismatch",
    "session_superseded",
    "interrupt_settled",
    "resume_mismatch",
    "several_pending",
    "nothing_pending",
    "wait_kind_mismatch",
    "replay_in_progress",
    "already_replayed",
    "dedupe_mismatch",
]
"""Every reason of a 409; docs/errors/ has a page for each."""
ConflictWord: TypeAlias = Annotated[ConflictReason, named("ConflictReason", "Why the state forbids it.")]
ForbiddenReason: TypeAlias = Literal["forwarded_header", "foreign_host", "foreign_origin"]
"""What a server without credentials refuses, whoever asks."""
ForbiddenWord: TypeAlias = Annotated[ForbiddenReason, named("ForbiddenReason", "Why an open server refuses it.")]
AuthWay: TypeAlias = Annotated[Literal["bearer", "api_key"], named("AuthWay", "A kind of credential that is taken.")]
BackpressureReason: TypeAlias = Annotated[
    Literal["queue_full", "tenant_queue_full", "rate_limited"],
    named("BackpressureReason", "Which limit on the load is reached."),
]
UnavailableReason: TypeAlias = Annotated[
    Literal["draining", "inbox_full", "store_unavailable", "outcome_unknown"],
    named("UnavailableReason", "Why not now."),
]


class FieldDetails(Struct, frozen=True):
    """Which field of the body, the query or the head is at fault; `body` when it is the whole."""

    field: Annotated[str, f.about("The field at fault, with its path.")]


class AuthDetails(Struct, frozen=True):
    """Which credentials are taken."""

    supported_auth: Annotated[tuple[AuthWay, ...], f.about("The kinds of credentials that are taken.")]


class ForbiddenDetails(Struct, frozen=True):
    """What the caller's role may not do, or which field asks for more than it may, or why nobody may."""

    role: Annotated[str, f.about("The role that the caller has.")] | UnsetType = UNSET
    method: Annotated[str, f.about("What was asked for.")] | UnsetType = UNSET
    path: Annotated[str, f.about("Where.")] | UnsetType = UNSET
    field: Annotated[str, f.about("The field that asks for too much.")] | UnsetType = UNSET
    reason: Annotated[ForbiddenWord, f.about("Why nobody may.")] | UnsetType = UNSET


class PathDetails(Struct, frozen=True):
    """What was asked for, and the methods there are."""

    method: Annotated[str, f.about("What was asked for.")] | UnsetType = UNSET
    path: Annotated[str, f.about("Where.")] | UnsetType = UNSET
    allowed: Annotated[tuple[str, ...], f.about("The methods that there are.")] | UnsetType = UNSET


class ConflictDetails(Struct, frozen=True):
    """Why the state forbids it, and what it is instead."""

    reason: Annotated[ConflictWord, f.about("Why.")]
    run_id: Annotated[str, f.about("The run that is in the way, or is meant.")] | UnsetType = UNSET
    state: Annotated[LeaseEnd, f.about("Why the lease is not live any more.")] | UnsetType = UNSET
    expected_worker_id: Annotated[str, f.about("The worker that holds the lease.")] | UnsetType = UNSET
    actual_worker_id: Annotated[str, f.about("The worker that has called.")] | UnsetType = UNSET
    interrupt_id: Annotated[str, f.about("The interrupt.")] | UnsetType = UNSET
    interrupt_ids: (
        Annotated[tuple[str, ...], f.about("The open interrupts, of which the caller has to name one.")] | UnsetType
    ) = UNSET
    status: Annotated[str, f.about("How the interrupt was settled.")] | UnsetType = UNSET
    key: Annotated[str, f.about("The key of the wait.")] | UnsetType = UNSET


class LimitDetails(Struct, frozen=True):
    """The limit, and the field that is over it when it is not the whole body."""

    limit_bytes: Annotated[int, f.about("The limit.")]
    field: Annotated[str, f.about("The field that is over it; missing: the whole body.")] | UnsetType = UNSET


class BackpressureDetails(Struct, frozen=True):
    """Which limit on the load is reached."""

    reason: Annotated[BackpressureReason, f.about("Which limit.")]


class UnavailableDetails(Struct, frozen=True):
    """Why not now. It is safe to send the same again."""

    reason: Annotated[UnavailableReason, f.about("Why.")]
    cause: Annotated[str, f.about("What is the matter with the store, where it is known.")] | UnsetType = UNSET


class InternalDetails(Struct, frozen=True):
    """A payload in the database is not what was written: nobody is shown it. Of a bug there are no details."""

    reason: Annotated[Literal["data_damaged"], f.about("What is wrong.")]
    thread_id: f.ThreadId
    seq: Annotated[int, f.about("The event that brought it.")]


DETAILS: dict[ErrorCode, type[Struct]] = {
    ErrorCode.INVALID_ARGUMENT: FieldDetails,
    ErrorCode.UNAUTHORIZED: AuthDetails,
    ErrorCode.FORBIDDEN: ForbiddenDetails,
    ErrorCode.NOT_FOUND: PathDetails,
    ErrorCode.METHOD_NOT_ALLOWED: PathDetails,
    ErrorCode.CONFLICT: ConflictDetails,
    ErrorCode.PAYLOAD_TOO_LARGE: LimitDetails,
    ErrorCode.BACKPRESSURE: BackpressureDetails,
    ErrorCode.UNAVAILABLE: UnavailableDetails,
    ErrorCode.INTERNAL: InternalDetails,
}
"""The details of each code that has any. Later versions may add fields to them."""
