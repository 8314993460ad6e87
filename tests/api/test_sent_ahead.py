"""Requests that a client sends at once, many on one connection: all are answered, and none once nobody gets answers."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from oris.api.stream import ClientStream

from .front import PATIENCE_S, Client, Front, connect, request, running

pytestmark = pytest.mark.usefixtures("wire")

AHEAD = 2000
THING = request("GET", "/v1/things/a")


def _close(front: Front, client: Client, *, reset: bool = False) -> None:
    """Without a goodbye, also under TLS."""
    if reset:
        client.reset()
    else:
        client.socket.close()


async def _sends_ahead(front: Front, first: str, count: int = AHEAD) -> tuple[Client, ClientStream]:
    """A client with many requests behind one that is under way; and the server's end of its connection."""
    client = await connect(front)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.send, request("GET", first) + THING * count)
        await front.witness.entered.wait()
        nursery.cancel_scope.cancel(reason="the rest of it stays with the client")
    (stream,) = front.connections._open
    return client, stream


async def _sees_the_reset(stream: ClientStream) -> None:
    while not stream.is_broken():
        await trio.lowlevel.checkpoint()


async def test_of_a_connection_that_was_reset_no_further_request_is_looked_at() -> None:
    async with running() as front:
        client, stream = await _sends_ahead(front, "/v1/late")
        _close(front, client, reset=True)
        await _sees_the_reset(stream)
        front.witness.release.set()
        await front.connections.wait_none()
        assert front.observed.seen == [("/v1/late", "GET", 200)]
        assert front.witness.undelivered.is_set()
        assert front.faults.seen == []


async def test_of_a_connection_that_was_closed_no_request_is_looked_at_beyond_what_tells() -> None:
    """That a client has closed, and not only ended its own side, is told by what its system says to an answer."""
    async with running() as front:
        client, _ = await _sends_ahead(front, "/v1/late")
        _close(front, client)
        front.witness.release.set()
        await front.connections.wait_none()
        assert len(front.observed.seen) <= 3
        assert front.faults.seen == []


async def test_of_a_connection_that_is_closed_for_others_no_further_request_is_looked_at() -> None:
    async with running() as front:
        _, stream = await _sends_ahead(front, "/v1/late")
        counted: list[int] = []
        tell = stream.on_rest

        def closed_for_another(stream: ClientStream, rests: bool) -> None:
            tell(stream, rests)
            if rests:
                found = front.connections.make_room()
                assert found is stream
                found.release()
                counted.append(front.connections.count)

        stream.on_rest = closed_for_another
        front.witness.release.set()
        await front.connections.wait_none()
        assert front.observed.seen == [("/v1/late", "GET", 200)]
        assert counted == [1], "it counts until its task is over"
        assert front.faults.seen == []


async def test_one_whose_connection_is_closed_between_its_head_and_its_turn_is_not_looked_at() -> None:
    async with running() as front:
        _, stream = await _sends_ahead(front, "/v1/late")
        tell = stream.on_rest

        def closed_at_the_head(stream: ClientStream, rests: bool) -> None:
            tell(stream, rests)
            if not rests:
                stream.release()

        stream.on_rest = closed_at_the_head
        front.witness.release.set()
        await front.connections.wait_none()
        assert front.observed.seen == [("/v1/late", "GET", 200)]
        assert front.faults.seen == []


async def test_a_client_that_has_ended_its_own_side_gets_all_its_answers() -> None:
    count = 100
    async with running() as front:
        client, stream = await _sends_ahead(front, "/v1/late", count)
        await client.end()
        while not stream._has_hung_up():
            await trio.lowlevel.checkpoint()
        front.witness.release.set()
        for _ in range(1 + count):
            assert (await client.receive()).status == 200
        await front.connections.wait_none()


async def test_a_stream_with_requests_behind_it_ends_with_its_client() -> None:
    async with running() as front:
        client, _ = await _sends_ahead(front, "/v1/stream/endless")
        _close(front, client, reset=True)
        await front.witness.cancelled.wait()
        await front.connections.wait_none()
        assert front.observed.seen == [("/v1/stream/{how}", "GET", 200)]
        assert front.faults.seen == []


async def test_a_stop_waits_for_the_request_under_way_and_for_none_behind_it() -> None:
    async with running(grace_s=3 * PATIENCE_S) as front:
        client, _ = await _sends_ahead(front, "/v1/late", 10)
        front.stop.set()
        await trio.testing.wait_all_tasks_blocked()
        front.witness.release.set()
        assert (await client.receive()).status == 200
        await front.stopped.wait()
        assert front.observed.seen == [("/v1/late", "GET", 200)]
