"""The parts of a JSON value, taken no further apart than its type goes.

A body of a few megabytes may have hundreds of thousands of fields or items where a few are expected. Reading stops at
the first that is too many, so that the refusal costs no more than that.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Raw, UnsetType
from msgspec import inspect as i

_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_TABLE_MAX_BYTES = 64 * 1024
"""A larger object of free names is not taken apart: there is no way to stop in it, and none may be so large."""
_TABLE = msgspec.json.Decoder(dict[str, Raw])


class Fields(NamedTuple):
    """The fields of an object by their names, in the order of its type; or the first that its type does not know."""

    given: dict[str, Raw]
    unknown: str | None = None


def fields_of(text: bytes, kind: i.StructType) -> Fields:
    """The fields of an object. Raises msgspec.DecodeError for what is no JSON."""
    names = [field.encode_name for field in kind.fields]
    tag = kind.tag_field
    decoder = _object(*names) if tag is None or tag in names else _object(*names, tag)
    try:
        found = decoder.decode(text)
    except msgspec.ValidationError as error:
        unknown = _UNKNOWN.match(str(error))
        return Fields({}, "" if unknown is None else unknown[1])
    values = zip(found.__struct_encode_fields__, msgspec.structs.astuple(found), strict=True)
    return Fields({name: value for name, value in values if value is not UNSET})


def field_of(text: bytes, name: str) -> Raw | None:
    """One field of an object, whatever else it has."""
    value = getattr(_object(name, others=True).decode(text), _ATTRIBUTE.format(0))
    return None if value is UNSET else value


def items_of(text: bytes, kind: i.ListType) -> list[Raw] | None:
    """The items of a list; None where there are more than its type allows."""
    if kind.max_length is None:
        return msgspec.json.decode(text, type=list[Raw])
    try:
        found = msgspec.structs.astuple(_list(kind.max_length).decode(text))
    except msgspec.ValidationError:
        return None
    return [item for item in found if item is not UNSET]


def entries_of(text: bytes, kind: i.DictType) -> dict[str, Raw] | None:
    """The entries of an object of free names; None where there are more than its type allows."""
    if kind.max_length is not None and len(text) > _TABLE_MAX_BYTES:
        return None
    found = _TABLE.decode(text)
    return found if kind.max_length is None or len(found) <= kind.max_length else None


_ATTRIBUTE = "field_{}"


@cache
def _object(*names: str, others: bool = False) -> msgspec.json.Decoder[Any]:
    attributes = [_ATTRIBUTE.format(place) for place in range(len(names))]
    fields = [(attribute, Raw | UnsetType, UNSET) for attribute in attributes]
    rename = dict(zip(attributes, names, strict=True))
    return msgspec.json.Decoder(msgspec.defstruct("Fields", fields, rename=rename, forbid_unknown_fields=not others))


@cache
def _list(most: int) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(items_type(most))


def items_type(most: int) -> type[msgspec.Struct]:
    """A list of so many items at most, as a type at which reading stops with the first one that is too many."""
    fields = [(f"item_{place}", Raw | UnsetType, UNSET) for place in range(most)]
    return msgspec.defstruct("Items", fields, array_like=True, forbid_unknown_fields=True)
