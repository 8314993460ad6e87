"""Where in a JSON text a byte stands, as a path: `input.a[1].b`. For messages about bodies that cannot be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import msgspec

TOKENS_MAX = 20_000
"""Further in nobody looks: it would keep other requests waiting."""
_PATH_MAX = 256
_DEPTH_MAX = 128
_KEY_MAX = 64

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)
"""A string that is not closed is one word to the end: nothing is gone over twice."""
_PLAIN = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


@dataclass
class Open:
    """An object or a list that has begun and is not over."""

    opener: bytes
    key: str | None = None
    """Of an object: the field whose value is read; None before its name."""
    index: int = 0


@dataclass(frozen=True)
class Token:
    """A word of JSON, and what it stands in."""

    text: bytes
    start: int
    end: int
    stack: list[Open]
    """As it is before this word; it changes with the next one."""

    @property
    def is_key(self) -> bool:
        """Whether it is the name of a field."""
        return self.text[:1] == b'"' and self.is_due_as_key

    @property
    def is_due_as_key(self) -> bool:
        """Whether it stands where the name of a field should."""
        inner = self.stack[-1] if self.stack else None
        return inner is not None and inner.opener == b"{" and inner.key is None

    @property
    def path(self) -> str:
        """The path of the value that it is, or belongs to; empty for the whole text."""
        path = ""
        for each in self.stack[:_DEPTH_MAX]:
            if each.opener == b"[":
                path += f"[{each.index}]"
            elif each.key is not None:
                path = joined(path, each.key)
        return path if len(path) <= _PATH_MAX else path[:_PATH_MAX] + "…"


def tokens(text: bytes) -> Iterator[Token]:
    """The first words of a JSON text, which is right as far as they are asked for."""
    stack: list[Open] = []
    for found in islice(_TOKEN.finditer(text), TOKENS_MAX):
        token = Token(found[0], found.start(), found.end(), stack)
        is_key = token.is_key
        yield token
        match found[0]:
            case b"{" | b"[":
                stack.append(Open(found[0]))
            case b"}" | b"]" if stack:
                stack.pop()
            case b"," if stack:
                stack[-1].key = None
                stack[-1].index += 1
            case word if is_key:
                stack[-1].key = name_of(word)
            case _:
                pass


def place(text: bytes, offset: int) -> str:
    """The path of the value in which this byte stands; empty where that is not to be found out, or the whole text."""
    token = token_at(text, offset)
    return "" if token is None else token.path


def token_at(text: bytes, offset: int) -> Token | None:
    """The word in which this byte stands, or the next one; None where that is not to be found out."""
    return next((token for token in tokens(text) if token.end > offset), None)


def name_of(key: bytes) -> str:
    """What the name of a field says, however it is written."""
    try:
        return msgspec.json.decode(key, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return key[1:-1].decode("utf-8", "replace")


def joined(path: str, key: str) -> str:
    """The path of a field of the object that stands at a path."""
    shown = key if len(key) <= _KEY_MAX else key[:_KEY_MAX] + "…"
    if not _PLAIN.fullmatch(key[:_KEY_MAX]):
        return f"{path}[{msgspec.json.encode(shown).decode()}]"
    return f"{path}.{shown}" if path else shown


def doubled(text: bytes) -> Iterator[Token]:
    """The names that their object has had before, among the first words of a text."""
    seen: dict[int, set[str]] = {}
    for token in tokens(text):
        if token.text == b"{":
            seen[len(token.stack) + 1] = set()
        elif token.is_key:
            names, name = seen[len(token.stack)], name_of(token.text)
            if name in names:
                yield token
            names.add(name)
