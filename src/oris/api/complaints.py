"""What is wrong with a body or a query, in words that a person can act on: the field at fault, and what it has to be.

msgspec tells that something is wrong, and is asked for no more than that. What, is found out here by walking through
the value along its type; only a request that was refused pays for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from difflib import get_close_matches
from math import isinf
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct
from msgspec import inspect as i

from oris.api.json_faults import OUT_OF_RANGE, TWICE
from oris.api.json_parts import entries_of, field_of, fields_of, items_of
from oris.api.json_place import Open, doubled, joined, name_of
from oris.api.leniency import SPACE, chosen, is_null, may_be_absent, type_of, whole
from oris.wire.names import RULES

_NOT_A_VALUE = "not a valid value for this field"
_KEY_MAX = 64
"""Of a longer name only the beginning is repeated."""
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_TIME = re.compile(rb'"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)?"')
_ZEROS_AHEAD = re.compile(r"-?0\d", re.ASCII)


class Complaint(NamedTuple):
    """The path of a field, empty for the value itself, and what is wrong there."""

    path: str
    message: str


def of_body(text: bytes, kind: type[Struct]) -> Complaint:
    """What is wrong with a JSON text that should be of this type, and is not. Raises DecodeError: it is no JSON."""
    value, of = text.strip(SPACE), type_of(kind)
    return _of(value, of, "") or _of_doubled(value, of) or Complaint("", "not a valid body for this route")


def of_query(query: Mapping[str, str], kind: type[Struct]) -> Complaint:
    """What is wrong with a query, whose values are all text."""
    struct = type_of(kind)
    assert isinstance(struct, i.StructType)
    types = {field.encode_name: field.type for field in struct.fields}
    for name, value in query.items():
        if name not in types:
            known = _known(name, dict.fromkeys(types, ""))
            return Complaint(_short(name) or "query", f"unknown query parameter; {known}")
        found = _of_parameter(value, types[name], name)
        if found is not None:
            return found
    return Complaint(next(iter(query), "query"), _NOT_A_VALUE)


def _of_parameter(value: str, kind: i.Type, name: str) -> Complaint | None:
    if isinstance(kind, i.UnionType):
        kind = next(each for each in kind.types if not isinstance(each, i.NoneType))
    shown = f'not "{_short(value)}"'
    if isinstance(kind, i.IntType):
        if not _NUMBER.fullmatch(value):
            return Complaint(name, f"a whole number is expected, {shown}")
        if _ZEROS_AHEAD.match(value):
            return Complaint(name, f"a whole number without leading zeros is expected, {shown}")
        return _of_number(value.encode(), kind, name)
    if isinstance(kind, i.BoolType):
        return (
            None
            if value.lower() in ("true", "false", "1", "0")
            else Complaint(name, f"true or false is expected, {shown}")
        )
    return _of(msgspec.json.encode(value), kind, name)


def _of(text: bytes, kind: i.Type, path: str) -> Complaint | None:
    """None: nothing is wrong with it."""
    match kind:
        case i.UnionType():
            return _of_union(text, kind, path)
        case i.StructType():
            return _of_object(text, kind, path) if text[:1] == b"{" else _other(text, "an object", path)
        case i.ListType():
            return _of_list(text, kind, path) if text[:1] == b"[" else _other(text, "a list", path)
        case i.DictType():
            return _of_table(text, kind, path) if text[:1] == b"{" else _other(text, "an object", path)
        case i.LiteralType():
            return _of_word(text, kind.values, path)
        case i.IntType() | i.FloatType():
            what = "a whole number" if isinstance(kind, i.IntType) else "a number"
            return _of_number(text, kind, path) if _is_number(text) else _other(text, what, path)
        case i.StrType():
            return _of_text(text, kind, path) if text[:1] == b'"' else _other(text, "a string", path)
        case i.BoolType():
            return None if text in (b"true", b"false") else _other(text, "true or false", path)
        case i.DateTimeType():
            return _of_time(text, path)
        case _:
            return None


def _of_union(text: bytes, kind: i.UnionType, path: str) -> Complaint | None:
    if text == b"null" and any(isinstance(each, i.NoneType) for each in kind.types):
        return None
    one = chosen(text, kind)
    if one is not None:
        return _of(text, one, path)
    if text[:1] != b"{":
        return _other(text, "an object", path)
    tagged = [each for each in kind.types if isinstance(each, i.StructType)]
    field, words = str(tagged[0].tag_field), [each.tag for each in tagged]
    tag = field_of(text, field)
    where = joined(path, field)
    return _missing(where, f": one of {_listed(words)}") if tag is None else _of_word(bytes(tag), words, where)


def _of_object(text: bytes, kind: i.StructType, path: str) -> Complaint | None:
    fields = {field.encode_name: field for field in kind.fields}
    given, unknown = fields_of(text, kind)
    if unknown is not None:
        return Complaint(joined(path, unknown), f"unknown field; {_known(unknown, _places(kind))}")
    for name, value in given.items():
        field = fields.get(name)
        if field is None:
            continue  # the tag of a union
        if is_null(value) and may_be_absent(field):
            continue
        if is_null(value) and not isinstance(field.type, i.RawType):
            return Complaint(joined(path, name), "this field is required, and must not be null")
        found = _of(bytes(value), field.type, joined(path, name))
        if found is not None:
            return found
    missing = next((name for name, field in fields.items() if field.required and name not in given), None)
    return None if missing is None else _missing(joined(path, missing))


def _of_list(text: bytes, kind: i.ListType, path: str) -> Complaint | None:
    items = items_of(text, kind)
    if items is None or len(items) < (kind.min_length or 0):
        return Complaint(path, f"the list has to have {_between(kind.min_length, kind.max_length, 'item')}")
    found = (_of(bytes(item), kind.item_type, f"{path}[{place}]") for place, item in enumerate(items))
    return next((each for each in found if each is not None), None)


def _of_table(text: bytes, kind: i.DictType, path: str) -> Complaint | None:
    given = entries_of(text, kind)
    if given is None or len(given) < (kind.min_length or 0):
        return Complaint(path, f"the object has to have {_between(kind.min_length, kind.max_length, 'field')}")
    found = (_of(bytes(value), kind.value_type, joined(path, name)) for name, value in given.items())
    return next((each for each in found if each is not None), None)


def _of_doubled(text: bytes, kind: i.Type) -> Complaint | None:
    """A field that is there twice: msgspec looks at both, and only the last was looked at here. In a client's own
    values it may be."""
    found = (token for token in doubled(text) if isinstance(_at(token.stack, kind), i.StructType | i.DictType))
    return next((Complaint(joined(token.path, name_of(token.text)), TWICE) for token in found), None)


def _at(stack: Iterable[Open], kind: i.Type) -> i.Type | None:
    """The type of the innermost object or list that is open."""
    at: i.Type | None = None
    inner: i.Type | None = kind
    for opened in stack:
        of = inner.types if isinstance(inner, i.UnionType) else (inner,)
        at = next(each for each in of if not isinstance(each, i.NoneType))
        match at:
            case i.StructType():
                inner = next((field.type for field in at.fields if field.encode_name == opened.key), None)
            case i.ListType():
                inner = at.item_type
            case i.DictType():
                inner = at.value_type
            case _:
                return None
    return at


def _of_word(text: bytes, words: Iterable[Any], path: str) -> Complaint | None:
    word = msgspec.json.decode(text) if text[:1] == b'"' else None
    known = list(words)
    if word in known:
        return None
    near = _nearest(word, {each: each for each in known}) if isinstance(word, str) else None
    return Complaint(path, f"has to be one of: {_listed(known)}" + (f'; did you mean "{near}"?' if near else ""))


def _of_number(text: bytes, kind: i.IntType | i.FloatType, path: str) -> Complaint | None:
    number: float | int | None = whole(text) if isinstance(kind, i.IntType) else float(text)
    if number is None and len(text) < _KEY_MAX and (b"." in text or b"-" in text[1:]):
        return Complaint(path, f"a whole number is expected, not {text.decode()}")
    if isinstance(number, float) and isinf(number):
        return Complaint(path, OUT_OF_RANGE)
    low, high = kind.ge, kind.le
    if number is None or not (low is None or low <= number) or not (high is None or number <= high):
        return Complaint(path, f"has to be {_between(low, high)}")
    return None


def _of_text(text: bytes, kind: i.StrType, path: str) -> Complaint | None:
    value = msgspec.json.decode(text, type=str)
    if kind.pattern is not None and not re.search(kind.pattern, value):
        return Complaint(path, RULES.get(kind.pattern, _NOT_A_VALUE))
    if (kind.min_length or 0) > len(value):
        return Complaint(path, "must not be empty")
    if len(value) > (kind.max_length or len(value)):
        return Complaint(path, f"has to be at most {kind.max_length} characters long, not {len(value)}")
    return None


def _of_time(text: bytes, path: str) -> Complaint | None:
    try:
        at = msgspec.json.decode(text, type=datetime)
    except msgspec.ValidationError:
        if _TIME.match(text):
            return Complaint(path, "this time does not exist: the date, the time of day or the offset is out of range")
        return Complaint(path, "an RFC 3339 time is expected, such as 2026-01-31T12:00:00Z")
    if at.tzinfo is None:
        return Complaint(path, "the time needs a zone: Z, or an offset such as +01:00")
    return None


def _other(text: bytes, expected: str, path: str) -> Complaint:
    return Complaint(path, f"{expected if path else 'a JSON object'} is expected, not {_kind_of(text)}")


def _missing(path: str, more: str = "") -> Complaint:
    return Complaint(path, f"this field is required{more}")


def _kind_of(text: bytes) -> str:
    kinds = {b'"': "a string", b"[": "a list", b"{": "an object", b"n": "null", b"t": "true", b"f": "false"}
    return kinds.get(text[:1], "a number")


def _is_number(text: bytes) -> bool:
    return text[:1] in b"-0123456789"


def _between(low: float | None, high: float | None, of: str = "") -> str:
    """A range in words: of a number, or of how many there may be."""
    many = f" {of}s" if of else ""
    if low is not None and high is not None:
        return f"{low} to {high}{many}" if of else f"between {_plainly(low)} and {_plainly(high)}"
    if high is not None:
        return f"at most {high}{many}"
    return f"at least {low}{many}" if low is not None else f"a number that fits{many}"


def _plainly(bound: float) -> int | float:
    """`1.0` as people write it."""
    return int(bound) if bound == int(bound) else bound


def _listed(words: Iterable[Any]) -> str:
    return ", ".join(map(str, words))


def _short(name: str) -> str:
    return name if len(name) <= _KEY_MAX else name[:_KEY_MAX] + "…"


def _known(name: str, places: Mapping[str, str]) -> str:
    """What the name was meant to be, or which there are; `places` are the known names, and where else they belong."""
    near = _nearest(name, {each: place or each for each, place in places.items()})
    if near is not None:
        return f'did you mean "{near}"?'
    here = [each for each, place in places.items() if not place]
    return f"the known ones are: {_listed(here)}" if here else "none is expected here"


def _places(kind: i.StructType) -> dict[str, str]:
    """The names of the fields of an object, and behind them those of the objects in it with their paths."""
    inner: dict[str, str] = {}
    for field in kind.fields:
        types = field.type.types if isinstance(field.type, i.UnionType) else (field.type,)
        for each in types:
            if isinstance(each, i.StructType):
                inner |= {one.encode_name: f"{field.encode_name}.{one.encode_name}" for one in each.fields}
    own = {field.encode_name: "" for field in kind.fields}
    return own | {name: place for name, place in inner.items() if name not in own}


def _nearest(word: str, names: Mapping[str, str]) -> str | None:
    """What one of these names stands for that is written almost like the word: `threadId` is `thread_id`."""
    plain = {_plain(name): meant for name, meant in names.items()}
    near = get_close_matches(_plain(word[:_KEY_MAX]), plain, n=1, cutoff=0.75)
    return plain[near[0]] if near else None


def _plain(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "")
