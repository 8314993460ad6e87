"""Callers that wait for runs with large inputs, and a worker beside them that renews and acks.

By hand for as long as one likes: `python -m tests.e2e.waiting_callers 300 60` (callers, seconds).
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from .process_memory import rss_bytes
from .raw_http import Connection, Cut, Reply, connect, connected, request_bytes
from .server_process import ServerProcess, serving

MIB = 1024 * 1024
INPUT = "x" * (MIB - 100)
TTL_S = 10
BEAT_S = 0.25
BEATS = 4
PART = 10


async def waiting(server: ServerProcess, callers: int, nursery: trio.Nursery) -> list[Connection]:
    """That many callers that wait for runs which nobody works on; returns when all of them do, with their connections.

    They come in parts, since no more bodies than the setting says may be on their way at once.
    """
    body = {"thread_id": "t-NNNN", "workflow": "nobody", "input": INPUT, "wait_ms": 55_000}
    head, _, rest = request_bytes("POST", "/v1/jobs", body).partition(b"t-NNNN")
    connections: list[Connection] = []

    async def caller(number: int) -> None:
        connection = await connect(server.address)
        connections.append(connection)
        await connection.stream.send_all(head + b"t-%04d" % number)
        await connection.stream.send_all(rest)

    async with connected(server.address) as asking:
        for first in range(0, callers, PART):
            for number in range(first, min(callers, first + PART)):
                nursery.start_soon(caller, number)
            while (await asking.ask("GET", "/v1/admin/status")).data["http"]["waiting"] < min(callers, first + PART):
                await trio.sleep(0.05)
    return connections


async def submit_kept(connection: Connection, count: int) -> None:
    """The jobs of the worker."""
    jobs = [{"thread_id": f"kept-{number}", "workflow": "kept"} for number in range(count)]
    assert (await connection.post("/v1/jobs/batch", {"jobs": jobs})).status == 200


class Kept:
    """A connection as HTTP clients have it: when it was closed while nothing was asked on it, because connections run
    short, the request goes out again over another one."""

    def __init__(self, server: ServerProcess, connection: Connection) -> None:
        self._server = server
        self._connection = connection

    async def ask(self, method: str, path: str, body: object = None) -> Reply:
        """Send a request and read its answer."""
        try:
            return await self._connection.ask(method, path, body)
        except Cut:
            await self.aclose()
            self._connection = await connect(self._server.address)
            return await self._connection.ask(method, path, body)

    async def post(self, path: str, body: object) -> Reply:
        """A write."""
        return await self.ask("POST", path, body)

    async def aclose(self) -> None:
        """Close it."""
        await self._connection.stream.aclose()


@asynccontextmanager
async def keeping(server: ServerProcess) -> AsyncIterator[Kept]:
    """Such a connection, closed afterwards."""
    kept = Kept(server, await connect(server.address))
    try:
        yield kept
    finally:
        await kept.aclose()


async def lease(connection: Kept) -> dict[str, Any]:
    """A job of the worker's own, and its lease."""
    fetch = {"worker_id": "w", "workflows": ["kept"], "lease_ttl_seconds": TTL_S}
    polled = (await connection.post("/v1/workers/poll", fetch)).data
    return {"attempt_id": polled["attempt_id"], "lease_id": polled["lease_id"]}


async def beats_and_acks(server: ServerProcess, rounds: int, seen: Counter[str], pause_s: float = 0.0) -> None:
    """Renew over a kept connection and over new ones, report, ack, and fetch again: one of the jobs kept a round."""
    async with keeping(server) as kept:
        for _ in range(rounds):
            held = await lease(kept)
            for _ in range(BEATS):
                await trio.sleep(pause_s)
                beat = await kept.post("/v1/workers/w/heartbeat", {"lease_id": held["lease_id"]})
                seen[f"heartbeat {beat.status}"] += 1
                async with keeping(server) as fresh:
                    beat = await fresh.post("/v1/workers/w/heartbeat", {"lease_id": held["lease_id"]})
                    seen[f"heartbeat {beat.status}"] += 1
            step = {"action_id": "a", "status": "succeeded", "dedupe_token": "1", "output": INPUT}
            seen[f"report {(await kept.post('/v1/workers/w/report-step', held | step)).status}"] += 1
            acked = await kept.post("/v1/workers/w/ack", held | {"terminal_status": "completed"})
            seen[f"ack {acked.status}"] += 1
            seen[f"healthz {(await kept.ask('GET', '/healthz')).status}"] += 1


async def _minutes(server: ServerProcess, callers: int, seconds: float) -> None:
    before = rss_bytes(server.process.pid)
    seen: Counter[str] = Counter()
    async with trio.open_nursery() as nursery:
        async with connected(server.address) as asking:
            await submit_kept(asking, int(seconds))
        connections = await waiting(server, callers, nursery)
        after = rss_bytes(server.process.pid)
        sys.stdout.write(f"{callers} callers wait: {before / MIB:.0f} MiB before, {after / MIB:.0f} MiB now\n")
        await beats_and_acks(server, int(seconds), seen, pause_s=BEAT_S)
        sys.stdout.write(f"{dict(seen)}, {rss_bytes(server.process.pid) / MIB:.0f} MiB at the end\n")
        for connection in connections:
            await connection.stream.aclose()
    rows = server.snapshot()
    sys.stdout.write(f"{ ({(job.status, job.losses) for job in rows.jobs.values() if job.workflow == 'kept'}) }\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), unchecked="by hand") as started:
        trio.run(_minutes, started, int(sys.argv[1]), float(sys.argv[2]))
