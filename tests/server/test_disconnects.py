"""Clients that go away: while parked they take nothing; between grant and answer nothing is lost.

The whole server runs in the test's own loop, over a real file and real sockets, so that a client can be cut at the
one moment that matters: after the commit, before the answer is sent.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from oris.api.handlers import poll as poll_handler
from oris.api.listener import addresses
from oris.api.tls import TlsFiles
from oris.clock import SystemClock
from oris.config import Address, Settings
from oris.config.reread import Sources
from oris.core.invariants import check_all
from oris.observability.logs import Logs, open_logs
from oris.server.build import Server
from oris.server.main import make_tree
from oris.server.reload import Reloader
from oris.server.watchdog import Watchdog

from ..certificates import Authority
from ..stores import rows_of_server, server_settings

LIMIT_S = 30.0


@pytest.fixture
def logs() -> Iterator[Logs]:
    """Logs that nobody reads."""
    with open(os.devnull, "wb") as nowhere:
        opened = open_logs(Settings().log, "json", nowhere.fileno(), lambda: 0)
        yield opened
        opened.close()


AUTHORITY = Authority()


@pytest.fixture(params=["plain", "tls"], autouse=True)
def tls(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs with and without TLS."""
    files = AUTHORITY.write(tmp_path / "tls") if request.param == "tls" else None
    monkeypatch.setattr(sys.modules[__name__], "FILES", files)


FILES: TlsFiles | None = None


@asynccontextmanager
async def serving(folder: Path, logs: Logs) -> AsyncIterator[Server]:
    """The server, ready; stopped in order afterwards, and its rows checked."""
    database = folder / "oris.db"
    dog = Watchdog(60.0, SystemClock().monotonic_s, lambda: None)
    cert, key = (None, None) if FILES is None else (FILES.cert, FILES.key)
    settings = Settings(server_addr=Address("127.0.0.1", 0), tls_cert=cert, tls_key=key, **server_settings(database))
    server = Server(settings, logs, dog)
    await server.listen()
    tree = make_tree(server, reloader(server, settings, logs))
    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tree.run)
            assert await tree.wait_ready()
            yield server
            tree.stop("the test is over")
    assert check_all(rows_of_server(database)) == []


def reloader(server: Server, settings: Settings, logs: Logs) -> Reloader:
    """What a tree needs, and nobody asks here."""
    sources = Sources.of({}, {}, None)
    parts = (settings, sources, logs, logs.set_levels, server.authenticator, server.tls)
    return Reloader(*parts, lambda: 0, server.set_retention)


def client_of(server: Server) -> httpx.AsyncClient:
    """A client that behaves."""
    host, port = addresses(server.listeners)[0]
    if FILES is None:
        return httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=LIMIT_S)
    return httpx.AsyncClient(base_url=f"https://{host}:{port}", timeout=LIMIT_S, verify=AUTHORITY.client_context())


async def post(http: httpx.AsyncClient, path: str, **body: Any) -> Any:
    """The data a write gets."""
    response = await http.post(path, json=body)
    assert response.status_code == 200, response.text
    return response.json()["data"]


async def send_poll(server: Server, **more: Any) -> socket.socket:
    """A poll on a socket of its own, whose answer nobody waits for."""
    body = json.dumps({"worker_id": "w", "wait_ms": 55_000, **more}).encode()
    head = "POST /v1/workers/poll HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    raw = await trio.to_thread.run_sync(open_socket, addresses(server.listeners)[0])
    raw.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    await until(lambda: len(server.engine.demand) == 1)
    return raw


def open_socket(address: tuple[str, int]) -> socket.socket:
    """A connection, with its handshake done where there is TLS."""
    raw = socket.create_connection(address)
    return raw if FILES is None else AUTHORITY.client_context().wrap_socket(raw, server_hostname=address[0])


async def until(condition: Callable[[], bool]) -> None:
    """Until something inside the server has changed; the server's own deadline bounds it."""
    while not condition():
        await trio.sleep(0.002)


def close(raw: socket.socket) -> None:
    """A client that ends."""
    raw.close()


def reset(raw: socket.socket) -> None:
    """A client that dies: its machine answers everything with a reset."""
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.close()


