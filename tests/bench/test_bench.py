"""Every part of the bench runs, at a size whose numbers mean nothing; what it computes is right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bench.latency import Latencies
from bench.measure import Latency, Rate
from bench.slo import missed

ROOT = Path(__file__).parent.parent.parent
LIMIT_S = 90


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The bench, as a person calls it, at its smallest."""
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments, "--tiny"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def measured(part: str) -> dict[str, Any]:
    ended = run(part, "--json")
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    assert set(found) == {"machine", part}
    numbers: dict[str, Any] = found[part]
    return numbers


def test_requests_are_measured_against_the_echo_route() -> None:
    numbers = measured("http")
    assert min(numbers[name]["per_second"] for name in ("echo", "run", "poll_ack")) > 0
    assert numbers["run_to_echo"] > 0


def test_jobs_are_measured_from_submit_to_ack() -> None:
    assert measured("jobs")["end_to_end"]["per_second"] > 0


def test_latencies_are_measured_and_have_their_percentiles() -> None:
    numbers = measured("latency")
    for name in ("dispatch", "recovery", "cancel"):
        found = numbers[name]
        assert found["samples"] > 0
        assert 0 <= found["p50_ms"] <= found["p95_ms"] <= found["p99_ms"] <= found["max_ms"]


def test_a_fleet_is_measured_at_rest_with_jobs_dying_and_cut_off() -> None:
    numbers = measured("fleet")
    crowd, cut = numbers["crowded"], numbers["broken"]["cut"]
    assert (crowd["parked"], crowd["leases"]) == (40, 200)
    assert (crowd["quiet"]["events"], crowd["dispatch"]["samples"]) == (0, 10)
    assert min(crowd["quiet"]["heartbeat"]["samples"], crowd["quiet"]["commits_per_s"]) > 0
    assert numbers["broken"]["kill"]["samples"] == 1
    assert (cut["connections"], cut["lost"]) == (20, 0)


def test_dispatch_is_measured_beside_lanes_that_nobody_serves_and_without_them() -> None:
    numbers = measured("lanes")
    assert numbers["lanes"] == 200
    assert (numbers["without"]["samples"], numbers["beside"]["samples"]) == (10, 10)
    assert min(numbers[name] for name in ("ratio", "server_us_without", "start_s")) > 0


def test_outages_are_measured_and_cost_nobody_anything() -> None:
    for survived in measured("outage").values():
        assert survived["leases"] == 50
        assert [survived[what] for what in ("lost", "taken", "losses", "unfinished")] == [0, 0, 0, 0]


def test_without_json_there_are_tables() -> None:
    ended = run("jobs")
    assert ended.returncode == 0, ended.stderr
    assert "| submit by 100, `ack` + `poll` by 16 |" in ended.stdout


def test_an_unknown_part_is_refused() -> None:
    assert run("speed").returncode == 2


def latencies(dispatch_ms: float, recovery_ms: float) -> Latencies:
    def of(p95_ms: float) -> Latency:
        return Latency(1.0, p95_ms, p95_ms, p95_ms, 100)

    return Latencies(of(dispatch_ms), of(recovery_ms), of(1.0))


def test_targets_are_met_below_their_limits_and_missed_at_them() -> None:
    assert missed(latencies(249.9, 999.9)) == []
    assert len(missed(latencies(250.0, 999.9))) == 1
    assert len(missed(latencies(249.9, 1000.0))) == 1


def test_a_percentile_is_the_smallest_sample_that_so_many_are_not_above() -> None:
    assert Latency.of([float(n) for n in range(100, 0, -1)]) == Latency(50.0, 95.0, 99.0, 100.0, 100)
    assert Latency.of([7.0]) == Latency(7.0, 7.0, 7.0, 7.0, 1)


def test_the_median_of_rounds_is_taken_for_each_number() -> None:
    assert Rate.median([Rate(1, 30), Rate(9, 20), Rate(5, 10)]) == Rate(5, 20)


@pytest.mark.parametrize("missing", [True, False])
def test_slo_exits_1_when_a_target_is_missed(monkeypatch: pytest.MonkeyPatch, missing: bool) -> None:
    from bench import __main__ as command

    found = latencies(300.0 if missing else 1.0, 1.0)
    monkeypatch.setitem(command.PARTS, "latency", lambda _size: found)
    monkeypatch.setattr(sys, "argv", ["bench", "slo"])
    assert command.main() == (1 if missing else 0)


def test_crash_loops_kill_no_healthy_job() -> None:
    numbers = measured("loops")
    assert numbers["dead"] == 0
    assert numbers["pods"] > 0
    assert numbers["behind_poison_s"] < 60
