"""What a request is for, however its first line says it (RFC 9112, section 3.2)."""

from __future__ import annotations

import re
from typing import TypeAlias

Fields: TypeAlias = list[tuple[bytes, bytes]]

_ABSOLUTE = re.compile(rb"https?://([^/?]+)(.*)", re.IGNORECASE)


def origin_form(target: bytes, fields: Fields) -> tuple[bytes, Fields]:
    """Path and query, and the header fields with the host that is meant.

    A target with scheme and host, as for a proxy, counts instead of the `Host` field. Other forms stay as they are, and
    are the path of no route.
    """
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        return target, fields
    authority, path = absolute.groups()
    others = [(name, value) for name, value in fields if name != b"host"]
    return path if path.startswith(b"/") else b"/" + path, [(b"host", authority), *others]
