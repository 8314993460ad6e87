"""Who is at the other end: the address of the connection, or the one that a trusted proxy says it speaks for.

Only the operator knows which proxies tell the truth (`ORIS_TRUSTED_PROXIES`). From anybody else `X-Forwarded-For` and
`Forwarded` are what any client can write, and are not even read.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from oris.config.networks import IpAddress, Networks

_HOPS_MAX = 32
_FOR = re.compile(r'for\s*=\s*("(?:[^"\\]|\\.)*"|[^";,\s]*)', re.IGNORECASE)
_WITH_PORT = re.compile(r"\[([^\]]*)\](?::\d{1,5})?|([^:]*):\d{1,5}")


def client_address(peer: str, headers: Iterable[tuple[bytes, bytes]], trusted: Networks) -> str:
    """The client's address as text: the right-most that is not a trusted proxy's.

    `peer` is the address of the connection, `headers` the fields in their order, names in lower case. An entry that is
    no address ends the search: what the last proxy said that can be believed, counts. When both headers come and do not
    agree, one of them was passed through unseen, and neither is believed.
    """
    here = address_of(peer)
    if here is None:
        return peer
    if not trusted or here not in trusted:
        return str(here)
    told = {
        str(_right_most(here, hops, trusted))
        for hops in (_x_forwarded_for(headers), _forwarded(headers))
        if hops is not None
    }
    return told.pop() if len(told) == 1 else str(here)


def address_of(text: str) -> IpAddress | None:
    """The IP address in a text, which may have a port; an IPv4 address in the form of IPv6 becomes what it is."""
    text = text.strip()
    with_port = _WITH_PORT.fullmatch(text)
    if with_port:
        text = with_port[1] or with_port[2] or ""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _right_most(here: IpAddress, hops: list[str], trusted: Networks) -> IpAddress:
    client = here
    for hop in reversed(hops[-_HOPS_MAX:]):
        address = address_of(hop)
        if address is None:
            break
        client = address
        if address not in trusted:
            break
    return client


def _x_forwarded_for(headers: Iterable[tuple[bytes, bytes]]) -> list[str] | None:
    values = _values(headers, b"x-forwarded-for")
    return None if values is None else values.split(",")


def _forwarded(headers: Iterable[tuple[bytes, bytes]]) -> list[str] | None:
    values = _values(headers, b"forwarded")
    return None if values is None else [_for(element) for element in values.split(",")]


def _for(element: str) -> str:
    """The `for` of one element. A comma inside quotes ends an element too early, which no address has."""
    found = _FOR.search(element)
    return found[1].strip('"') if found else ""


def _values(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> str | None:
    values = [value.decode("latin-1") for name, value in headers if name == wanted]
    return ",".join(values) if values else None
