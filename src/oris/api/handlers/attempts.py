"""Attempts: where they stand, their steps, their retries."""

from __future__ import annotations

from msgspec import UNSET

from oris.api.envelope import ok
from oris.api.handlers.common import PAGE_BYTES, not_found, refused, visible
from oris.api.handlers.dates import date_of
from oris.api.handlers.poll import step_view
from oris.api.http import Answer, Role
from oris.api.services import Call
from oris.core.events import RetryScheduled, decode
from oris.core.model import Job
from oris.ids import LeaseId, attempt_of, run_of, worker_of
from oris.wire.operators import AttemptStateView, RetriesQuery, RetriesView, RetryView, StepsQuery, StepsView
from oris.wire.times import rfc3339


async def show(call: Call, _: None) -> Answer:
    """`GET /v1/attempts/{attempt_id}`."""
    job = await _job(call)
    held = job.worker_key is not None
    view = AttemptStateView(
        attempt_id=attempt_of(job.run_id),
        attempt_no=job.attempt_no,
        run_id=job.run_id,
        thread_id=job.thread_id,
        tenant_id=job.tenant_id,
        workflow=job.workflow,
        status=job.status,
        retries=job.retries,
        lease_losses=job.losses,
        created_at=rfc3339(job.created_ms),
        updated_at=rfc3339(job.updated_date_ms),
        worker_id=worker_of(job.worker_key) if job.worker_key is not None else UNSET,
        lease_expires_at=date_of(call, job.lease_expires_ms) if held else UNSET,
        fence=job.fence if job.fence else UNSET,
    )
    return ok(call, view)


async def steps(call: Call, _: None) -> Answer:
    """`GET /v1/attempts/{attempt_id}/steps`. A worker has to name its live lease."""
    query: StepsQuery = call.options
    job = await _job(call)
    if query.lease_id is not None or call.caller.role is Role.WORKER:
        lease_id = None if query.lease_id is None else LeaseId(query.lease_id)
        refusal = await call.services.engine.refuse_unless_held(job, lease_id)
        if refusal is not None:
            raise refused(refusal)
    found = await call.services.engine.reads.steps(job.run_id, query.after, query.limit, PAGE_BYTES)
    return ok(call, StepsView(tuple(map(step_view, found.items)), found.items[-1].seq if found.more else None))


async def retries(call: Call, _: None) -> Answer:
    """`GET /v1/attempts/{attempt_id}/retries`."""
    query: RetriesQuery = call.options
    job = await _job(call)
    found = await call.services.engine.reads.retries(job.run_id, query.after, query.limit)
    history = []
    for entry in found.items:
        event = decode(entry.data)
        assert isinstance(event, RetryScheduled)
        history.append(
            RetryView(
                event.retry_no,
                entry.attempt_no,
                event.strategy,
                event.backoff_ms,
                event.max_retries,
                rfc3339(entry.at_ms),
            )
        )
    next_after = found.items[-1].seq if found.more else None
    return ok(call, RetriesView(attempt_of(job.run_id), job.attempt_no, job.status, tuple(history), next_after))


async def _job(call: Call) -> Job:
    run = run_of(call.path_params["attempt_id"])
    if run is None:
        raise not_found("attempt")
    return visible(call, await call.services.engine.reads.run(run), "attempt")
