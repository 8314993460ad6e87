"""How long a connection is kept for the next request, as client and server tell each other (RFC 9112, section 9.3)."""

from __future__ import annotations

import h11
from hypercorn.config import Config

SLACK_S = 1.0
"""So much longer than told a connection is kept: a request that was sent in time is not met by its end."""
CLOSES = [(b"connection", b"close")]


def may_persist(request: h11.Request) -> bool:
    """Whether the client would send another request on the same connection."""
    if request.http_version < b"1.1":
        return False
    said = b",".join(value for name, value in request.headers if name == b"connection")
    return b"close" not in (token.strip().lower() for token in said.split(b","))


def kept(config: Config) -> list[tuple[bytes, bytes]]:
    """The header fields that say how long; none where it is less than the second that can be said."""
    seconds = int(config.keep_alive_timeout - SLACK_S)
    if seconds < 1:
        return []
    # A field about the connection has to be named in `Connection`.
    return [(b"connection", b"keep-alive"), (b"keep-alive", b"timeout=%d" % seconds)]
