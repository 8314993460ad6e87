"""Whose lease it is: the precondition of everything a worker writes."""

from __future__ import annotations

from oris.core.facts import Facts
from oris.core.model import ClosedLease
from oris.core.replies import Refusal, conflict
from oris.core.transition import Transition
from oris.ids import LeaseId, WorkerKey


def holds(t: Transition, lease_id: LeaseId, worker: WorkerKey | None) -> bool:
    """True when the lease is the run's live one and the caller's. `worker` None: the server itself asks.

    To be asked after the due deadlines were applied: a lease that still stands in the row is a live one.
    """
    job = t.current
    return job is not None and job.lease_id == lease_id and worker in (None, job.worker_key)


def ended(facts: Facts, t: Transition, lease_id: LeaseId) -> ClosedLease | None:
    """How a lease ended: by the deadlines this command applied first, or before."""
    return t.closed(lease_id) or facts.closed(lease_id)


def lost(closed: ClosedLease | None) -> Refusal:
    """The 409 for a write without a live lease of the caller's."""
    if closed is None:
        return conflict("lease_lost", "the caller does not hold this lease; nothing was written")
    return conflict("lease_lost", f"the lease is over ({closed.state}); nothing was written", state=closed.state)
