"""Lists of names and ids in large bodies, counted before each of them is looked at.

msgspec makes a string of every item of a list, matches it with its pattern, and counts the items afterwards: a body
full of names would keep all other calls waiting for half a second. Here reading stops at the first one too many.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from msgspec import inspect as i

from oris.api.json_parts import items_type
from oris.api.leniency import type_of

LARGE_BYTES = 64 * 1024
"""Names in a smaller body are too few to keep anybody waiting."""


def has_too_many_names(text: bytes, kind: Any) -> bool:
    """Whether a large body that should be of this type has a list with more names than it may have; also when it has no
    list where one is expected. Raises msgspec.DecodeError for what is no JSON."""
    counter = None if len(text) <= LARGE_BYTES else _counter(kind)
    if counter is None:
        return False
    try:
        counter.decode(text)
    except msgspec.ValidationError:
        return True
    return False


@cache
def _counter(kind: Any) -> msgspec.json.Decoder[Any] | None:
    counted = _counted(type_of(kind))
    return None if counted is None else msgspec.json.Decoder(counted)


def _counted(kind: i.Type) -> Any:
    """The same type with nothing in it but its lists of names, of which only the length counts; None: it has none."""
    match kind:
        case i.ListType(item_type=i.StrType(), max_length=int(most)):
            return items_type(most)
        case i.UnionType(types=types):
            found = [each for each in map(_counted, types) if each is not None]
            return found[0] | None if len(found) == 1 else None
        case i.StructType(fields=fields):
            lists = {each.encode_name: of for each in fields if (of := _counted(each.type)) is not None}
            attributes = [(f"field_{place}", of | UnsetType, UNSET) for place, of in enumerate(lists.values())]
            rename = {attribute[0]: name for attribute, name in zip(attributes, lists, strict=True)}
            return msgspec.defstruct("Counted", attributes, rename=rename) if lists else None
        case _:
            return None
