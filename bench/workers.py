"""What the workers of a fleet do: take work, wait for control messages, say that they live."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from bench.client import Connection, data_of, post
from bench.crowd import Pause, Play
from bench.jobs import BATCH, check_batch, poll

TTL_S = 30
PARK_MS = 55_000
TENANTS = 20
"""The server lets a tenant hold 1,000 leases; a fleet's jobs belong to several."""
GOLDEN = 0.618
"""Multiples of it, their whole part left out, lie spread over 0 to 1."""


Held = list[dict[str, Any]]
"""Attempts, as a poll's answer tells them."""


def fill_tenants(port: int, workflow: str, number: int) -> None:
    """Queue so many jobs, of all tenants in turn."""
    connection = Connection(port)
    for first in range(0, number, BATCH):
        jobs = [
            {"thread_id": f"{workflow}-{n}", "tenant_id": f"t{n % TENANTS}", "workflow": workflow}
            for n in range(first, min(first + BATCH, number))
        ]
        check_batch(connection.call(post("/v1/jobs/batch", json.dumps({"jobs": jobs}).encode())))
    connection.close()


def watched(worker_id: str, **options: object) -> bytes:
    """A poll of a worker's one session, whose connection is watched."""
    return poll(worker_id, session="s", watch=True, **options)


def take(worker_id: str, workflow: str, leases: int) -> bytes:
    """A poll for so many leases at once."""
    return watched(worker_id, workflows=[workflow], limit=leases, wait_ms=PARK_MS, lease_ttl_seconds=TTL_S)


def holder(worker_id: str, workflow: str, leases: int, start_s: float, on_held: Callable[[Held], None]) -> Play:
    """Takes its leases, then waits for control messages for ever."""
    yield Pause(start_s)
    attempts = data_of((yield take(worker_id, workflow, leases)))["attempts"]
    if len(attempts) != leases:
        raise ValueError(f"{worker_id} was granted {len(attempts)} leases instead of {leases}")
    on_held(attempts)
    park = watched(worker_id, limit=0, wait_ms=PARK_MS)
    while True:
        told = data_of((yield park))["control"]
        if told:
            raise ValueError(f"{worker_id} has lost something: {told}")


def heartbeat(worker_id: str, attempts: Held) -> bytes:
    """One call for all of them."""
    body = {"lease_ids": [attempt["lease_id"] for attempt in attempts], "session": "s", "lease_ttl_seconds": TTL_S}
    return post(f"/v1/workers/{worker_id}/heartbeat", json.dumps(body).encode())


def lost_of(answer: bytes) -> int:
    """How many of the leases in a heartbeat's answer are not held any more."""
    return sum(lease["state"] != "held" for lease in data_of(answer)["leases"])


def beats(worker_id: str, attempts: Held, number: int, every_s: float, on_beat: Callable[[float], None]) -> Play:
    """Renews all leases again and again; `on_beat` is told how long each call took, in ms, connecting included."""
    request = heartbeat(worker_id, attempts)
    due_s = time.perf_counter() + every_s * (number * GOLDEN % 1)
    while True:
        yield Pause(due_s, hangs_up=True)
        start_s = time.perf_counter()
        lost = lost_of((yield request))
        on_beat((time.perf_counter() - start_s) * 1000)
        if lost:
            raise ValueError(f"{worker_id} has lost {lost} leases")
        due_s += every_s


def closing(worker_id: str, attempts: Held) -> bytes:
    """One ack for all of them."""
    acks = [
        {"attempt_id": each["attempt_id"], "lease_id": each["lease_id"], "terminal_status": "completed"}
        for each in attempts
    ]
    return post(f"/v1/workers/{worker_id}/ack", json.dumps({"acks": acks}).encode())
