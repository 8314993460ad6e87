"""The parts of a JSON value: no more of them are read than its type allows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Raw, Struct
from msgspec import inspect as i

from oris.api.json_parts import Fields, entries_of, field_of, fields_of, items_of


class Job(Struct, forbid_unknown_fields=True, tag="job", tag_field="kind"):
    name: str
    class_: int = msgspec.field(name="class", default=0)


def shown(found: Fields) -> tuple[dict[str, bytes], str | None]:
    return {name: bytes(value) for name, value in found.given.items()}, found.unknown


def kind(of: Any) -> Any:
    return i.type_info(of)


@pytest.mark.parametrize(
    ("text", "given", "unknown"),
    [
        (b"{}", {}, None),
        (b'{"class": 1.0 ,"name":null}', {"name": b"null", "class": b"1.0"}, None),
        (b'{"kind":"job","name":{"x":[]}}', {"kind": b'"job"', "name": b'{"x":[]}'}, None),
        (b'{"name":1,"name":2}', {"name": b"2"}, None),
        (b'{"nam":1}', {}, "nam"),
        (b'{"name":1,"":2}', {}, ""),
        (b'{"a`b\\nc":1}', {}, "a`b\nc"),
        ('{"café":1}'.encode(), {}, "café"),
    ],
)
def test_an_object_has_its_known_fields_or_the_first_unknown_one(
    text: bytes, given: dict[str, bytes], unknown: str | None
) -> None:
    assert shown(fields_of(text, kind(Job))) == (given, unknown)


def test_one_field_is_found_among_others() -> None:
    assert bytes(field_of(b'{"x":[1],"kind":"job"}', "kind") or Raw()) == b'"job"'
    assert field_of(b'{"x":[1]}', "kind") is None


@pytest.mark.parametrize(("count", "fits"), [(0, True), (3, True), (4, False), (100_000, False)])
def test_a_list_has_its_items_or_too_many(count: int, fits: bool) -> None:
    text = b"[" + b",".join([b" 1 "] * count) + b"]"
    found = items_of(text, kind(Annotated[list[int], Meta(max_length=3)]))
    assert (found is not None) == fits
    assert found is None or [bytes(item) for item in found] == [b"1"] * count
    assert len(items_of(text, kind(list[int])) or ()) == count


@pytest.mark.parametrize(("count", "fits"), [(0, True), (2, True), (3, False), (50_000, False)])
def test_a_table_has_its_entries_or_too_many(count: int, fits: bool) -> None:
    text = msgspec.json.encode({f"k{number}": number for number in range(count)})
    found = entries_of(text, kind(Annotated[dict[str, int], Meta(max_length=2)]))
    assert (found is not None) == fits
    assert len(entries_of(text, kind(dict[str, Literal[1]])) or ()) == count


def test_what_comes_behind_the_first_that_is_too_many_is_not_read() -> None:
    """It need not even be JSON."""
    assert fields_of(b'{"x":1,nonsense', kind(Job)).unknown == "x"
    assert items_of(b"[1,2,3,4,nonsense", kind(Annotated[list[int], Meta(max_length=3)])) is None
