"""Heartbeat: a live lease is renewed; its end never moves back, and an expired one cannot be revived."""

from __future__ import annotations

from typing import Literal

from oris.core.changes import Decision
from oris.core.commands import Heartbeat
from oris.core.decide.due import settle
from oris.core.facts import Facts
from oris.core.lease import ended, holds, lost
from oris.core.model import ClosedLease
from oris.core.replies import Beaten, Refusal, conflict, not_found
from oris.core.stamp import Stamp
from oris.core.transition import Transition
from oris.ids import NO_TENANT, run_of_lease, tenant_of, worker_of


def heartbeat(facts: Facts, command: Heartbeat, stamp: Stamp) -> Decision:
    """Writes no event; the row's wake-up time stays, so that no index changes either."""
    t = Transition(facts.job_of(run_of_lease(command.lease_id)), stamp)
    settle(t, facts)
    if not holds(t, command.lease_id, command.worker_key):
        closed = ended(facts, t, command.lease_id)
        return t.decision(_refuse(t, command, closed) if command.single else _state(command, closed))
    t.renew_lease(t.now_ms + command.ttl_ms)
    job = t.job
    state: Literal["held", "cancelling"] = "cancelling" if job.status == "cancelling" else "held"
    return t.decision(Beaten(command.lease_id, state, job.lease_expires_ms, job.traceparent))


def _refuse(t: Transition, command: Heartbeat, closed: ClosedLease | None) -> Refusal:
    owner = closed.worker_key if closed else None
    if t.current is not None and t.current.lease_id == command.lease_id:
        owner = t.current.worker_key
    if owner is None or not _may_know(t, command, closed):
        return not_found("lease")
    if owner != command.worker_key:
        return conflict(
            "lease_owner_mismatch",
            "the lease belongs to another worker",
            expected_worker_id=worker_of(owner),
            actual_worker_id=worker_of(command.worker_key),
        )
    return lost(closed)


def _may_know(t: Transition, command: Heartbeat, closed: ClosedLease | None) -> bool:
    """To a worker of a tenant the leases of other tenants' runs do not exist."""
    tenant = tenant_of(command.worker_key)
    key = closed.job_key if closed is not None else t.job.job_key
    return tenant in (NO_TENANT, tenant_of(key))


def _state(command: Heartbeat, closed: ClosedLease | None) -> Beaten:
    if closed is None or closed.worker_key != command.worker_key:
        return Beaten(command.lease_id, "lost", 0)
    match closed.state:
        case "cancelled" | "timed_out":
            return Beaten(command.lease_id, closed.state, 0)
        case _:
            return Beaten(command.lease_id, "lost", 0)
