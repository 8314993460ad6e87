"""A large fleet on one server: thousands of parked polls, ten thousand leases with their heartbeats, and some work."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.client import LIMIT_S, data_of
from bench.crowd import Crowd, Pause, Play
from bench.inside import counts, rss_mib, watched_sessions
from bench.jobs import submit
from bench.measure import FleetSize, Latency
from bench.servers import ServerUnderTest, servers
from bench.workers import PARK_MS, Held, beats, closing, fill_tenants, holder, watched

RAMP_PER_S = 200.0
"""So many workers come in a second."""


@dataclass(frozen=True)
class Load:
    """Some while of it."""

    cpu_share: float
    """Of one core, all threads of the server."""
    commits_per_s: float
    commands_per_commit: float
    """Of heartbeats: one a lease."""
    written_kib_per_commit: float
    """Into the log of the database and the database, by the system calls."""
    events: int
    """Rows that were added to the timelines."""
    heartbeat: Latency
    """A call that renews all leases of a worker, over a new connection."""


@dataclass(frozen=True)
class Crowded:
    """A fleet at rest, then with jobs."""

    parked: int
    leases: int
    rss_empty_mib: float
    rss_mib: float
    quiet: Load
    busy: Load
    dispatch: Latency
    """From sending a submit to the answer at one of the polls parked for work."""


@dataclass
class _Seen:
    """What the scripts have seen."""

    held: int = 0
    beat_ms: list[float] = field(default_factory=list)
    sent_s: dict[str, float] = field(default_factory=dict)
    dispatch_ms: list[float] = field(default_factory=list)


def crowded(size: FleetSize) -> Crowded:
    """On a server of its own."""
    with servers() as start:
        return _crowded(start.oris(), size)


def _crowded(server: ServerUnderTest, size: FleetSize) -> Crowded:
    empty_mib = rss_mib(server)
    fill_tenants(server.port, "held", size.holders * size.leases)
    crowd, seen = Crowd(server.port), _Seen()
    _come(crowd, seen, size)
    crowd.run(lambda: seen.held == size.holders, LIMIT_S)
    parked = size.holders + size.waiting
    give_up_s = time.perf_counter() + LIMIT_S
    while watched_sessions(server.port) < parked and time.perf_counter() < give_up_s:
        crowd.run_for(0.1)
    crowd.run_for(min(size.beat_s, 5.0))
    quiet = _load(server, crowd, seen, lambda: crowd.run_for(size.quiet_s))
    if quiet.events:
        raise ValueError(f"heartbeats have written {quiet.events} events")
    crowd.add(_submitting(seen, size))
    busy = _load(server, crowd, seen, lambda: crowd.run(lambda: len(seen.dispatch_ms) == size.jobs, LIMIT_S))
    found = Crowded(
        parked,
        size.holders * size.leases,
        empty_mib,
        rss_mib(server),
        quiet,
        busy,
        Latency.of(seen.dispatch_ms),
    )
    crowd.close()
    return found


def _come(crowd: Crowd, seen: _Seen, size: FleetSize) -> None:
    """All workers, one after the other."""
    start_s = time.perf_counter()
    for n in range(size.holders):
        crowd.add(_holding(crowd, seen, n, size, start_s + n / RAMP_PER_S))
    start_s += size.holders / RAMP_PER_S
    for n in range(size.waiting):
        crowd.add(_waiting(seen, f"waiting-{n}", start_s + n / RAMP_PER_S))


def _holding(crowd: Crowd, seen: _Seen, number: int, size: FleetSize, start_s: float) -> Play:
    worker_id = f"holder-{number}"

    def held(attempts: Held) -> None:
        seen.held += 1
        crowd.add(beats(worker_id, attempts, number, size.beat_s, seen.beat_ms.append))

    return holder(worker_id, "held", size.leases, start_s, held)


def _waiting(seen: _Seen, worker_id: str, start_s: float) -> Play:
    """Takes one job at a time and ends it."""
    yield Pause(start_s)
    ask = watched(worker_id, workflows=["live"], wait_ms=PARK_MS)
    while True:
        attempts = data_of((yield ask))["attempts"]
        for attempt in attempts:
            seen.dispatch_ms.append((time.perf_counter() - seen.sent_s[attempt["thread_id"]]) * 1000)
        if attempts:
            yield closing(worker_id, attempts)


def _submitting(seen: _Seen, size: FleetSize) -> Play:
    """At a steady pace, whatever the answers take."""
    start_s = time.perf_counter()
    for n in range(size.jobs):
        yield Pause(start_s + n / size.jobs_per_s)
        request = submit(f"live-{n}", "live")
        seen.sent_s[f"live-{n}"] = time.perf_counter()
        yield request


def _load(server: ServerUnderTest, crowd: Crowd, seen: _Seen, go_on: Callable[[], None]) -> Load:
    seen.beat_ms.clear()
    before, start_s = counts(server), time.perf_counter()
    go_on()
    seconds, after = time.perf_counter() - start_s, counts(server)
    commits = max(1, after.commits - before.commits)
    return Load(
        (after.cpu_s - before.cpu_s) / seconds,
        commits / seconds,
        (after.commands - before.commands) / commits,
        (after.written_bytes - before.written_bytes) / commits / 1024,
        after.events - before.events,
        Latency.of(seen.beat_ms),
    )
