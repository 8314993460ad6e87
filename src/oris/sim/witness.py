"""The witness: sees every committed batch and keeps its own account of it, apart from the guards in `core`.

It reads the events of a batch in order and says what none of them may do: I1 to I8, I14 and the times of L2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from oris.core import events as ev
from oris.core.chain import Entry
from oris.core.changes import Changes
from oris.core.events import Body
from oris.core.model import ClosedLease, IdempotentSubmit, Lane, Worker
from oris.ids import IdempotencyKey, JobKey, LeaseId, RunId, TenantId, WorkerKey
from oris.sim.holds import HoldAccount
from oris.sim.judge import Judge
from oris.sim.lives import LeaseLife, RunLife, StepLife, ThreadLife, now_of
from oris.sim.outages import Outages
from oris.sim.pauses import pause_ms, wrong_retry
from oris.sim.replay_check import ReplayCheck
from oris.sim.trace import Trace
from oris.sim.waits import WaitAccount

EXPIRY_SLACK_MS = 50
"""An expired lease is taken back, and a due run queued, within this while nothing is wrong."""
DEFAULT_TTL_MS = 30_000
"""What a heartbeat asks for that does not say."""


class Witness:
    """What has been committed, as its events tell it."""

    def __init__(
        self,
        judge: Judge,
        trace: Trace,
        max_losses: int,
        quiet_since_ms: Callable[[], int],
        outages: Outages,
        holds: HoldAccount,
    ) -> None:
        """`quiet_since_ms`: since when neither server nor store has been in trouble."""
        self.holds = holds
        self.protects: Callable[[RunLife], bool] = lambda run: False
        """Runs that must not end for the leases that were lost under them."""
        self._outages = outages
        self._judge = judge
        self._trace = trace
        self._max_losses = max_losses
        self._quiet_since_ms = quiet_since_ms
        self.slack_ms = EXPIRY_SLACK_MS
        self.waits = WaitAccount(self._bad, self._in_time)
        self.commit = 0
        self.threads: dict[JobKey, ThreadLife] = {}
        self.runs: dict[RunId, RunLife] = {}
        self.leases: dict[LeaseId, LeaseLife] = {}
        self.closed: dict[LeaseId, ClosedLease] = {}
        self.keys: dict[IdempotencyKey, tuple[IdempotentSubmit, int]] = {}
        """Bound keys, and the commit that bound each."""
        self.unbound: dict[IdempotencyKey, tuple[IdempotentSubmit, int]] = {}
        """Keys whose runs were pruned in the newest commit."""
        self.sent_policies: dict[str, dict[str, Any] | None] = {}
        """The retry policy that each ack names, by its lease: the workers tell."""
        self.replays = ReplayCheck(judge, trace)
        self.granted: list[RunLife] = []
        """Runs granted in the newest commit, in order."""

    def begin(self, changes: Changes) -> None:
        """A commit is to be read."""
        self.holds.begin(changes)
        self.commit += 1
        self.granted, self.unbound = [], {}

    def read(self, entry: Entry) -> None:
        """The next event of the commit."""
        body = ev.decode(entry.data)
        self._trace.saw(f"event {entry.event_type}")
        if isinstance(body, ev.RunCreated):
            self._created(entry, body)
            return
        run = self.runs.get(entry.run_id)
        thread = self.threads.get(entry.job_key)
        if run is None or thread is None or thread.run is not run:
            self._bad("I2", entry, "an event of a run that is not its thread's latest")
            return
        was = run.status
        if run.over and not isinstance(body, ev.DeadLettered):
            self._bad("I5", entry, f"the run had ended {run.status}")
        if was == "cancelling" and not isinstance(body, _ALLOWED_AFTER_GRACEFUL):
            self._bad("I16", entry, "somebody has asked for the run's end")
        self._apply(run, thread, entry, body)
        run.seq, run.head_hash = entry.seq, entry.hash
        if run.over and was != run.status:
            self.waits.over(run, entry)
        if run.status != was:
            self._trace.saw(f"status {run.status}")

    def worker(self, before: Worker | None, row: Worker) -> None:
        """A worker's row is written; to be told before the commit's events are read."""
        replaced = before is not None and before.session != row.session
        for lease in self.leases.values():
            if lease.worker_key != row.worker_key or lease.session is None or lease.closed_in is not None:
                continue
            if (replaced and lease.session != row.session) or lease.granted_ms < row.cut_ms:
                lease.dead_in = lease.dead_in or self.commit

    def renewed(self, lease_id: LeaseId, asked_ms: int, expires_ms: int, now_ms: int) -> None:
        """A row shows this end of a lease after the commit, and until when its worker has asked for it."""
        lease = self.leases.get(lease_id)
        if lease is None or (asked_ms, expires_ms) == (lease.asked_ms, lease.expires_ms):
            return
        later = expires_ms >= lease.expires_ms and asked_ms >= lease.asked_ms
        self._judge.require(later, "I3", lease_id, "its end moved back")
        live = self._outages.lives(lease, lease.asked_ms, lease.expires_ms, now_ms, believed=True)
        self._judge.require(live, "I3", lease_id, "it was renewed after its end")
        if asked_ms != lease.asked_ms:
            told = f"its worker asks for {lease.ttl_ms} ms, not for {asked_ms - now_ms}"
            self._judge.require(asked_ms - now_ms in (lease.ttl_ms, DEFAULT_TTL_MS), "I3", lease_id, told)
        if expires_ms not in (asked_ms, lease.expires_ms):
            most_ms = self._outages.latest_ms(lease, lease.asked_ms, now_ms)
            told = f"outages give it until {most_ms}, the row until {expires_ms}"
            self._judge.require(expires_ms <= most_ms, "I21", lease_id, told)
        if now_ms >= lease.expires_ms:
            self._trace.saw("lease lived on for an outage")
        lease.expired_before_ms, lease.asked_before_ms = lease.expires_ms, lease.asked_ms
        lease.extended_in = self.commit
        lease.expires_ms, lease.asked_ms = expires_ms, asked_ms

    def cut_short(self, closed: ClosedLease, now_ms: int) -> None:
        """A lease was taken from a worker that was asked to end its run: not before its time for that is over."""
        lease = self.leases.get(closed.lease_id)
        if lease is None or lease.cancel_due_ms is None or closed.state != "cancelled" or lease.run.terminated:
            return
        due_ms = min(lease.cancel_due_ms, lease.times_out_ms or lease.cancel_due_ms)
        self._trace.saw("lease taken after a graceful cancel")
        self._judge.require(now_ms >= due_ms, "I16", closed.lease_id, f"taken {due_ms - now_ms} ms before its time")

    def is_live(self, lease: LeaseLife, worker: WorkerKey | None, now_ms: int, believed: bool = True) -> bool:
        """Whether a command of this worker in the newest commit finds the lease live.

        `believed`: what the server thinks, which counts where only it can know.
        """
        limits = (lease.times_out_ms, lease.cancel_due_ms)
        if not lease.stands(worker, self.commit) or any(at_ms is not None and now_ms >= at_ms for at_ms in limits):
            return False
        return self._outages.lives(lease, lease.asked_for_ms(self.commit), lease.ends_ms(self.commit), now_ms, believed)

    def bound(self, row: IdempotentSubmit) -> None:
        """A key was bound."""
        self._judge.require(row.key not in self.keys, "I9", row.key, "the key was bound before")
        self.keys[row.key] = (row, self.commit)

    def _created(self, entry: Entry, body: ev.RunCreated) -> None:
        tenant, _, _ = entry.job_key.partition("/")
        thread = self.threads.get(entry.job_key)
        if thread is not None and not thread.run.over:
            self._bad("I2", entry, f"the thread's run before is still {thread.run.status}")
        run = RunLife(
            run_id=entry.run_id,
            job_key=entry.job_key,
            lane=Lane(TenantId(tenant), body.workflow),
            order=(-body.priority, body.available_ms, entry.run_id),
            status="scheduled",
            not_before_ms=now_of(entry) if body.due_ms is None else body.due_ms,
            has_date=body.due_ms is not None,
            timeout_ms=body.timeout_ms,
            on_timeout=body.on_timeout,
            policy=None if body.retry_policy is msgspec.UNSET else bytes(body.retry_policy),
            input_digest=entry.payload_digest,
        )
        self._judge.require(entry.run_id not in self.runs, "I8", entry.run_id, "the run was made before")
        if body.replay is not None:
            self.replays.created(run, entry, body.replay, self.runs)
        self.runs[entry.run_id] = run
        self._trace.saw("status scheduled" if body.due_ms is not None else "status queued at once")
        run.seq, run.head_hash = entry.seq, entry.hash
        thread = self.threads.setdefault(entry.job_key, ThreadLife(run))
        thread.run = run
        thread.runs.append(run)

    def _apply(self, run: RunLife, thread: ThreadLife, entry: Entry, body: Body) -> None:
        match body:
            case ev.AttemptQueued():
                self._queued(run, entry, body)
            case ev.LeaseGranted():
                self._granted(run, thread, entry, body)
            case ev.StepRecorded():
                self._under_lease(run, entry)
                self._step(run, entry, body)
            case ev.CheckpointSaved():
                self._under_lease(run, entry)
                run.checkpoint_digest = run.checkpoints[entry.seq] = entry.payload_digest
            case ev.RetryScheduled():
                self._end_lease(run, entry, body.lease_id, alive=True)
                self._retry(run, entry, body)
            case ev.LeaseExpired():
                self._expired(run, entry, body)
            case ev.LeaseReleased():
                self._end_lease(run, entry, body.lease_id, alive=True)
                run.status = "scheduled"
                run.not_before_ms, run.has_date = body.due_ms or now_of(entry), body.due_ms is not None
            case ev.TimedOut():
                self._timed_out(run, entry, body)
            case ev.CancelRequested(mode="terminate"):
                run.terminated = True
            case ev.CancelRequested():
                self._asked_to_end(run, entry, body)
            case ev.Suspended():
                self._end_lease(run, entry, body.lease_id, alive=True)
                self.waits.suspended(run, entry, body)
            case ev.WaitSettled() | ev.Rejected():
                self.waits.settled(run, entry, body)
            case ev.Resumed():
                self.waits.over(run, entry, goes_on=True)
                run.not_before_ms, run.has_date = now_of(entry), False
            case ev.Cancelled() | ev.Completed() | ev.Failed():
                self._ended(run, entry, body)
            case ev.DeadLettered():
                run.letter = True
                if run.status != "failed" or run.reason != body.reason:
                    self._bad("I6", entry, f"a dead letter ({body.reason}) of a run that is {run.status}")
            case _:
                pass

    def _queued(self, run: RunLife, entry: Entry, body: ev.AttemptQueued) -> None:
        if run.lease is not None or self.waits.pending(run):
            self._bad("I2", entry, "queued while leased or waiting")
        # A date is looked for on the calendar as it stands; where it stands on the engine's clock moves with that.
        due_ms = run.not_before_ms - (entry.skew_ms if run.has_date else 0)
        if now_of(entry) < due_ms:
            self._bad("I14", entry, f"queued {due_ms - now_of(entry)} ms before its time")
        if run.has_date and not run.queued_ms:
            run.order = (run.order[0], due_ms, run.order[2])
        if (run.order[1] if body.available_ms is None else body.available_ms) != run.order[1]:
            self._bad("I22", entry, f"its place is {run.order[1]}, not {body.available_ms}")
        if run.losses_in_row >= self._max_losses and run.spared is False:
            self._bad("I6", entry, f"queued again after {run.losses_in_row} losses in a row")
        self._in_time(entry, due_ms, "queued")
        run.status, run.queued_in, run.queued_ms = "queued", self.commit, now_of(entry)
        run.not_before_ms, run.has_date = now_of(entry), False

    def _granted(self, run: RunLife, thread: ThreadLife, entry: Entry, body: ev.LeaseGranted) -> None:
        if run.status != "queued" or run.lease is not None:
            self._bad("I1", entry, f"granted while {run.status}")
        if now_of(entry) < run.not_before_ms:
            self._bad("I14", entry, "granted before its time")
        if body.fence <= thread.fence:
            self._bad("I4", entry, f"the fence went from {thread.fence} to {body.fence}")
        if body.lease_id in self.leases or body.expires_ms <= now_of(entry):
            self._bad("I1", entry, "the lease is not a fresh one")
        thread.fence = max(thread.fence, body.fence)
        times_out_ms = None if run.timeout_ms is None else now_of(entry) + max(0, run.timeout_ms - run.used_ms)
        run.lease = self.leases[body.lease_id] = LeaseLife(
            body.lease_id,
            run,
            body.worker_key,
            body.poll_id,
            now_of(entry),
            body.expires_ms,
            self.commit,
            times_out_ms,
            session=body.session,
            ttl_ms=body.expires_ms - now_of(entry),
            asked_ms=body.expires_ms,
        )
        run.status = "running"
        runs = (thread.run for thread in self.threads.values())
        older = (each for each in runs if each.status == "queued" and each.queued_in < self.commit)
        self.holds.granted(run, run.lease, older, now_of(entry))
        self.granted.append(run)

    def _asked_to_end(self, run: RunLife, entry: Entry, body: ev.CancelRequested) -> None:
        if run.lease is None or not self.is_live(run.lease, None, now_of(entry)):
            self._bad("I16", entry, "nobody is there to end the run")
            return
        run.status, run.lease.cancel_due_ms = "cancelling", body.due_ms

    def _under_lease(self, run: RunLife, entry: Entry) -> None:
        lease = run.lease
        if lease is None or not self.is_live(lease, None, now_of(entry)):
            self._bad("I3", entry, "written without a live lease")

    def _step(self, run: RunLife, entry: Entry, body: ev.StepRecorded) -> None:
        known = run.inherited.get(body.action_id) or run.steps.get(body.action_id)
        if known is not None and known.status == "succeeded":
            self._bad("I10", entry, f"{body.action_id} had succeeded already")
        run.steps[body.action_id] = StepLife(body.status, entry.seq, entry.payload_digest)
        run.losses_in_row = 0 if body.status == "succeeded" else run.losses_in_row

    def _retry(self, run: RunLife, entry: Entry, body: ev.RetryScheduled) -> None:
        sent = self.sent_policies.get(body.lease_id)
        policy = sent or (None if run.policy is None else msgspec.json.decode(run.policy))
        run.retries += 1
        run.losses_in_row = 0
        run.status, run.not_before_ms, run.has_date = "retry_backoff", body.due_ms, False
        for rule, what in wrong_retry(policy, run.retries, body, now_of(entry)):
            self._bad(rule, entry, what)

    def _expired(self, run: RunLife, entry: Entry, body: ev.LeaseExpired) -> None:
        lease = run.lease
        if lease is None or lease.lease_id != body.lease_id:
            self._bad("I3", entry, "the end of a lease that the run does not hold")
            return
        self._trace.saw(f"lease lost: {body.cause}")
        if body.cause != "ttl":
            if lease.dead_in is None or body.expired_ms > now_of(entry):
                self._bad("I3", entry, f"ended with its session at {body.expired_ms}, which goes on")
        elif not self._ran_out(lease, body.expired_ms) or body.expired_ms > now_of(entry):
            self._bad("I3", entry, f"expired at {body.expired_ms}; the lease ran until {lease.expires_ms}")
        elif body.expired_ms < (owed_ms := self._outages.owed_until_ms(lease, lease.asked_ms)):
            self._bad("I6", entry, f"expired at {body.expired_ms}, an outage had it live until {owed_ms}")
        self._in_time(entry, body.expired_ms, "taken back")
        self._close(run, lease, entry, body.expired_ms)
        run.losses += 1
        self.holds.lost(run, lease, now_of(entry))
        self.holds.count(run, lease, body, self._max_losses, now_of(entry))
        run.not_before_ms, run.has_date = now_of(entry) + pause_ms(run.losses_in_row), False
        run.status = "between" if body.due_ms is None else "retry_backoff"
        if body.due_ms not in (None, run.not_before_ms):
            self._bad("I14", entry, f"pauses until {body.due_ms}, not {run.not_before_ms}")

    def _ran_out(self, lease: LeaseLife, at_ms: int) -> bool:
        """Whether this is the end of its time, that an outage has given it included."""
        if at_ms == lease.expires_ms:
            return True
        return at_ms > lease.expires_ms and self._outages.lives(
            lease, lease.asked_ms, lease.expires_ms, at_ms - 1, believed=True
        )

    def _timed_out(self, run: RunLife, entry: Entry, body: ev.TimedOut) -> None:
        lease = run.lease
        if lease is None or lease.times_out_ms != body.at_ms or body.at_ms > now_of(entry):
            self._bad("I3", entry, "the run's time was not used up")
        self._in_time(entry, body.at_ms, "timed out")
        if lease is not None:
            self._close(run, lease, entry, body.at_ms)
        run.timed_out = True

    def _ended(self, run: RunLife, entry: Entry, body: ev.Cancelled | ev.Completed | ev.Failed) -> None:
        by_worker = isinstance(body, ev.Completed) or (isinstance(body, ev.Failed) and body.lease_id is not None)
        by_worker = by_worker or (isinstance(body, ev.Cancelled) and body.reason == "by_worker")
        if by_worker:
            self._end_lease(run, entry, body.lease_id, alive=True)
        elif run.lease is not None:
            self._end_lease(run, entry, body.lease_id, alive=False)
        run.ended_ms = now_of(entry)
        if isinstance(body, ev.Completed):
            run.status = "completed"
            return
        run.reason = body.reason
        run.status = "cancelled" if isinstance(body, ev.Cancelled) else "failed"
        if run.timed_out != (body.reason == "timed_out") or (run.timed_out and run.on_timeout != run.status):
            self._bad("I6", entry, f"{run.status} ({body.reason}), and timed out is {run.timed_out}")
        if isinstance(body, ev.Failed):
            self._failed(run, entry, body)

    def _failed(self, run: RunLife, entry: Entry, body: ev.Failed) -> None:
        if (body.reason == "lease_losses") != (run.losses_in_row >= self._max_losses and not run.timed_out):
            self._bad("I6", entry, f"{body.reason} after {run.losses_in_row} losses in a row")
        if body.reason == "lease_losses" and (run.spared or self.protects(run)):
            self._bad("hold", entry, f"a dead letter after {run.losses_in_row} losses, though its workflow is held")
        if body.reason == "retries_exhausted":
            sent = None if body.lease_id is None else self.sent_policies.get(body.lease_id)
            policy = sent or msgspec.json.decode(run.policy or b"{}")
            if run.retries < policy.get("max_retries", 0) or not run.retries:
                self._bad("I6", entry, f"exhausted after {run.retries} retries")
        self._trace.saw(f"failed {body.reason}")

    def _end_lease(self, run: RunLife, entry: Entry, lease_id: LeaseId | None, *, alive: bool) -> None:
        lease = run.lease
        if lease is None or lease.lease_id != lease_id:
            self._bad("I3", entry, f"{lease_id} closed the run; its lease is {lease and lease.lease_id}")
            return
        if alive and not self.is_live(lease, None, now_of(entry)):
            self._bad("I3", entry, "closed by a lease that was over")
        self._close(run, lease, entry, now_of(entry))

    def _close(self, run: RunLife, lease: LeaseLife, entry: Entry, until_ms: int) -> None:
        run.used_ms += max(0, until_ms - lease.granted_ms)
        lease.closed_in, lease.closed_by = self.commit, entry.event_type
        if entry.event_type != "lease_expired":
            self.holds.ended(run, lease, entry.event_type, now_of(entry))
        run.lease = None
        if run.status in ("running", "cancelling"):
            run.status = "between"

    def _in_time(self, entry: Entry, due_ms: int, what: str) -> None:
        late_ms = now_of(entry) - due_ms
        if late_ms > self.slack_ms and due_ms > self._quiet_since_ms() and entry.seq > 1:
            self._bad("L2", entry, f"{what} {late_ms} ms after it was due")

    def _bad(self, rule: str, entry: Entry, what: str) -> None:
        self._judge.require(False, rule, f"{entry.job_key} {entry.run_id} seq {entry.seq} {entry.event_type}", what)


_ALLOWED_AFTER_GRACEFUL = ev.StepRecorded | ev.CheckpointSaved | ev.CancelRequested | ev.Cancelled
