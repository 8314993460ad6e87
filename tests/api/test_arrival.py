"""Whether what was sent has arrived, as a system's own words tell it."""

from __future__ import annotations

import fcntl
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from oris.api import arrival
from oris.api.arrival import LIMIT_S, has_arrived
from oris.api.stream import ClientStream


@contextmanager
def pair() -> Iterator[tuple[trio.socket.SocketType, socket.socket]]:
    """The server's end of a connection, and the client's."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        accepted, _ = listening.accept()
    with client, trio.socket.from_stdlib_socket(accepted) as ours:
        yield ours, client


async def test_what_a_client_may_still_read_has_arrived() -> None:
    with pair() as (ours, client):
        client.shutdown(socket.SHUT_WR)
        await ours.send(b"x")
        assert await has_arrived(ours)


async def test_what_was_sent_to_a_client_that_has_closed_has_not() -> None:
    with pair() as (ours, client):
        client.close()
        await ours.send(b"x")
        assert not await has_arrived(ours)


async def test_what_is_sent_on_a_connection_that_is_closed_here_has_not() -> None:
    with pair() as (ours, _client):
        ours.close()
        assert not await has_arrived(ours)


async def test_what_is_not_confirmed_is_waited_for_a_while_from_the_last_that_was(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    left = [3, 3, 2]
    monkeypatch.setattr(arrival, "_unconfirmed_bytes", lambda _socket: left.pop(0) if len(left) > 1 else left[0])
    with pair() as (ours, _client):
        assert not await has_arrived(ours)
    assert LIMIT_S < trio.current_time() < LIMIT_S + 0.1


async def test_where_a_system_cannot_tell_nothing_has_arrived(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> bytes:
        raise OSError("no such request")

    monkeypatch.setattr(fcntl, "ioctl", refuse)
    with pair() as (ours, _client):
        assert not await has_arrived(ours)


async def test_a_connection_that_was_closed_before_anybody_looks_out_for_its_end_is_broken() -> None:
    with pair() as (ours, _client):
        stream = ClientStream(trio.SocketStream(ours), 1.0)
        ours.close()
        await stream.look_out_for_end()
        assert (stream.gone, stream.broken) == (True, True)
