"""Hostile and broken requests on the real stack: each gets the envelope, and none gets to a handler."""

from __future__ import annotations

import pytest
import trio

from oris.api.auth import Authenticator
from oris.api.http import Role
from oris.api.limits import HttpLimits

from .front import BODY_MAX_BYTES, CREDENTIALS, TOKENS, Reply, ask, connect, request, running

pytestmark = pytest.mark.usefixtures("wire")


def _raw(*lines: str, body: bytes = b"") -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _chunked(*parts: bytes, end: bool = True) -> bytes:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return chunks + (b"0\r\n\r\n" if end else b"")


def _post(*headers: str, body: bytes = b"") -> bytes:
    return _raw("POST /v1/echo HTTP/1.1", "Host: localhost", *headers, body=body)


def _code(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.error["code"]


async def test_length_and_chunks_together_are_refused_and_the_connection_ends() -> None:
    async with running() as front:
        client = await connect(front)
        data = _post(
            "Content-Type: application/json",
            "Content-Length: 11",
            "Transfer-Encoding: chunked",
            body=_chunked(b'{"value":1}'),
        )
        assert _code(await client.ask(data)) == (400, "invalid_argument")
        assert await client.is_closed()
        assert front.witness.calls == []


@pytest.mark.parametrize(
    ("fields", "length", "status"), [(62, 10, 200), (65, 10, 431), (10, 1500, 200), (10, 1700, 431)]
)
async def test_header_fields_are_limited_in_number_and_size(fields: int, length: int, status: int) -> None:
    headers = [(f"X-Filler-{i}", "v" * length) for i in range(fields)]
    async with running() as front:
        reply = await ask(front, request("GET", "/healthz", b"", *headers))
        assert reply.status == status
        if status != 200:
            assert reply.error["code"] == "headers_too_large"


async def test_a_head_without_end_is_refused_by_the_parser_with_the_envelope() -> None:
    async with running() as front:
        client = await connect(front)
        for _ in range(5):
            await client.send(b"x" * 8000)
        reply = await client.receive()
        assert _code(reply) == (431, "headers_too_large")


async def test_bytes_that_are_no_request_get_the_envelope() -> None:
    async with running() as front:
        client = await connect(front)
        assert _code(await client.ask(b"this is no http\r\n\r\n")) == (400, "invalid_argument")
        assert await client.is_closed()


async def test_a_body_over_the_routes_limit_is_refused_by_its_length_before_it_is_sent() -> None:
    async with running() as front:
        client = await connect(front)
        headers = ("Content-Type: application/json", f"Content-Length: {BODY_MAX_BYTES + 1}")
        reply = await client.ask(_post(*headers))
        assert _code(reply) == (413, "payload_too_large")
        assert reply.error["details"] == {"limit_bytes": BODY_MAX_BYTES}
        assert reply.header("connection") == "close"


async def test_a_body_over_the_routes_limit_is_refused_in_chunks_before_its_end() -> None:
    async with running() as front:
        assert front.guard is not None
        client = await connect(front)
        body = _chunked(*[b"x" * (BODY_MAX_BYTES // 4)] * 5, end=False)
        reply = await client.ask(_post("Content-Type: application/json", "Transfer-Encoding: chunked", body=body))
        assert _code(reply) == (413, "payload_too_large")
        await client.stream.aclose()
        await front.connections.wait_none()
        assert front.guard.bodies_in_flight_bytes == 0


async def test_a_refusal_is_read_by_a_client_that_goes_on_sending_a_large_body() -> None:
    body = b"x" * 3_000_000
    async with running() as front:
        client = await connect(front)
        await client.send(_post("Content-Type: application/json", f"Content-Length: {len(body)}") + body)
        assert _code(await client.receive()) == (413, "payload_too_large")
        assert await client.is_closed()


async def test_a_body_of_exactly_the_limit_and_one_in_chunks_are_read() -> None:
    body = b'{"value":"' + b"x" * (BODY_MAX_BYTES - 12) + b'"}'
    async with running() as front:
        assert len((await ask(front, request("POST", "/v1/echo", body))).json["data"]) == BODY_MAX_BYTES - 12
        data = _post(
            "Content-Type: application/json",
            "Transfer-Encoding: chunked",
            body=_chunked(b'{"val', b'ue":[1,', b" 2]}"),
        )
        reply = await ask(front, data)
        assert b'"data":[1, 2]}' in reply.body


async def test_wrong_credentials_are_answered_before_the_body_is_sent() -> None:
    async with running(Authenticator(CREDENTIALS)) as front:
        client = await connect(front)
        headers = ("Content-Type: application/json", "Content-Length: 4000", "Authorization: Bearer wrong")
        reply = await client.ask(_post(*headers))
        assert _code(reply) == (401, "unauthorized")
        assert reply.header("www-authenticate") == 'Bearer realm="oris"'


async def test_a_body_that_does_not_come_is_a_timeout() -> None:
    async with running(limits=HttpLimits(body_timeout_s=0.05, linger_s=0.05)) as front:
        client = await connect(front)
        reply = await client.ask(_post("Content-Type: application/json", "Content-Length: 100", body=b"{"))
        assert _code(reply) == (408, "timeout")
        assert await client.is_closed()


async def test_the_bodies_of_all_requests_together_are_limited() -> None:
    async with running(limits=HttpLimits(bodies_in_flight_max_bytes=3000)) as front:
        assert front.guard is not None
        first = await connect(front)
        headers = ("Content-Type: application/json", "Transfer-Encoding: chunked")
        await first.send(_post(*headers, body=_chunked(b'{"value":"', b"x" * 2000, end=False)))
        while front.guard.bodies_in_flight_bytes < 2010:
            await trio.lowlevel.checkpoint()
        reply = await ask(front, request("POST", "/v1/echo", b'{"value":"' + b"x" * 2000 + b'"}'))
        assert _code(reply) == (503, "unavailable")
        assert reply.error["details"] == {"reason": "inbox_full"}
        assert reply.header("retry-after") == "1"
        await first.send(_chunked(b'"}'))
        assert (await first.receive()).status == 200
        await first.stream.aclose()
        await front.connections.wait_none()
        assert front.guard.bodies_in_flight_bytes == 0


async def test_a_client_that_leaves_in_the_middle_of_its_body_leaves_nothing() -> None:
    async with running() as front:
        assert front.guard is not None
        client = await connect(front)
        await client.send(_post("Content-Type: application/json", "Content-Length: 100", body=b'{"value'))
        await client.stream.aclose()
        while front.connections.count == 0:
            await trio.lowlevel.checkpoint()
        await front.connections.wait_none()
        assert front.guard.bodies_in_flight_bytes == 0
        assert front.faults.seen == []


async def test_http_2_without_tls_is_refused_by_its_preface() -> None:
    """Many times: what follows the preface is an error to the parser, which must not overtake the answer."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    async with running() as front:
        for _ in range(30):
            client = await connect(front)
            assert _code(await client.ask(preface)) == (400, "invalid_argument")
            assert await client.is_closed()
        assert front.faults.seen == []


async def test_an_upgrade_to_http_2_is_ignored() -> None:
    headers = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAAP__")]
    async with running() as front:
        assert (await ask(front, request("GET", "/healthz", b"", *headers))).body == b"fine\n"


async def test_an_offer_of_websockets_is_passed_over_as_every_other_upgrade() -> None:
    headers = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]
    async with running() as front:
        client = await connect(front)
        for _ in range(2):
            assert (await client.ask(request("GET", "/v1/things/a", b"", *headers))).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1//things", 404, "not_found"),
        ("GET", "/v1/things/a/b/c", 404, "not_found"),
        ("DELETE", "/v1/things/a", 405, "method_not_allowed"),
        ("BREW", "/v1/things/a", 405, "method_not_allowed"),
        ("GET", "/v1/echo", 405, "method_not_allowed"),
        ("OPTIONS", "/healthz", 405, "method_not_allowed"),
    ],
)
async def test_unknown_routes_and_wrong_methods_get_the_envelope(
    method: str, path: str, status: int, code: str
) -> None:
    async with running() as front:
        reply = await ask(front, request(method, path))
        assert _code(reply) == (status, code)
        assert (reply.header("allow") is not None) == (status == 405)


async def test_bugs_in_handlers_are_answered_without_their_reason_and_logged_with_the_request_id() -> None:
    async with running(Authenticator(CREDENTIALS)) as front:
        client = await connect(front)
        for how in ("bug", "group", "mixed"):
            data = request("GET", f"/v1/fail/{how}", b"", ("X-Request-Id", f"id-{how}"), token=TOKENS[Role.ADMIN])
            reply = await client.ask(data)
            assert _code(reply) == (500, "internal")
            assert b"secret" not in reply.body
            assert b"Traceback" not in reply.body
        assert [request_id for request_id, _ in front.faults.seen] == ["id-bug", "id-group", "id-mixed"]


async def test_a_head_request_is_answered_without_a_body() -> None:
    async with running() as front:
        client = await connect(front)
        await client.send(request("HEAD", "/healthz"))
        head = (await client.stream.receive_some(65536)).decode()
        assert head.startswith("HTTP/1.1 200")
        assert "content-length: 5" in head
        assert head.endswith("\r\n\r\n")


async def test_nothing_tells_which_software_this_is() -> None:
    async with running() as front:
        assert (await ask(front, request("GET", "/healthz"))).header("server") is None
