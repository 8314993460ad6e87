"""The path of a byte in a JSON text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oris.api.json_place import TOKENS_MAX, place, token_at, tokens

KEYS = st.text('ab_-. "\\[]{}:,é/', max_size=5)
SHAPES = st.recursive(
    st.just(0),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=30,
)


@given(SHAPES, st.booleans(), st.sampled_from([None, 1]))
def test_every_value_is_found_at_its_path(shape: Any, ascii_only: bool, indent: int | None) -> None:
    numbered = _numbered(shape, iter(range(1_000_000, 2_000_000)))
    text = json.dumps(numbered, ensure_ascii=ascii_only, indent=indent).encode()
    for path, number in _leaves(numbered, ""):
        found = re.search(rb"\b%d\b" % number, text)
        assert found is not None
        for offset in range(found.start(), found.end()):
            assert place(text, offset) == path


@pytest.mark.parametrize(
    ("text", "at", "path"),
    [
        (b'{"a":{"b":x', b"x", "a.b"),
        (b'{"a":[1,{"b":2},x', b"x", "a[2]"),
        (b'{"a":1,x', b"x", ""),
        (b'{"a" x', b"x", "a"),
        (b'{"a":"x', b"x", "a"),
        (b'{"a":"\\"x"}', b"x", "a"),
        (b'{"\\u0061":x', b"x", "a"),
        (b'{"' + b"k" * 100 + b'":x', b"x", "k" * 64 + "…"),
        (b"[" * 200 + b"x", b"x", "[0]" * 85 + "[…"),
        (b"x", b"x", ""),
    ],
)
def test_what_is_no_json_has_a_place_too(text: bytes, at: bytes, path: str) -> None:
    assert place(text, text.rindex(at)) == path


def test_nobody_looks_far_into_a_text() -> None:
    text = b"[" + b"1," * TOKENS_MAX + b"x"
    assert place(text, len(text) - 1) == ""
    assert token_at(text, len(text) - 1) is None


def _numbered(shape: Any, numbers: Iterator[int]) -> Any:
    """The shape with another number at each leaf."""
    if isinstance(shape, dict):
        return {key: _numbered(inner, numbers) for key, inner in shape.items()}
    return [_numbered(inner, numbers) for inner in shape] if isinstance(shape, list) else next(numbers)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, int]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            plain = re.fullmatch(r"[A-Za-z0-9_-]+", key)
            part = f".{key}" if plain else f"[{json.dumps(key, ensure_ascii=False)}]"
            yield from _leaves(inner, f"{path}{part}".removeprefix("."))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{index}]")
    else:
        yield path, value


@pytest.mark.parametrize("end", [b"", b"\xff", b"\n", b"\\"])
def test_a_string_that_is_not_closed_is_one_word_to_the_end(end: bytes) -> None:
    """Word by word, each quote in it would be looked at to the end of the body: found in review, 5 s for 30 KB."""
    text = b'{"a":"' + b'\\"' * 50_000 + end
    assert [token.text for token in tokens(text)] == [b"{", b'"a"', b":", text[5:]]
    assert place(text, len(text) - 1) == "a"
