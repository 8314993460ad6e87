"""SIGTERM: everybody is answered, and the server ends within its limit whatever clients do (L4)."""

from __future__ import annotations

import signal
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import trio

from .raw_http import Connection, Cut, connected
from .server_process import PATIENCE_S, ServerProcess, serving, until

SILENT = 300
PARKED = 10
DRAIN_LIMIT_MS = 6000
POLL = {"wait_ms": 55_000, "lease_ttl_seconds": 60}


async def ask(connection: Connection, path: str, body: object, answers: list[Any]) -> None:
    """Post, and keep the data of the answer."""
    answers.append((await connection.post(path, body)).data)


async def wait_status(address: tuple[str, int], field: str, value: int) -> None:
    """Until a number on the status page has come to a value."""
    async with connected(address) as operator:
        with trio.fail_after(PATIENCE_S):
            while (await operator.ask("GET", "/v1/admin/status")).data[field] != value:
                await trio.sleep(0.01)


async def ended(server: ServerProcess, within_s: float) -> int:
    """The exit code."""
    return await trio.to_thread.run_sync(lambda: server.wait_end(within_s))


async def test_parked_polls_and_waits_are_answered_and_the_server_ends_well(tmp_path: Path) -> None:
    polls: list[Any] = []
    runs: list[Any] = []
    with serving(tmp_path) as server:
        async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
            for number in range(PARKED):
                connection = await stack.enter_async_context(connected(server.address))
                poll = POLL | {"worker_id": f"w{number}", "workflows": ["none"]}
                nursery.start_soon(ask, connection, "/v1/workers/poll", poll, polls)
            waiting = await stack.enter_async_context(connected(server.address))
            nursery.start_soon(ask, waiting, "/v1/jobs/run", {"thread_id": "t", "wait_ms": 55_000}, runs)
            await wait_status(server.address, "parked_polls", PARKED)
            await wait_status(server.address, "waiters", 1)
            server.signal()
        assert [poll["decision"] for poll in polls] == ["draining"] * PARKED
        assert all(poll["retry_after_ms"] > 0 and poll["attempts"] == [] for poll in polls)
        assert [run["status"] for run in runs] == ["queued"]
        assert await ended(server, PATIENCE_S) == 0
        stopped = server.line("server_stopped")
        assert stopped is not None
        assert stopped["reason"] == "SIGTERM"
        server.check_rows()


async def test_silent_clients_are_let_go_after_the_keep_alive_limit(tmp_path: Path) -> None:
    with serving(tmp_path, ORIS_HTTP_KEEP_ALIVE_MS="500") as server:
        async with AsyncExitStack() as stack:
            silent: list[Connection] = []
            for number in range(SILENT):
                silent.append(await stack.enter_async_context(connected(server.address)))
                if number % 2:
                    assert (await silent[-1].ask("GET", "/healthz")).status == 200
            with trio.fail_after(PATIENCE_S):
                for connection in silent:
                    assert await connection.at_end()
                await wait_status(server.address, "connections", 1)
        assert server.stop() == 0


async def test_hostile_clients_cannot_keep_the_server_from_ending(tmp_path: Path) -> None:
    settings = {"ORIS_DRAIN_LIMIT_MS": str(DRAIN_LIMIT_MS), "ORIS_HTTP_KEEP_ALIVE_MS": "3600000"}
    polls: list[Any] = []
    with serving(tmp_path, **settings) as server:
        async with AsyncExitStack() as stack:
            deaf = await never_reading(stack, server.address)
            silent = [await stack.enter_async_context(connected(server.address)) for _ in range(SILENT)]
            async with trio.open_nursery() as nursery:
                for number in range(PARKED):
                    poll = POLL | {"worker_id": f"w{number}", "workflows": ["none"]}
                    nursery.start_soon(ask, silent[number], "/v1/workers/poll", poll, polls)
                await wait_status(server.address, "parked_polls", PARKED)
                server.signal()
            assert [poll["decision"] for poll in polls] == ["draining"] * PARKED
            assert await ended(server, DRAIN_LIMIT_MS / 1000) == 0
            with trio.fail_after(PATIENCE_S):
                try:
                    await deaf.read()
                    raise AssertionError("the answer was not too large for the sockets")
                except Cut:
                    pass
        assert server.line("hard_exit") is None
        server.check_rows()


async def test_a_second_signal_ends_the_drain_at_once(tmp_path: Path) -> None:
    with serving(tmp_path, ORIS_DRAIN_LIMIT_MS="600000") as server:
        async with AsyncExitStack() as stack:
            await never_reading(stack, server.address)
            parked = await stack.enter_async_context(connected(server.address))
            await parked.send("POST", "/v1/workers/poll", POLL | {"worker_id": "w", "workflows": ["none"]})
            await wait_status(server.address, "parked_polls", 1)
            server.signal()
            with trio.fail_after(PATIENCE_S):
                assert (await parked.read()).data["decision"] == "draining"
            assert server.process.poll() is None
            server.signal(signal.SIGINT)
            assert await ended(server, PATIENCE_S) == 0
        server.check_rows()


async def never_reading(stack: AsyncExitStack, address: tuple[str, int]) -> Connection:
    """A worker that was granted more than its socket holds, and takes none of it."""
    big = "x" * 1_000_000
    async with connected(address) as client:
        for number in range(4):
            job = {"thread_id": f"big-{number}", "workflow": "big", "input": big}
            assert (await client.post("/v1/jobs", job)).status == 200
        raw = trio.socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await raw.connect(address)
        deaf = Connection(await stack.enter_async_context(trio.SocketStream(raw)))
        poll = {"worker_id": "deaf", "workflows": ["big"], "limit": 4, "poll_id": "p"}
        await deaf.send("POST", "/v1/workers/poll", poll)
        with trio.fail_after(PATIENCE_S):
            while (await client.ask("GET", "/v1/jobs/big-3")).data["status"] != "running":
                await trio.sleep(0.01)
    return deaf


def test_a_signal_before_anything_runs_ends_the_process(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    try:
        server.signal()
        assert server.wait_end() in (0, -signal.SIGTERM)
        assert until(lambda: server.process.returncode is not None, "it is reaped")
    finally:
        server.kill()
