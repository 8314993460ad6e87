"""The JSON envelope of every answer, and which HTTP status an error has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from oris.api.http import Answer, Context
from oris.errors import (
    ApiError,
    DataDamaged,
    Details,
    ErrorCode,
    OutcomeUnknown,
    StoreError,
    Unavailable,
    UnavailableReason,
)

STATUS: dict[ErrorCode, int] = {
    ErrorCode.INVALID_ARGUMENT: 400,
    ErrorCode.UNAUTHORIZED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.METHOD_NOT_ALLOWED: 405,
    ErrorCode.TIMEOUT: 408,
    ErrorCode.CONFLICT: 409,
    ErrorCode.PAYLOAD_TOO_LARGE: 413,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: 415,
    ErrorCode.BACKPRESSURE: 429,
    ErrorCode.HEADERS_TOO_LARGE: 431,
    ErrorCode.INTERNAL: 500,
    ErrorCode.UNAVAILABLE: 503,
}

_HEAD = b'{"meta":{"status":"ok","api_version":"v1"},"request_id":"'
_MIDDLE = b'","data":'
_encode = msgspec.json.Encoder().encode


def success(request_id: str, data: bytes | msgspec.Struct) -> bytes:
    """The body of a success. `data` as bytes is JSON already and goes in unchanged, byte for byte.

    Stored bytes go in as they are: raises UnicodeDecodeError for what no client could read, out of a damaged row.
    """
    encoded = data if isinstance(data, bytes) else _encode(data)
    if not encoded.isascii():
        encoded.decode()
    return b"".join((_HEAD, request_id.encode("ascii"), _MIDDLE, encoded, b"}"))


def around(request_id: str) -> tuple[bytes, bytes]:
    """What stands before and behind the data of a success, for one that is not made in one piece."""
    return b"".join((_HEAD, request_id.encode("ascii"), _MIDDLE)), b"}"


def ok(
    context: Context[Any],
    data: bytes | msgspec.Struct,
    *,
    status: int = 200,
    on_undelivered: Callable[[], None] | None = None,
) -> Answer:
    """The answer of a handler that succeeded."""
    return Answer(status, success(context.request_id, data), (), on_undelivered)


def failure(request_id: str, error: ApiError) -> Answer:
    """The answer to a request that is refused; headers that HTTP asks for follow from the details."""
    described: dict[str, object] = {"code": error.code, "message": error.message}
    if error.details is not None:
        described["details"] = error.details
    body = _encode({"request_id": request_id, "error": described})
    return Answer(STATUS[error.code], body, _headers_of(error))


def _headers_of(error: ApiError) -> tuple[tuple[str, str], ...]:
    headers: list[tuple[str, str]] = []
    if error.retry_after_s is not None:
        headers.append(("retry-after", str(error.retry_after_s)))
    details = error.details or {}
    if error.code is ErrorCode.UNAUTHORIZED:
        schemes = details.get("supported_auth")
        names = {"bearer": "Bearer", "api_key": "ApiKey"}
        headers += [
            ("www-authenticate", f'{names.get(scheme, scheme)} realm="oris"')
            for scheme in (schemes if isinstance(schemes, list) else ())
        ]
    if error.code is ErrorCode.METHOD_NOT_ALLOWED:
        allowed = details.get("allowed")
        headers.append(("allow", ", ".join(allowed if isinstance(allowed, list) else ())))
    return tuple(headers)


def internal() -> ApiError:
    """What a caller is told about a bug: nothing but that there is one. The log has the rest."""
    return ApiError(ErrorCode.INTERNAL, "internal error; find it in the server's log by the request id")


def of_exception(error: BaseException) -> ApiError | None:
    """The refusal an exception stands for; None when it is a bug.

    A group stands for its first member, provided that every member is a refusal: a nursery in a handler wraps.
    """
    if isinstance(error, ApiError):
        return error
    if isinstance(error, DataDamaged):
        details: Details = {"reason": "data_damaged", "thread_id": error.job_key.partition("/")[2], "seq": error.seq}
        return ApiError(ErrorCode.INTERNAL, str(error), details)
    if isinstance(error, Unavailable):
        return _unavailable(error.reason, str(error), error.cause)
    if isinstance(error, OutcomeUnknown):
        return _unavailable("outcome_unknown", str(error))
    if isinstance(error, StoreError):
        return _unavailable("store_unavailable", str(error))
    if isinstance(error, BaseExceptionGroup):
        members = [of_exception(member) for member in error.exceptions]
        return None if None in members else members[0]
    return None


def _unavailable(reason: UnavailableReason, message: str, cause: str | None = None) -> ApiError:
    details: Details = {"reason": reason} if cause is None else {"reason": reason, "cause": cause}
    return ApiError(ErrorCode.UNAVAILABLE, message, details, retry_after_s=1)
