"""What a request's head says of its body, judged before a byte of it is kept."""

from __future__ import annotations

from oris.api.head import HeadFields
from oris.api.http import Route
from oris.errors import ApiError, ErrorCode, invalid


def check_body_head(fields: HeadFields, route: Route, limit_bytes: int) -> None:
    """Raises ApiError 400, 413 or 415 when the route takes no such body."""
    named = fields.named
    if b"content-encoding" in named:
        raise ApiError(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE, "a body with Content-Encoding is not accepted; send it as plain JSON"
        )
    if not fields.has_body:
        return
    if route.body is None:
        if fields.content_length:
            raise invalid("body", "this route takes no body")
        return
    media_type = named.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if media_type != b"application/json":
        sent = f"not {_shown(media_type)}" if media_type else "but it is missing"
        message = f"the Content-Type has to be application/json, {sent}"
        raise ApiError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, message)
    if fields.content_length is not None and fields.content_length > limit_bytes:
        raise too_large(limit_bytes)


def _shown(media_type: bytes) -> str:
    return media_type[:64].decode("ascii", "replace")


def too_large(limit_bytes: int) -> ApiError:
    """A body over its route's limit."""
    return ApiError(
        ErrorCode.PAYLOAD_TOO_LARGE, f"the body is larger than {limit_bytes} bytes", {"limit_bytes": limit_bytes}
    )
