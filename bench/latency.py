"""How long until it is told: a job to a parked poll, an expired lease to another worker, a cancel to the worker."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from bench.client import Connection, data_of, post_json
from bench.jobs import poll, submit
from bench.measure import Latency, Size
from bench.servers import servers

PARK_MS = 20_000
AT_ONCE = 10
"""Expiries that are waited for side by side, each by a worker of its own, at moments spread over a second."""
SETTLE_S = 0.02
"""For so long a poll is given to park before it is measured."""


@dataclass(frozen=True)
class Latencies:
    """One client, one job at a time, an otherwise idle server."""

    dispatch: Latency
    """From sending a submit to the parked poll's answer."""
    recovery: Latency
    """From the end of an unrenewed lease of 1 s to the answer of another worker's parked poll."""
    cancel: Latency
    """From sending a cancel to the control message at the worker's parked poll."""


def latency(size: Size) -> Latencies:
    """All three, on a fresh server."""
    with servers() as start:
        port = start.oris().port
        return Latencies(_dispatch(port, size.samples), _recovery(port, size.expiries), _cancel(port, size.samples))


def _dispatch(port: int, number: int) -> Latency:
    client, worker = Connection(port), Connection(port)
    samples = []
    for n in range(number):
        worker.send(poll("w", wait_ms=PARK_MS))
        time.sleep(SETTLE_S)
        start_s = time.perf_counter()
        client.send(submit(f"dispatch-{n}"))
        granted = data_of(worker.wait())
        samples.append((time.perf_counter() - start_s) * 1000)
        client.wait()
        worker.call(_ack("w", granted))
    return Latency.of(samples)


def _cancel(port: int, number: int) -> Latency:
    client, worker = Connection(port), Connection(port)
    samples = []
    for n in range(number):
        client.call(submit(f"cancel-{n}"))
        lease_id = data_of(worker.call(poll("w")))["lease_id"]
        worker.send(poll("w", limit=0, wait_ms=PARK_MS))
        time.sleep(SETTLE_S)
        start_s = time.perf_counter()
        client.send(post_json(f"/v1/jobs/cancel-{n}/cancel", {}))
        [control] = data_of(worker.wait())["control"]
        samples.append((time.perf_counter() - start_s) * 1000)
        client.wait()
        if (control["type"], control["lease_id"]) != ("cancel", lease_id):
            raise ValueError(f"not the message that was expected: {control}")
    return Latency.of(samples)


def _recovery(port: int, number: int) -> Latency:
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return Latency.of(list(threads.map(lambda n: _one_recovery(port, n), range(number))))


def _one_recovery(port: int, number: int) -> float:
    """Let a lease expire; how long after its end, in ms, the other worker had the job."""
    workflow = f"recovery-{number}"
    if number < AT_ONCE:
        time.sleep(number / AT_ONCE)
    loser, heir = Connection(port), Connection(port)
    loser.call(submit(workflow, workflow))
    lost = data_of(loser.call(poll(f"loser-{number}", workflows=[workflow], lease_ttl_seconds=1)))
    granted = data_of(heir.call(poll(f"heir-{number}", workflows=[workflow], wait_ms=PARK_MS)))
    # The server tells the end of a lease by its own clock, which follows this machine's wall clock.
    late_ms = (time.time() - datetime.fromisoformat(lost["lease_expires_at"]).timestamp()) * 1000
    if granted["attempts"][0]["attempt_no"] != 2:
        raise ValueError(f"not a second attempt: {granted}")
    heir.call(_ack(f"heir-{number}", granted))
    return late_ms


def _ack(worker_id: str, granted: dict[str, str]) -> bytes:
    body = {"attempt_id": granted["attempt_id"], "lease_id": granted["lease_id"], "terminal_status": "completed"}
    return post_json(f"/v1/workers/{worker_id}/ack", body)
