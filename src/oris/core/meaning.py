"""When two JSON texts say the same: requests are compared by what they mean, and kept as they were sent.

The order of keys, escapes and white space do not count. Numbers count by their text: `1`, `1.0` and `1e0` are three,
because a client that keeps the digits apart may mean something by them. Of a key that an object has twice the last one
counts, as it does for nearly every reader.
"""

from __future__ import annotations

import re

import msgspec
from msgspec import Raw

_encoder = msgspec.json.Encoder(order="sorted")

_MAY_HAVE_MINUS_ZERO = re.compile(rb"-0(?:e0+)?(?![0-9.eE])")
_MINUS_ZEROS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|(?<![eE])-0(?:e0+)?(?![0-9.eE])')
"""A string, which is left alone, or `-0`, `-0e0`, `-0e00` and so on."""
_SHIFTED = re.compile("-0e0+")


def canonical(text: bytes) -> bytes:
    """The one text that stands for all which mean the same as this one, which is valid JSON. Its own is itself.

    Raises RecursionError for what is nested some hundred times deeper than a request may be.
    """
    if _MAY_HAVE_MINUS_ZERO.search(text):
        return _encoder.encode(_signed.decode(_MINUS_ZEROS.sub(_with_exponent, text)))
    return _encoder.encode(_decoder.decode(text))


def meant(text: bytes | None) -> bytes | None:
    """The same for a value that may be absent."""
    return None if text is None else canonical(text)


def compact(text: bytes) -> bytes:
    """The text without white space: the form in which 0.2.0 compared inputs and answers to interrupts."""
    return msgspec.json.format(text, indent=-1)


def _with_exponent(found: re.Match[bytes]) -> bytes:
    """`-0`, which as a whole number would lose its sign, becomes `-0e0`, and what is that already gets a zero more."""
    token = found[0]
    if token.startswith(b'"'):
        return token
    return b"-0e0" if token == b"-0" else token + b"0"


def _without_exponent(text: str) -> Raw:
    if _SHIFTED.fullmatch(text):
        text = "-0" if text == "-0e0" else text[:-1]
    return Raw(text.encode())


_decoder = msgspec.json.Decoder(float_hook=lambda text: Raw(text.encode()))
_signed = msgspec.json.Decoder(float_hook=_without_exponent)
