"""Text that comes from outside, made safe to print: one line, no character that steers a terminal."""

from __future__ import annotations

import re

# C0, DEL and C1 controls, line and paragraph separators, the marks that reorder what a reader sees, and lone
# surrogates, which no encoding takes.
_STEERING = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def escape_controls(text: str) -> str:
    r"""The text with every control character written as `\uXXXX`, which inside a JSON string means the same."""
    return _STEERING.sub(_escaped, text)


def one_line(text: str, limit: int = 200) -> str:
    """The text escaped and cut to `limit` characters, for a message to a person."""
    safe = escape_controls(text[:limit])
    return safe if len(text) <= limit else safe + "…"
