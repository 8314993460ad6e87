"""The words a refusal is made of: reasons by HTTP status, and the `details` that come with each code."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from oris.errors import ErrorCode
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
"""Every reason of the contract, those too that no route has yet."""
ConflictWord: TypeAlias = Annotated[ConflictReason, named("ConflictReason", "Why the state forbids it.")]
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

    field: str


class AuthDetails(Struct, frozen=True):
    """Which credentials are taken."""

    supported_auth: tuple[AuthWay, ...]


class ForbiddenDetails(Struct, frozen=True):
    """What the caller's role may not do, or which field asks for more than it may, or why nobody may."""

    role: str | UnsetType = UNSET
    method: str | UnsetType = UNSET
    path: str | UnsetType = UNSET
    field: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class PathDetails(Struct, frozen=True):
    """What was asked for, and the methods there are."""

    method: str | UnsetType = UNSET
    path: str | UnsetType = UNSET
    allowed: tuple[str, ...] | UnsetType = UNSET


class ConflictDetails(Struct, frozen=True):
    """Why the state forbids it, and what it is instead."""

    reason: ConflictWord
    run_id: str | UnsetType = UNSET
    state: LeaseEnd | UnsetType = UNSET
    expected_worker_id: str | UnsetType = UNSET
    actual_worker_id: str | UnsetType = UNSET
    interrupt_id: str | UnsetType = UNSET
    interrupt_ids: tuple[str, ...] | UnsetType = UNSET
    """The open interrupts, of which the caller has to name one."""
    status: str | UnsetType = UNSET
    """How the interrupt was settled."""
    key: str | UnsetType = UNSET
    """The wait's."""


class LimitDetails(Struct, frozen=True):
    """The limit, and the field that is over it when it is not the whole body."""

    limit_bytes: int
    field: str | UnsetType = UNSET


class BackpressureDetails(Struct, frozen=True):
    """Which limit on the load is reached."""

    reason: BackpressureReason


class UnavailableDetails(Struct, frozen=True):
    """Why not now. It is safe to send the same again."""

    reason: UnavailableReason
    cause: str | UnsetType = UNSET
    """What is the matter with the store, where it is known."""


class InternalDetails(Struct, frozen=True):
    """A payload in the database is not what was written: nobody is shown it. Of a bug there are no details."""

    reason: Literal["data_damaged"]
    thread_id: str
    seq: int
    """The event that brought it."""


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
