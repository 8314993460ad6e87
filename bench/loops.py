"""Crash loops with real processes: pods with fresh names that take ten jobs each and are killed, and jobs that kill."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.client import Connection, data_of
from bench.inside import one_number
from bench.jobs import submit
from bench.measure import Size
from bench.servers import Servers, ServerUnderTest, servers

JOBS = 40
SLOTS = 10
WORKFLOW = "loop"
LIMIT_S = 180.0
"""All jobs have run within this once the fleet is mended: the next probe is at most a minute away."""
COMPLETED = "SELECT count(*) FROM runtime_jobs WHERE status = 'completed'"
DEAD = "SELECT count(*) FROM runtime_dead_letters"


@dataclass(frozen=True)
class Loops:
    """What came of both."""

    seconds: float
    """For so long every pod was killed."""
    pods: int
    dead: int
    """Healthy jobs among the dead letters; 0 is right."""
    mended_s: float
    """From the first pod that lived to the last job's end."""
    behind_poison_s: float
    """When a healthy job behind two that kill their worker had run; less than 60 is right."""


def loops(size: Size) -> Loops:
    """One after the other, each with a database of its own."""
    with servers() as start:
        server = start.oris()
        connection = Connection(server.port)
        for number in range(JOBS):
            data_of(connection.call(submit(f"t{number}", WORKFLOW)))
        until, pods = time.monotonic() + size.fleet.loop_s, 0
        while time.monotonic() < until:
            pods += 1
            _one_life(start, server, f"pod{pods}", "t", until)
        dead = one_number(server, DEAD)
        start_s = time.monotonic()
        start.run("mended", "bench.pod", str(server.port), "mended", WORKFLOW, str(SLOTS), "none")
        _wait(lambda: one_number(server, COMPLETED) + one_number(server, DEAD) == JOBS)
        mended_s = time.monotonic() - start_s
        dead = max(dead, one_number(server, DEAD))
        connection.close()
    return Loops(size.fleet.loop_s, pods, dead, mended_s, _behind_poison())


def _behind_poison() -> float:
    with servers() as start:
        server = start.oris()
        connection = Connection(server.port)
        for thread in ("poison1", "poison2", "healthy"):
            data_of(connection.call(submit(thread, WORKFLOW)))
        start_s = time.monotonic()
        while one_number(server, COMPLETED) == 0 and time.monotonic() - start_s < LIMIT_S:
            _one_life(start, server, "only", "poison", time.monotonic() + 5, slots=1)
        connection.close()
        return time.monotonic() - start_s


def _one_life(
    start: Servers, server: ServerUnderTest, name: str, killed_by: str, until: float, slots: int = SLOTS
) -> None:
    """A process from its start to its death, or until somebody ends it."""
    process = start.run(name, "bench.pod", str(server.port), name, WORKFLOW, str(slots), killed_by)
    while process.exit_code is None and time.monotonic() < until:
        time.sleep(0.02)
    process.kill()


def _wait(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + LIMIT_S
    while not condition() and time.monotonic() < give_up:
        time.sleep(0.1)
