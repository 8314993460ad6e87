"""Hypercorn's configuration. It takes a misspelt name without a word, so all is set here, by names that are checked."""

from __future__ import annotations

import logging

from hypercorn.config import Config

from oris.api.limits import HttpLimits
from oris.api.persistence import SLACK_S

BACKLOG = 1024

_REQUEST_LINE_BYTES = 8 * 1024

REQUESTS_MAX = 100_000
"""Requests on one connection; with the last answer it is closed, and says so."""


def hypercorn_config(
    limits: HttpLimits,
    *,
    keep_alive_timeout_s: float,
    logger: logging.Logger | None = None,
) -> Config:
    """The configuration of our listener's connections.

    `keep_alive_timeout_s` is the time to the first byte of a request that clients are told; a head that has begun has a
    time of its own.
    What hypercorn has to say goes to `logger`; None: nowhere. Raises AttributeError for a setting this hypercorn does
    not have.
    """
    return checked(
        accesslog=None,
        backlog=BACKLOG,
        errorlog=logger,
        graceful_timeout=0.0,  # our listener has its own
        # The parser's limit is on what has come of an unfinished head; the guard counts exactly.
        h11_max_incomplete_size=limits.headers_max_bytes + _REQUEST_LINE_BYTES,
        h2_max_concurrent_streams=16,
        include_server_header=False,
        keep_alive_timeout=keep_alive_timeout_s + SLACK_S,
        keep_alive_max_requests=REQUESTS_MAX,
        read_timeout=None,  # shorter than a parked poll it would cancel the poll
        server_names=[],  # which hosts are answered is the authenticator's decision
        ssl_handshake_timeout=5,
        websocket_max_message_size=0,
    )


def checked(**settings: object) -> Config:
    """A configuration with these settings. Raises AttributeError for a name hypercorn does not know."""
    config = Config()
    for name, value in settings.items():
        if not hasattr(config, name):
            raise AttributeError(f"hypercorn has no setting {name!r}")
        setattr(config, name, value)
    return config
