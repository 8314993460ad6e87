"""What lanes cost that nobody serves: dispatch beside a workflow per customer, in turns with dispatch without them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from bench.client import Connection, data_of, post, post_json
from bench.jobs import check_batch, poll, submit
from bench.measure import Latency, Size
from bench.servers import servers

AT_ONCE = 1000
"""Jobs, each of a workflow of its own, in one batch."""
TENANTS = 3
"""A tenant may have half of the queue."""
PARK_MS = 20_000
SETTLE_S = 0.005
"""For so long a poll is given to park before it is measured."""
MINE = "mine"
"""The one workflow that a worker asks for."""


@dataclass(frozen=True)
class Lanes:
    """One worker and one client, one job at a time, on two servers by turns."""

    lanes: int
    without: Latency
    """From sending a submit to the parked poll's answer."""
    beside: Latency
    ratio: float
    """Of the medians."""
    server_us_without: float
    """The server's processor time for each job: submit, poll, ack."""
    server_us_beside: float
    start_s: float
    """How long a server needs until it is there again, with all the lanes to learn."""


def lanes(size: Size) -> Lanes:
    """Both servers, a tenth of the samples in each turn."""
    with servers() as start, servers() as start_crowded:
        crowded = start_crowded.oris()
        _fill(crowded.port, size.lanes)
        crowded.process.end()
        before_s = time.perf_counter()
        crowded = start_crowded.oris()
        start_s = time.perf_counter() - before_s
        both = (start.oris(), crowded)
        samples: tuple[list[float], list[float]] = ([], [])
        used_s = [0.0, 0.0]
        for turn in range(-1, 10):
            for place, server in enumerate(both):
                cpu_s = server.cpu_s()
                found = _dispatch(server.port, turn, max(1, size.samples // 10))
                if turn >= 0:  # the turn before warms up
                    samples[place].extend(found)
                    used_s[place] += server.cpu_s() - cpu_s
    without, beside = (Latency.of(each) for each in samples)
    us_without, us_beside = (used / len(each) * 1e6 for used, each in zip(used_s, samples, strict=True))
    return Lanes(size.lanes, without, beside, beside.p50_ms / without.p50_ms, us_without, us_beside, start_s)


def _fill(port: int, number: int) -> None:
    """A job in each of so many lanes."""
    connection = Connection(port)
    for first in range(0, number, AT_ONCE):
        jobs = [
            {"thread_id": f"customer-{n}", "workflow": f"customer-{n}", "tenant_id": f"t{n % TENANTS}"}
            for n in range(first, min(first + AT_ONCE, number))
        ]
        check_batch(connection.call(post("/v1/jobs/batch", json.dumps({"jobs": jobs}).encode())))
    connection.close()


def _dispatch(port: int, turn: int, number: int) -> list[float]:
    client, worker = Connection(port), Connection(port)
    samples = []
    for n in range(number):
        worker.send(poll("w", workflows=[MINE], wait_ms=PARK_MS))
        time.sleep(SETTLE_S)
        start_s = time.perf_counter()
        client.send(submit(f"mine-{turn}-{n}", MINE))
        granted = data_of(worker.wait())
        samples.append((time.perf_counter() - start_s) * 1000)
        client.wait()
        ack = {"attempt_id": granted["attempt_id"], "lease_id": granted["lease_id"], "terminal_status": "completed"}
        worker.call(post_json("/v1/workers/w/ack", ack))
    client.close()
    worker.close()
    return samples
