"""Numbers: rates with the processor time behind them, percentiles, and how large a run is."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.client import Script, drive
from bench.servers import ServerUnderTest

CONNECTIONS = 16


@dataclass(frozen=True)
class FleetSize:
    """How large a fleet is."""

    holders: int = 1000
    """Workers with leases; each waits for control messages too."""
    waiting: int = 1000
    """Workers that wait for work."""
    leases: int = 10
    """Of each holder."""
    beat_s: float = 10.0
    """From one heartbeat of a worker to its next."""
    quiet_s: float = 30.0
    """For so long there is nothing but heartbeats."""
    jobs: int = 1000
    jobs_per_s: float = 20.0
    kills: int = 15
    cut: int = 1000
    """Connections that break together."""
    partition_s: float = 5.0
    outage_workers: int = 200
    outage_s: float = 60.0
    loop_s: float = 120.0
    """For so long a fleet crashes at every start."""


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    seconds: float = 2.5
    rounds: int = 4
    pairs: int = 4000
    jobs: int = 20_000
    samples: int = 200
    expiries: int = 40
    fleet: FleetSize = FleetSize()
    lanes: int = 90_000
    """That nobody serves."""


TINY = Size(
    seconds=0.2,
    rounds=1,
    pairs=64,
    jobs=400,
    samples=5,
    expiries=3,
    fleet=FleetSize(20, 20, 10, 1.0, 1.0, 10, 20.0, 1, 20, 1.5, 5, 1.5, 2.0),
    lanes=200,
)
"""Shows that everything runs; its numbers mean nothing."""


@dataclass(frozen=True)
class Rate:
    """Operations per second, and the server's processor time for each."""

    per_second: float
    server_us: float

    @staticmethod
    def median(rates: Sequence[Rate]) -> Rate:
        """The middle of several rounds."""
        return Rate(median(rate.per_second for rate in rates), median(rate.server_us for rate in rates))


@dataclass(frozen=True)
class Latency:
    """Milliseconds."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    samples: int

    @staticmethod
    def of(samples_ms: Sequence[float]) -> Latency:
        """The percentiles of at least one sample: the smallest value that so many are not above."""
        ordered = sorted(samples_ms)

        def at(part: float) -> float:
            return ordered[max(0, math.ceil(part * len(ordered)) - 1)]

        return Latency(at(0.5), at(0.95), at(0.99), ordered[-1], len(ordered))


def timed(
    server: ServerUnderTest, scripts: list[Script], operations: int, until: Callable[[], bool] = lambda: False
) -> Rate:
    """Run scripts to their ends, or until all is done: a known number of operations."""
    cpu_s, start_s = server.cpu_s(), time.perf_counter()
    drive(server.port, scripts, until)
    elapsed_s = time.perf_counter() - start_s
    return Rate(operations / elapsed_s, (server.cpu_s() - cpu_s) / operations * 1e6)


def for_a_while(server: ServerUnderTest, scripts: list[Script], seconds: float) -> Rate:
    """Run endless scripts for some seconds; an operation is an answer."""
    cpu_s, start_s = server.cpu_s(), time.perf_counter()
    answers = drive(server.port, scripts, lambda: time.perf_counter() - start_s > seconds)
    elapsed_s = time.perf_counter() - start_s
    return Rate(answers / elapsed_s, (server.cpu_s() - cpu_s) / answers * 1e6)
