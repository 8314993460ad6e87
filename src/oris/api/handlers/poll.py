"""Polling for work, on its own or together with an ack."""

from __future__ import annotations

from functools import partial

from msgspec import UNSET, Raw, UnsetType

from oris.api.envelope import ok
from oris.api.handlers.common import (
    NULL,
    accepted,
    trace_of_run,
    wait_seconds,
)
from oris.api.http import Answer, Role
from oris.api.services import Call
from oris.api.worker_calls import worker_of_caller
from oris.core.changes import Handed, HandedStep
from oris.core.commands import Want
from oris.core.deadlines import timeout_at
from oris.core.model import Job
from oris.core.replies import Granted
from oris.engine.engine import Polled
from oris.errors import ApiError, ErrorCode, UnavailableReason, invalid
from oris.ids import RunId, TenantId, ThreadId, WorkerKey, attempt_of
from oris.wire.times import rfc3339
from oris.wire.workers import (
    AttemptView,
    CheckpointView,
    ControlView,
    Fetch,
    HandedWait,
    PollRequest,
    PollView,
    StepView,
)

RETRY_AFTER_MS = 1000
"""When a worker at a limit, or before a draining server, may ask again."""
_NOTHING = Handed(None, None, (), steps_truncated=False)


async def poll(call: Call, body: PollRequest) -> Answer:
    """`POST /v1/workers/poll`. A caller that goes away while parked takes nothing."""
    wait_s = wait_seconds(call, body.wait_ms)
    check_watch(body, "watch")
    if body.only_threads is not None and call.caller.role is not Role.ADMIN:
        raise ApiError(ErrorCode.FORBIDDEN, "only an admin may use only_threads", {"field": "only_threads"})
    worker, engine = worker_of_caller(call, body.worker_id), call.services.engine
    threads = None if body.only_threads is None else frozenset(map(ThreadId, body.only_threads))
    want = want_of(call, worker, body, body.poll_id, threads)
    watch = body.watch
    del body  # a parked poll holds what it wants, and not what was sent
    call.freight.body_done()
    polled = await engine.poll(want, wait_s, watch=watch, patience=call.patience)
    if polled.refusal is not None:
        accepted(polled.refusal, Granted)
    return ok(call, poll_view(call, polled), on_undelivered=partial(engine.undelivered, polled.outline()))


def check_watch(fetch: Fetch, field: str) -> None:
    """Raises 400 when there is nothing to watch; `field` is what the caller calls it."""
    if fetch.watch and fetch.session is None:
        raise invalid(field, "watch needs a session; give session too")


def want_of(
    call: Call, worker: WorkerKey, fetch: Fetch, poll_id: str | None, threads: frozenset[ThreadId] | None = None
) -> Want:
    """What the worker would take; its limits may lower the server's, never raise them."""
    settings = call.services.engine.settings
    bound = call.caller.tenant_id
    ttl_s = fetch.lease_ttl_seconds or call.services.bounds.lease_ttl_default_s
    return Want(
        worker_key=worker,
        tenant_id=None if bound is None else TenantId(bound),
        limit=fetch.limit,
        ttl_ms=ttl_s * 1000,
        worker_limit=min(settings.worker_limit, fetch.max_active_leases or settings.worker_limit),
        tenant_limit=min(settings.tenant_limit, fetch.tenant_max_active_leases or settings.tenant_limit),
        workflows=None if fetch.workflows is None else frozenset(fetch.workflows),
        poll_id=poll_id,
        session=fetch.session,
        threads=threads,
    )


def poll_view(call: Call, polled: Polled, no_room: UnavailableReason = "inbox_full") -> PollView:
    """A poll's answer. One that is refused is a noop with the reason: it came with acks, which are answered.

    Raises ApiError 503 with the reason `no_room` when there is none even for what it was granted before.
    """
    granted = polled.granted
    if granted is not None and granted.redelivered:
        call.freight.answer_again(granted.carried_bytes, no_room)
    control = tuple(ControlView(c.type, c.attempt_id, c.lease_id, c.reason) for c in polled.control)
    waits = polled.decision in ("backpressure", "draining")
    retry_after_ms = RETRY_AFTER_MS if waits else UNSET
    if granted is None:
        reason = UNSET if polled.refusal is None else "session_superseded"
        return PollView(polled.decision, (), control, reason=reason, retry_after_ms=retry_after_ms)
    jobs = granted.jobs or granted.redelivered
    clock = call.services.engine.clock
    now_ms, skew_ms = clock.now_ms(), clock.skew_ms()
    attempts = tuple(
        _attempt(call, job, polled.handed.get(RunId(job.run_id), _NOTHING), now_ms, skew_ms) for job in jobs
    )
    first = attempts[0] if attempts else None
    return PollView(
        decision=polled.decision,
        attempts=attempts,
        control=control,
        worker_active_leases=granted.worker_leased,
        worker_limit=granted.worker_limit,
        reason=granted.blocked if polled.decision == "backpressure" and granted.blocked is not None else UNSET,
        tenant_id=UNSET if granted.tenant_id is None else granted.tenant_id,
        tenant_active_leases=UNSET if granted.tenant_leased is None else granted.tenant_leased,
        tenant_limit=UNSET if granted.tenant_limit is None else granted.tenant_limit,
        retry_after_ms=retry_after_ms,
        attempt_id=UNSET if first is None else first.attempt_id,
        lease_id=UNSET if first is None else first.lease_id,
        lease_expires_at=UNSET if first is None else first.lease_expires_at,
        trace=UNSET if first is None else first.trace,
    )


def step_view(step: HandedStep) -> StepView:
    """A recorded step with its output, or its error."""
    body = UNSET if step.body is None else Raw(step.body)
    if step.status == "failed":
        return StepView(step.action_id, step.status, error=body)
    return StepView(step.action_id, step.status, output=body)


def _attempt(call: Call, job: Job, handed: Handed, now_ms: int, skew_ms: int) -> AttemptView:
    assert job.lease_id is not None
    timeout_ms = timeout_at(job)
    checkpoint: CheckpointView | UnsetType = UNSET
    if handed.checkpoint is not None and job.checkpoint_id is not None:
        checkpoint = CheckpointView(job.checkpoint_id, Raw(handed.checkpoint))
    return AttemptView(
        attempt_id=attempt_of(job.run_id),
        attempt_no=job.attempt_no,
        run_id=job.run_id,
        thread_id=job.thread_id,
        workflow=job.workflow,
        tenant_id=job.tenant_id,
        priority=job.priority,
        input=NULL if handed.input is None else Raw(handed.input),
        lease_id=job.lease_id,
        fence=job.fence,
        lease_expires_at=rfc3339(job.lease_expires_ms + skew_ms),
        lease_remaining_ms=max(0, job.lease_expires_ms - now_ms),
        steps=tuple(map(step_view, handed.steps)),
        steps_truncated=handed.steps_truncated,
        resumes=tuple(
            HandedWait(w.wait_id, w.kind, w.key, w.status, NULL if w.value is None else Raw(w.value))
            for w in handed.resumes
        ),
        resumes_truncated=handed.resumes_truncated,
        metadata=NULL if job.metadata is None else Raw(job.metadata),
        trace=trace_of_run(
            call,
            job.traceparent,
            attempt_of(job.run_id),
            what="grant",
            took_ms=max(0, now_ms - job.lease_granted_ms),  # from the commit: a parked poll may have begun long before
        ),
        steps_next_after=handed.steps[-1].seq if handed.steps_truncated else UNSET,
        deadline_ms=UNSET if timeout_ms is None else max(0, timeout_ms - now_ms),
        checkpoint=checkpoint,
    )
