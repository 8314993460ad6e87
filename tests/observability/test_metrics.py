"""The metrics: their names and labels are API."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import pytest
from prometheus_client.parser import text_string_to_metric_families

from oris.observability.metrics import Metrics

NAMES = {
    "oris_build_info",
    "oris_http_held_bytes",
    "oris_http_no_room_total",
    "oris_http_request_duration_ms",
    "oris_http_under_way",
    "oris_http_unauthorized_total",
    "oris_http_wait_duration_ms",
    "oris_runtime_active_leases",
    "oris_runtime_workflows_held",
    "oris_runtime_workflow_holds_total",
    "oris_runtime_admission_level",
    "oris_runtime_backpressure_active",
    "oris_runtime_backpressure_total",
    "oris_runtime_clock_jumps_total",
    "oris_runtime_clock_skew_seconds",
    "oris_runtime_commit_batch_size",
    "oris_runtime_commit_latency_ms",
    "oris_runtime_dead_letters",
    "oris_runtime_dispatch_latency_ms",
    "oris_runtime_delayed_jobs",
    "oris_runtime_duplicate_executions_total",
    "oris_runtime_idempotency_conflicts_total",
    "oris_runtime_idempotent_replays_total",
    "oris_runtime_lease_conflict_rate",
    "oris_runtime_lease_conflicts_total",
    "oris_runtime_lease_expirations_total",
    "oris_runtime_lease_operations_total",
    "oris_runtime_log_drops_total",
    "oris_runtime_loop_lag_ms",
    "oris_runtime_oldest_queued_age_ms",
    "oris_runtime_outage_seconds_total",
    "oris_runtime_outages_total",
    "oris_runtime_pending_interrupts",
    "oris_runtime_pruned_audit_records_total",
    "oris_runtime_pruned_runs_total",
    "oris_runtime_queue_depth",
    "oris_runtime_queue_wait_ms",
    "oris_runtime_recovery_latency_ms",
    "oris_runtime_submits_total",
    "oris_runtime_task_restarts_total",
    "oris_runtime_terminal_acks_total",
    "oris_runtime_terminal_error_rate",
    "oris_store_free_disk_bytes",
    "oris_store_refused_commits_total",
    "oris_store_reserve_bytes",
    "oris_store_wal_bytes",
}


@dataclass
class FakeTime:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def metrics(time: FakeTime) -> Metrics:
    return Metrics("1.2.3", time)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """The sample of this name and these labels, out of what is rendered."""
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return float(sample.value)
    return None


def test_every_name_is_there_from_the_start_and_no_other(metrics: Metrics) -> None:
    assert set(re.findall(r"^# TYPE (\S+)", metrics.render().decode(), re.MULTILINE)) == NAMES


def test_counts_start_at_zero_and_the_free_disk_as_unknown(metrics: Metrics) -> None:
    assert value(metrics, "oris_runtime_terminal_acks_total", status="failed") == 0
    assert value(metrics, "oris_runtime_submits_total", keyed="true") == 0
    assert math.isnan(value(metrics, "oris_store_free_disk_bytes") or 0.0)


def test_the_client_adds_no_series_of_its_own(metrics: Metrics) -> None:
    metrics.count_terminal_ack("completed")
    metrics.dispatch_latency_ms.observe(3)
    assert b"_created" not in metrics.render()


def test_two_servers_in_one_process_share_nothing(metrics: Metrics, time: FakeTime) -> None:
    other = Metrics("1.2.3", time)
    metrics.queue_depth.set(7)
    assert value(metrics, "oris_runtime_queue_depth") == 7
    assert value(other, "oris_runtime_queue_depth") == 0


def test_the_version_is_a_label(metrics: Metrics) -> None:
    assert value(metrics, "oris_build_info", version="1.2.3") == 1


def test_the_error_rate_is_that_of_the_last_ten_minutes(metrics: Metrics, time: FakeTime) -> None:
    metrics.count_terminal_ack("failed")
    metrics.count_terminal_ack("completed", 3)
    assert value(metrics, "oris_runtime_terminal_error_rate") == 0.25
    assert value(metrics, "oris_runtime_terminal_acks_total", status="completed") == 3

    time.now_s += 700
    metrics.count_terminal_ack("cancelled")
    assert value(metrics, "oris_runtime_terminal_error_rate") == 0
    assert value(metrics, "oris_runtime_terminal_acks_total", status="failed") == 1


def test_a_lost_race_is_a_lease_conflict(metrics: Metrics) -> None:
    metrics.count_lease_operation("ack", "ok", 3)
    metrics.count_lease_operation("renew", "conflict")
    assert value(metrics, "oris_runtime_lease_operations_total", operation="renew", result="conflict") == 1
    assert value(metrics, "oris_runtime_lease_conflicts_total") == 1
    assert value(metrics, "oris_runtime_lease_conflict_rate") == 0.25


def test_parked_time_is_not_request_time(metrics: Metrics) -> None:
    metrics.observe_request("/v1/jobs", "POST", 200, 4.0, waits=False)
    metrics.observe_request("/v1/workers/poll", "POST", 200, 40_000.0, waits=True)
    labels = {"method": "POST", "status": "200"}
    assert value(metrics, "oris_http_request_duration_ms_count", route="/v1/jobs", **labels) == 1
    assert value(metrics, "oris_http_request_duration_ms_count", route="/v1/workers/poll", **labels) is None
    assert value(metrics, "oris_http_wait_duration_ms_sum", route="/v1/workers/poll", **labels) == 40_000


def test_a_callers_method_is_no_label(metrics: Metrics) -> None:
    metrics.observe_request("unmatched", "BREW", 405, 1.0, waits=False)
    metrics.observe_request("unmatched", "STEEP", 405, 1.0, waits=False)
    labels = {"route": "unmatched", "method": "other", "status": "405"}
    assert value(metrics, "oris_http_request_duration_ms_count", **labels) == 2


def test_log_drops_follow_the_logs_own_count(metrics: Metrics) -> None:
    for total in (3, 3, 10):
        metrics.update_log_drops(total)
    assert value(metrics, "oris_runtime_log_drops_total") == 10


def test_refusals_for_want_of_room_are_counted_from_totals_each_kind_for_itself(metrics: Metrics) -> None:
    for what, total in (("bodies", 2), ("bodies", 5), ("waits", 1)):
        metrics.update_no_room(what, total)
    assert value(metrics, "oris_http_no_room_total", what="bodies") == 5
    assert value(metrics, "oris_http_no_room_total", what="waits") == 1


@pytest.mark.parametrize(
    ("name", "objective"),
    [
        ("oris_runtime_dispatch_latency_ms", "250.0"),
        ("oris_runtime_dispatch_latency_ms", "10.0"),
        ("oris_runtime_recovery_latency_ms", "1000.0"),
        ("oris_runtime_recovery_latency_ms", "50.0"),
    ],
)
def test_a_histogram_has_a_bound_at_its_objective(metrics: Metrics, name: str, objective: str) -> None:
    assert value(metrics, name + "_bucket", le=objective) == 0


def test_a_child_is_bound_once(metrics: Metrics) -> None:
    assert metrics.backpressure("queue_full") is metrics.backpressure("queue_full")
    assert metrics.backpressure("queue_full") is not metrics.backpressure("worker_limit")
