"""How much a client may ask of the front before a handler has seen anything of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Bounds on requests and connections. A route's own body limit is in the route table."""

    header_fields_max: int = 64
    headers_max_bytes: int = 16 * 1024
    """Names and values of all header fields together."""
    head_timeout_s: float = 5.0
    """From the first byte of a head to its end; then the connection is closed."""
    body_timeout_s: float = 30.0
    """From the end of the head to the end of the body; then 408."""
    bodies_in_flight_max_bytes: int = 256 * 1024 * 1024
    """Bodies held for all requests together; then 503."""
    answers_in_flight_max_bytes: int = 256 * 1024 * 1024
    """Answers held for all clients together, until these have taken them."""
    json_depth_max: int = 64
    """How deep a body may be nested."""
    linger_s: float = 1.0
    """How long the rest of a refused body is read and thrown away, so that the client gets to read the refusal."""
    connections_max: int = 4096
    handshake_s: float = 5.0
    """How long a client may take to agree on TLS."""
    send_stall_s: float = 30.0
    """A client that takes no byte for this long while there is something to send is cut off."""
