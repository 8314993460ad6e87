"""What a commit means to others: waiters, lane levels, alarms, control messages. Synchronous, after the commit."""

from __future__ import annotations

from collections.abc import Callable

from oris.core.changes import Decision
from oris.engine.batch import Outcome
from oris.engine.control import Mailboxes, control_of
from oris.engine.demand import Demand
from oris.engine.waiters import Waiters
from oris.ids import WorkerKey


class Publisher:
    """Hands the values of a commit to those who wait for them in memory."""

    def __init__(
        self, demand: Demand, waiters: Waiters, mailboxes: Mailboxes, set_alarm: Callable[[int], None]
    ) -> None:
        self._demand = demand
        self._waiters = waiters
        self._mailboxes = mailboxes
        self._set_alarm = set_alarm

    def publish(self, outcome: Outcome) -> None:
        """Tell everybody whom the outcome concerns."""
        told: dict[WorkerKey, None] = {}
        earliest: int | None = None
        for decision in outcome.decisions:
            job, before = decision.job, decision.before
            assert job is not None
            if job.status == "queued" and (before is None or before.status != "queued"):
                self._demand.raise_level(job.lane)
            held = None if before is None else before.worker_key
            if held is not None and job.worker_key is None:
                self._demand.lease_ended(held, job.tenant_id)
            if decision.closed:
                told.update(self._post(decision))
            if job.wake_ms is not None and (earliest is None or job.wake_ms < earliest):
                earliest = job.wake_ms
            if decision.past_run is not None:
                # A deadline may have ended it in this very decision.
                self._waiters.publish(decision.past_run)
            self._waiters.publish(job)
        self._demand.lower(outcome.drained, outcome.blocked)
        for worker in told:
            self.hand_over(worker)
        if earliest is not None:
            self._set_alarm(earliest)

    def hand_over(self, worker: WorkerKey) -> None:
        """Give what waits for a worker to its oldest parked poll."""
        parked = next(self._demand.of_worker(worker), None)
        if parked is not None:
            parked.control = self._mailboxes.collect(worker, parked.want.poll_id)
            parked.end("control")

    def _post(self, decision: Decision) -> dict[WorkerKey, None]:
        told: dict[WorkerKey, None] = {}
        for closed in decision.closed:
            reason = decision.job.reason if decision.job is not None and decision.job.reason else closed.state
            message = control_of(closed, reason)
            if message is not None:
                self._mailboxes.post(closed.worker_key, message)
                told[closed.worker_key] = None
        return told
