"""Request bodies: JSON read strictly, without a Python loop over the bytes.

msgspec refuses NaN, lone surrogates, control characters, trailing data and unknown fields, also where a field is
`msgspec.Raw` and keeps the client's bytes. What it lets through in such bytes is looked for here, each with a few
passes over the whole body in C:

- bytes that are not UTF-8, and the escape of NUL;
- numbers beyond a double, which other readers would take for infinity;
- nesting deeper than a limit, 64 unless set;
- a key given twice in the body's own object. Deeper duplicates are left alone: in the client's own values they are kept
  as sent, in nested structs the last one counts.
"""

from __future__ import annotations

import re
from array import array
from contextlib import suppress
from itertools import accumulate
from math import isinf
from typing import Any, NamedTuple, TypeVar

import msgspec

from oris.api import complaints, json_faults
from oris.api.leniency import meant
from oris.api.name_lists import has_too_many_names
from oris.errors import invalid

B = TypeVar("B", bound=msgspec.Struct)

DEPTH_MAX = 64

_TOP = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ANY = msgspec.json.Decoder()

_NUL = rb"\u0000"
_UP_TO_NUL = re.compile(rb"(?:[^\\]++|\\(?!u0000).)*+\\u0000", re.DOTALL)
"""From the beginning, escape by escape: a backslash that is itself escaped begins none. Nothing is gone over twice."""
_DIGITS = bytes.maketrans(b"123456789E", b"000000000e")
_LONG_NUMBER = b"0" * 309
_MANY_DIGITS = b"0" * (309 - 99)
_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_LONG_NUMBERS = re.compile(rb"\d{309,}(?:\.\d+)?(?:[eE][+-]?\d+)?")
_WITHIN = re.compile(rb"(?:\.|[eE][+-]?)\Z")
"""What stands before digits that do not begin a number."""

_NOT_STRUCTURE = bytes(set(range(256)) - set(b'{}[]"'))
_AS_BRACKETS = bytes.maketrans(b"{}", b"[]")
_STEPS = bytes.maketrans(b"[]", b"\x01\xff")


class BodyDecoder(NamedTuple):
    """How a route's body is read."""

    decoder: msgspec.json.Decoder[Any]
    when_empty: bytes
    """What an empty body stands for: an empty object when no field is required."""


def decoder(body: type[msgspec.Struct]) -> BodyDecoder:
    """The decoder for a struct. Unknown fields are refused only if the struct says so, so it must: ValueError."""
    if not body.__struct_config__.forbid_unknown_fields:
        raise ValueError(f"{body.__name__} must forbid unknown fields")
    required = any(field.required for field in msgspec.structs.fields(body))
    return BodyDecoder(msgspec.json.Decoder(body), b"" if required else b"{}")


def decode(body: bytes, decoder: msgspec.json.Decoder[B], depth_max: int = DEPTH_MAX) -> B:
    """The struct in a request body. Raises ApiError 400 with `details.field`; `body` when no field is at fault."""
    try:
        if not body.isascii():
            body.decode()
        value = decode_part(body, decoder)
    except RecursionError:
        raise json_faults.too_deep(body, depth_max) from None
    except UnicodeDecodeError as error:
        raise json_faults.not_utf8(body, error.start) from None
    except msgspec.DecodeError as error:
        raise json_faults.malformed(body, error) from None
    if _NUL in body:
        nul = _UP_TO_NUL.match(body)
        if nul is not None:
            raise json_faults.with_nul(body, nul.end() - len(_NUL))
    _check_numbers(body)
    _check_shape(body, depth_max)
    return value


def decode_part(text: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[B], path: str = "") -> B:
    """The struct in a part of a body that stands at this path, or what is meant by one that is not quite right.

    Raises ApiError 400, and DecodeError for what is no JSON.
    """
    said = bytes(text)
    kind: Any = decoder.type
    if not has_too_many_names(said, kind):
        with suppress(msgspec.ValidationError):
            return decoder.decode(said)
        found = meant(said, kind)
        if found is not said:
            with suppress(msgspec.ValidationError):
                return decoder.decode(found)
    wrong = complaints.of_body(said, kind)
    field = f"{path}{'.' if path and wrong.path[:1] not in ('', '[') else ''}{wrong.path}"
    raise invalid(field or json_faults.BODY, wrong.message)


def _check_numbers(body: bytes) -> None:
    """Looks again when the bytes could hold a number out of range: an exponent of three digits, or one of two behind
    many digits, or 309 digits."""
    zeros = body.translate(_DIGITS)
    is_long = _MANY_DIGITS in zeros and (b"e00" in zeros or b"e+00" in zeros)
    if is_long or b"e000" in zeros or b"e+000" in zeros:
        try:
            _ANY.decode(body)
        except msgspec.ValidationError:
            raise json_faults.out_of_range(body) from None
    if _LONG_NUMBER in zeros and _has_infinite(_STRINGS.sub(b"", body)):
        raise json_faults.out_of_range(body)


def _has_infinite(body: bytes) -> bool:
    """Whether a number of many digits is beyond a double. Digits behind the point or in an exponent are not looked at:
    an exponent that large was found before.
    """
    return any(
        isinf(float(found[0]))
        for found in _LONG_NUMBERS.finditer(body)
        if not _WITHIN.search(body, max(0, found.start() - 2), found.start())
    )


def _check_shape(body: bytes, depth_max: int) -> None:
    """Depth and the keys of the outermost object. The body is known to be valid JSON, and an object."""
    values = _TOP.decode(body)
    colons = body.count(b":")
    # A key given twice leaves its first colon over. Known fields have no colon in their names.
    if colons != len(values) and colons != len(values) + sum(bytes(v).count(b":") for v in values.values()):
        raise json_faults.given_twice(body)
    if body.count(b"{") + body.count(b"[") > depth_max and _depth(_outline(body)) > depth_max:
        raise json_faults.too_deep(body, depth_max)


def _depth(outline: bytes) -> int:
    """How deep balanced brackets are nested."""
    peeled = 0
    while outline:  # each round takes exactly the innermost pairs away
        rest = outline.replace(b"[]", b"")
        peeled += 1
        worth_it = len(rest) * 2 < len(outline)
        outline = rest
        if not worth_it:
            break
    steps = array("b", outline.translate(_STEPS))
    return peeled + max(accumulate(steps), default=0)


def _outline(body: bytes) -> bytes:
    """The braces and brackets of valid JSON that are not inside a string, all as square brackets."""
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Two quotes that meet enclose nothing, or end one string and begin the next: without them every other
    # character is inside or outside as before.
    quoted = body.translate(_AS_BRACKETS, _NOT_STRUCTURE).replace(b'""', b"")
    return b"".join(quoted.split(b'"')[::2])
