"""Every error Oris raises on purpose, and whose fault it is.

    OrisError
    ├── ConfigError        the operator's: one clear line on stderr, exit 2, before anything starts
    ├── ApiError           the caller's, or the state's: answered as the JSON envelope of the API
    ├── DataDamaged        the disk's: what a row holds is not what was written; 500 with a reason of its own
    └── StoreError         the database's
        ├── Unavailable        nothing was written; trying again is safe
        ├── OutcomeUnknown     written or not; the same key, lease or poll id may be sent again
        └── DatabaseLost       its files were deleted or replaced under the server, which ends

A lost race is not an exception: `core` answers with a `Refusal` value (see `core.replies`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal, TypeAlias


class ErrorCode(StrEnum):
    """The `error.code` words of the API; `api.envelope` knows their HTTP status."""

    INVALID_ARGUMENT = "invalid_argument"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    TIMEOUT = "timeout"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    HEADERS_TOO_LARGE = "headers_too_large"
    CONFLICT = "conflict"
    BACKPRESSURE = "backpressure"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


# The `details.reason` of a refusal. A reason is written here and nowhere else, and has a page in docs/errors.
ForbiddenReason: TypeAlias = Literal["forwarded_header", "foreign_host", "foreign_origin"]
"""What a server without credentials refuses, whoever asks."""
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
"""Why the state forbids it. `core.replies.conflict` makes the refusal; the route table says which routes have it."""
BackpressureReason: TypeAlias = Literal["queue_full", "tenant_queue_full", "rate_limited"]
"""Which limit on the load is reached."""
UnavailableReason: TypeAlias = Literal["draining", "inbox_full", "store_unavailable", "outcome_unknown"]
"""Why not now."""

Details = Mapping[str, "str | int | bool | list[str] | None"]


class OrisError(Exception):
    """The root of the tree."""


class ConfigError(OrisError):
    """A setting, file, address or database that does not let the server start. The text is one line."""


class ApiError(OrisError):
    """A request that is refused. `message` is for people, `code` and `details` for programs.

    `retry_after_s` becomes the `Retry-After` header.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        details: Details | None = None,
        *,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details
        self.retry_after_s = retry_after_s


def invalid(field: str, message: str) -> ApiError:
    """A 400 that names the field at fault."""
    return ApiError(ErrorCode.INVALID_ARGUMENT, message, {"field": field})


def not_a_cursor() -> ApiError:
    """The 400 for what no page of this list has given out."""
    return invalid("cursor", "not a cursor of this list; send the next_cursor of the previous page unchanged")


class DataDamaged(OrisError):
    """The payload of an event has another digest than the event says. It is told as such, and handed to nobody."""

    def __init__(self, job_key: str, seq: int, run_id: str | None = None) -> None:
        """`run_id`: the run that was to be handed out with it, if one was."""
        self.job_key = job_key
        self.seq = seq
        self.run_id = run_id
        super().__init__(f"the payload of event {seq} of this thread is damaged: it differs from what was written")


class StoreError(OrisError):
    """The database could not do its work."""


class Unavailable(StoreError):
    """Nothing was written.

    `cause` is what is the matter with the store, as far as it is known: disk_full, read_only, busy, read_too_long,
    file_lost, other. `again`: room has just been made, and the same may succeed at once.
    """

    def __init__(
        self,
        message: str,
        reason: UnavailableReason = "store_unavailable",
        *,
        cause: str | None = None,
        again: bool = False,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.cause = cause
        self.again = again


class OutcomeUnknown(StoreError):
    """The commit may or may not have happened, and could not be resolved in time."""


class DatabaseLost(StoreError):
    """The names of the open files lead elsewhere. It is said where it is found; the server ends with exit 1."""
