"""The kinds of values a setting may have: how each is read from text, and what to tell who got it wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from oris.config.levels import LEVELS_FORM, LogLevels, parse_levels
from oris.config.networks import NETWORKS_FORM, Networks, parse_networks
from oris.config.values import ADDRESS_FORM, Address, Secret, parse_address

T = TypeVar("T")
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """How one kind of value is written.

    `word` names it in the documentation, `allowed` completes "must be …", `in_file` is its type in TOML.
    `read` takes the text and raises ValueError when it is not allowed; the error's text, if it has one,
    is better than `allowed`.
    """

    word: str
    allowed: str
    in_file: type
    read: Callable[[str], T]
    secret: bool = False


def whole(low: int, high: int) -> Kind[int]:
    """A whole number from `low` to `high`, both included."""

    def read(text: str) -> int:
        if not _WHOLE.fullmatch(text) or not low <= int(text) <= high:
            raise ValueError
        return int(text)

    return Kind("number", f"a whole number from {low} to {high}", int, read)


def boolean() -> Kind[bool]:
    """True or false; environments also write 1 and 0."""

    def read(text: str) -> bool:
        if text.lower() not in _BOOLEANS:
            raise ValueError
        return _BOOLEANS[text.lower()]

    return Kind("boolean", "true or false", bool, read)


def choice(*words: str, not_yet: str | None = None) -> Kind[str]:
    """One of a few words. `not_yet` is one that users know, and that this version cannot serve."""
    allowed = " or ".join(words) + (f" ({not_yet} is not in this version of Oris)" if not_yet else "")

    def read(text: str) -> str:
        if text not in words:
            raise ValueError
        return text

    return Kind("word", allowed, str, read)


def address() -> Kind[Address]:
    """Where to listen."""
    return Kind("address", ADDRESS_FORM, str, parse_address)


def networks() -> Kind[Networks]:
    """A set of IP addresses."""
    return Kind("networks", NETWORKS_FORM, str, parse_networks)


def log_levels() -> Kind[LogLevels]:
    """A filter for log lines."""
    return Kind("filter", LEVELS_FORM, str, parse_levels)


def file() -> Kind[Path]:
    """The path of a file that is read."""

    def read(text: str) -> Path:
        if not text or "\0" in text:
            raise ValueError
        return Path(text)

    return Kind("path", "the path of a file", str, read)


def database_file() -> Kind[Path]:
    """The path of a database file. SQLite's own special names are not paths, and would lose every job."""

    def read(text: str) -> Path:
        if not text or text.startswith(":") or "\0" in text:
            raise ValueError
        return Path(text)

    return Kind("path", "the path of a file (a database in memory would lose acknowledged jobs)", str, read)


def secret() -> Kind[Secret]:
    """A credential that can be sent in an HTTP header."""

    def read(text: str) -> Secret:
        if not text or not all("!" <= character <= "~" for character in text):
            raise ValueError
        return Secret(text)

    return Kind("secret", "visible ASCII characters without spaces", str, read, secret=True)
