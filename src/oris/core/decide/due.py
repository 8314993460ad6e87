"""Deadlines first: before a command is decided, every deadline of its run that is due is applied, in time order."""

from __future__ import annotations

from typing import assert_never

import msgspec
from msgspec.structs import replace

from oris.core import events as ev
from oris.core import hold, retry
from oris.core.deadlines import is_due, limit_at, timeout_at
from oris.core.facts import Facts
from oris.core.lease import Expiry, expiry_of
from oris.core.model import SUSPENDED, ClosedState, Wait, is_superseded
from oris.core.transition import Transition
from oris.core.waits import drop_waits, pending, settle_wait
from oris.ids import LeaseId


def settle(t: Transition, facts: Facts) -> None:
    """Apply what is due. Each deadline leaves fewer behind it, so two rounds are the most there can be."""
    while t.current is not None and _settle_one(t, facts):
        pass


def _settle_one(t: Transition, facts: Facts) -> bool:
    job = t.job
    if job.lease_id is not None:
        return _settle_lease(t, facts)
    if not is_due(job, t.now_ms, t.date_ms):
        return False
    if job.status in SUSPENDED:
        _expire_wait(t, facts, pending(t, facts)[0])
    else:
        t.emit(ev.AttemptQueued(_available_ms(t)))
    return True


def _available_ms(t: Transition) -> int | None:
    """When a run that was made for a date has become available: that date by the engine's clock, as the calendar stands
    now. None: as it was foreseen."""
    job = t.job
    if job.status != "scheduled" or job.queued_ms or job.due_ms is None:
        return None
    available_ms = job.due_ms - t.stamp.skew_ms
    return None if available_ms == job.available_ms else available_ms


def _settle_lease(t: Transition, facts: Facts) -> bool:
    job = t.job
    end = expiry_of(job, facts, t.now_ms)
    if job.cancel_due_ms is not None:
        return _settle_cancelling(t, facts, end)
    timeout_ms = timeout_at(job)
    # At a tie the run's own limit goes first.
    if timeout_ms is not None and timeout_ms <= min(t.now_ms, end.at_ms):
        _time_out(t, timeout_ms)
        return True
    if end.at_ms <= t.now_ms:
        _lose(t, facts, end)
        return True
    if end.at_ms > job.lease_expires_ms:
        t.extend_lease(end.at_ms)
    return False


def _settle_cancelling(t: Transition, facts: Facts, end: Expiry) -> bool:
    """Whatever comes first, a run whose end was asked for is cancelled."""
    job = t.job
    limit_ms = limit_at(job)
    assert limit_ms is not None
    if min(limit_ms, end.at_ms) <= t.now_ms:
        t.close_lease("cancelled" if limit_ms <= end.at_ms else _lost_state(t, facts), end="taken")
        end_cancelled(t, job.lease_id)
        return True
    if end.at_ms > job.lease_expires_ms:
        t.extend_lease(end.at_ms)
    return False


def end_cancelled(t: Transition, lease_id: LeaseId | None, body: bytes | None = None) -> None:
    """End a run whose worker was asked to end it. `body`: the result it sent, which is kept."""
    job = t.job
    t.emit(ev.Cancelled(job.reason or "cancelled", lease_id, job.worker_key, by_worker=body is not None), body)


def _expire_wait(t: Transition, facts: Facts, wait: Wait) -> None:
    """A wait's time has come: a timer's is what it waited for, an interrupt's that nobody has answered."""
    match wait.kind:
        case "time":
            settle_wait(t, facts, wait, "resumed")
        case "interrupt":
            _expire_interrupt(t, facts, wait)
        case _:
            assert_never(wait.kind)


def _expire_interrupt(t: Transition, facts: Facts, wait: Wait) -> None:
    match wait.on_expire:
        case "resume":
            settle_wait(t, facts, wait, "expired")
        case "cancel":
            _end_waiting(t, facts, wait)
            t.emit(ev.Cancelled("interrupt_expired"))
        case "fail":
            _end_waiting(t, facts, wait)
            t.emit(ev.Failed("interrupt_expired"), _error("interrupt_expired", f"{wait.key!r} got no answer in time"))
            t.bury("interrupt_expired")
        case _:
            assert_never(wait.on_expire)


def _end_waiting(t: Transition, facts: Facts, expired: Wait) -> None:
    """The run ends because of this wait: it waits for nothing else either."""
    t.emit(ev.WaitSettled(expired.wait_id, expired.kind, "expired"))
    t.record_wait(replace(expired, status="expired", settled_ms=t.date_ms))
    drop_waits(t, facts)


def _time_out(t: Transition, at_ms: int) -> None:
    job = t.job
    assert job.lease_id is not None
    assert job.worker_key is not None
    t.close_lease("timed_out")
    t.emit(ev.TimedOut(job.lease_id, job.worker_key, at_ms))
    match job.on_timeout:
        case "cancelled":
            t.emit(ev.Cancelled("timed_out"))
        case "failed":
            t.emit(ev.Failed("timed_out"), _error("timed_out", "the time under lease reached timeout_ms"))
            t.bury("timed_out")
        case _:
            assert_never(job.on_timeout)


def _lose(t: Transition, facts: Facts, end: Expiry) -> None:
    job = t.job
    assert job.lease_id is not None
    assert job.worker_key is not None
    most = facts.limits.max_lease_losses
    after = facts.hold_after_loss(job, t.now_ms)
    # Losses past the cap were spared, because its workflow was held: they count no more once it is not.
    losses = 1 if job.losses >= most and not hold.is_held(after) else job.losses + 1
    fatal = losses >= most and not hold.spares(after, t.now_ms, facts.limits.hold)
    pause_ms = 0 if fatal else retry.loss_pause_ms(losses)
    due_ms = t.now_ms + pause_ms if pause_ms else None
    counted = None if losses == job.losses + 1 else losses
    t.close_lease(_lost_state(t, facts), end="lost")
    t.emit(ev.LeaseExpired(job.lease_id, job.worker_key, end.at_ms, end.cause, due_ms, counted))
    if fatal:
        told = f"{t.job.losses} leases in a row were lost, because workers became silent or were replaced"
        t.emit(ev.Failed("lease_losses"), _error("lease_losses", told))
        t.bury("lease_losses")
    elif due_ms is None:
        t.emit(ev.AttemptQueued())


def _lost_state(t: Transition, facts: Facts) -> ClosedState:
    """A lease that ran out before its session was replaced, but is found only now, is nothing to the new one either."""
    assert t.job.worker_key is not None
    return "superseded" if is_superseded(t.job, facts.worker(t.job.worker_key, t.now_ms)) else "expired"


def _error(kind: str, message: str) -> bytes:
    """The error of a run that no worker has ended, in the form workers give theirs."""
    return msgspec.json.encode({"type": kind, "message": message})
