"""Connections that break: of one worker that is dead, and of a thousand at once that are not."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from bench.client import LIMIT_S, Connection, data_of, get, post
from bench.crowd import Crowd, Pause, Play
from bench.inside import watched_sessions
from bench.jobs import check_batch, poll
from bench.latency import SETTLE_S
from bench.measure import FleetSize, Latency
from bench.servers import Servers, ServerUnderTest, servers
from bench.workers import PARK_MS, Held, closing, fill_tenants, heartbeat, holder, lost_of
from oris.demo.processes import START_LIMIT_S, wait_for

OLD_S = 6.0
"""A server younger than five graces takes no broken connection for a dead worker."""
LEASES = 16
LONG_TTL_S = 3600
RAMP_PER_S = 300.0
PING_S = 0.002


@dataclass(frozen=True)
class Cut:
    """A thousand connections at once, and silence."""

    connections: int
    lost: int
    """Leases."""
    before: Latency
    """Pings, one at a time, while all are parked."""
    after: Latency
    """From the cut to the end of the silence."""


@dataclass(frozen=True)
class Broken:
    """Both."""

    kill: Latency
    """From `kill -9` of a worker to the last of its jobs at another worker."""
    cut: Cut


def broken(size: FleetSize) -> Broken:
    """On a server that is old enough to believe in a death."""
    with servers() as start:
        server = start.oris()
        time.sleep(OLD_S)
        kills = [_kill(start, server, n) for n in range(size.kills)]
        return Broken(Latency.of(kills), _cut(server, size))


def _kill(start: Servers, server: ServerUnderTest, number: int) -> float:
    """In ms."""
    workflow, heir = f"kill-{number}", f"heir-{number}"
    connection = Connection(server.port)
    jobs = [{"thread_id": f"{workflow}-{n}", "workflow": workflow} for n in range(LEASES)]
    check_batch(connection.call(post("/v1/jobs/batch", json.dumps({"jobs": jobs}).encode())))
    arguments = [str(server.port), f"victim-{number}", workflow, str(LEASES), str(LONG_TTL_S)]
    victim = start.run(f"victim-{number}", "bench.holder", *arguments)
    wait_for(lambda: f"holds {LEASES}\n" in victim.log.read_text(), START_LIMIT_S, "the worker to hold its leases")
    wait_for(lambda: watched_sessions(server.port) == 1, START_LIMIT_S, "its connection to be watched")
    asked = poll(heir, workflows=[workflow], limit=LEASES, wait_ms=PARK_MS)
    connection.send(asked)
    time.sleep(SETTLE_S)
    start_s = time.perf_counter()
    victim.kill()
    taken = data_of(connection.wait())["attempts"]
    while len(taken) < LEASES:
        taken += data_of(connection.call(asked))["attempts"]
    took_ms = (time.perf_counter() - start_s) * 1000
    if {attempt["attempt_no"] for attempt in taken} != {2}:
        raise ValueError("not the jobs that the killed worker held")
    connection.call(closing(heir, taken))
    connection.close()
    return took_ms


def _cut(server: ServerUnderTest, size: FleetSize) -> Cut:
    leases: dict[str, Held] = {}
    fill_tenants(server.port, "cut", size.cut)
    fleet, pinger = Crowd(server.port), Crowd(server.port)
    pings: list[float] = []
    start_s = time.perf_counter()
    for n in range(size.cut):
        worker_id = f"cut-{n}"

        def held(attempts: Held, worker_id: str = worker_id) -> None:
            leases[worker_id] = attempts

        fleet.add(holder(worker_id, "cut", 1, start_s + n / RAMP_PER_S, held))
    fleet.run(lambda: len(leases) == size.cut, LIMIT_S)
    wait_for(lambda: watched_sessions(server.port) == size.cut, START_LIMIT_S, "all connections to be watched")
    pinger.add(_pinging(pings))
    pinger.run_for(1.0)
    before = Latency.of(pings)
    pings.clear()
    fleet.cut()
    pinger.run_for(size.partition_s)
    pinger.close()
    if watched_sessions(server.port):
        raise ValueError("the server has not noticed the cut")
    connection = Connection(server.port)
    lost = sum(lost_of(connection.call(heartbeat(worker_id, attempts))) for worker_id, attempts in leases.items())
    taken = data_of(connection.call(poll("heir", workflows=["cut"], limit=100)))["attempts"]
    if taken and not lost:
        raise ValueError("a job was given to two workers")
    connection.close()
    return Cut(size.cut, lost, before, Latency.of(pings))


def _pinging(pings: list[float]) -> Play:
    """One after the other."""
    while True:
        start_s = time.perf_counter()
        yield get("/healthz")
        pings.append((time.perf_counter() - start_s) * 1000)
        yield Pause(time.perf_counter() + PING_S)
