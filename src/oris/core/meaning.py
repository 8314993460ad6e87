"""When two JSON texts say the same: requests are compared by what they mean, and kept as they were sent.

The order of keys, escapes and white space do not count. Numbers count by their text: `1`, `1.0` and `1e0` are three,
because a client that keeps the digits apart may mean something by them. Of a key that an object has twice the last one
counts, as it does for nearly every reader. A value with a thousand whole numbers `-0` is compared by its text.
"""

from __future__ import annotations

import re
from itertools import islice

import msgspec
from msgspec import Raw

_encoder = msgspec.json.Encoder(order="sorted")

_MAY_HAVE_MINUS_ZERO = re.compile(rb"-0(?:e0+)?(?![0-9.eE])")
_PARTS = re.compile(
    rb'(?:[^"\-eE]++|"(?:[^"\\]++|\\.)*+"|[eE][+-]?|-(?!0(?:e0+)?(?![0-9.eE])))++|(-0(?:e0+)?)', re.DOTALL
)
"""All up to the next `-0`, `-0e0`, `-0e00` and so on that is a number, in one piece; or that."""
_PARTS_MAX = 2000
_SHIFTED = re.compile("-0e0+")


def canonical(text: bytes) -> bytes:
    """The one text that stands for all which mean the same as this one, which is valid JSON. Its own is itself.

    Raises RecursionError for what is nested some hundred times deeper than a request may be.
    """
    if _MAY_HAVE_MINUS_ZERO.search(text):
        parts = [_with_exponent(found) for found in islice(_PARTS.finditer(text), _PARTS_MAX + 1)]
        if len(parts) > _PARTS_MAX:
            return compact(text)  # nobody means that, and it would keep others waiting
        return _encoder.encode(_signed.decode(b"".join(parts)))
    return _encoder.encode(_decoder.decode(text))


def meant(text: bytes | None) -> bytes | None:
    """The same for a value that may be absent."""
    return None if text is None else canonical(text)


def meant_with_nulls(text: bytes | None) -> bytes | None:
    """The same for an object whose fields the API knows: there null means absent. Inside its fields null is a value."""
    if text is None or not text.startswith(b"{"):
        return meant(text)
    given = {name: value for name, value in _fields.decode(text).items() if bytes(value) != b"null"}
    return canonical(_encoder.encode(given))


def compact(text: bytes) -> bytes:
    """The text without white space: the form in which 0.2.0 compared inputs and answers to interrupts."""
    return msgspec.json.format(text, indent=-1)


def _with_exponent(found: re.Match[bytes]) -> bytes:
    """`-0`, which as a whole number would lose its sign, becomes `-0e0`, and what is that already gets a zero more."""
    zero: bytes | None = found[1]
    if zero is None:
        return found[0]
    return b"-0e0" if zero == b"-0" else zero + b"0"


def _without_exponent(text: str) -> Raw:
    if text.startswith("-0e0") and _SHIFTED.fullmatch(text):
        text = "-0" if text == "-0e0" else text[:-1]
    return Raw(text.encode())


_fields = msgspec.json.Decoder(dict[str, Raw])
_decoder = msgspec.json.Decoder(float_hook=lambda text: Raw(text.encode()))
_signed = msgspec.json.Decoder(float_hook=_without_exponent)
