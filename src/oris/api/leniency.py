"""What is meant where a body is not quite of its type: null for a field that may be left out, `1.0` for 1.

Serializers write both without being asked: fields that were not set as null, whole numbers as floats. Only a body that
was refused is looked at, so that one that is right costs nothing. A client's own values (`input`, `output`, …) are
nowhere looked into.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

import msgspec
from msgspec import Raw
from msgspec import inspect as i
from msgspec.structs import replace

from oris.api.json_parts import entries_of, field_of, fields_of, items_of

_encode = msgspec.json.Encoder().encode

SPACE = b" \t\r\n"
"""What may stand around a value."""
_DIGITS_MAX = 1000
"""A number with more than that is no number of any field, and would keep others waiting."""
_EXPONENT_MAX = 40


@cache
def type_of(kind: Any) -> i.Type:
    """What msgspec knows of a type, without what is only said for the document; asked once for each."""
    return _bare(i.type_info(kind))


def _bare(kind: i.Type) -> i.Type:
    match kind:
        case i.Metadata():
            return _bare(kind.type)
        case i.UnionType():
            return replace(kind, types=tuple(map(_bare, kind.types)))
        case i.StructType():
            return replace(kind, fields=tuple(replace(field, type=_bare(field.type)) for field in kind.fields))
        case i.ListType():
            return replace(kind, item_type=_bare(kind.item_type))
        case i.DictType():
            return replace(kind, value_type=_bare(kind.value_type))
        case _:
            return kind


def meant(text: bytes, kind: Any) -> bytes:
    """The JSON text of a value of this type, as it was meant; what is wrong in another way stays.

    The very same object where nothing is meant otherwise. Raises msgspec.DecodeError where the text is no JSON.
    """
    said = Raw(text.strip(SPACE))
    found = _meant(said, type_of(kind))
    return text if found is said else bytes(found)


def may_be_absent(field: i.Field | None) -> bool:
    """Whether null says that the field is not there."""
    return field is not None and not field.required


def is_null(value: Raw) -> bool:
    """Whether a value is null."""
    return bytes(value) == b"null"


def whole(text: bytes) -> int | None:
    """The whole number that a JSON number is, however it is written; None: it is none, or far out of range."""
    if len(text) > _DIGITS_MAX:
        return None
    try:
        number = Decimal(text.decode())
    except InvalidOperation:  # an exponent that even this type cannot hold
        return None
    return int(number) if number.adjusted() < _EXPONENT_MAX and number == number.to_integral_value() else None


def chosen(text: bytes, kind: i.UnionType) -> i.Type | None:
    """Which type of a union a value is to be of: by the tag of an object, else the one that is not null."""
    others = [each for each in kind.types if not isinstance(each, i.NoneType)]
    tagged = [each for each in others if isinstance(each, i.StructType) and each.tag_field is not None]
    if not tagged:
        return others[0]
    tag = field_of(text, str(tagged[0].tag_field)) if text[:1] == b"{" else None
    said = msgspec.json.decode(tag) if tag is not None and bytes(tag)[:1] == b'"' else None
    return next((each for each in tagged if said == each.tag), None)


def _meant(value: Raw, kind: i.Type) -> Raw:
    text = bytes(value)
    match kind, text[:1]:
        case i.UnionType(), _:
            one = chosen(text, kind)
            return value if one is None or text == b"null" else _meant(value, one)
        case i.StructType(), b"{":
            return _object(value, kind)
        case i.ListType(), b"[":
            return _list(value, kind)
        case i.DictType(), b"{":
            return _table(value, kind)
        case i.IntType(), first if first in b"-0123456789":
            number = whole(text)
            return value if number is None or text == b"%d" % number else Raw(b"%d" % number)
        case _:
            return value


def _object(value: Raw, kind: i.StructType) -> Raw:
    given, unknown = fields_of(bytes(value), kind)
    if unknown is not None:
        return value  # it is refused, whatever else is in it
    known = {field.encode_name: field for field in kind.fields}
    meant = {
        name: _meant(each, known[name].type) if name in known else each
        for name, each in given.items()
        if not (is_null(each) and may_be_absent(known.get(name)))
    }
    same = len(meant) == len(given) and all(each is given[name] for name, each in meant.items())
    return value if same else Raw(_encode(meant))


def _list(value: Raw, kind: i.ListType) -> Raw:
    items = items_of(bytes(value), kind)
    if items is None:
        return value
    meant = [_meant(item, kind.item_type) for item in items]
    same = all(each is item for each, item in zip(meant, items, strict=True))
    return value if same else Raw(_encode(meant))


def _table(value: Raw, kind: i.DictType) -> Raw:
    given = entries_of(bytes(value), kind)
    if given is None:
        return value
    meant = {name: _meant(each, kind.value_type) for name, each in given.items()}
    return value if all(each is given[name] for name, each in meant.items()) else Raw(_encode(meant))
