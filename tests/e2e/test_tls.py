"""A server that speaks TLS: who is let in, what lets it not start, and that nobody keeps it from ending."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import trio

from ..certificates import Authority, settings_of
from .raw_http import Connection, connected
from .server_process import PATIENCE_S, data_of, serving, until
from .test_starts import refused

AUTHORITY = Authority()
HELLO = b"\x16\x03\x01\x02\x00\x01"
HOSTILE = 100


def test_jobs_are_done_over_tls_and_http_is_told_to_use_it(tmp_path: Path) -> None:
    settings = settings_of(AUTHORITY.write(tmp_path / "tls"))
    with serving(tmp_path, **settings) as server, server.client(verify=AUTHORITY.client_context()) as http:
        assert server.url.startswith("https://")
        data_of(http.post("/v1/jobs", json={"thread_id": "t", "input": "x" * 500_000}))
        (attempt,) = data_of(http.post("/v1/workers/poll", json={"worker_id": "w"}))["attempts"]
        assert attempt["input"] == "x" * 500_000
        plain = httpx.get(server.url.replace("https", "http") + "/healthz")
        assert (plain.status_code, plain.json()["error"]["details"]) == (400, {"field": "scheme"})
        assert server.stop() == 0
        assert server.lines("connection_failed") == []
        server.check_rows()


def test_metrics_on_an_address_of_their_own_are_plain(tmp_path: Path) -> None:
    settings = settings_of(AUTHORITY.write(tmp_path / "tls", client_ca=AUTHORITY.write_ca(tmp_path / "ca.pem")))
    with serving(tmp_path, ORIS_METRICS_ADDR="127.0.0.1:0", **settings) as server:
        ready = server.line("server_ready")
        assert ready is not None
        assert ready["tls"] == "mutual"
        with httpx.Client(base_url=f"http://{ready['metrics_address']}") as http:
            assert data_of(http.get("/healthz")) == {"status": "ok"}
            assert "oris_build_info" in http.get("/metrics").text


def test_with_a_client_ca_only_its_clients_get_in(tmp_path: Path) -> None:
    workers, strangers = Authority(), Authority()
    ca = workers.write_ca(tmp_path / "ca.pem")
    known = AUTHORITY.client_context(workers.write(tmp_path / "tls", "worker"))
    unknown = AUTHORITY.client_context(strangers.write(tmp_path / "tls", "stranger"))
    settings = settings_of(AUTHORITY.write(tmp_path / "tls", client_ca=ca))
    with serving(tmp_path, ORIS_LOG="debug", **settings) as server:
        with server.client(verify=known) as http:
            data_of(http.post("/v1/jobs", json={"thread_id": "t"}))
        for context in (unknown, AUTHORITY.client_context()):
            with server.client(verify=context) as http, pytest.raises(httpx.TransportError):
                http.post("/v1/jobs", json={"thread_id": "t2"})
        reasons = until(lambda: [line["reason"] for line in server.lines("tls_refused")][1:], "both are told")
        assert reasons[-1] == "PEER_DID_NOT_RETURN_A_CERTIFICATE"
        assert {line["level"] for line in server.lines("tls_refused")} == {"debug"}
        assert server.stop() == 0


def cert_alone(folder: Path) -> dict[str, str]:
    return {"ORIS_TLS_CERT": str(AUTHORITY.write(folder).cert)}


def key_alone(folder: Path) -> dict[str, str]:
    return {"ORIS_TLS_KEY": str(AUTHORITY.write(folder).key)}


def ca_alone(folder: Path) -> dict[str, str]:
    return {"ORIS_TLS_CLIENT_CA": str(AUTHORITY.write_ca(folder / "ca.pem"))}


def wrong_key(folder: Path) -> dict[str, str]:
    return settings_of(AUTHORITY.write(folder)) | {"ORIS_TLS_KEY": str(AUTHORITY.write(folder, "other").key)}


def no_ca(folder: Path) -> dict[str, str]:
    return settings_of(AUTHORITY.write(folder, client_ca=folder / "nowhere"))


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        (cert_alone, ["environment ORIS_TLS_CERT", "ORIS_TLS_KEY"]),
        (key_alone, ["environment ORIS_TLS_KEY", "ORIS_TLS_CERT"]),
        (ca_alone, ["environment ORIS_TLS_CLIENT_CA", "ORIS_TLS_CERT", "ORIS_TLS_KEY"]),
        (wrong_key, ["ORIS_TLS_KEY", "does not belong to the certificate"]),
        (no_ca, ["ORIS_TLS_CLIENT_CA", "nowhere", "No such file"]),
    ],
)
def test_wrong_files_refuse_the_start(
    tmp_path: Path, spoilt: Callable[[Path], dict[str, str]], words: list[str]
) -> None:
    said = refused(tmp_path, **spoilt(tmp_path))
    assert [word for word in words if word not in said] == []
    assert not (tmp_path / "oris.db").exists()


def test_an_expired_certificate_is_a_warning(tmp_path: Path) -> None:
    files = AUTHORITY.write(tmp_path / "tls", not_after=datetime(2001, 1, 1, tzinfo=UTC))
    with serving(tmp_path, **settings_of(files)) as server:
        (warning,) = server.lines("certificate_not_valid")
        assert (warning["level"], warning["detail"]) == ("warning", "the certificate has expired")
        with server.client() as http:
            assert data_of(http.get("/healthz")) == {"status": "ok"}


async def test_hostile_tls_clients_cannot_keep_the_server_from_ending(tmp_path: Path) -> None:
    """Silent before, in and after the handshake, half-closed, garbage; and workers whose parked polls are answered."""
    settings = settings_of(AUTHORITY.write(tmp_path / "tls"))
    limits = {"ORIS_DRAIN_LIMIT_MS": "6000", "ORIS_HTTP_KEEP_ALIVE_MS": "3600000"}
    context = AUTHORITY.client_context()
    poll = {"worker_id": "w", "wait_ms": 55_000, "workflows": ["none"]}
    with serving(tmp_path, **limits, **settings) as server:
        async with AsyncExitStack() as stack:
            parked = await stack.enter_async_context(connected(server.address, context))
            await parked.send("POST", "/v1/workers/poll", poll)
            for number in range(HOSTILE):
                if number % 5 == 4:
                    await stack.enter_async_context(connected(server.address, context))
                    continue
                silent = await stack.enter_async_context(connected(server.address))
                await hostile(silent, number % 5)
            operator = await stack.enter_async_context(connected(server.address, context))
            await wait_parked(operator, 1)
            server.signal()
            with trio.fail_after(PATIENCE_S):
                assert (await parked.read()).data["decision"] == "draining"
            assert await trio.to_thread.run_sync(server.wait_end, 6.0) == 0
        assert server.line("hard_exit") is None
        assert server.lines("connection_failed") == []
        server.check_rows()


async def hostile(silent: Connection, kind: int) -> None:
    """One way not to shake hands."""
    assert isinstance(silent.stream, trio.SocketStream)
    if kind == 1:
        await silent.stream.send_all(HELLO)
    elif kind == 2:
        await silent.stream.send_all(b"\xff" * 1000)
    elif kind == 3:
        await silent.stream.send_all(HELLO)
        await silent.stream.send_eof()


async def wait_parked(operator: Connection, count: int) -> None:
    """Until so many polls are parked."""
    with trio.fail_after(PATIENCE_S):
        while (await operator.ask("GET", "/v1/admin/status")).data["parked_polls"] != count:
            await trio.sleep(0.01)


def test_an_untrusting_client_is_no_error(tmp_path: Path) -> None:
    with serving(tmp_path, **settings_of(AUTHORITY.write(tmp_path / "tls"))) as server:
        with server.client(verify=ssl.create_default_context()) as http, pytest.raises(httpx.ConnectError):
            http.get("/healthz")
        assert server.stop() == 0
        assert server.lines("connection_failed") == []
