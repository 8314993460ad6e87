"""Other serializers: the same JSON value in other bytes, as another program or version of a client would write it."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec

OTHERWISE = 0.4
"""How often a body is written by another serializer than the first."""


def written(value: object, random: Random) -> bytes:
    """The JSON text of a value; sometimes with keys in another order, white space and escapes that nobody needs."""
    if random.random() >= OTHERWISE:
        return msgspec.json.encode(value)
    text = msgspec.json.encode(_turned_round(value))
    if random.random() < 0.5:
        text = msgspec.json.format(text, indent=2)
    if random.random() < 0.5:
        # What simulated callers send has no quotes in its strings, so every other piece is one.
        text = b'"'.join(_escaped(part) if place % 2 else part for place, part in enumerate(text.split(b'"')))
    return text


def _turned_round(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _turned_round(value[key]) for key in reversed(value)}
    return [_turned_round(each) for each in value] if isinstance(value, list | tuple) else value


def _escaped(text: bytes) -> bytes:
    return text.replace(b"e", b"\\u0065").replace(b"/", b"\\/")
