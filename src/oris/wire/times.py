"""Times on the wire: RFC 3339, UTC, milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

LAST_MS = 253_402_300_799_999
"""The last moment that can be written as a time."""


def rfc3339(ms: int) -> str:
    """`2026-01-31T23:59:59.123Z` for a time in ms."""
    second, rest = divmod(ms, 1000)
    return f"{_to_the_second(second)}.{rest:03d}Z"


def rfc3339_or_none(ms: int | None) -> str | None:
    """The same, for a time that may be missing."""
    return None if ms is None else rfc3339(ms)


def to_ms(at: datetime) -> int:
    """A time on the wire in ms; it carries its zone."""
    return int(at.timestamp() * 1000)


@lru_cache(maxsize=256)
def _to_the_second(second: int) -> str:
    # One busy second names itself thousands of times.
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
