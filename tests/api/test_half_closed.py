"""Clients that end their side of the connection and go on listening, as RFC 9112, section 9.6, lets them.

Whether such a client still listens, only sending tells: it gets its answer at once, and that counts as delivered when
its system has confirmed it.
"""

from __future__ import annotations

import socket
from contextlib import suppress

import h11
import pytest
import trio

from oris.api import arrival, stream
from oris.api.limits import HttpLimits

from .front import PATIENCE_S, Client, Front, connect, request, running

pytestmark = pytest.mark.usefixtures("wire")


async def _asks_and_ends(front: Front, *requests: bytes) -> Client:
    client = await connect(front)
    await client.send(b"".join(requests))
    await client.end()
    return client


async def test_a_client_that_ends_its_side_behind_its_request_is_answered() -> None:
    async with running() as front:
        client = await _asks_and_ends(front, request("POST", "/v1/echo", b'{"value":1}'))
        assert (await client.receive()).json["data"] == 1
        assert await client.is_closed()
        await front.connections.wait_none()


async def test_what_is_under_way_when_the_client_ends_its_side_is_answered_and_counts_as_delivered() -> None:
    async with running() as front:
        client = await _asks_and_ends(front, request("GET", "/v1/late"))
        await front.witness.entered.wait()
        (line,) = front.connections._open
        while not line.gone:
            await trio.lowlevel.checkpoint()
        front.witness.release.set()
        assert (await client.receive()).status == 200
        await front.connections.wait_none()
        assert not front.witness.undelivered.is_set()


async def test_a_wait_ends_when_the_client_ends_its_side() -> None:
    async with running() as front:
        client = await connect(front)
        await client.send(request("GET", "/v1/park"))
        await front.witness.entered.wait()
        await client.end()
        assert (await client.receive()).status == 200
        await front.connections.wait_none()
        assert not front.witness.cancelled.is_set()
        assert not front.witness.undelivered.is_set()


OFFER = (("Connection", "Upgrade"), ("Upgrade", "h2c"))
WAITING = {
    "plainly": request("GET", "/v1/park"),
    "with an offer of HTTP/2": request("GET", "/v1/park", b"", *OFFER),
    "with an empty line behind": request("GET", "/v1/park") + b"\r\n",
    "with another request behind": request("GET", "/v1/park") + request("GET", "/healthz"),
    "with many requests behind": request("GET", "/v1/park") + request("GET", "/healthz") * 2000,
}


