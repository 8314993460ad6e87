"""A client that reads an answer too slowly is cut off, however steadily it reads."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import pytest
import trio
from trio.testing import MockClock

from oris.api.stream import LEAST_BYTES_PER_S, PIECE_BYTES, ClientStream
from oris.api.tls_stream import TlsStream

from .front import WIRE

pytestmark = pytest.mark.usefixtures("wire")
STALL_S = 30.0
SIZE = 4 * 1024 * 1024


def _wrapped(end: socket.socket) -> trio.SocketStream:
    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return trio.SocketStream(trio.socket.from_stdlib_socket(end))


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[ClientStream, trio.abc.Stream]]:
    """The server's end and the client's, with or without TLS, and little room in between."""
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        if WIRE.credentials is None:
            yield ClientStream(_wrapped(ours), STALL_S), _wrapped(theirs)
            return
        context = WIRE.authority.client_context()
        client = trio.SSLStream(_wrapped(theirs), context, server_hostname="localhost", https_compatible=True)
        server = TlsStream(_wrapped(ours), STALL_S, WIRE.credentials.context)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.do_handshake)
            await server.handshake()
        yield server, client


async def read(stream: trio.abc.ReceiveStream, pause_s: float) -> int:
    """A piece at a time, and a pause after each."""
    got = due = 0
    while data := await stream.receive_some(PIECE_BYTES):
        got += len(data)
        if got >= due + PIECE_BYTES:
            due += PIECE_BYTES
            await trio.sleep(pause_s)
    return got


async def test_a_trickle_does_not_hold_an_answer_for_long(autojump_clock: MockClock) -> None:
    async with connected() as (server, client), trio.open_nursery() as nursery:
        nursery.start_soon(read, client, STALL_S - 1)
        with pytest.raises(trio.BrokenResourceError):
            await server.send_all(bytes(SIZE))
        assert trio.current_time() == STALL_S + SIZE / LEAST_BYTES_PER_S
        assert server.lost
        nursery.cancel_scope.cancel()


async def test_who_reads_at_the_least_rate_gets_all_of_it(autojump_clock: MockClock) -> None:
    got: list[int] = []
    async with connected() as (server, client):

        async def reading() -> None:
            got.append(await read(client, PIECE_BYTES / LEAST_BYTES_PER_S))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(reading)
            await server.send_all(bytes(SIZE))
            await server.aclose()
    assert got == [SIZE]
    assert not server.lost
