"""The declaration of every metric: name, unit, help, what to do about it, labels. docs/metrics.md is made from it.

Names and labels are API: dashboards and alerts depend on them. `metrics.py` counts with these metrics.

The bounds of a histogram include the targets it is judged by (dispatch 250 ms, recovery 1000 ms, a grant
within 50 ms of expiry, ready work at a waiting poll within 10 ms), with a few on either side.
"""

from __future__ import annotations

import math
from typing import Final

from oris.observability.metric_families import Maker, Registry

_SHORT_MS: Final = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000)
_COMMIT_MS: Final = (0.25, 0.5, 1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 5000)
_RECOVERY_MS: Final = (5, 10, 25, 50, 100, 250, 500, 1000, 2000, 5000, 10_000, 60_000)
_QUEUE_MS: Final = (1, 10, 50, 250, 1000, 5000, 15_000, 60_000, 300_000, 900_000, 3_600_000, 21_600_000)
_WAIT_MS: Final = (10, 50, 250, 1000, 5000, 10_000, 20_000, 30_000, 45_000, 60_000, 120_000)
_LAG_MS: Final = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 5000)
_BATCH: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

_OUTAGE: Final = {
    "cause": "`start`: the server was down; `standstill`: the process stood still; `trouble`: commits failed or were "
    "slow; `refused`: a worker's call found no room"
}
_HTTP: Final = {"route": "the pattern, such as `/v1/jobs/{thread_id}`, or `none`", "method": "", "status": ""}


