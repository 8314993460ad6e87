"""What a request's head says of its body, judged before a byte of it is kept."""

from __future__ import annotations

from oris.api.head import HeadFields
from oris.api.http import Route
from oris.errors import ApiError, ErrorCode, invalid


def check_body_head(fields: HeadFields, route: Route) -> None:
    """Raises ApiError 400, 413 or 415 when the route takes no such body."""
    named = fields.named
    if b"content-encoding" in named:
        raise ApiError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "no content encoding is accepted")
    if not fields.has_body:
        return
    if route.body is None:
        if fields.content_length:
            raise invalid("body", "this route takes no body")
        return
    media_type = named.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if media_type != b"application/json":
        raise ApiError(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "the content type must be application/json")
    if fields.content_length is not None and fields.content_length > route.body_max_bytes:
        raise too_large(route.body_max_bytes)


def too_large(limit_bytes: int) -> ApiError:
    """A body over its route's limit."""
    return ApiError(ErrorCode.PAYLOAD_TOO_LARGE, "the body is too large", {"limit_bytes": limit_bytes})
