"""Submit: a run is made, or the one that an earlier identical submit made is named again."""

from __future__ import annotations

import msgspec

from oris.core import events as ev
from oris.core.changes import Decision
from oris.core.commands import Submit
from oris.core.decide.due import settle
from oris.core.facts import Facts
from oris.core.model import TERMINAL, IdempotentSubmit
from oris.core.replies import Refusal, Submitted, conflict
from oris.core.stamp import Stamp
from oris.core.transition import Transition
from oris.errors import ErrorCode
from oris.ids import TenantId, idempotency_key


def submit(facts: Facts, command: Submit, stamp: Stamp) -> Decision:
    """Idempotency is looked up before everything that could refuse; only an accepted submit binds a key."""
    t = Transition(facts.jobs.get(command.job_key), stamp)
    settle(t, facts)
    earlier = _earlier(facts, command)
    if earlier is not None:
        return t.decision(_again(t, command, earlier))
    due_ms = _due_ms(command, t.date_ms)
    refusal = active(t) or facts.admission or full(facts, command.tenant_id, delayed=due_ms is not None)
    if refusal is not None:
        return t.decision(refusal)
    _create(t, command, due_ms)
    job = t.job
    return t.decision(
        Submitted(job.thread_id, job.run_id, job.status, job.seq, replay=False, traceparent=job.traceparent)
    )


def _earlier(facts: Facts, command: Submit) -> IdempotentSubmit | None:
    if command.idempotency_key is None:
        return None
    return facts.idempotent(idempotency_key(command.tenant_id, command.idempotency_key))


def _again(t: Transition, command: Submit, earlier: IdempotentSubmit) -> Submitted | Refusal:
    hashes = (command.request_hash, *command.earlier_hashes)
    if earlier.request_hash not in hashes or earlier.job_key != command.job_key:
        return conflict(
            "idempotency_mismatch",
            "this idempotency key belongs to another request; use a new key",
            run_id=earlier.run_id,
        )
    job = t.current
    current = job is not None and job.run_id == earlier.run_id
    return Submitted(
        command.thread_id,
        earlier.run_id,
        job.status if current and job is not None else None,
        job.seq if job is not None else 0,
        replay=True,
        traceparent=job.traceparent if current and job is not None else command.traceparent,
    )


def active(t: Transition) -> Refusal | None:
    """The 409 for a thread that is at work."""
    job = t.current
    if job is None or job.status in TERMINAL:
        return None
    return conflict("run_active", "the thread already has an active run", run_id=job.run_id)


def full(facts: Facts, tenant_id: TenantId, *, delayed: bool = False) -> Refusal | None:
    """The 429 when too many runs are waiting; for a `delayed` one, when too many wait for their time."""
    limits, tenant = facts.limits, facts.tenant(tenant_id)
    if _no_room(
        facts.counters.total.due, facts.counters.total.delayed, limits.queue_max, limits.delayed_max, delayed=delayed
    ):
        reason = "queue_full"
    elif _no_room(tenant.due, tenant.delayed, limits.tenant_queue_max, limits.tenant_delayed_max, delayed=delayed):
        reason = "tenant_queue_full"
    else:
        return None
    what = "too many delayed jobs are waiting" if delayed else "too many jobs are waiting"
    return Refusal(ErrorCode.BACKPRESSURE, f"{what}; try again later", {"reason": reason}, retry_after_s=1)


def _no_room(due: int, later: int, due_max: int, later_max: int, *, delayed: bool) -> bool:
    """What becomes due is queued however many wait then. So a delayed run needs room among all that wait, too: else
    delays of a millisecond would be a way around the limit on the queue."""
    if delayed:
        return later >= later_max or due + later >= due_max + later_max
    return due >= due_max


def _due_ms(command: Submit, date_ms: int) -> int | None:
    """For which date the run is; None: for now."""
    due_ms = command.run_at_ms if command.delay_ms is None else date_ms + command.delay_ms
    return None if due_ms is None or due_ms <= date_ms else due_ms


def _create(t: Transition, command: Submit, due_ms: int | None) -> None:
    run_id = t.stamp.run_id()
    policy = command.retry_policy
    body = ev.RunCreated(
        workflow=command.workflow,
        priority=command.priority,
        available_ms=t.now_ms if due_ms is None else due_ms - t.stamp.skew_ms,
        due_ms=due_ms,
        traceparent=command.traceparent,
        timeout_ms=command.timeout_ms,
        on_timeout=command.on_timeout,
        retry_policy=msgspec.UNSET if policy is None else msgspec.Raw(msgspec.json.encode(policy)),
        idempotency_key=command.idempotency_key,
        metadata=msgspec.UNSET if command.metadata is None else msgspec.Raw(command.metadata),
        input_bytes=0 if command.input is None else len(command.input),
    )
    t.create(command.job_key, run_id, body, command.input)
    if due_ms is None:
        t.emit(ev.AttemptQueued())
    if command.idempotency_key is not None:
        key = idempotency_key(command.tenant_id, command.idempotency_key)
        t.bind(IdempotentSubmit(key, command.job_key, run_id, command.request_hash, t.date_ms))