class MetricTable:
    """The metrics of one server, in a registry of its own."""

    def __init__(self, version: str) -> None:
        """`version` goes into `oris_build_info`."""
        self.registry = Registry()
        make = Maker(self.registry)
        self._make_jobs(make)
        self._make_submits(make)
        self._make_leases(make)
        self._make_outcomes(make)
        self._make_overload(make)
        self._make_store(make)
        self._make_outages(make)
        self._make_http(make)
        self._make_process(make, version)
        self.declared = tuple(make.declared)

    def _make_jobs(self, make: Maker) -> None:
        make.section = "Jobs that wait"
        self.queue_depth = make.gauge(
            "oris_runtime_queue_depth",
            "jobs",
            "Jobs that can run now and wait for a worker.",
            "If it keeps rising, start more workers, or find out why they are slow.",
        )
        self.oldest_queued_age_ms = make.gauge(
            "oris_runtime_oldest_queued_age_ms",
            "ms",
            "How long the oldest job that can run now has been waiting.",
            "If it rises while the queue is short, no worker serves the job: ask `GET /v1/jobs/{thread_id}/explain`.",
        )
        self.delayed_jobs = make.gauge(
            "oris_runtime_delayed_jobs",
            "jobs",
            "Jobs that wait for their time: submitted with a delay, or waiting for a retry.",
            "Compare it with `ORIS_MAX_DELAYED_JOBS`: at this number delayed jobs are refused.",
        )
        self.pending_interrupts = make.gauge(
            "oris_runtime_pending_interrupts",
            "interrupts",
            "Questions of runs that nobody has answered yet.",
            "If it keeps rising, people answer too slowly: see `GET /v1/interrupts?status=pending`.",
        )
        self.queue_wait_ms = make.histogram(
            "oris_runtime_queue_wait_ms",
            "ms",
            "Time from when a job was queued until a worker was granted it.",
            "This is the delay that users notice. If it rises, start more workers.",
            _QUEUE_MS,
        )
        self.dispatch_latency_ms = make.histogram(
            "oris_runtime_dispatch_latency_ms",
            "ms",
            "Time from when both a job and a waiting poll existed until the grant was committed.",
            "The target is 250 ms (p95). Above it the server or its disk is too slow: see commit latency and loop lag.",
            _SHORT_MS,
        )

    def _make_submits(self, make: Maker) -> None:
        make.section = "Submits"
        self.submits = make.counters(
            "oris_runtime_submits_total",
            "submits",
            "Jobs that clients submitted, refused ones included.",
            'The load. Clients without idempotency keys (`keyed="false"`) cannot safely repeat a submit.',
            keyed="`true`: with an idempotency key; `false`: without one, or refused before it was looked at",
        )
        self.idempotent_replays = make.counter(
            "oris_runtime_idempotent_replays_total",
            "requests",
            "Repeated submits and replays that were answered with the run that already existed.",
            "Normal after lost answers. A sudden rise means that clients time out: see request durations.",
        )
        self.idempotency_conflicts = make.counter(
            "oris_runtime_idempotency_conflicts_total",
            "submits",
            "Submits refused because their idempotency key belongs to another request.",
            "A mistake in a client: it changes a request between two tries, or uses a key twice.",
        )

    def _make_leases(self, make: Maker) -> None:
        make.section = "Leases and workers"
        self.active_leases = make.gauge(
            "oris_runtime_active_leases",
            "leases",
            "Attempts that workers hold now.",
            "Work in progress. Wait until it is 0 before an upgrade.",
        )
        self.lease_operations = make.counters(
            "oris_runtime_lease_operations_total",
            "calls",
            "Leases granted, and worker calls that name a lease.",
            "Many `conflict` results mean that workers lose leases: see the next two metrics.",
            operation="`grant`, `renew`, `report`, `ack`, `release`, `suspend`",
            result="`ok`; `conflict`: the lease was no longer the caller's; `refused`: for another reason",
        )
        self.lease_conflicts = make.counter(
            "oris_runtime_lease_conflicts_total",
            "calls",
            "Worker calls refused because the lease was no longer the caller's.",
            "A few are normal after a worker has stalled. If they go on, see `oris_runtime_lease_conflict_rate`.",
        )
        self.lease_conflict_rate = make.gauge(
            "oris_runtime_lease_conflict_rate",
            "share, 0 to 1",
            "Share of lease operations in the last ten minutes that were conflicts.",
            "Above 0.01 for long: leases are too short for the workers' pauses, or workers send no heartbeats.",
        )
        self.lease_expirations = make.counter(
            "oris_runtime_lease_expirations_total",
            "leases",
            "Leases that ended because the worker was silent or a newer session replaced it.",
            "Each one is a lost attempt. Look for workers that crash, stall or are killed.",
        )
        self.recovery_latency_ms = make.histogram(
            "oris_runtime_recovery_latency_ms",
            "ms",
            "Time from when a lease was lost until the job was granted again.",
            "The target is 1000 ms (p95). It rises with repeated losses of one job, and when no worker is free.",
            _RECOVERY_MS,
        )
        self.workflows_held = make.gauge(
            "oris_runtime_workflows_held",
            "workflows",
            "Workflows that are held because their last leases were all lost: one lease at a time is given out.",
            "Above 0: the workers of a workflow die. Repair them; the first lease that ends normally ends the hold.",
        )
        self.workflow_holds = make.counter(
            "oris_runtime_workflow_holds_total",
            "holds",
            "Number of times a workflow came to be held.",
            "Each rise has a log line `workflow_held` that names the workflow.",
        )

    def _make_outcomes(self, make: Maker) -> None:
        make.section = "How runs end"
        self.terminal_acks = make.counters(
            "oris_runtime_terminal_acks_total",
            "runs",
            "Runs that ended, by how they ended.",
            "Its rate is the throughput.",
            status="`completed`, `failed`, `cancelled`",
        )
        self.terminal_error_rate = make.gauge(
            "oris_runtime_terminal_error_rate",
            "share, 0 to 1",
            "Share of the runs ended in the last ten minutes that failed.",
            "A sudden rise often follows a deploy of workers. `GET /v1/dlq` shows the errors.",
        )
        self.dead_letters = make.gauge(
            "oris_runtime_dead_letters",
            "runs",
            "Failed runs that nobody has replayed yet.",
            "Look at them with `GET /v1/dlq`, repair the cause, and replay them.",
        )
        self.duplicate_executions = make.counter(
            "oris_runtime_duplicate_executions_total",
            "steps",
            "Reports that a step succeeded, with another token or payload, after it had already succeeded.",
            "Any rise means that a worker does recorded steps again: it must skip the steps that it is handed.",
        )

    def _make_overload(self, make: Maker) -> None:
        make.section = "Overload"
        self.backpressure = make.counters(
            "oris_runtime_backpressure_total",
            "requests",
            "Submits refused, and polls that got no work because of a limit.",
            "The reason names the limit. For `queue_full` and `tenant_queue_full` start more workers.",
            reason="submits: `queue_full`, `tenant_queue_full`, `rate_limited`, `draining`, `disk_full`; "
            "polls: `worker_limit`, `tenant_limit`, `quarantined`, `session_superseded`",
        )
        self.backpressure_active = make.gauges(
            "oris_runtime_backpressure_active",
            "0 or 1",
            "1 while this reason holds back submits, or with `dispatch_off` polls.",
            "`disk_full` needs space on the disk. `rate_limited` ends by itself when the load falls.",
            reason="`rate_limited`, `draining`, `disk_full`, `dispatch_off`",
        )
        self.admission_level = make.gauge(
            "oris_runtime_admission_level",
            "level",
            "Whether new jobs are accepted. 0: yes; 1: overloaded; 2: draining or switched off; 3: disk nearly full.",
            "Alert on 1 and 3. Running work continues at every level.",
        )

    def _make_store(self, make: Maker) -> None:
        make.section = "Commits and the database"
        self.commit_latency_ms = make.histogram(
            "oris_runtime_commit_latency_ms",
            "ms",
            "Time of one group commit, from its start until it is durable.",
            "If p95 rises, the disk is slow. From 1000 ms on new jobs are refused.",
            _COMMIT_MS,
        )
        self.commit_batch_size = make.histogram(
            "oris_runtime_commit_batch_size",
            "commands",
            "Commands in one group commit.",
            "Batches near `ORIS_COMMIT_MAX_COMMANDS` mean that the server is at its limit.",
            _BATCH,
        )
        self.refused_commits = make.counters(
            "oris_store_refused_commits_total",
            "commits",
            "Commits that the database refused. Nothing was written.",
            "Callers got 503 and try again. The cause says what to repair.",
            cause="`disk_full`, `read_only`, `busy`, `read_too_long`, `file_lost`, `other`",
        )
        self.store_free_disk_bytes = make.gauge(
            "oris_store_free_disk_bytes",
            "bytes",
            "Free space on the disk that holds the database; NaN until it is known.",
            "Below `ORIS_DISK_RESERVE_BYTES` new jobs are refused. Alert well before that.",
        )
        self.store_free_disk_bytes.set(math.nan)  # not known yet; 0 would be an alarm
        self.store_reserve_bytes = make.gauge(
            "oris_store_reserve_bytes",
            "bytes",
            "Disk space that the file `<database>.reserve` keeps for running work.",
            "If it falls, the disk is full and the reserve is being used: make space.",
        )
        self.store_wal_bytes = make.gauge(
            "oris_store_wal_bytes",
            "bytes",
            "Size of the write-ahead log.",
            "Above 128 MiB another program holds a read transaction open: the log has `wal_large`.",
        )

    def _make_outages(self, make: Maker) -> None:
        make.section = "Outages, clock and retention"
        self.outages = make.counters(
            "oris_runtime_outages_total",
            "outages",
            "Periods of half a second or more in which this node could not commit.",
            "Leases are extended by the outage, so no attempt is lost. The cause says where to look.",
            **_OUTAGE,
        )
        self.outage_seconds = make.counters(
            "oris_runtime_outage_seconds_total",
            "s",
            "Total time of these outages.",
            "Its rate is the share of time in which the node was not available.",
            **_OUTAGE,
        )
        self.clock_skew_seconds = make.gauge(
            "oris_runtime_clock_skew_seconds",
            "s",
            "How far the wall clock is ahead of the clock of leases (negative: behind). 0 within half a second.",
            "If it stays above a minute, set the machine's clock right. Leases are not affected.",
        )
        self.clock_jumps = make.counter(
            "oris_runtime_clock_jumps_total",
            "jumps",
            "Jumps of the wall clock by more than a second.",
            "Repair the time synchronisation of the machine. Leases are not affected.",
        )
        self.pruned_runs = make.counter(
            "oris_runtime_pruned_runs_total",
            "runs",
            "Runs deleted because they were older than `ORIS_RETENTION_DAYS`.",
            "If it stays at 0 while the database grows, check the retention settings and the hold.",
        )
        self.pruned_audit_records = make.counter(
            "oris_runtime_pruned_audit_records_total",
            "records",
            "Audit records deleted because they were older than `ORIS_AUDIT_RETENTION_DAYS`.",
            "A log line `audit_not_cut` says why a chain was kept.",
        )

    def _make_http(self, make: Maker) -> None:
        make.section = "HTTP"
        self.http_request_ms = make.histograms(
            "oris_http_request_duration_ms",
            "ms",
            "Time to answer a request, on routes that do not wait.",
            "See which route and status are slow. Alert on status 500.",
            _SHORT_MS,
            **_HTTP,
        )
        self.http_wait_ms = make.histograms(
            "oris_http_wait_duration_ms",
            "ms",
            "Time to answer a request on routes that may wait: polls, submits and results with `wait_ms`.",
            "Long times are normal here. Alert on status 500 and 503.",
            _WAIT_MS,
            **_HTTP,
        )
        self.http_unauthorized = make.counter(
            "oris_http_unauthorized_total",
            "requests",
            "Requests without correct credentials, answered with 401 or 429.",
            "A client has a wrong secret, or somebody guesses. The log line `unauthorized` has the address.",
        )
        self.http_under_way = make.gauges(
            "oris_http_under_way",
            "requests",
            "Requests in progress.",
            "If they approach `ORIS_HTTP_MAX_CONNECTIONS`, raise that setting and the limit on open files.",
            what="`clients`, `polls`: of workers; `waiting`: callers that wait, and event streams",
        )
        self.http_held_bytes = make.gauges(
            "oris_http_held_bytes",
            "bytes",
            "Memory held by request bodies, and by responses that clients have not read yet.",
            "Compare it with `ORIS_HTTP_BODIES_MAX_BYTES` and `ORIS_HTTP_ANSWERS_MAX_BYTES`.",
            what="`bodies`, `answers`",
        )
        self.http_no_room = make.counters(
            "oris_http_no_room_total",
            "refusals",
            "Requests refused and connections closed because a limit on connections or memory was reached.",
            "`closed_idle` is harmless. For the others raise the limit, or make clients send less and read faster.",
            what="`requests`, `waits`, `bodies`, `answers`, `turned_away`: new connections, `closed_idle`",
        )

    def _make_process(self, make: Maker, version: str) -> None:
        make.section = "The process"
        self.task_restarts = make.counters(
            "oris_runtime_task_restarts_total",
            "restarts",
            "Background tasks restarted after an error.",
            "Any rise is a bug or a broken environment. The log line `task_restarting` has the error.",
            task="a restarted child of the task tree, such as `sweeper` ([architecture.md](architecture.md))",
        )
        self.loop_lag_ms = make.histogram(
            "oris_runtime_loop_lag_ms",
            "ms",
            "How late the event loop wakes a sleeping task.",
            "Above 500 ms the CPU is too slow for the load: new jobs are refused.",
            _LAG_MS,
        )
        self.log_drops = make.counter(
            "oris_runtime_log_drops_total",
            "lines",
            "Log lines dropped because the reader of the log was too slow.",
            "Make the log reader faster, or log less (`ORIS_LOG`).",
        )
        info = make.gauges(
            "oris_build_info",
            "1",
            "Always 1; the label has the version.",
            "Shows which versions are running.",
            version="the version of the program",
        )
        info(version).set(1)
