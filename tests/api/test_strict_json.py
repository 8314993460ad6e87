"""What a request body may be."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oris.api.strict_json import DEPTH_MAX, decode, decoder
from oris.errors import ApiError


class Policy(msgspec.Struct, forbid_unknown_fields=True):
    backoff_ms: int


class Body(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    value: msgspec.Raw = msgspec.Raw(b"null")
    count: int = 0
    rate: float = 0.0
    policy: Policy | None = None
    names: dict[str, str] = {}


DECODER = decoder(Body).decoder


def _field(body: bytes) -> object:
    with pytest.raises(ApiError) as caught:
        decode(body, DECODER)
    assert caught.value.code == "invalid_argument"
    assert caught.value.details is not None
    return caught.value.details["field"]


@pytest.mark.parametrize(
    "value",
    [
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"-1E+400",
        b"[1, 2, 1e309]",
        b"9" * 400,
        b"9" * 310 + b".5",
        b"-" + b"9" * 310 + b"e-1",
        b"[1," * 3 + b"9" * 310 + b"]" * 3,
        b'["\\"", ' + b"9" * 310 + b', "\\""]',
        b'"\\u0000"',
        b'"a\\\\\\u0000"',
        b'{"\\u0000": 1}',
        b'"\\ud800"',
        b'"\\udc00"',
        b'"\\ud800\\u0041"',
        b'"\\ud83dx"',
        b'"\\\\ud83d\\ude00"',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\xc0\x80"',
        b'"\x00"',
        b'"\x1f"',
        b'"\\x"',
        b"01",
        b"1.",
        b"[1,]",
        b"[" * 64 + b"]" * 64,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 70 + b"1" + b"}" * 70,
        b"[[],[" * 40 + b"]]" * 40,
        b"[1] 2",
        b"// x",
        b"",
    ],
    ids=lambda value: repr(value[:24]),
)
def test_values_that_other_readers_would_stumble_over_are_refused(value: bytes) -> None:
    field = str(_field(b'{"name": "x", "value": ' + value + b"}"))
    assert re.split(r"[.\[]", field)[0] == "value"


@pytest.mark.parametrize(
    "value",
    [
        b"1e308",
        b"0.1e-999",
        b"1e100",
        b"9" * 308,
        b"0." + b"1" * 400,
        b"9" * 320 + b"e-20",
        b"1e-" + b"9" * 400,
        b"1E+" + b"0" * 400 + b"5",
        b'"' + b"9" * 400 + b'"',
        b'{"\\"' + b"9" * 400 + b'": 1}',
        b'"\\\\u0000"',
        b'"\\ud83d\\ude00 \\u00e9"',
        b'"\\u0001"',
        '"é😀"'.encode(),
        b"[" * 63 + b"]" * 63,
        b'"' + b"[{" * 500 + b'"',
        b'["' + b"\\\\" * 3 + b'", "\\"[[[[\\\\\\"", "]"]' + b" ",
        b"[" + b",".join([b"[]"] * 500) + b"]",
        b'{"a": 1, "a": 2, "name": {"name": ":"}}',
        b'"1e999"',
        b'"lse_0e9999"',
    ],
    ids=lambda value: repr(value[:24]),
)
def test_unusual_but_right_values_are_kept_byte_for_byte(value: bytes) -> None:
    decoded = decode(b'{"name": "x", "value": ' + value + b"}", DECODER)
    assert bytes(decoded.value) == value.strip()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"name": 1}', "name"),
        (b'{"value": 1}', "name"),
        (b'{"name": "x", "colour": 1}', "colour"),
        (b'{"name": "x", "count": "1"}', "count"),
        (b'{"name": "x", "count": 1.5}', "count"),
        (b'{"name": "x", "count": true}', "count"),
        (b'{"name": "x", "rate": 1e999}', "rate"),
        (b'{"name": "x", "policy": {"backoff_ms": "1"}}', "policy.backoff_ms"),
        (b'{"name": "x", "policy": {}}', "policy.backoff_ms"),
        (b'{"name": "x", "policy": {"backoff_ms": 1, "y": 1}}', "policy.y"),
        (b"[]", "body"),
        (b"null", "body"),
        (b'{"name": "x"', "body"),
        (b'{"name": "x"} {}', "body"),
        (b"\xef\xbb\xbf{}", "body"),
        (b"", "body"),
    ],
)
def test_the_field_at_fault_is_named(body: bytes, field: str) -> None:
    assert _field(body) == field


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": "x", "name": "y"}',
        b'{"name": "x", "n\\u0061me": "y"}',
        b'{"name": "x", "value": {"a": [1, 2, {"b": 3}]}, "value": 1}',
        b'{"value": ":", "name": "a:b", "names": {"c": ":"}, "value": "::"}',
        b'{"name": "x", "value": ' + json.dumps([{"a": i} for i in range(100)]).encode() + b', "value": []}',
    ],
)
def test_a_field_given_twice_is_refused(body: bytes) -> None:
    assert _field(body) == ("name" if b"u0061" in body or b'"y"' in body else "value")


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0") | st.sampled_from('"\\[]{}:e09')),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text('ab"\\[{:u0', max_size=4), inner, max_size=5),
    max_leaves=60,
)


@given(JSON_VALUES, st.booleans(), st.sampled_from([None, 1]))
def test_what_a_json_library_writes_is_read_and_kept(value: Any, ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    decoded = decode(b'{"value":' + text + b',"name":"x:["}', DECODER)
    assert bytes(decoded.value) == text


@given(st.lists(st.sampled_from(["[", '{"k":']), min_size=50, max_size=80), JSON_VALUES)
@settings(max_examples=60)
def test_nesting_is_refused_exactly_beyond_the_limit(openers: list[str], value: Any) -> None:
    closers = "".join("]" if opener == "[" else "}" for opener in reversed(openers))
    text = "".join(openers) + json.dumps(value) + closers
    body = b'{"name":"x","value":' + text.encode() + b"}"
    depth = 1 + len(openers) + _depth(value)
    if depth > DEPTH_MAX:
        assert _field(body) == "value"
    else:
        assert bytes(decode(body, DECODER).value) == text.encode()


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for body in (data, b'{"name":"x","value":' + data + b"}"):
        try:
            decoded = decode(body, DECODER)
        except ApiError:
            continue
        json.loads(bytes(decoded.value))


def test_a_struct_that_would_let_unknown_fields_through_is_a_mistake() -> None:
    class Loose(msgspec.Struct):
        x: int

    with pytest.raises(ValueError, match="Loose"):
        decoder(Loose)


def test_an_empty_body_stands_for_an_object_only_when_nothing_is_required() -> None:
    class Optional(msgspec.Struct, forbid_unknown_fields=True):
        x: int = 1

    assert decoder(Optional).when_empty == b"{}"
    assert decoder(Body).when_empty == b""


def test_the_depth_limit_can_be_set() -> None:
    body = b'{"name":"n","value":[[[1]]]}'
    assert bytes(decode(body, DECODER, depth_max=4).value) == b"[[[1]]]"
    with pytest.raises(ApiError, match="deeper than 3"):
        decode(body, DECODER, depth_max=3)
