"""What the engine does, as metrics and log lines. Hangs on the engine's observer; once a batch, at the seam."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import asdict

from oris.core import commands as c
from oris.core.audit_anchor import Uncut
from oris.core.changes import Decision
from oris.core.commands import Command
from oris.core.hold import Hold, is_held
from oris.core.mode import Modes
from oris.core.model import TERMINAL, Lane
from oris.core.outage import Outage
from oris.core.replies import Beaten, Forgotten, Granted, Refusal, Replayed, Reply, RunsPruned, Submitted
from oris.engine.batch import Batch, Outcome
from oris.engine.clock_watch import FAR_MS
from oris.engine.observer import Passed, Sample
from oris.errors import Unavailable
from oris.ids import AttemptId, LeaseId, attempt_of, run_of_lease, worker_of
from oris.observability.logs import Logs
from oris.observability.metrics import Metrics

_SKEWED = (
    "the wall clock differs this much from the clock of leases (negative: it is behind): it is wrong now, or was wrong "
    "when the database was written. Leases, fences and backoffs are not affected; set the machine's clock right"
)

TELL_MS = 10_000
"""Between two log lines of one cause."""

_OPERATIONS: dict[type, str] = {
    c.Heartbeat: "renew",
    c.ReportStep: "report",
    c.Ack: "ack",
    c.Release: "release",
    c.Suspend: "suspend",
}


class Meter:
    """The engine's observer."""

    def __init__(self, metrics: Metrics, logs: Logs, now_ms: Callable[[], int]) -> None:
        self._metrics = metrics
        self._log = logs.get("oris.engine")
        self._now_ms = now_ms
        self._tell_again_ms: dict[str, int] = {}

    def committed(self, outcome: Outcome, batch: Batch, took_ms: float) -> None:
        """A batch is durable and published."""
        metrics = self._metrics
        metrics.commit_latency_ms.observe(took_ms)
        metrics.commit_batch_size.observe(sum(len(unit.commands) for unit in batch.units))
        for unit, replies in zip(batch.units, outcome.replies, strict=True):
            for command, reply in zip(unit.commands, replies, strict=True):
                self._replied(command, reply)
        for decision in outcome.decisions:
            self._decided(decision)
        for lane, hold in outcome.facts.changes.holds.items():
            self._held(lane, hold, outcome.now_ms)
        for lane in outcome.facts.holds_ended:
            self._log.info("workflow_hold_over", workflow=lane.workflow, tenant_id=lane.tenant_id)
        done_ms = self._now_ms()
        for parked, granted in zip(outcome.parked, outcome.granted, strict=True):
            self._granted(granted, parked.since_ms, done_ms)

    def commit_failed(self, error: Exception, batch: Batch | None = None, took_ms: float = 0.0) -> None:
        """A batch was rolled back, or nobody knows. What the store refuses it may refuse often: told now and then."""
        if not isinstance(error, Unavailable):
            self._log.error("commit_failed", error=str(error), exc_info=error)
            return
        cause, now_ms = error.cause or "other", self._now_ms()
        self._metrics.refused_commits(cause).inc()
        if now_ms >= self._tell_again_ms.get(cause, 0):
            self._tell_again_ms[cause] = now_ms + TELL_MS
            self._log.error("commit_refused", cause=cause, error=str(error))

    def command_failed(self, error: Exception) -> None:
        """A bug: deciding one command raised."""
        self._log.error("command_failed", error=str(error), exc_info=error)

    def refused(self, refusal: Refusal, count: int) -> None:
        """New runs were turned away at the gate."""
        self._metrics.submits("false").inc(count)
        self._metrics.backpressure(_word(refusal)).inc(count)

    def outage(self, outage: Outage) -> None:
        """The node can commit again."""
        took_ms = outage.to_ms - outage.from_ms
        self._metrics.outages(outage.cause).inc()
        self._metrics.outage_seconds(outage.cause).inc(took_ms / 1000.0)
        self._log.warning(
            "outage_over", cause=outage.cause, took_ms=took_ms, detail="leases that were live before it were extended"
        )

    def mode_changed(self, modes: Modes) -> None:
        """What is switched on here was learnt, or has changed."""
        self._metrics.backpressure_active("dispatch_off").set(int(not modes.dispatch))
        newest = max(modes.rows, key=lambda row: row.set_ms, default=None)
        by, why = (None, None) if newest is None else (newest.set_by, newest.reason)
        tell = self._log.info if modes.submit and modes.dispatch else self._log.warning
        tell("mode_changed", mode=modes.word, set_by=by, reason=why)

    def retention_passed(self, passed: Passed) -> None:
        """A pass of retention has let something go."""
        self._log.info("retention_passed", **asdict(passed))

    def audit_not_cut(self, uncut: Uncut) -> None:
        """An audit chain is not in order. Somebody has to look at it, so it is said in each pass."""
        self._log.error("audit_not_cut", chain_id=uncut.chain_id, seq=uncut.seq, reason=uncut.what)

    def sampled(self, sample: Sample, level: int) -> None:
        """The monitor has looked."""
        self._metrics.loop_lag_ms.observe(sample.loop_lag_ms)
        self._metrics.clock_skew_seconds.set(sample.skew_ms / 1000.0)
        self._metrics.admission_level.set(level)
        self._metrics.backpressure_active("rate_limited").set(int(level == 1))
        self._metrics.backpressure_active("draining").set(int(level == 2))
        self._metrics.backpressure_active("disk_full").set(int(level == 3))

    def clock_jumped(self, by_ms: int) -> None:
        """The wall clock has been set. One that comes to more than a minute is told of by `clock_skewed`, once."""
        self._metrics.clock_jumps.inc()
        tell = self._log.info if abs(by_ms) > FAR_MS else self._log.warning
        tell("clock_jumped", by_ms=by_ms)

    def clock_skewed(self, by_ms: int) -> None:
        """Wall clock and engine clock are far apart, or are not any more."""
        if by_ms:
            self._log.warning("clock_skewed", skew_ms=by_ms, detail=_SKEWED)
        else:
            self._log.info("clock_skew_over")

    def _replied(self, command: Command, reply: Reply) -> None:
        metrics = self._metrics
        reason = _word(reply) if isinstance(reply, Refusal) else None
        if isinstance(command, c.Submit):
            metrics.submits("true" if command.idempotency_key is not None else "false").inc()
            if isinstance(reply, Submitted) and reply.replay:
                metrics.idempotent_replays.inc()
            elif reason == "idempotency_mismatch":
                metrics.idempotency_conflicts.inc()
            elif reason in ("queue_full", "tenant_queue_full", "rate_limited", "draining", "disk_full"):
                metrics.backpressure(reason).inc()
            return
        if isinstance(reply, RunsPruned):
            metrics.pruned_runs.inc(reply.count)
        elif isinstance(command, c.PruneAudit) and isinstance(reply, Forgotten):
            metrics.pruned_audit_records.inc(reply.count)
        elif isinstance(command, c.Replay) and isinstance(reply, Replayed) and reply.replay:
            metrics.idempotent_replays.inc()
        elif isinstance(command, c.ReportStep) and command.status == "succeeded" and reason == "dedupe_mismatch":
            metrics.duplicate_executions.inc()
        operation = _OPERATIONS.get(type(command))
        if operation is not None:
            lost = reason in ("lease_lost", "lease_owner_mismatch") or (
                isinstance(reply, Beaten) and reply.state == "lost"
            )
            result = "conflict" if lost else "refused" if isinstance(reply, Refusal) else "ok"
            metrics.count_lease_operation(operation, result)

    def _decided(self, decision: Decision) -> None:
        job, before = decision.job, decision.before
        assert job is not None
        for closed in decision.closed:
            if closed.state in ("expired", "superseded"):
                self._metrics.lease_expirations.inc()
                self._log.info(
                    "lease_expired",
                    state=closed.state,
                    thread_id=job.thread_id,
                    attempt_id=_attempt_of(closed.lease_id),
                    worker_id=worker_of(closed.worker_key),
                    losses=job.losses,
                )
        # A deadline may end a run in the very decision that makes the next one.
        for run in (decision.past_run, job):
            if run is not None and run.status in TERMINAL and (before is None or before.status not in TERMINAL):
                self._metrics.count_terminal_ack(run.status)
        if decision.dead_letter is not None:
            self._log.warning(
                "run_dead_lettered",
                thread_id=job.thread_id,
                attempt_id=attempt_of(decision.dead_letter.run_id),
                reason=decision.dead_letter.reason,
            )
        if job.lease_id is not None and before is not None and before.lease_id is None:
            at_ms = job.lease_granted_ms
            self._metrics.queue_wait_ms.observe(max(0, at_ms - job.queued_ms))
            if before.lost_ms:
                self._metrics.recovery_latency_ms.observe(max(0, at_ms - before.lost_ms))

    def _held(self, lane: Lane, hold: Hold | None, now_ms: int) -> None:
        told = {"workflow": lane.workflow, "tenant_id": lane.tenant_id}
        if hold is not None and is_held(hold):
            if hold.held_ms == now_ms and hold.probe is None:
                self._metrics.workflow_holds.inc()
                self._log.warning(
                    "workflow_held",
                    **told,
                    detail="its last leases were all lost: one lease at a time is granted until one is closed",
                )
            elif hold.probe is None and hold.next_ms > now_ms:
                self._log.info("workflow_probe_lost", **told, probes=hold.probes, next_in_ms=hold.next_ms - now_ms)

    def _granted(self, granted: Granted, since_ms: int, done_ms: int) -> None:
        for job in granted.jobs:
            self._metrics.dispatch_latency_ms.observe(max(0, done_ms - max(since_ms, job.queued_ms)))
        if granted.jobs:
            self._metrics.count_lease_operation("grant", "ok", len(granted.jobs))
        elif granted.blocked is not None:
            self._metrics.backpressure(granted.blocked).inc()


def _word(refusal: Refusal) -> str:
    """Why: the cause if there is one, else the reason."""
    details = refusal.details or {}
    return str(details.get("cause") or details.get("reason"))


def _attempt_of(lease: LeaseId) -> AttemptId | None:
    run = run_of_lease(lease)
    return None if run is None else attempt_of(run)
