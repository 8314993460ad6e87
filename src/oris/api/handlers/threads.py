"""Threads and runs: how they stand, what happened, how they end."""

from __future__ import annotations

from msgspec import UNSET, Raw, UnsetType

from oris.api.envelope import ok
from oris.api.handlers.common import (
    NULL,
    accepted,
    audit,
    audit_refusal,
    latest_run,
    locate,
    next_cursor,
    payloads_of,
    place_after,
    run_named,
    tenant_filter,
    trace_view,
    visible,
    wait_seconds,
)
from oris.api.handlers.dates import date_of
from oris.api.http import Answer
from oris.api.services import Call
from oris.core.commands import Cancel
from oris.core.deadlines import has_date
from oris.core.model import TERMINAL, Job
from oris.core.replies import CancelledRun
from oris.engine.unit import Unit
from oris.errors import ApiError, ErrorCode
from oris.ids import attempt_of, worker_of
from oris.observability.trace import stored_trace
from oris.storage.reads.operators import JobFilter
from oris.wire.jobs import (
    CancelledView,
    CancelRequest,
    JobRow,
    JobsQuery,
    JobView,
    LeaseView,
    ResultQuery,
    ResultView,
    RunsQuery,
    ThreadQuery,
)
from oris.wire.pages import JobsPage, RunsPage
from oris.wire.times import rfc3339, rfc3339_or_none


async def list_jobs(call: Call, _: None) -> Answer:
    """`GET /v1/jobs`."""
    query: JobsQuery = call.options
    where = JobFilter(tenant_filter(call, query.tenant_id), query.status, query.workflow)
    page = await call.services.engine.reads.jobs(where, place_after(call, query.cursor), query.limit)
    return ok(call, JobsPage(tuple(map(_row, page.items)), next_cursor(call, page)))


async def show(call: Call, _: None) -> Answer:
    """`GET /v1/jobs/{thread_id}`."""
    query: ThreadQuery = call.options
    return ok(call, await job_view(call, await latest_run(call, query.tenant_id, query.run_id)))


async def show_run(call: Call, _: None) -> Answer:
    """`GET /v1/runs/{run_id}`."""
    job = await call.services.engine.reads.run(run_named(call.path_params["run_id"]))
    return ok(call, await job_view(call, visible(call, job, "run")))


async def list_runs(call: Call, _: None) -> Answer:
    """`GET /v1/jobs/{thread_id}/runs`."""
    query: RunsQuery = call.options
    job = await latest_run(call, query.tenant_id, query.run_id)
    page = await call.services.engine.reads.runs(job.job_key, place_after(call, query.cursor), query.limit)
    return ok(call, RunsPage(tuple(map(_row, page.items)), next_cursor(call, page)))


async def result(call: Call, _: None) -> Answer:
    """`GET /v1/jobs/{thread_id}/result`: bound to the run that is current when it is asked for."""
    query: ResultQuery = call.options
    wait_s = wait_seconds(call, query.wait_ms)
    engine, waits = call.services.engine, call.services.waits
    with engine.waiters.register(await locate(call, query.tenant_id)) as waiter:
        job = await latest_run(call, query.tenant_id, query.run_id)
        if job.status not in TERMINAL and wait_s:
            if waits.are_full:
                # At once and with the present state it would be asked again at once.
                raise ApiError(
                    ErrorCode.UNAVAILABLE,
                    "too many callers wait; try again later",
                    {"reason": "inbox_full"},
                    retry_after_s=1,
                )
            with waits.place(), call.patience.at_most(wait_s):
                await waiter.ended(job.run_id)
            job = await engine.reads.run(job.run_id) or job
    await call.freight.begin_answer()
    value, error = await payloads_of(call, job, [job.result_seq, job.error_seq if job.status in TERMINAL else 0])
    return ok(
        call,
        ResultView(
            job.run_id,
            job.status,
            UNSET if value is NULL else value,
            UNSET if error is NULL else error,
        ),
    )


async def cancel(call: Call, body: CancelRequest) -> Answer:
    """`POST /v1/jobs/{thread_id}/cancel`: durable before the answer."""
    thread = call.path_params["thread_id"][:256]
    try:
        key = await locate(call, body.tenant_id)
    except ApiError as error:
        await audit_refusal(call, audit(call, "thread", thread), error)
        raise
    tenant, _, thread = key.partition("/")
    grace_ms = body.grace_ms if body.mode == "graceful" else None
    command = Cancel(key, body.reason, None if body.run_id is None else run_named(body.run_id), grace_ms)
    unit = Unit("client", [command], audit=audit(call, "thread", thread, tenant))
    answer = await call.services.engine.ask(unit)
    reply = accepted(answer.replies[0], CancelledRun)
    return ok(call, CancelledView(reply.thread_id, reply.run_id, reply.status, reply.reason))


def _row(job: Job) -> JobRow:
    return JobRow(
        thread_id=job.thread_id,
        run_id=job.run_id,
        workflow=job.workflow,
        status=job.status,
        attempt_no=job.attempt_no,
        priority=job.priority,
        tenant_id=job.tenant_id,
        created_at=rfc3339(job.created_ms),
        updated_at=rfc3339(job.updated_date_ms),
    )


def _due_at(call: Call, job: Job) -> str | None:
    """A date as it was given; the end of a backoff by the calendar as it stands now."""
    if job.due_ms is None or has_date(job):
        return rfc3339_or_none(job.due_ms)
    return date_of(call, job.due_ms)


async def job_view(call: Call, job: Job) -> JobView:
    """A run in full."""
    seqs = [job.input_seq, job.checkpoint_seq, job.result_seq, job.error_seq]
    given, values, result_, error = await payloads_of(call, job, seqs)
    lease: LeaseView | UnsetType = UNSET
    if job.worker_key is not None:
        lease = LeaseView(worker_of(job.worker_key), date_of(call, job.lease_expires_ms))
    return JobView(
        thread_id=job.thread_id,
        run_id=job.run_id,
        status=job.status,
        reason=job.reason,
        workflow=job.workflow,
        tenant_id=job.tenant_id,
        priority=job.priority,
        checkpoint_id=job.checkpoint_id,
        values=values,
        input=given,
        result=result_,
        error=error,
        attempt_id=attempt_of(job.run_id),
        attempt_no=job.attempt_no,
        metadata=NULL if job.metadata is None else Raw(job.metadata),
        idempotency_key=job.idempotency_key,
        due_at=_due_at(call, job),
        created_at=rfc3339(job.created_ms),
        updated_at=rfc3339(job.updated_date_ms),
        trace=trace_view(stored_trace(job.traceparent)),
        lease=lease,
    )
