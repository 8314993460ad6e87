"""Answers that come piece by piece: whole at their end, recognisably cut off everywhere else, and never kept for a
client that does not read."""

from __future__ import annotations

import json

import pytest
import trio

from oris.api.dispatch import RawRequest
from oris.api.limits import HttpLimits

from .front import Client, Front, connect, make_front, request, running
from .test_delivery import Stage, cancel_after

pytestmark = pytest.mark.usefixtures("wire")
END = b"0\r\n\r\n"


async def read_until(client: Client, end: bytes) -> bytes:
    """What comes up to these bytes."""
    while end not in client._buffer:
        await client._more()
    found, _, rest = bytes(client._buffer).partition(end)
    client._buffer[:] = rest
    return found + end


async def rest_of(client: Client) -> bytes:
    """What comes until the server closes."""
    found = bytes(client._buffer)
    try:
        while data := await client.stream.receive_some(65536):
            found += data
    except trio.BrokenResourceError:
        pass
    return found


def pieces(raw: bytes) -> list[bytes]:
    """The chunks of a body."""
    found = []
    while raw:
        size, _, raw = raw.partition(b"\r\n")
        found.append(raw[: int(size, 16)])
        raw = raw[int(size, 16) + 2 :]
    return found


async def start(front: Front, how: str, *headers: tuple[str, str]) -> tuple[Client, bytes]:
    """A client that has the head of a stream."""
    client = await connect(front)
    await client.send(request("GET", f"/v1/stream/{how}", b"", *headers))
    return client, await read_until(client, b"\r\n\r\n")


async def test_a_stream_arrives_piece_by_piece_and_its_connection_serves_the_next_request() -> None:
    async with running() as front:
        client, head = await start(front, "waits")
        assert b"transfer-encoding: chunked" in head.lower()
        assert b"content-length" not in head.lower()
        assert await read_until(client, b"[1,\r\n") == b"3\r\n[1,\r\n"
        front.witness.release.set()
        assert pieces(await read_until(client, END)) == [b"2]", b""]
        assert (await client.ask(request("GET", "/v1/things/a"))).status == 200
        assert not front.witness.undelivered.is_set()
        assert front.observed.seen[0] == ("/v1/stream/{how}", "GET", 200)


async def test_a_client_of_http_1_0_gets_the_pieces_and_then_the_end_of_the_connection() -> None:
    async with running() as front:
        client = await connect(front)
        await client.send(b"GET /v1/stream/plain HTTP/1.0\r\nHost: localhost\r\n\r\n")
        head, _, body = (await rest_of(client)).partition(b"\r\n\r\n")
        assert (head.split()[1], body) == (b"200", b"[1,2]")
        assert b"chunked" not in head


async def test_a_head_request_for_a_stream_gets_no_body_and_starts_nothing() -> None:
    async with running() as front:
        client = await connect(front)
        await client.send(request("HEAD", "/v1/stream/endless"))
        assert b" 200 " in await read_until(client, b"\r\n\r\n")
        assert (await client.ask(request("GET", "/v1/things/a"))).status == 200
        assert not front.witness.entered.is_set()


async def test_an_answer_without_content_has_no_length_and_no_type() -> None:
    async with running() as front:
        client = await connect(front)
        await client.send(request("GET", "/v1/nothing"))
        head = await read_until(client, b"\r\n\r\n")
        assert b" 204 " in head
        assert b"content-" not in head.lower()
        assert (await client.ask(request("GET", "/v1/things/a"))).status == 200


@pytest.mark.parametrize(("how", "expected"), [("unreadable", (503, "unavailable")), ("broken", (500, "internal"))])
async def test_a_stream_that_fails_before_its_first_piece_is_answered_as_usual(
    how: str, expected: tuple[int, str]
) -> None:
    async with running() as front:
        client = await connect(front)
        reply = await client.ask(request("GET", f"/v1/stream/{how}"))
        assert (reply.status, reply.error["code"]) == expected
        await front.witness.undelivered.wait()
        assert len(front.faults.seen) == (how == "broken")
        assert (await client.ask(request("GET", "/v1/things/a"))).status == 200


@pytest.mark.parametrize("how", ["torn", "bug"])
async def test_a_stream_that_fails_later_is_cut_off_without_an_end(how: str) -> None:
    async with running() as front:
        client, _ = await start(front, how)
        assert await rest_of(client) == b"3\r\n[1,\r\n"
        await front.connections.wait_none()
        assert front.witness.undelivered.is_set()
        assert len(front.faults.seen) == (how == "bug")


async def test_a_client_that_leaves_ends_its_stream_at_once() -> None:
    async with running() as front:
        client, _ = await start(front, "waits")
        await client.stream.aclose()
        await front.witness.cancelled.wait()
        await front.connections.wait_none()
        assert front.witness.undelivered.is_set()
        assert front.faults.seen == []


async def test_a_client_that_does_not_read_is_cut_off_and_nothing_is_kept_for_it() -> None:
    async with running(limits=HttpLimits(send_stall_s=0.2)) as front:
        await start(front, "endless")
        await front.witness.cancelled.wait()
        await front.connections.wait_none()
        written = len(front.witness.calls)
        assert written * 64 * 1024 < 32 * 1024 * 1024  # what two sockets may hold, and no more
        assert front.witness.undelivered.is_set()
        assert front.faults.seen == []


async def test_a_stream_that_is_under_way_is_cut_off_by_the_end_of_the_server() -> None:
    async with running() as front:
        client, _ = await start(front, "waits")
        front.stop.set()
        await front.stopped.wait()
        assert await rest_of(client) == b"3\r\n[1,\r\n"
        assert front.witness.undelivered.is_set()


async def test_a_client_that_sends_rubbish_behind_its_request_gets_its_stream_first() -> None:
    async with running() as front:
        client = await connect(front)
        await client.send(request("GET", "/v1/stream/waits") + b"\0\0\0\r\n\r\n")
        await read_until(client, b"[1,\r\n")
        front.witness.release.set()
        assert (await rest_of(client)).startswith(b"2\r\n2]\r\n0\r\n\r\n")
        await front.connections.wait_none()


async def test_without_a_socket_a_stream_is_answered_whole() -> None:
    front = make_front()
    answer = await front.dispatcher.dispatch(RawRequest("GET", "/v1/stream/plain"))
    assert (answer.status, json.loads(answer.body)) == (200, [1, 2])
    for how, status in (("unreadable", 503), ("torn", 503), ("broken", 500), ("bug", 500)):
        assert (await front.dispatcher.dispatch(RawRequest("GET", f"/v1/stream/{how}"))).status == status
    assert len(front.faults.seen) == 2


async def test_a_stream_cancelled_at_any_checkpoint_is_delivered_or_says_so() -> None:
    """Over the ASGI conversation, as for whole answers."""
    cut = 0
    for steps in range(300):
        front, stage = make_front(), Stage("/v1/stream/plain")
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(cancel_after, steps, scope)
                await stage.run(front)
                nursery.cancel_scope.cancel()
        ended = bool(stage.sent) and stage.sent[-1]["type"] == "http.response.trailers"
        answered = ("/v1/stream/{how}", "GET", 200) in front.observed.seen
        assert front.witness.undelivered.is_set() == (answered and not ended)
        if ended:
            break
        cut += 1
    assert ended
    assert cut > 5
