"""Every metric of the server, by name. Names and labels are API: dashboards and alerts depend on them.

The bounds of a histogram stand at the objectives it is judged by (dispatch 250 ms, recovery 1000 ms, a grant
within 50 ms of expiry, ready work at a waiting poll within 10 ms), with a few on either side.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from prometheus_client import generate_latest

from oris.observability.metric_families import Maker, Registry
from oris.observability.window import SlidingShare

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_SHORT_MS: Final = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000)
_COMMIT_MS: Final = (0.25, 0.5, 1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 5000)
_RECOVERY_MS: Final = (5, 10, 25, 50, 100, 250, 500, 1000, 2000, 5000, 10_000, 60_000)
_QUEUE_MS: Final = (1, 10, 50, 250, 1000, 5000, 15_000, 60_000, 300_000, 900_000, 3_600_000, 21_600_000)
_WAIT_MS: Final = (10, 50, 250, 1000, 5000, 10_000, 20_000, 30_000, 45_000, 60_000, 120_000)
_LAG_MS: Final = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 5000)
_BATCH: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The metrics of one server, in a registry of its own. Nothing here waits or fails; latencies are in ms."""

    def __init__(self, version: str, monotonic_s: Callable[[], float]) -> None:
        """`version` goes into `oris_build_info`; `monotonic_s` moves the ten-minute windows."""
        self._registry = Registry()
        make = Maker(self._registry)
        self._make_queue(make)
        self._make_leases(make)
        self._make_outcomes(make)
        self._make_engine(make)
        self._make_process(make, version)
        self._conflicts = SlidingShare(monotonic_s)
        self._errors = SlidingShare(monotonic_s)
        self.lease_conflict_rate.set_function(self._conflicts.share)
        self.terminal_error_rate.set_function(self._errors.share)
        self._log_drops_seen = 0
        self._no_room_seen: dict[str, int] = {}
        for status in ("completed", "failed", "cancelled"):
            self.terminal_acks(status)  # there from the start, so that the first one is seen as a rise
        for keyed in ("true", "false"):
            self.submits(keyed)

    def render(self) -> bytes:
        """The whole in Prometheus' text format; its type is `CONTENT_TYPE`."""
        return generate_latest(self._registry)

    def count_lease_operation(self, operation: str, result: str, count: int = 1) -> None:
        """Count calls that name or take a lease, such as `("renew", "ok")`; result `conflict` is a lost race."""
        self.lease_operations(operation, result).inc(count)
        lost = count if result == "conflict" else 0
        if lost:
            self.lease_conflicts.inc(lost)
        self._conflicts.add(lost, count)

    def count_terminal_ack(self, status: str, count: int = 1) -> None:
        """Count runs that have come to `completed`, `failed` or `cancelled`; failed ones make the error rate."""
        self.terminal_acks(status).inc(count)
        self._errors.add(count if status == "failed" else 0, count)

    def observe_request(self, route: str, method: str, status: int, duration_ms: float, *, waits: bool) -> None:
        """Observe an answered request. `route` is the route's pattern; `waits`: it was parked, which is not work."""
        family = self.http_wait_ms if waits else self.http_request_ms
        family(route, method if method in _METHODS else "other", str(status)).observe(duration_ms)

    def update_log_drops(self, total: int) -> None:
        """Take over the count of lines the log has dropped so far."""
        self.log_drops.inc(max(0, total - self._log_drops_seen))
        self._log_drops_seen = max(self._log_drops_seen, total)

    def update_no_room(self, what: str, total: int) -> None:
        """Take over how often there was no room so far for `what`."""
        seen = self._no_room_seen.get(what, 0)
        self.http_no_room(what).inc(max(0, total - seen))
        self._no_room_seen[what] = max(seen, total)

    def _make_queue(self, make: Maker) -> None:
        self.queue_depth = make.gauge("oris_runtime_queue_depth", "Jobs that could run now.")
        self.delayed_jobs = make.gauge(
            "oris_runtime_delayed_jobs", "Jobs that wait for their time: scheduled, or backing off."
        )
        self.pending_interrupts = make.gauge(
            "oris_runtime_pending_interrupts", "Questions of runs that nobody has answered yet."
        )
        self.oldest_queued_age_ms = make.gauge(
            "oris_runtime_oldest_queued_age_ms", "How long the oldest of them has been waiting."
        )
        self.queue_wait_ms = make.histogram(
            "oris_runtime_queue_wait_ms", "From when a job could run to its grant.", _QUEUE_MS
        )
        self.dispatch_latency_ms = make.histogram(
            "oris_runtime_dispatch_latency_ms",
            "From when a job and a waiting poll both existed to the committed grant.",
            _SHORT_MS,
        )
        self.submits = make.counters(
            "oris_runtime_submits_total", "Jobs submitted; keyed: with an idempotency key.", "keyed"
        )
        self.idempotent_replays = make.counter(
            "oris_runtime_idempotent_replays_total",
            "Submits answered with the run their key already had, and replays with the one that had completed.",
        )
        self.idempotency_conflicts = make.counter(
            "oris_runtime_idempotency_conflicts_total", "Submits refused because their key had another payload."
        )

    def _make_leases(self, make: Maker) -> None:
        self.workflows_held = make.gauge(
            "oris_runtime_workflows_held", "Workflows whose last leases were all lost, given out one lease at a time."
        )
        self.workflow_holds = make.counter("oris_runtime_workflow_holds_total", "How often a workflow came to be held.")
        self.active_leases = make.gauge("oris_runtime_active_leases", "Attempts that workers hold.")
        self.lease_operations = make.counters(
            "oris_runtime_lease_operations_total", "Calls that take or name a lease.", "operation", "result"
        )
        self.lease_conflicts = make.counter(
            "oris_runtime_lease_conflicts_total", "Those refused because the lease was no longer the caller's."
        )
        self.lease_conflict_rate = make.gauge(
            "oris_runtime_lease_conflict_rate", "Their share of the last ten minutes, 0 to 1."
        )
        self.lease_expirations = make.counter(
            "oris_runtime_lease_expirations_total", "Leases that ran out without a word from the worker."
        )
        self.recovery_latency_ms = make.histogram(
            "oris_runtime_recovery_latency_ms", "From the expiry of a lease to the next grant.", _RECOVERY_MS
        )

    def _make_outcomes(self, make: Maker) -> None:
        self.terminal_acks = make.counters("oris_runtime_terminal_acks_total", "Runs that came to their end.", "status")
        self.terminal_error_rate = make.gauge(
            "oris_runtime_terminal_error_rate", "The share that failed in the last ten minutes, 0 to 1."
        )
        self.duplicate_executions = make.counter(
            "oris_runtime_duplicate_executions_total",
            "Steps reported as succeeded, with another token or payload, that had succeeded already: done twice.",
        )
        self.dead_letters = make.gauge("oris_runtime_dead_letters", "Failed runs that nobody has replayed yet.")

    def _make_engine(self, make: Maker) -> None:
        self.backpressure = make.counters("oris_runtime_backpressure_total", "Polls and submits held back.", "reason")
        self.backpressure_active = make.gauges(
            "oris_runtime_backpressure_active", "1 while this holds submits or polls back.", "reason"
        )
        self.admission_level = make.gauge("oris_runtime_admission_level", "0: all is admitted; the higher, the less.")
        self.commit_latency_ms = make.histogram(
            "oris_runtime_commit_latency_ms", "One group commit, from its start until it is durable.", _COMMIT_MS
        )
        self.commit_batch_size = make.histogram(
            "oris_runtime_commit_batch_size", "Commands in one group commit.", _BATCH
        )
        self.refused_commits = make.counters(
            "oris_store_refused_commits_total", "Commits that the database refused; nothing was written.", "cause"
        )
        self.store_reserve_bytes = make.gauge(
            "oris_store_reserve_bytes", "Room kept in a file beside the database, given up when the disk is full."
        )
        self.store_wal_bytes = make.gauge("oris_store_wal_bytes", "Size of the write-ahead log.")
        self.store_free_disk_bytes = make.gauge("oris_store_free_disk_bytes", "Room left where the database is.")
        self.store_free_disk_bytes.set(math.nan)  # not known yet; 0 would be an alarm

    def _make_process(self, make: Maker, version: str) -> None:
        self.task_restarts = make.counters(
            "oris_runtime_task_restarts_total", "Background tasks restarted after an error.", "task"
        )
        self.loop_lag_ms = make.histogram(
            "oris_runtime_loop_lag_ms", "How late the event loop wakes a sleeper.", _LAG_MS
        )
        self.clock_skew_seconds = make.gauge(
            "oris_runtime_clock_skew_seconds",
            "How far the wall clock is ahead of the clock of leases (negative: behind); 0 within half a second.",
        )
        self.clock_jumps = make.counter(
            "oris_runtime_clock_jumps_total", "Jumps of the wall clock by more than a second; no lease moves by them."
        )
        self.pruned_runs = make.counter(
            "oris_runtime_pruned_runs_total", "Runs that were let go because they were too old."
        )
        self.pruned_audit_records = make.counter(
            "oris_runtime_pruned_audit_records_total", "Audit records that were let go because they were too old."
        )
        self.outages = make.counters(
            "oris_runtime_outages_total",
            "Times in which this node could not commit, for half a second or more.",
            "cause",
        )
        self.outage_seconds = make.counters(
            "oris_runtime_outage_seconds_total", "Seconds in which this node could not commit, by outage.", "cause"
        )
        self.log_drops = make.counter(
            "oris_runtime_log_drops_total", "Log lines dropped because nobody read them fast enough."
        )
        self.http_request_ms = make.histograms(
            "oris_http_request_duration_ms", "Requests that were not parked.", _SHORT_MS, *_HTTP_LABELS
        )
        self.http_unauthorized = make.counter(
            "oris_http_unauthorized_total", "Requests without right credentials, answered 401, or 429 when too many."
        )
        self.http_held_bytes = make.gauges(
            "oris_http_held_bytes", "What request bodies, and answers not read yet, take of their bounds.", "what"
        )
        self.http_under_way = make.gauges(
            "oris_http_under_way", "Requests of clients, workers' polls, and callers that wait or stream.", "what"
        )
        self.http_no_room = make.counters(
            "oris_http_no_room_total",
            "Requests, waits, bodies, answers and connections refused for want of room, and idle connections closed.",
            "what",
        )
        self.http_wait_ms = make.histograms(
            "oris_http_wait_duration_ms", "Long polls and waits, parked time included.", _WAIT_MS, *_HTTP_LABELS
        )
        make.gauges("oris_build_info", "1, with the version of the program.", "version")(version).set(1)


_HTTP_LABELS: Final = ("route", "method", "status")
