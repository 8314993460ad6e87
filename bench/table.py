"""The results, to read."""

from __future__ import annotations

from collections.abc import Iterator

from bench.latency import Latencies
from bench.machine import Machine
from bench.measure import Latency, Rate
from bench.throughput import Http, Jobs


def lines(found: dict[str, Machine | Http | Jobs | Latencies]) -> Iterator[str]:
    """Two tables in Markdown: rates, latencies."""
    rates: list[str] = []
    latencies: list[str] = []
    for part in found.values():
        match part:
            case Machine():
                yield f"{part.cpu}, {part.cores} cores, Python {part.python}, SQLite {part.sqlite}"
                latencies.append(_latency("append 4 KiB and fdatasync, for comparison", part.sync))
            case Http():
                rates.append(_rate("echo route, 16 connections", "requests/s", part.echo))
                rates.append(_rate("`run` single, 16 connections", "requests/s", part.run))
                rates.append(f"| `run` / echo | {part.run_to_echo:.0%} | | |")
                rates.append(_rate("`poll` + `ack`, 16 connections", "pairs/s", part.poll_ack))
            case Jobs():
                rates.append(_rate("submit by 100, `ack` + `poll` by 16", "jobs/s", part.end_to_end))
            case Latencies():
                latencies.append(_latency("submit → parked poll", part.dispatch))
                latencies.append(_latency("lease expiry → another worker's parked poll", part.recovery))
                latencies.append(_latency("cancel → the worker's parked poll", part.cancel))
    if rates:
        yield "\n| throughput | | unit | server CPU for each |\n|---|---:|---|---:|"
        yield from rates
    if latencies:
        yield "\n| latency, ms | p50 | p95 | p99 | max | samples |\n|---|---:|---:|---:|---:|---:|"
        yield from latencies


def _rate(name: str, unit: str, rate: Rate) -> str:
    return f"| {name} | {rate.per_second:,.0f} | {unit} | {rate.server_us:.0f} µs |"


def _latency(name: str, found: Latency) -> str:
    numbers = (found.p50_ms, found.p95_ms, found.p99_ms, found.max_ms)
    return f"| {name} | {' | '.join(f'{number:.1f}' for number in numbers)} | {found.samples} |"
