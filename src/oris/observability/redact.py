"""What must never be in a log: credentials, and the data of the people who use Oris."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Final

REDACTED: Final = "[redacted]"

# What jobs carry. Exact names, so that `result_bytes` or `input_digest` can be logged.
_PAYLOADS: Final = frozenset(
    {"body", "checkpoint", "data", "expire_value", "input", "metadata", "output", "params", "payload", "query"}
    | {"result", "settled_value", "value", "values"}
)
# A name with one of these words in it holds a credential.
_CREDENTIALS: Final = (
    "authorization",
    "token",
    "secret",
    "password",
    "apikey",
    "api_key",
    "anchor_key",
    "cookie",
    "credential",
)
# The secret of an API key, wherever it has got to: into a path by mistake, into the text of an error.
_SECRET: Final = re.compile(r"oris_[A-Za-z0-9_-]{43}")
_MAX_DEPTH: Final = 6
_MAX_ITEMS: Final = 64
_MAX_CHARACTERS: Final = 4096


@lru_cache(maxsize=1024)
def is_private(key: str) -> bool:
    """Whether values of this name are kept out of the logs; `X-Api-Key` is the same name as `x_api_key`."""
    name = key.lower().replace("-", "_")
    return name in _PAYLOADS or any(word in name for word in _CREDENTIALS)


def redact_secrets(text: str) -> str:
    """A text without the secrets of API keys."""
    return _SECRET.sub(REDACTED, text) if "oris_" in text else text


def redact(value: object, depth: int = 0) -> object:
    """A copy with private values replaced at any depth, made of plain types, and bounded in size.

    Longer texts and lists are cut, and deeper nesting, bytes and unknown objects are shown as what they are only.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, int):
        return value if value is None or value.bit_length() <= 64 else "[int]"
    if isinstance(value, str):
        text = redact_secrets(value)
        return text if len(text) <= _MAX_CHARACTERS else text[:_MAX_CHARACTERS] + "…"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    if depth >= _MAX_DEPTH:
        return f"[{type(value).__name__}]"
    if isinstance(value, dict):
        return {
            redact_secrets(str(key)): REDACTED if is_private(str(key)) else redact(item, depth + 1)
            for key, item in list(value.items())[:_MAX_ITEMS]
        }
    if isinstance(value, set | frozenset):
        value = sorted(value, key=str)  # the same in every process
    if isinstance(value, list | tuple):
        return [redact(item, depth + 1) for item in list(value)[:_MAX_ITEMS]]
    return _as_text(value)


def _as_text(value: object) -> object:
    """The text of an object whose author wrote one; the generated ones would show all its fields."""
    if type(value).__str__ is object.__str__:
        return f"[{type(value).__name__}]"
    try:
        return redact(str(value))
    except Exception as error:  # whatever is logged, the caller goes on
        return f"[{type(value).__name__}, unprintable: {type(error).__name__}]"