@pytest.mark.parametrize("dies", [True, False], ids=["reset", "closed"])
@pytest.mark.parametrize("how", WAITING)
async def test_a_client_that_goes_while_it_waits_is_let_go_and_nothing_counts_as_delivered(
    how: str, dies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parser reads no further where another protocol is offered (Java's client offers it with each request), or
    where there is something behind the request."""
    monkeypatch.setattr(stream, "LOOK_OUT_S", 0.01)
    async with running() as front:
        client = await connect(front)
        await client.send(WAITING[how])
        await front.witness.entered.wait()
        if dies:
            client.reset()
        else:
            client.socket.close()
        await front.connections.wait_none()
        assert front.witness.undelivered.is_set() or front.witness.cancelled.is_set()
        assert front.faults.seen == []


async def test_what_is_sent_in_a_row_before_the_end_is_answered_in_a_row() -> None:
    async with running() as front:
        echoes = (request("POST", "/v1/echo", b'{"value":%d}' % number) for number in range(5))
        client = await _asks_and_ends(front, *echoes, request("GET", "/healthz"))
        assert [(await client.receive()).json["data"] for _ in range(5)] == [0, 1, 2, 3, 4]
        assert (await client.receive()).status == 200
        assert await client.is_closed()


async def test_a_wait_with_more_behind_it_ends_with_the_clients_side_too() -> None:
    """Nothing is read while an answer is under way. The fuzzer found it, with a stream that was never ended."""
    for ended_first in (True, False):
        async with running() as front:
            client = await connect(front)
            await client.send(request("GET", "/v1/park") + request("GET", "/healthz"))
            if not ended_first:
                await front.witness.entered.wait()
            await client.end()
            assert [(await client.receive()).status for _ in range(2)] == [200, 200]
            await front.connections.wait_none()


async def test_a_request_that_is_cut_short_by_the_end_is_refused_and_not_carried_out() -> None:
    async with running() as front:
        client = await _asks_and_ends(front, request("POST", "/v1/echo", b'{"value":1}')[:-3])
        assert (await client.receive()).status == 400
        assert await client.is_closed()
        assert front.witness.calls == []


async def test_a_client_that_ends_its_side_and_reads_a_large_answer_slowly_gets_all_of_it() -> None:
    async with running() as front:
        client = await _asks_and_ends(front, request("GET", "/v1/big"))
        assert len((await client.receive()).body) > 32 * 1024 * 1024
        await front.connections.wait_none()
        assert not front.witness.undelivered.is_set()


async def test_a_client_that_ends_its_side_and_never_reads_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "LIMIT_S", 0.0)
    async with running(limits=HttpLimits(send_stall_s=0.1)) as front:
        await _asks_and_ends(front, request("GET", "/v1/big"))
        await front.witness.undelivered.wait()
        await front.connections.wait_none()


async def test_a_stop_does_not_wait_longer_for_a_client_that_has_ended_its_side() -> None:
    async with running(grace_s=PATIENCE_S) as front:
        client = await _asks_and_ends(front, request("GET", "/v1/late"))
        await front.witness.entered.wait()
        front.stop.set()
        front.witness.release.set()
        assert (await client.receive()).status == 200
        await front.stopped.wait()


async def test_a_client_that_ends_its_side_below_tls_alone_is_answered(wire: str) -> None:
    """RFC 9112, section 9.8: servers are to be prepared for that. The request says how long it is, and was whole."""
    async with running() as front:
        client = await connect(front)
        await client.send(request("POST", "/v1/echo", b'{"value":1}'))
        client.socket.shutdown(socket.SHUT_WR)
        assert (await client.receive()).json["data"] == 1
        await front.connections.wait_none()


async def test_the_last_answer_to_a_client_that_has_ended_its_side_says_that_the_connection_closes() -> None:
    async with running() as front:
        client = await _asks_and_ends(front, request("GET", "/healthz") * 2, request("GET", "/v1/park"))
        told = [(await client.receive()).header("connection") for _ in range(3)]
        assert told[-1] == "close"


async def test_what_comes_behind_the_last_request_of_a_connection_is_thrown_away() -> None:
    """However much it is: nothing of it is kept while the answer is under way."""
    async with running() as front:
        client = await connect(front)
        await client.send(request("GET", "/v1/late", b"", ("Connection", "close")))
        await front.witness.entered.wait()
        for _ in range(64):
            await client.send(b"\r\n" * 32 * 1024)
        front.witness.release.set()
        assert (await client.receive()).status == 200


async def test_nothing_is_kept_of_what_comes_behind_a_broken_chunk_of_a_refused_body(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept: list[int] = []
    receive_data = h11.Connection.receive_data

    def counted(connection: h11.Connection, data: bytes) -> None:
        kept.append(len(data))
        receive_data(connection, data)

    monkeypatch.setattr(h11.Connection, "receive_data", counted)
    async with running(limits=HttpLimits(linger_s=0.2)) as front:
        client = await connect(front)
        head = request("POST", "/v1/nowhere", b"", ("Transfer-Encoding", "chunked"))
        await client.send(head + b"5\r\nhello\r\n")
        assert (await client.receive()).status == 404
        with suppress(trio.BrokenResourceError):
            await client.send(b"XX\r\n")
            for _ in range(64):
                await client.send(b"x" * 64 * 1024)
        await front.connections.wait_none()
        assert sum(kept) < 2 * 64 * 1024 + 1000, "a part or two may come with what breaks it"
