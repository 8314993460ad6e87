"""More submits than the server can take: who holds work is served all the same, who is refused is told when to come
back (I20)."""

from __future__ import annotations

from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

import trio

from .raw_http import Connection, connected
from .server_process import serving

JOBS = 10
BATCHERS = 10
SINGLES = 64
BATCH = 200
CALL_LIMIT_S = 5.0
"""Far beyond what a worker's call may take; a starved one would never come back."""


async def flood_in_batches(address: tuple[str, int], name: str, seen: Counter[str]) -> None:
    """Submit hundreds of jobs a request, as fast as they are answered or refused."""
    async with connected(address) as connection:
        for number in count():
            jobs = [{"thread_id": f"{name}-{number}-{place}", "workflow": "flood"} for place in range(BATCH)]
            reply = await connection.post("/v1/jobs/batch", {"jobs": jobs})
            if reply.status != 200:
                refused(reply.status, reply.reason, reply.headers, seen)
                continue
            for result in reply.data["results"]:
                error = result.get("error")
                seen["accepted" if error is None else f"item {error['details']['reason']}"] += 1


async def flood_one_by_one(address: tuple[str, int], name: str, seen: Counter[str]) -> None:
    """Submit a job a request."""
    async with connected(address) as connection:
        for number in count():
            reply = await connection.post("/v1/jobs", {"thread_id": f"{name}-{number}", "workflow": "flood"})
            if reply.status == 200:
                seen["accepted"] += 1
            else:
                refused(reply.status, reply.reason, reply.headers, seen)


def refused(status: int, reason: str, headers: dict[str, str], seen: Counter[str]) -> None:
    """A refusal is one of two, and says when to come back."""
    seen[f"{status} {reason}"] += 1
    seen["without retry-after"] += int(headers.get("retry-after", "0")) < 1


async def call(connection: Connection, path: str, body: object) -> Any:
    """A worker's call, answered in time."""
    with trio.fail_after(CALL_LIMIT_S):
        return (await connection.post(path, body)).data


async def work(connection: Connection) -> None:
    """Poll, renew, report and ack until every job of the worker's own is done."""
    for number in range(JOBS):
        polled = await call(connection, "/v1/workers/poll", {"worker_id": "w", "workflows": ["kept"]})
        lease = {"attempt_id": polled["attempt_id"], "lease_id": polled["lease_id"]}
        await call(connection, "/v1/workers/w/heartbeat", {"lease_id": lease["lease_id"]})
        step = {"action_id": "a", "status": "succeeded", "dedupe_token": "1", "output": number}
        await call(connection, "/v1/workers/w/report-step", lease | step)
        acked = await call(connection, "/v1/workers/w/ack", lease | {"terminal_status": "completed"})
        assert acked["status"] == "completed"


async def test_workers_are_served_while_submits_are_refused(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    with serving(tmp_path, ORIS_INBOX_MAX_COMMANDS="1000", ORIS_MAX_QUEUE_DEPTH="1000000") as server:
        async with connected(server.address) as worker, trio.open_nursery() as nursery:
            jobs = [{"thread_id": f"kept-{number}", "workflow": "kept"} for number in range(JOBS)]
            await call(worker, "/v1/jobs/batch", {"jobs": jobs})
            for number in range(BATCHERS):
                nursery.start_soon(flood_in_batches, server.address, f"b{number}", seen)
            for number in range(SINGLES):
                nursery.start_soon(flood_one_by_one, server.address, f"s{number}", seen)
            with trio.fail_after(CALL_LIMIT_S * JOBS):
                while not any(key.startswith(("429 ", "503 ")) for key in seen):
                    await trio.sleep(0.01)
                await work(worker)
            nursery.cancel_scope.cancel()
        words = {"429 rate_limited", "503 inbox_full", "item rate_limited"}
        assert set(seen) <= words | {"accepted", "without retry-after"}, seen
        assert seen["accepted"] > 0
        assert seen["without retry-after"] == 0
        assert server.stop() == 0
        rows = server.check_rows()
        assert len([job for job in rows.jobs.values() if job.status == "completed"]) == JOBS
        assert len(rows.jobs) >= JOBS + seen["accepted"]
