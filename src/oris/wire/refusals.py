"""The `details` that come with each error code, and what the document says of their reasons."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from oris.errors import BackpressureReason, ConflictReason, ErrorCode, ForbiddenReason, UnavailableReason
from oris.wire import fields as f
from oris.wire.words import LeaseEnd, named

ConflictWord: TypeAlias = Annotated[
    ConflictReason, named("ConflictReason", "Why the state does not allow the request.")
]
ForbiddenWord: TypeAlias = Annotated[
    ForbiddenReason, named("ForbiddenReason", "Why a server without credentials refuses the request.")
]
AuthWay: TypeAlias = Annotated[
    Literal["bearer", "api_key"], named("AuthWay", "A kind of credential that the server accepts.")
]
BackpressureWord: TypeAlias = Annotated[
    BackpressureReason, named("BackpressureReason", "Which limit on the load is reached.")
]
UnavailableWord: TypeAlias = Annotated[
    UnavailableReason, named("UnavailableReason", "Why the server cannot serve the request now.")
]


class FieldDetails(Struct, frozen=True):
    """Which field of the body, the query or the head is wrong; `body` if it is the whole body."""

    field: Annotated[str, f.about("The wrong field, with its path.")]


class AuthDetails(Struct, frozen=True):
    """Which credentials the server accepts."""

    supported_auth: Annotated[tuple[AuthWay, ...], f.about("The kinds of credentials that the server accepts.")]


class ForbiddenDetails(Struct, frozen=True):
    """The route or the field that the caller's role may not use, or why a server without credentials refuses."""

    role: Annotated[str, f.about("The role of the caller.")] | UnsetType = UNSET
    method: Annotated[str, f.about("The method of the request.")] | UnsetType = UNSET
    path: Annotated[str, f.about("The path of the request.")] | UnsetType = UNSET
    field: Annotated[str, f.about("The field that the role may not use.")] | UnsetType = UNSET
    reason: Annotated[ForbiddenWord, f.about("Why a server without credentials refuses the request.")] | UnsetType = (
        UNSET
    )


class PathDetails(Struct, frozen=True):
    """Method and path of the request, and the methods of the path."""

    method: Annotated[str, f.about("The method of the request.")] | UnsetType = UNSET
    path: Annotated[str, f.about("The path of the request.")] | UnsetType = UNSET
    allowed: Annotated[tuple[str, ...], f.about("The methods of the path.")] | UnsetType = UNSET


class ConflictDetails(Struct, frozen=True):
    """Why the state does not allow the request, and what is in the way."""

    reason: Annotated[ConflictWord, f.about("Why the state does not allow the request.")]
    run_id: Annotated[str, f.about("The run that the reason is about.")] | UnsetType = UNSET
    state: Annotated[LeaseEnd, f.about("How the lease ended.")] | UnsetType = UNSET
    expected_worker_id: Annotated[str, f.about("The worker that holds the lease.")] | UnsetType = UNSET
    actual_worker_id: Annotated[str, f.about("The worker that called.")] | UnsetType = UNSET
    interrupt_id: Annotated[str, f.about("The interrupt.")] | UnsetType = UNSET
    interrupt_ids: Annotated[tuple[str, ...], f.about("The open interrupts: name one of them.")] | UnsetType = UNSET
    status: Annotated[str, f.about("How the interrupt was settled.")] | UnsetType = UNSET
    key: Annotated[str, f.about("The key of the wait.")] | UnsetType = UNSET


class LimitDetails(Struct, frozen=True):
    """The limit, and the field that is larger, if it is not the whole body."""

    limit_bytes: Annotated[int, f.about("The limit in bytes.")]
    field: Annotated[str, f.about("The field that is too large; missing: the whole body.")] | UnsetType = UNSET


class BackpressureDetails(Struct, frozen=True):
    """Which limit on the load is reached."""

    reason: Annotated[BackpressureWord, f.about("Which limit is reached.")]


class UnavailableDetails(Struct, frozen=True):
    """Why the server cannot serve the request now. It is safe to send the same request again."""

    reason: Annotated[UnavailableWord, f.about("Why the server cannot serve it now.")]
    cause: Annotated[str, f.about("The problem of the store, if it is known.")] | UnsetType = UNSET


class InternalDetails(Struct, frozen=True):
    """A stored payload is damaged, so it is not shown. A bug has no details."""

    reason: Annotated[Literal["data_damaged"], f.about("What is wrong.")]
    thread_id: f.ThreadId
    seq: Annotated[int, f.about("The number of the event that the payload belongs to.")]


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
