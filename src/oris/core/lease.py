"""When a lease is over, and whose it is: the precondition of everything a worker writes."""

from __future__ import annotations

from msgspec import Struct

from oris.core.events import LossCause
from oris.core.facts import Facts
from oris.core.model import ClosedLease, Job, Worker, is_superseded
from oris.core.outage import expiry
from oris.core.replies import Refusal, conflict
from oris.core.transition import Transition
from oris.ids import LeaseId, WorkerKey


class Expiry(Struct, frozen=True):
    """When a lease ends unless something else ends it first, and why then."""

    at_ms: int
    cause: LossCause


def expiry_of(job: Job, facts: Facts, now_ms: int) -> Expiry:
    """The end of the lease that the job holds: by its time, outages made up for, or with its session."""
    assert job.worker_key is not None
    end = Expiry(expiry(job, facts.outages), "ttl")
    session_end = _session_end(job, facts.worker(job.worker_key, now_ms))
    return end if session_end is None or end.at_ms < session_end.at_ms else session_end


def _session_end(job: Job, worker: Worker) -> Expiry | None:
    if job.lease_session is None:
        return None
    if is_superseded(job, worker):
        return Expiry(worker.session_ms, "superseded")
    if job.lease_granted_ms < worker.cut_ms:
        return Expiry(worker.cut_ms, "disconnected")
    return None


def holds(t: Transition, lease_id: LeaseId, worker: WorkerKey | None) -> bool:
    """True when the lease is the run's live one and the caller's. `worker` None: the server itself asks.

    To be asked after the due deadlines were applied: a lease that still stands in the row is a live one.
    """
    job = t.current
    return job is not None and job.lease_id == lease_id and worker in (None, job.worker_key)


def ended(facts: Facts, t: Transition, lease_id: LeaseId) -> ClosedLease | None:
    """How a lease ended: by the deadlines this command applied first, or before."""
    return t.closed(lease_id) or facts.closed(lease_id)


def closed_by(
    facts: Facts, t: Transition, lease_id: LeaseId, worker: WorkerKey | None, *request_hashes: bytes
) -> ClosedLease | Refusal:
    """The lease that this very request of this caller has closed before, by any of its hashes; else why it is
    refused."""
    closed = ended(facts, t, lease_id)
    if closed is None or worker not in (None, closed.worker_key):
        return lost(None)
    return closed if closed.request_hash in request_hashes else lost(closed)


def lost(closed: ClosedLease | None) -> Refusal:
    """The 409 for a write without a live lease of the caller's."""
    if closed is None:
        return conflict("lease_lost", "the caller does not hold this lease; nothing was written")
    return conflict("lease_lost", f"the lease has ended ({closed.state}); nothing was written", state=closed.state)
