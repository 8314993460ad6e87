"""Other serializers: the same JSON value in other bytes, as another program or version of a client would write it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
from msgspec import inspect as i

from oris.api.leniency import type_of
from oris.wire.fields import shapes_of

OTHERWISE = 0.4
"""How often a body is written by another serializer than the first."""
WORDY = 0.1
"""How often by one that writes each field, those that were not set as null; or each number with a point."""

Change = Callable[[Any, i.Type], Any]
"""What such a serializer makes of a value of this type."""


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


def wordy(value: object, kind: Any, random: Random) -> object:
    """The same value of this type; sometimes with all fields, or with `1.0` for 1. A client's own values stay."""
    if random.random() >= WORDY:
        return value
    return changed(value, type_of(kind), random.choice((with_nulls, with_floats)))


def with_nulls(value: Any, kind: i.Type) -> Any:
    """The same with null for each field that is not there."""
    if isinstance(kind, i.StructType) and isinstance(value, dict):
        return {field.encode_name: None for field in kind.fields if not field.required} | value
    return value


def with_floats(value: Any, kind: i.Type) -> Any:
    """The same with `1.0` for 1."""
    return float(value) if isinstance(kind, i.IntType) and isinstance(value, int) else value


def changed(value: Any, kind: i.Type, change: Change) -> Any:
    """The value with a change at every place whose type is known; a client's own values have none."""
    if isinstance(kind, i.UnionType):
        kinds = [each for each in kind.types if not isinstance(each, i.NoneType)]
        tags = [each for each in kinds if isinstance(each, i.StructType) and each.tag_field in value]
        found = [each for each in tags if value[each.tag_field] == each.tag]
        return changed(value, (found or kinds)[0], change)
    if isinstance(kind, i.StructType) and isinstance(value, dict):
        types = {field.encode_name: field.type for field in kind.fields}
        types |= {name: type_of(shape) for name, shape in shapes_of(kind.cls).items()}
        value = {name: changed(each, types[name], change) if name in types else each for name, each in value.items()}
    if isinstance(kind, i.ListType):
        value = [changed(each, kind.item_type, change) for each in value]
    return change(value, kind)


def _turned_round(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _turned_round(value[key]) for key in reversed(value)}
    return [_turned_round(each) for each in value] if isinstance(value, list | tuple) else value


def _escaped(text: bytes) -> bytes:
    return text.replace(b"e", b"\\u0065").replace(b"/", b"\\/")
