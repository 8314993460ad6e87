"""A server that is stopped, or down, for longer than its leases live: what that costs those who hold them (L6)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.client import LIMIT_S, Connection, data_of
from bench.crowd import Crowd
from bench.inside import one_number
from bench.jobs import poll
from bench.measure import FleetSize, Size
from bench.servers import Servers, ServerUnderTest, servers
from bench.workers import PARK_MS, Held, closing, fill_tenants, heartbeat, holder, lost_of

RAMP_PER_S = 200.0
BACK_PART = 1 / 3
"""Within so much of an outage, once it is over, all workers have got through again: 20 s of a minute."""
WORKFLOW = "outage"


@dataclass(frozen=True)
class Survived:
    """What came of one outage. All but the first two should be 0."""

    seconds: float
    leases: int
    lost: int
    """Leases that were not held any more when their worker came back."""
    taken: int
    """Jobs that were granted a second time."""
    losses: int
    """Counted against jobs."""
    unfinished: int
    """Jobs that their first worker could not end."""


@dataclass(frozen=True)
class Outages:
    """Both kinds."""

    stopped: Survived
    """`kill -STOP`, then `-CONT`."""
    down: Survived
    """`kill -9`, then started again."""


def outage(size: Size) -> Outages:
    """One after the other, each with a database of its own."""
    return Outages(_survived(size.fleet, _stopped), _survived(size.fleet, _down))


def _stopped(_start: Servers, server: ServerUnderTest, wait: Callable[[], None]) -> ServerUnderTest:
    server.process.freeze()
    wait()
    server.process.thaw()
    return server


def _down(start: Servers, server: ServerUnderTest, wait: Callable[[], None]) -> ServerUnderTest:
    server.process.kill()
    wait()
    return start.oris()


def _survived(
    size: FleetSize, happens: Callable[[Servers, ServerUnderTest, Callable[[], None]], ServerUnderTest]
) -> Survived:
    with servers() as start:
        server = start.oris()
        crowd, held = _fleet(server, size)

        def wait() -> None:
            time.sleep(size.outage_s / 2)
            crowd.cut()  # nobody waits for so long
            time.sleep(size.outage_s / 2)

        start_s = time.perf_counter()
        server = happens(start, server, wait)
        seconds = time.perf_counter() - start_s
        crowd.close()
        return _aftermath(server, held, seconds)


def _fleet(server: ServerUnderTest, size: FleetSize) -> tuple[Crowd, dict[str, Held]]:
    fill_tenants(server.port, WORKFLOW, size.outage_workers * size.leases)
    crowd = Crowd(server.port)
    held: dict[str, Held] = {}
    start_s = time.perf_counter()
    for n in range(size.outage_workers):
        worker_id = f"w{n}"

        def note(attempts: Held, worker_id: str = worker_id) -> None:
            held[worker_id] = attempts

        crowd.add(holder(worker_id, WORKFLOW, size.leases, start_s + n / RAMP_PER_S, note))
    crowd.run(lambda: len(held) == size.outage_workers, LIMIT_S)
    return crowd, held


def _aftermath(server: ServerUnderTest, held: dict[str, Held], seconds: float) -> Survived:
    """Somebody else waits for the jobs while their workers come back, one by one."""
    heir, connection = Connection(server.port), Connection(server.port)
    heir.send(poll("heir", workflows=[WORKFLOW], limit=100, wait_ms=PARK_MS))
    start_s, lost = time.perf_counter(), 0
    for n, (worker_id, attempts) in enumerate(held.items()):
        time.sleep(max(0.0, start_s + seconds * BACK_PART * n / len(held) - time.perf_counter()))
        lost += lost_of(connection.call(heartbeat(worker_id, attempts)))
    number = sum(map(len, held.values()))
    losses = one_number(server, "SELECT sum(losses) FROM runtime_jobs")
    for worker_id, attempts in held.items():
        data_of(connection.call(closing(worker_id, attempts)))
    granted = one_number(server, "SELECT count(*) FROM runtime_events WHERE event_type = 'lease_granted'")
    completed = one_number(server, "SELECT count(*) FROM runtime_jobs WHERE status = 'completed' AND attempt_no = 1")
    for each in (heir, connection):
        each.close()
    return Survived(seconds, number, lost, granted - number, losses, number - completed)