GOING = pytest.mark.parametrize("go", [close, reset])
Go = Callable[[socket.socket], None]


async def events(http: httpx.AsyncClient) -> list[str]:
    """The event types of the thread."""
    response = await http.get("/v1/jobs/t/timeline")
    return [event["event_type"] for event in response.json()["data"]["timeline"]]


@GOING
async def test_a_client_that_goes_while_parked_takes_no_job(tmp_path: Path, logs: Logs, go: Go) -> None:
    async with serving(tmp_path, logs) as server, client_of(server) as http:
        go(await send_poll(server))
        await until(lambda: len(server.engine.demand) == 0)
        await post(http, "/v1/jobs", thread_id="t")
        polled = await post(http, "/v1/workers/poll", worker_id="other")
        assert polled["attempts"][0]["attempt_no"] == 1
        assert await events(http) == ["run_created", "attempt_queued", "lease_granted"]


def cut_before_the_answer(monkeypatch: pytest.MonkeyPatch, raw: socket.socket, go: Go) -> list[str]:
    """Let the client go when its grant is committed and its answer not yet sent; the leases it was to get."""
    made = poll_handler.poll_view
    leases: list[str] = []

    def cut(*arguments: Any) -> Any:
        view = made(*arguments)
        if view.attempts and not leases:
            leases.append(view.attempts[0].lease_id)
            go(raw)
        return view

    monkeypatch.setattr(poll_handler, "poll_view", cut)
    return leases


@GOING
async def test_a_job_whose_answer_was_never_read_goes_to_the_next_poll_at_once(
    tmp_path: Path, logs: Logs, monkeypatch: pytest.MonkeyPatch, go: Go
) -> None:
    async with serving(tmp_path, logs) as server, client_of(server) as http:
        leases = cut_before_the_answer(monkeypatch, await send_poll(server), go)
        await post(http, "/v1/jobs", thread_id="t")
        polled = await post(http, "/v1/workers/poll", worker_id="other", wait_ms=20_000)
        (attempt,) = polled["attempts"]
        assert leases
        assert attempt["lease_id"] != leases[0]
        assert attempt["attempt_no"] == 1
        assert await events(http) == [
            "run_created",
            "attempt_queued",
            "lease_granted",
            "lease_released",
            "attempt_queued",
            "lease_granted",
        ]


@GOING
async def test_a_job_whose_answer_was_never_read_waits_for_the_retry_of_its_poll_id(
    tmp_path: Path, logs: Logs, monkeypatch: pytest.MonkeyPatch, go: Go
) -> None:
    async with serving(tmp_path, logs) as server, client_of(server) as http:
        leases = cut_before_the_answer(monkeypatch, await send_poll(server, poll_id="p"), go)
        await post(http, "/v1/jobs", thread_id="t")
        await until(lambda: bool(leases))
        other = await post(http, "/v1/workers/poll", worker_id="other")
        assert other["decision"] == "noop"
        again = await post(http, "/v1/workers/poll", worker_id="w", poll_id="p")
        (attempt,) = again["attempts"]
        assert (attempt["lease_id"], attempt["attempt_no"]) == (leases[0], 1)
        assert await events(http) == ["run_created", "attempt_queued", "lease_granted"]


async def test_a_control_message_that_was_never_read_is_given_to_the_next_poll(
    tmp_path: Path, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(tmp_path, logs) as server, client_of(server) as http:
        await post(http, "/v1/jobs", thread_id="t")
        attempt = (await post(http, "/v1/workers/poll", worker_id="w"))["attempts"][0]
        raw = await send_poll(server, limit=0)
        made = poll_handler.poll_view
        cut: list[str] = []

        def view_and_cut(*arguments: Any) -> Any:
            view = made(*arguments)
            if view.control and not cut:
                cut.append(view.control[0].lease_id)
                reset(raw)
            return view

        monkeypatch.setattr(poll_handler, "poll_view", view_and_cut)
        await post(http, "/v1/jobs/t/cancel")
        await until(lambda: bool(cut))
        again = await post(http, "/v1/workers/poll", worker_id="w", limit=0, wait_ms=20_000)
        assert [message["lease_id"] for message in again["control"]] == [attempt["lease_id"]]
