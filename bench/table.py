"""The results, to read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench.crowded import Crowded, Load
from bench.fleet import Fleet
from bench.lanes import Lanes
from bench.latency import Latencies
from bench.loops import Loops
from bench.machine import Machine
from bench.measure import Latency, Rate
from bench.outage import Outages, Survived
from bench.throughput import Http, Jobs


def lines(found: dict[str, Machine | Http | Jobs | Latencies | Fleet | Lanes | Outages | Loops]) -> Iterator[str]:
    """Tables in Markdown: rates, latencies, a crowd, outages."""
    rates: list[str] = []
    latencies: list[str] = []
    more: list[str] = []
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
            case Fleet():
                latencies += _fleet_latencies(part)
                more += _crowd(part.crowded)
                more.append(
                    f"\nA cut of {part.broken.cut.connections:,} connections: {part.broken.cut.lost} leases lost"
                )
            case Lanes():
                latencies.append(_latency("submit → parked poll", part.without))
                latencies.append(_latency(f"the same beside {part.lanes:,} lanes that nobody serves", part.beside))
                more.append(f"\nBeside the lanes p50 is {part.ratio:.2f} of that without.")
                used = f"{part.server_us_without:.0f} µs without, {part.server_us_beside:.0f} µs beside them"
                more.append(f"Server CPU for each job: {used}. A start with them takes {part.start_s:.1f} s.")
            case Outages():
                more += _outages(part)
            case Loops():
                more.append(
                    f"\nA fleet that crashed for {part.seconds:.0f} s, {part.pods} pods: {part.dead} healthy jobs dead;"
                    f" all others done {part.mended_s:.1f} s after it was mended"
                )
                more.append(f"A job behind two that kill their worker: done after {part.behind_poison_s:.1f} s")
    if rates:
        yield "\n| throughput | | unit | server CPU for each |\n|---|---:|---|---:|"
        yield from rates
    if latencies:
        yield "\n| latency, ms | p50 | p95 | p99 | max | samples |\n|---|---:|---:|---:|---:|---:|"
        yield from latencies
    yield from more


def _rate(name: str, unit: str, rate: Rate) -> str:
    return f"| {name} | {rate.per_second:,.0f} | {unit} | {rate.server_us:.0f} µs |"


def _latency(name: str, found: Latency) -> str:
    numbers = (found.p50_ms, found.p95_ms, found.p99_ms, found.max_ms)
    return f"| {name} | {' | '.join(f'{number:.1f}' for number in numbers)} | {found.samples} |"


def _fleet_latencies(part: Fleet) -> Iterator[str]:
    crowd, cut = part.crowded, part.broken.cut
    yield _latency("fleet: submit → one of the parked polls", crowd.dispatch)
    yield _latency("fleet: heartbeat of all leases of a worker, at rest", crowd.quiet.heartbeat)
    yield _latency("fleet: the same, with jobs", crowd.busy.heartbeat)
    yield _latency("`kill -9` of a watched worker → the last of its jobs elsewhere", part.broken.kill)
    yield _latency(f"ping while {cut.connections:,} connections are parked", cut.before)
    yield _latency("ping from their cut on", cut.after)


def _crowd(crowd: Crowded) -> Iterator[str]:
    yield f"\n| {crowd.parked:,} parked polls, {crowd.leases:,} leases | heartbeats alone | with jobs |"
    yield "|---|---:|---:|"

    def row(name: str, shown: Callable[[Load], str]) -> str:
        return f"| {name} | {shown(crowd.quiet)} | {shown(crowd.busy)} |"

    yield row("server CPU, of one core", lambda load: f"{load.cpu_share:.0%}")
    yield row("commits/s", lambda load: f"{load.commits_per_s:.0f}")
    yield row("commands in a commit", lambda load: f"{load.commands_per_commit:.1f}")
    yield row("written for a commit, KiB", lambda load: f"{load.written_kib_per_commit:.1f}")
    yield row("events", lambda load: f"{load.events:,}")
    yield f"| server memory, MiB (empty: {crowd.rss_empty_mib:.0f}) | | {crowd.rss_mib:.0f} |"


def _outages(part: Outages) -> Iterator[str]:
    yield "\n| outage | s | leases | lost | granted twice | losses counted | unfinished |"
    yield "|---|---:|---:|---:|---:|---:|---:|"

    def row(name: str, found: Survived) -> str:
        numbers = (found.leases, found.lost, found.taken, found.losses, found.unfinished)
        return f"| {name} | {found.seconds:.0f} | {' | '.join(f'{number:,}' for number in numbers)} |"

    yield row("`kill -STOP`, `-CONT`", part.stopped)
    yield row("`kill -9`, started again", part.down)
