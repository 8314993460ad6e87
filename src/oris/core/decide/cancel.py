"""Cancel: durable. Queued work never starts; a running attempt loses its lease, and its worker is told."""

from __future__ import annotations

from oris.core import events as ev
from oris.core.changes import Decision
from oris.core.commands import Cancel
from oris.core.decide.due import settle
from oris.core.facts import Facts
from oris.core.model import TERMINAL
from oris.core.replies import CancelledRun, Refusal, conflict, not_found, run_mismatch
from oris.core.stamp import Stamp
from oris.core.transition import Transition
from oris.core.waits import drop_waits


def cancel(facts: Facts, command: Cancel, stamp: Stamp) -> Decision:
    """Repeating it is harmless: a run that a cancel ended answers as it did then. With a grace a running one goes on
    as `cancelling`: its worker may record steps and ack, and however it ends it is cancelled."""
    t = Transition(facts.thread(command.job_key), stamp)
    settle(t, facts)
    refusal = _refuse(t, command)
    if refusal is not None:
        return t.decision(refusal)
    if command.grace_ms is not None and t.job.lease_id is not None:
        _ask(t, command, command.grace_ms)
    elif t.job.status != "cancelled":
        _end(t, facts, command)
    job = t.job
    return t.decision(CancelledRun(job.thread_id, job.run_id, job.status, job.reason or ""))


def _ask(t: Transition, command: Cancel, grace_ms: int) -> None:
    """Leave the worker a while; asked again, it has no more than the first time."""
    if t.job.status != "cancelling":
        t.emit(ev.CancelRequested("graceful", command.reason, t.now_ms + grace_ms))


def _end(t: Transition, facts: Facts, command: Cancel) -> None:
    job = t.job
    reason = command.reason or job.reason or "cancelled"
    drop_waits(t, facts)
    t.emit(ev.CancelRequested("terminate", command.reason))
    if job.lease_id is not None:
        t.close_lease("cancelled")
    t.emit(ev.Cancelled(reason, job.lease_id, job.worker_key))


def _refuse(t: Transition, command: Cancel) -> Refusal | None:
    job = t.current
    if job is None:
        return not_found("thread")
    if command.run_id is not None and command.run_id != job.run_id:
        return run_mismatch(job.run_id)
    if job.status in TERMINAL and job.status != "cancelled":
        return conflict("run_terminal", f"the run has already ended: {job.status}", run_id=job.run_id)
    return None
