"""What a commit means to others: waiters, lane levels, alarms, control messages. Synchronous, after the commit."""

from __future__ import annotations

from collections.abc import Callable

from oris.core.api_key import ApiKey
from oris.core.changes import Decision
from oris.core.deadlines import has_date
from oris.core.hold import Hold, is_held, may_probe
from oris.core.model import ClosedLease, Job, Lane, Worker
from oris.engine.batch import Outcome
from oris.engine.control import Holder, Mailboxes, control_of, graceful_cancel
from oris.engine.demand import Demand
from oris.engine.held_leases import HeldLeases
from oris.engine.listeners import Listeners
from oris.engine.roster import Roster
from oris.engine.waiters import Waiters
from oris.ids import LeaseId, WorkerKey


class Publisher:
    """Hands the values of a commit to those who wait for them in memory."""

    def __init__(
        self,
        demand: Demand,
        waiters: Waiters,
        listeners: Listeners,
        mailboxes: Mailboxes,
        roster: Roster,
        set_alarm: Callable[[int], None],
        bereave: Callable[[WorkerKey], None],
        key_changed: Callable[[ApiKey], None],
    ) -> None:
        """`bereave` is told of workers that may hold leases of a session that is over.

        `key_changed` is told of API keys first of all: a revoked one lets nobody in once its revocation is answered.
        """
        self.demand = demand
        self.waiters = waiters
        self.listeners = listeners
        self._mailboxes = mailboxes
        self._roster = roster
        self.leases = HeldLeases()
        self._set_alarm = set_alarm
        self._bereave = bereave
        self._key_changed = key_changed

    def publish(self, outcome: Outcome) -> None:
        """Tell everybody whom the outcome concerns."""
        for key in outcome.facts.changes.api_keys.values():
            self._key_changed(key)
        told: dict[Holder, None] = {}
        earliest: int | None = None
        for decision in outcome.decisions:
            job, before = decision.job, decision.before
            assert job is not None
            if decision.pruned is not None:
                # Only who still listens to what has gone has to know: it comes to an end.
                self.listeners.publish(job)
                continue
            if job.status == "queued" and (before is None or before.status != "queued"):
                self.demand.raise_level(job.lane)
                self.demand.job_queued(job)
            held = None if before is None else before.worker_key
            if held is not None and job.worker_key is None:
                self.demand.lease_ended(held, job.tenant_id)
            if before is not None and held is not None and before.lease_id not in (None, job.lease_id):
                self.leases.ended(held, LeaseId(before.lease_id or ""))
            if job.lease_id is not None:
                self.leases.note(job)
            if decision.closed:
                told.update(self._post(decision))
            if job.status == "cancelling" and before is not None and before.status != "cancelling":
                told.update(self._ask_to_end(job))
            at_ms = job.wake_ms
            if at_ms is None and job.due_ms is not None and has_date(job):
                at_ms = job.due_ms - outcome.facts.skew_ms
            if at_ms is not None and (earliest is None or at_ms < earliest):
                earliest = at_ms
            if decision.past_run is not None:
                # A deadline may have ended it in this very decision.
                self.waiters.publish(decision.past_run)
                self.listeners.publish(decision.past_run)
            self.waiters.publish(job)
            self.listeners.publish(job)
        for changed in outcome.workers:
            self._worker(changed)
        for freed in outcome.facts.freed:
            self.demand.worker_freed(freed)
        self.demand.lower(outcome.drained, outcome.blocked)
        soonest_ms = self._publish_holds(outcome)
        if soonest_ms is not None and (earliest is None or soonest_ms < earliest):
            earliest = soonest_ms
        for holder in told:
            self.hand_over(holder)
        if earliest is not None:
            self._set_alarm(earliest)

    def _publish_holds(self, outcome: Outcome) -> int | None:
        """What has become of workflows that are held; the answer: when the first of them may be probed."""
        held = dict(outcome.held)
        for lane, hold in outcome.facts.changes.holds.items():
            if hold is None or not is_held(hold) or may_probe(hold, outcome.now_ms):
                self.demand.unhold(lane)
            else:
                held[lane] = hold.next_ms if hold.probe is None else None
        for lane, until_ms in held.items():
            self.demand.hold(lane, until_ms)
        return min((until_ms for until_ms in held.values() if until_ms is not None), default=None)

    def seen(self, job: Job) -> None:
        """A run stands like this, whoever has brought it there: those who wait for it are told."""
        self.waiters.publish(job)
        self.listeners.publish(job)

    def worker_seen(self, worker: Worker) -> None:
        """A worker's row is like this; a newer session counts, an older one was read before this node's last commit."""
        if self._roster.is_older(worker):
            self._worker(worker)

    def hold_seen(self, lane: Lane, hold: Hold | None) -> None:
        """What is held against a workflow."""
        if hold is None or not is_held(hold):
            self.demand.unhold(lane)
        else:
            self.demand.hold(lane, hold.next_ms if hold.probe is None else None)

    def ask_to_end(self, job: Job) -> None:
        """A run that somebody holds is to end: its worker is told."""
        for holder in self._ask_to_end(job):
            self.hand_over(holder)

    def lease_seen(self, holder: Holder, closed: ClosedLease, reason: str) -> None:
        """A lease has ended, on another node: who held it is told if it did not end it itself."""
        message = control_of(closed, reason)
        if message is not None:
            self._mailboxes.post(holder, message)
            self.hand_over(holder)

    def hand_over(self, holder: Holder) -> None:
        """Give what waits for a holder to its oldest parked poll."""
        polls = self.demand.of_worker(holder.worker_key)
        parked = next((each for each in polls if each.want.session == holder.session), None)
        if parked is not None:
            parked.control = self._mailboxes.collect(holder, parked.want.poll_id)
            parked.end("control")

    def _worker(self, worker: Worker) -> None:
        """Its session was opened or cut off, or its name cleared."""
        before = self._roster.session_of(worker.worker_key)
        if before not in (None, worker.session):
            self._mailboxes.forget(Holder(worker.worker_key, before))
        self._roster.opened(worker)
        for parked in self.demand.of_worker(worker.worker_key):
            if parked.want.session not in (None, worker.session):
                parked.give_up("session_superseded")
        if worker.leased:
            self._bereave(worker.worker_key)
        self.demand.worker_freed(worker.worker_key)

    def _ask_to_end(self, job: Job) -> dict[Holder, None]:
        message = graceful_cancel(job)
        if message is None or job.worker_key is None:
            return {}
        holder = Holder(job.worker_key, job.lease_session)
        self._mailboxes.post(holder, message)
        return {holder: None}

    def _post(self, decision: Decision) -> dict[Holder, None]:
        told: dict[Holder, None] = {}
        session = None if decision.before is None else decision.before.lease_session
        for closed in decision.closed:
            reason = decision.job.reason if decision.job is not None and decision.job.reason else closed.state
            message = control_of(closed, reason)
            if message is not None:
                holder = Holder(closed.worker_key, session)
                self._mailboxes.post(holder, message)
                told[holder] = None
        return told
