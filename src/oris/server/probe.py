"""How the server asks itself whether it still answers: as a client would, until the first byte of an answer."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from functools import cache
from typing import TypeAlias

import trio

from oris.api.tls import ServerTls

Probe: TypeAlias = Callable[[trio.SocketStream], Awaitable[None]]
"""Asks on a fresh connection. Raises trio's errors when that is cut, which is an answer too."""

_REQUEST = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


def probe_for(tls: ServerTls | None) -> Probe:
    """The one for an address with this TLS, as it is now."""
    if tls is None:
        return ask_plainly
    return say_hello if tls.asks_clients else ask_encrypted


async def ask_plainly(stream: trio.abc.Stream) -> None:
    """A request over HTTP."""
    await stream.send_all(_REQUEST)
    await stream.receive_some(1)


async def ask_encrypted(stream: trio.SocketStream) -> None:
    """The same over TLS. Whose certificate it is does not matter: what is asked is whether somebody is there."""
    await ask_plainly(trio.SSLStream(stream, _trusting(), https_compatible=True))


async def say_hello(stream: trio.SocketStream) -> None:
    """Only the beginning of a handshake: without a certificate it would be refused, over and over."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        _trusting().wrap_bio(incoming, outgoing).do_handshake()
    except ssl.SSLWantReadError:
        await stream.send_all(outgoing.read())
    await stream.receive_some(1)


@cache
def _trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
