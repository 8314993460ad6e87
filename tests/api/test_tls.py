"""TLS on the real stack: who is let in, what is told to the others, and that none of them holds the server."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope

from oris.api.limits import HttpLimits
from oris.api.tls import Credentials, load_credentials

from ..certificates import Authority
from .front import WIRE, Client, Front, connect, open_plainly, request, running, say_goodbye

LONG = HttpLimits(handshake_s=1000)
HELLO = b"\x16\x03\x01\x02\x00\x01"  # the first bytes of a handshake


async def accepted(front: Front, count: int) -> None:
    """Until the server has taken so many connections."""
    while front.connections.count != count:
        await trio.lowlevel.checkpoint()


async def encrypted(front: Front, context: ssl.SSLContext) -> trio.SSLStream[trio.SocketStream]:
    """A connection that has done its part of the handshake."""
    raw = await trio.open_tcp_stream("127.0.0.1", front.port)
    front.clients.append(raw)
    stream = trio.SSLStream(raw, context, server_hostname="127.0.0.1")
    await stream.do_handshake()
    return stream


async def ask_encrypted(front: Front, context: ssl.SSLContext) -> None:
    stream = await encrypted(front, context)
    await Client(stream).ask(request("GET", "/healthz"))


async def why_refused(front: Front, context: ssl.SSLContext) -> str:
    """The reason the client is given: with TLS 1.3 it comes after its own part is done."""
    with pytest.raises(trio.BrokenResourceError) as caught:
        await ask_encrypted(front, context)
    reason = caught.value.__cause__
    assert isinstance(reason, ssl.SSLError), reason
    return str(reason.reason)


async def test_a_client_that_never_finishes_its_handshake_is_cut(credentials: Credentials) -> None:
    limits = HttpLimits(handshake_s=0.05)
    async with running(limits=limits, keep_alive_timeout_s=1000, credentials=credentials) as front:
        silent, halfway = await open_plainly(front), await open_plainly(front)
        await halfway.send(HELLO)
        assert await silent.is_closed()
        assert await halfway.is_closed()
        await front.connections.wait_none()
        assert front.refused == ["the handshake took too long"] * 2


async def test_a_handshake_counts_as_a_connection(credentials: Credentials) -> None:
    limits = HttpLimits(handshake_s=1000, connections_max=1)
    async with running(limits=limits, credentials=credentials) as front:
        silent = await open_plainly(front)
        await accepted(front, 1)
        another = await open_plainly(front)
        assert await silent.is_closed(), "who has asked nothing yet makes room"
        assert front.connections.closed_idle == 1
        await another.stream.aclose()
        await front.connections.wait_none()
        assert (await (await connect(front)).ask(request("GET", "/healthz"))).status == 200
        assert front.refused == []


async def test_a_stop_does_not_wait_for_handshakes(credentials: Credentials) -> None:
    async with running(limits=LONG, grace_s=1000, credentials=credentials) as front:
        await (await open_plainly(front)).send(HELLO)
        await open_plainly(front)
        await accepted(front, 2)
        front.stop.set()
        await front.stopped.wait()
        assert front.refused == []


async def test_half_closing_in_the_handshake_is_leaving(credentials: Credentials) -> None:
    async with running(limits=LONG, credentials=credentials) as front:
        client = await open_plainly(front)
        await client.send(HELLO)
        assert isinstance(client.stream, trio.SocketStream)
        await client.stream.send_eof()
        assert await client.is_closed()
        await front.connections.wait_none()
        assert front.refused == []


async def test_garbage_gets_an_alert_or_nothing_at_all(credentials: Credentials) -> None:
    async with running(limits=LONG, credentials=credentials) as front:
        for garbage, answer in ((b"\xff" * 100, b""), (b"\x16\x03\x01\x00\x05" + b"\xff" * 100, b"\x15")):
            client = await open_plainly(front)
            await client.send(garbage)
            assert (await client.stream.receive_some(100))[:1] == answer
            await client.stream.aclose()
        await front.connections.wait_none()
        assert len(front.refused) == 2


async def test_who_is_refused_and_stays_is_let_go(credentials: Credentials) -> None:
    async with running(limits=HttpLimits(linger_s=0.05), credentials=credentials) as front:
        client = await open_plainly(front)
        await client.send(b"\xff" * 100)
        await accepted(front, 1)
        await front.connections.wait_none()
        assert len(front.refused) == 1


async def test_http_without_tls_is_told_to_use_it(credentials: Credentials) -> None:
    async with running(limits=LONG, credentials=credentials) as front:
        client = await open_plainly(front)
        reply = await client.ask(request("GET", "/healthz"))
        assert (reply.status, reply.error["code"]) == (400, "invalid_argument")
        assert "https" in reply.error["message"]
        assert await client.is_closed()
        assert front.faults.seen == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_only_tls_1_2_and_later_are_spoken(credentials: Credentials, version: ssl.TLSVersion) -> None:
    assert credentials.context.minimum_version is ssl.TLSVersion.TLSv1_2
    context = WIRE.authority.client_context()
    context.minimum_version = context.maximum_version = version
    async with running(credentials=credentials) as front:
        stream = await encrypted(front, context)
        assert stream.version() == version.name.replace("v1_", "v1.")
        assert (await Client(stream).ask(request("GET", "/healthz"))).status == 200


async def test_only_http_1_1_is_offered(credentials: Credentials) -> None:
    async with running(credentials=credentials) as front:
        context = WIRE.authority.client_context()
        context.set_alpn_protocols(["h2", "http/1.1"])
        stream = await encrypted(front, context)
        assert stream.selected_alpn_protocol() == "http/1.1"
        context.set_alpn_protocols(["h2"])
        stubborn = await encrypted(front, context)
        reply = await Client(stubborn).ask(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert (reply.status, reply.error["details"]) == (400, {"field": "version"})


async def test_a_close_is_announced(credentials: Credentials) -> None:
    async with running(credentials=credentials) as front:
        client = await connect(front)
        await client.ask(request("GET", "/healthz", b"", ("Connection", "close")))
        # Cut without a word, this would raise.
        assert await client.stream.receive_some(1) == b""
        assert front.faults.seen == []


async def test_a_client_that_ends_its_side_of_tls_waits_no_longer_though_its_connection_stands(
    credentials: Credentials,
) -> None:
    async with running(credentials=credentials) as front:
        stream = await encrypted(front, WIRE.authority.client_context())
        await stream.send_all(request("GET", "/v1/park"))
        await front.witness.entered.wait()
        await say_goodbye(stream)
        assert (await Client(stream).receive()).status == 200
        await front.connections.wait_none()
        assert not front.witness.undelivered.is_set()
        assert front.faults.seen == []


async def test_a_client_that_breaks_tls_has_left(credentials: Credentials) -> None:
    async with running(credentials=credentials) as front:
        stream = await encrypted(front, WIRE.authority.client_context())
        await stream.send_all(request("GET", "/v1/park"))
        await front.witness.entered.wait()
        await stream.transport_stream.send_all(b"this is not encrypted")
        await front.witness.cancelled.wait()
        await front.connections.wait_none()
        assert front.faults.seen == []


async def test_a_client_certificate_is_asked_for_and_must_be_of_the_ca(tmp_path: Path) -> None:
    workers, strangers = Authority(), Authority()
    ca = workers.write_ca(tmp_path / "ca.pem")
    mutual = load_credentials(WIRE.authority.write(tmp_path, client_ca=ca))
    context = WIRE.authority.client_context
    past = datetime(2001, 1, 1, tzinfo=UTC)
    async with running(limits=LONG, credentials=mutual) as front:
        known = await encrypted(front, context(workers.write(tmp_path, "worker")))
        assert (await Client(known).ask(request("GET", "/healthz"))).status == 200
        assert "CERTIFICATE_REQUIRED" in await why_refused(front, context())
        assert "UNKNOWN_CA" in await why_refused(front, context(strangers.write(tmp_path, "stranger")))
        assert "EXPIRED" in await why_refused(front, context(workers.write(tmp_path, "old", not_after=past)))
        assert front.refused == ["PEER_DID_NOT_RETURN_A_CERTIFICATE", *["CERTIFICATE_VERIFY_FAILED"] * 2]


async def test_a_ca_in_the_middle_is_enough(tmp_path: Path) -> None:
    workers = Authority()
    team = workers.child()
    mutual = load_credentials(WIRE.authority.write(tmp_path, client_ca=team.write_ca(tmp_path / "team.pem")))
    async with running(limits=LONG, credentials=mutual) as front:
        known = await encrypted(front, WIRE.authority.client_context(team.write(tmp_path, "worker")))
        assert (await Client(known).ask(request("GET", "/healthz"))).status == 200
        other = WIRE.authority.client_context(workers.write(tmp_path, "other"))
        assert "UNKNOWN_CA" in await why_refused(front, other)


async def test_new_credentials_are_for_new_handshakes(credentials: Credentials, tmp_path: Path) -> None:
    new = load_credentials(WIRE.authority.write(tmp_path))
    async with running(credentials=credentials) as front:
        before = await encrypted(front, WIRE.authority.client_context())
        assert front.tls is not None
        front.tls.credentials = new
        after = await encrypted(front, WIRE.authority.client_context())
        assert before.getpeercert(binary_form=True) != after.getpeercert(binary_form=True)
        for stream in (before, after):
            assert (await Client(stream).ask(request("GET", "/healthz"))).status == 200


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_session_cannot_be_resumed_past_a_change_of_the_client_ca(
    tmp_path: Path, version: ssl.TLSVersion
) -> None:
    old, new = Authority(), Authority()
    allows_old = WIRE.authority.write(tmp_path / "a", client_ca=old.write_ca(tmp_path / "old.pem"))
    allows_new = WIRE.authority.write(tmp_path / "a", client_ca=new.write_ca(tmp_path / "new.pem"))
    context = WIRE.authority.client_context(old.write(tmp_path, "worker"))
    context.minimum_version = context.maximum_version = version

    def ask(session: ssl.SSLSession | None) -> tuple[bytes, bool | None, ssl.SSLSession | None]:
        with socket.create_connection(("127.0.0.1", front.port)) as raw:
            wrapped = context.wrap_socket(raw, server_hostname="127.0.0.1", session=session)
            with wrapped as stream:
                stream.sendall(request("GET", "/healthz"))
                return stream.recv(12), stream.session_reused, stream.session

    async with running(limits=LONG, credentials=load_credentials(allows_old)) as front:
        _, _, session = await trio.to_thread.run_sync(ask, None)
        answer, reused, session = await trio.to_thread.run_sync(ask, session)
        assert (answer, reused) == (b"HTTP/1.1 200", True)
        assert front.tls is not None
        front.tls.credentials = load_credentials(allows_new)
        with pytest.raises(ssl.SSLError):
            await trio.to_thread.run_sync(ask, session)
        assert front.refused == ["CERTIFICATE_VERIFY_FAILED"]


async def test_a_goodbye_waits_for_no_client(credentials: Credentials) -> None:
    """An answer larger than the socket, to clients that do not read: idle ones and those in mid-answer are let go."""
    limits = HttpLimits(send_stall_s=0.1)
    async with running(limits=limits, keep_alive_timeout_s=0.1, credentials=credentials) as front:
        deaf = await connect(front)
        await deaf.send(request("GET", "/v1/big"))
        await connect(front)
        await front.witness.undelivered.wait()
        await front.connections.wait_none()
        assert front.faults.seen == []


async def test_applications_are_told_the_scheme(credentials: Credentials) -> None:
    async with running(credentials=credentials) as front:
        assert front.guard is not None
        schemes: list[str] = []
        run = front.guard._http

        async def watch(scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
            schemes.append(scope["scheme"])
            await run(scope, receive, send)

        front.guard._http = watch  # type: ignore[method-assign]
        assert (await (await connect(front)).ask(request("GET", "/healthz"))).status == 200
        assert schemes == ["https"]


@pytest.mark.parametrize("said", [b"", b"GET / HT", b"\r\n"])
async def test_a_connection_that_ends_before_its_first_answer_ends_in_good_order(
    credentials: Credentials, said: bytes
) -> None:
    """In TLS 1.3 the server's tickets go first; without them the client took the end for forged."""
    async with running(credentials=credentials) as front:
        stream = await encrypted(front, WIRE.authority.client_context())
        if said:
            await stream.send_all(said)
        stream.transport_stream.socket.shutdown(socket.SHUT_WR)
        received = b"".join([part async for part in stream])
        assert received.startswith(b"HTTP/1.1 400 ") or not received
