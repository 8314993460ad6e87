"""Probes of hostile clients, each over a raw socket against the real stack (docs/architecture.md, "api")."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from oris.api.auth import Authenticator
from oris.api.http import Role
from oris.api.limits import HttpLimits

from .front import BODY_MAX_BYTES, CREDENTIALS, PATIENCE_S, TOKENS, Client, Reply, ask, connect, request, running

JSON = ("Content-Type", "application/json")


def _code(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.error["code"]


async def _drip(client: Client, data: bytes) -> bytes:
    """Send byte after byte for as long as the server takes them; what it says to that, to its end."""
    answer = b""
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                try:
                    while True:
                        for byte in data:
                            await client.stream.send_all(bytes([byte]))
                            await trio.sleep(0.01)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return

            nursery.start_soon(send)
            try:
                while part := await client.stream.receive_some(65536):
                    answer += part
            except trio.BrokenResourceError:
                pass
            nursery.cancel_scope.cancel(reason="the server has closed")
    return answer


@pytest.mark.parametrize("asked_before", [False, True])
async def test_a_head_that_comes_byte_by_byte_is_cut_however_long_idle_connections_are_kept(asked_before: bool) -> None:
    async with running(limits=HttpLimits(head_timeout_s=0.2), keep_alive_timeout_s=1000) as front:
        client = await connect(front)
        if asked_before:
            assert (await client.ask(request("GET", "/healthz"))).status == 200
        await client.send(b"GET /healthz HTTP/1.1\r\n")
        assert await _drip(client, b"X-Slow: 1\r\n") == b""
        await front.connections.wait_none()


async def test_a_head_in_pieces_within_its_time_is_answered_and_the_connection_kept() -> None:
    async with running(limits=HttpLimits(head_timeout_s=PATIENCE_S), keep_alive_timeout_s=PATIENCE_S) as front:
        client = await connect(front)
        for _ in range(3):
            data = request("POST", "/v1/echo", b'{"value":1}')
            for at in range(0, len(data), 7):
                await client.send(data[at : at + 7])
                await trio.testing.wait_all_tasks_blocked()
            assert (await client.receive()).json["data"] == 1


async def test_a_body_that_comes_byte_by_byte_is_a_timeout() -> None:
    async with running(limits=HttpLimits(body_timeout_s=0.2, linger_s=0.1)) as front:
        client = await connect(front)
        await client.send(request("POST", "/v1/echo", b" " * 4000)[:-4000])
        answer = await _drip(client, b" ")
        assert answer.startswith(b"HTTP/1.1 408")
        assert b'"code":"timeout"' in answer
        await front.connections.wait_none()


async def test_a_body_of_tiny_chunks_is_read_as_one() -> None:
    body = b'{"value":"' + b"x" * (BODY_MAX_BYTES - 12) + b'"}'
    head = b"POST /v1/echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with running(Authenticator(CREDENTIALS)) as front:
        head = head.replace(b"Host: a", b"Host: a\r\nAuthorization: Bearer " + TOKENS[Role.CLIENT].encode())
        reply = await ask(front, head + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")
        assert len(reply.json["data"]) == BODY_MAX_BYTES - 12


async def test_who_asks_before_it_sends_its_body_is_told_to_only_when_the_head_is_in_order() -> None:
    """curl does so from 1 MB on: a body that nobody will read is never sent."""
    body = b'{"value":1}'
    expect = ("Expect", "100-continue")
    async with running(Authenticator(CREDENTIALS)) as front:
        stranger = await connect(front)
        await stranger.send(request("POST", "/v1/echo", body, JSON, expect)[: -len(body)])
        assert _code(await stranger.receive()) == (401, "unauthorized")
        client = await connect(front)
        for _ in range(2):
            await client.send(request("POST", "/v1/echo", body, JSON, expect, token=TOKENS[Role.CLIENT])[: -len(body)])
            assert await client.stream.receive_some(65536) == b"HTTP/1.1 100 \r\n\r\n"
            await client.send(body)
            assert (await client.receive()).json["data"] == 1
        impatient = request("POST", "/v1/echo", body, JSON, expect, token=TOKENS[Role.CLIENT])
        await client.send(impatient)
        assert (await client.receive()).json["data"] == 1


@pytest.mark.parametrize("encoding", ["gzip", "identity", "br, gzip", ""])
async def test_any_content_encoding_is_refused(encoding: str) -> None:
    async with running() as front:
        reply = await ask(front, request("POST", "/v1/echo", b'{"value":1}', ("Content-Encoding", encoding)))
        assert _code(reply) == (415, "unsupported_media_type")
        assert front.witness.calls == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"value":NaN}',
        b'{"value":-Infinity}',
        b'{"value":1e999}',
        b'{"value":' + b"9" * 400 + b"}",
        b'{"value":1,"value":2}',
        b'{"value":"\\u0000"}',
        b'{"value":"\x00"}',
        b'{"value":"\\ud800"}',
        b'{"value":"\xff"}',
        b'{"value":' + b"[" * 64 + b"]" * 64 + b"}",
        b'{"value":1}{"value":2}',
        b"\xef\xbb\xbf" + b'{"value":1}',
        b'{"value":1}'.decode().encode("utf-16"),
        b"[]",
        b"null",
    ],
    ids=lambda body: repr(body[:24]),
)
async def test_json_that_other_readers_would_stumble_over_is_refused(body: bytes) -> None:
    async with running() as front:
        client = await connect(front)
        assert _code(await client.ask(request("POST", "/v1/echo", body))) == (400, "invalid_argument")
        assert front.witness.calls == []
        assert (await client.ask(request("POST", "/v1/echo", b'{"value":1}'))).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b'{"reason":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"{" + b",".join(b'"k%d":%d' % (i, i) for i in range(80_000)) + b"}",
        b'{"reason":"' + b"\\u0000" * 80_000 + b'"}',
    ],
    ids=["100,000 deep", "80,000 keys", "80,000 NULs"],
)
async def test_large_traps_are_refused_and_the_connection_goes_on(body: bytes) -> None:
    async with running() as front:
        client = await connect(front)
        assert _code(await client.ask(request("POST", "/v1/things/a/cancel", body))) == (400, "invalid_argument")
        assert (await client.ask(request("GET", "/healthz"))).status == 200


@pytest.mark.parametrize("host", ["attacker.example", "localhost.attacker.example", "192.0.2.1", "[2001:db8::1]:80"])
async def test_the_open_api_refuses_a_foreign_host(host: str) -> None:
    async with running() as front:
        reply = await ask(front, request("GET", "/v1/things/a", b"", ("Host", host)))
        assert _code(reply) == (403, "forbidden")
        assert reply.error["details"] == {"reason": "foreign_host"}


@pytest.mark.parametrize(
    "header", [("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-Proto", "https"), ("Forwarded", "for=127.0.0.1")]
)
async def test_the_open_api_refuses_what_came_through_a_proxy(header: tuple[str, str]) -> None:
    async with running() as front:
        reply = await ask(front, request("GET", "/v1/things/a", b"", header))
        assert _code(reply) == (403, "forbidden")
        assert reply.error["details"] == {"reason": "forwarded_header"}


@pytest.mark.parametrize(
    "headers",
    [
        [("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "AAAA")],
        [("Sec-WebSocket-Version", "8"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")],
        [],
    ],
    ids=["a broken key", "an old version", "nothing"],
)
async def test_a_broken_websocket_handshake_is_a_request_like_others(headers: list[tuple[str, str]]) -> None:
    """The fuzzer found it: hypercorn answered these by itself, without a body."""
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), *headers]
    async with running() as front:
        assert (await ask(front, request("GET", "/healthz", b"", *upgrade))).body == b"fine\n"


@pytest.mark.parametrize(
    "fields",
    [
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 5 5",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: \x0bchunked",
        "Host: localhost",
        "X: a\x00b",
    ],
)
async def test_a_head_with_two_meanings_is_refused_and_the_connection_ends(fields: str) -> None:
    data = f"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{fields}\r\n\r\nhello"
    async with running() as front:
        client = await connect(front)
        assert _code(await client.ask(data.encode("latin-1"))) == (400, "invalid_argument")
        assert await client.is_closed()
        assert front.witness.calls == []
