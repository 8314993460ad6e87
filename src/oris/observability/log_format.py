"""A log event as one line of JSON for machines, or as text for a person at a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Final

from oris.config.one_line import escape_controls

Render = Callable[[Mapping[str, object]], str]
"""Makes one line, without its end, out of `ts`, `level`, `logger`, `event` and whatever else there is."""

_HEAD: Final = ("ts", "level", "logger", "event", "exception")
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_PLAIN = re.compile(r"[^\s\"=\\]+")


def render_json(event: Mapping[str, object]) -> str:
    """One JSON object. Only the exception's text has line ends, and they are escaped like all controls."""
    return escape_controls(_encode(event))


def render_console(event: Mapping[str, object]) -> str:
    """Time, level, logger, event and `key=value`; a traceback follows, indented so that it fakes no line."""
    fields = "".join(f" {escape_controls(key)}={_console(event[key])}" for key in event if key not in _HEAD)
    line = f"{event['ts']} {event['level']:<7} {event['logger']}: {event['event']}"
    return escape_controls(line) + fields + _indented(event.get("exception"))


def _console(value: object) -> str:
    text = value if isinstance(value, str) else _encode(value)
    if isinstance(value, str) and not _PLAIN.fullmatch(text):
        text = _encode(text)
    return escape_controls(text)


def _indented(exception: object) -> str:
    if exception is None:
        return ""
    return "".join(f"\n    {escape_controls(line)}" for line in str(exception).rstrip().split("\n"))
