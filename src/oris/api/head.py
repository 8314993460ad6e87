"""What a request's head says: its fields, its request id, whether a body follows, its query."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from oris.api import complaints
from oris.api.limits import HttpLimits
from oris.errors import ApiError, ErrorCode, invalid
from oris.ids import RandomBits

_QUERY_FIELDS_MAX = 32
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_SINGLE = frozenset(
    (
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"host",
        b"transfer-encoding",
        b"x-api-key",
        b"x-api-key-id",
    )
)
"""Fields that mean nothing, or two things, when they come twice."""
_NEITHER_OF_TWO = frozenset((b"traceparent", b"x-request-id"))
"""Fields without which a request is as good: no request is refused for them, and of two neither counts."""
_JOINED = frozenset((b"last-event-id", b"origin"))
"""Fields that only some requests are judged by: of two both are seen, and together they are no value of the field."""

_EMPTY: Mapping[str, str] = {}


class Head(msgspec.Struct, frozen=True):
    """The head of a request as it came in."""

    method: str
    path: str
    """Percent-encoded, without the query."""
    query_string: bytes
    headers: Iterable[tuple[bytes, bytes]]
    """Names in lower case."""
    peer: str = ""
    """The address at the other end of the connection, as far as it is known."""


class HeadFields(msgspec.Struct):
    """The header fields, read once."""

    named: dict[bytes, bytes]
    count: int
    size_bytes: int
    request_id: str
    has_body: bool
    """A body follows, or a chunked one might."""
    content_length: int | None
    """None when the body is chunked, or there is none."""
    error: ApiError | None
    """What is wrong with the fields themselves."""


def read_fields(head: Head, rng: RandomBits) -> HeadFields:
    """Reads the header fields. Never raises: even a bad head gets a request id."""
    named: dict[bytes, bytes] = {}
    count = size = 0
    error: ApiError | None = None
    for name, value in head.headers:
        count += 1
        size += len(name) + len(value)
        if name not in named:
            named[name] = value
            continue
        if name in _SINGLE:
            error = invalid(name.decode("latin-1"), "this header may be sent only once")
        named[name] = _of_two(name, named[name], value)
    length = named.get(b"content-length")
    chunked = b"transfer-encoding" in named
    if length is not None and chunked:
        error = invalid("content-length", "send either content-length or transfer-encoding")
    if length is not None and not length.isdigit():
        error = invalid("content-length", "this header has to be a number")
        length = None
        chunked = True
    content_length = int(length) if length is not None and not chunked else None
    sent_id = named.get(b"x-request-id", b"")
    is_usable = _REQUEST_ID.fullmatch(sent_id) is not None
    request_id = sent_id.decode("ascii") if is_usable else f"req_{rng.getrandbits(96):024x}"
    has_body = chunked or bool(content_length)
    return HeadFields(named, count, size, request_id, has_body, content_length, error)


def check_head(fields: HeadFields, limits: HttpLimits) -> None:
    """Raises ApiError 400 or 431 for a head that is not in order."""
    if fields.count > limits.header_fields_max or fields.size_bytes > limits.headers_max_bytes:
        raise _headers_too_large()
    if fields.error is not None:
        raise fields.error


def unread(status: int) -> ApiError:
    """The error where no head could be read; what the statuses stand for is told by `Dispatcher.unparsed`."""
    match status:
        case 431:
            return _headers_too_large()
        case 497:
            return invalid("scheme", "this address expects TLS; use https")
        case 503:
            busy = {"reason": "inbox_full"}
            return ApiError(ErrorCode.UNAVAILABLE, "too many connections; try again later", busy, retry_after_s=1)
        case _:
            return invalid("request", "not a well-formed HTTP request")


def _headers_too_large() -> ApiError:
    return ApiError(ErrorCode.HEADERS_TOO_LARGE, "there are too many header fields, or they are too long")


def _of_two(name: bytes, first: bytes, second: bytes) -> bytes:
    if name in _NEITHER_OF_TWO:
        return b""
    return first + b", " + second if name in _JOINED else second


def last_event_id(named: Mapping[bytes, bytes]) -> str | None:
    """Where a client that reads a stream of events has got to; None when it does not say."""
    sent = named.get(b"last-event-id")
    return None if sent is None else sent.decode("latin-1")


def parse_query(query_string: bytes) -> Mapping[str, str]:
    """The query's fields. Raises ApiError 400 for a key given twice, for NUL and for what is not UTF-8."""
    if not query_string:
        return _EMPTY
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_QUERY_FIELDS_MAX,
        )
    except ValueError:  # UnicodeDecodeError is one
        raise invalid("query", "the query has to be name=value, joined by &, in percent-encoded UTF-8") from None
    query: dict[str, str] = {}
    for name, value in pairs:
        if name in query:
            raise invalid(name, "this parameter is given twice")
        if "\0" in name or "\0" in value:
            raise invalid("query", "the query must not contain NUL")
        query[name] = value
    return query


def query_options(query: Mapping[str, str], wanted: type[msgspec.Struct] | None) -> Any:
    """The query as the struct a route declares. Raises ApiError 400 for what it does not know, or what is no value."""
    if wanted is None:
        if query:
            raise invalid(next(iter(query)), "this route takes no query parameters")
        return None
    if not query.keys() <= set(wanted.__struct_encode_fields__):
        raise invalid(*complaints.of_query(query, wanted))
    try:
        options = msgspec.convert(dict(query), wanted, strict=False)
    except msgspec.ValidationError:
        options = None
    # msgspec takes the word `null` for a number that is missing; in a query it is no number.
    if options is None or any(getattr(options, name) is None for name in query):
        raise invalid(*complaints.of_query(query, wanted))
    return options
