"""What handlers share: whose thread it is, payload bounds, refusals, audit, traces."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TypeVar

from msgspec import Raw
from msgspec.structs import replace

from oris.api.cursors import cursor_of, place_in
from oris.api.http import Role
from oris.api.services import Call
from oris.core.audit import Audit
from oris.core.model import Job
from oris.core.replies import Refusal, SessionOpened, conflict, run_mismatch
from oris.engine.unit import Unit
from oris.errors import ApiError, ErrorCode, invalid
from oris.ids import NO_TENANT, JobKey, RunId, TenantId, ThreadId, WorkerKey, job_key
from oris.observability.spans import Spans
from oris.observability.trace import Trace, stored_trace
from oris.storage.pages import Page, Place
from oris.wire.jobs import TraceView, is_given
from oris.wire.names import NAME
from oris.wire.times import LAST_MS, to_ms
from oris.wire.workers import CheckpointRequest

R = TypeVar("R")
T = TypeVar("T")
_NAME = re.compile(NAME)

NULL = Raw(b"null")
PAGE_BYTES = 4 * 1024 * 1024
"""Clients' values that one page may carry; a single one may be larger by the operator's will."""


def accepted(reply: object, kind: type[R]) -> R:
    """The reply, when it is no refusal. Raises the ApiError it stands for otherwise."""
    if isinstance(reply, Refusal):
        raise refused(reply)
    assert isinstance(reply, kind)
    return reply


def refused(refusal: Refusal) -> ApiError:
    """The error that a refusal stands for."""
    return ApiError(refusal.code, refusal.message, refusal.details, retry_after_s=refusal.retry_after_s)


def not_found(what: str) -> ApiError:
    """A 404."""
    return ApiError(ErrorCode.NOT_FOUND, f"no such {what}")


def tenant_for_new(call: Call, named: str | None) -> TenantId:
    """The tenant of a new thing: the credential's own, else the one that is named, else none. Raises 404."""
    bound = call.caller.tenant_id
    if bound is None:
        return NO_TENANT if named is None else TenantId(named)
    if named is not None and named != bound:
        raise not_found("tenant")
    return TenantId(bound)


def tenant_filter(call: Call, named: str | None) -> TenantId | None:
    """The tenant a list is narrowed to; None: all. Another tenant's things do not exist for a bound credential."""
    bound = call.caller.tenant_id
    if bound is not None and named is not None and named != bound:
        raise not_found("tenant")
    chosen = bound if bound is not None else named
    return None if chosen is None else TenantId(chosen)


def place_after(call: Call, cursor: str | None) -> Place | None:
    """Behind which place the page begins that is asked for; None: at the start. Raises 400 for what is no cursor of
    this list."""
    return None if cursor is None else place_in(call.route.path, cursor)


def next_cursor(call: Call, page: Page[T]) -> str | None:
    """The cursor of the page behind this one; None: there is none."""
    return None if page.next is None else cursor_of(call.route.path, page.next)


async def locate(call: Call, tenant: str | None) -> JobKey:
    """The thread that the path means. Raises 404; 409 `ambiguous_thread` when several tenants have one so named."""
    thread_id = ThreadId(name_in_path(call, "thread_id", "thread"))
    chosen = tenant_filter(call, tenant)
    if chosen is not None:
        return job_key(chosen, thread_id)
    tenants = await call.services.engine.reads.tenants_of(thread_id)
    if not tenants:
        raise not_found("thread")
    if len(tenants) > 1:
        message = "several tenants have a thread with this id; name one with tenant_id"
        raise refused(conflict("ambiguous_thread", message))
    return job_key(tenants[0], thread_id)


async def latest_run(call: Call, tenant: str | None, run_id: str | None) -> Job:
    """The thread's latest run. Raises 404, 409 `ambiguous_thread`, 409 `run_mismatch`."""
    key = await locate(call, tenant)
    job = await call.services.engine.reads.job(key)
    if job is None:
        raise not_found("thread")
    if run_id is not None and run_id != job.run_id:
        raise refused(run_mismatch(job.run_id))
    return job


def visible(call: Call, job: Job | None, what: str) -> Job:
    """The job, when the caller may know of it. Raises 404."""
    if job is None or call.caller.tenant_id not in (None, job.tenant_id):
        raise not_found(what)
    return job


def name_in_path(call: Call, parameter: str, what: str) -> str:
    """A name out of the path; one that cannot exist is not found."""
    name = call.path_params[parameter]
    if not _NAME.match(name):
        raise not_found(what)
    return name


async def check_session(call: Call, worker: WorkerKey, session: str | None) -> None:
    """Make the caller's session known, if it has one. Raises 409 `session_superseded`."""
    if session is not None:
        refusal = await call.services.engine.open_session(worker, session)
        if refusal is not None:
            accepted(refusal, SessionOpened)


def optional_payload(call: Call, value: Raw, field: str) -> bytes | None:
    """A client's JSON bytes where it may leave them out; None when absent, or null. Raises 413."""
    return payload(call, value, field) if is_given(value) else None


def checkpoint_of(call: Call, checkpoint: CheckpointRequest | None, path: str = "") -> bytes | None:
    """The values of a checkpoint, if there is one; `path` goes before the name of its field. Raises 413."""
    return None if checkpoint is None else payload(call, checkpoint.values, f"{path}checkpoint.values")


def payload(call: Call, value: Raw, field: str) -> bytes:
    """A client's JSON bytes, of which null is a value like any other. Raises 413."""
    body = bytes(value)
    limit = call.services.bounds.payload_max_bytes
    if len(body) > limit:
        raise ApiError(
            ErrorCode.PAYLOAD_TOO_LARGE,
            f"{field} is larger than {limit} bytes",
            {"field": field, "limit_bytes": limit},
        )
    return body


def wait_seconds(call: Call, wait_ms: int) -> float:
    """How long to wait. Raises 400 beyond the server's bound."""
    limit = call.services.bounds.wait_max_ms
    if wait_ms > limit:
        raise invalid("wait_ms", f"has to be at most {limit} (milliseconds)")
    return wait_ms / 1000.0


def is_admin(call: Call) -> bool:
    """Whether the caller has shown that it is an admin. On an open server everybody may be one, and nobody is."""
    return call.caller.role is Role.ADMIN and call.caller.actor_type != "anonymous"


def audit(call: Call, resource_type: str, resource_id: str, tenant_id: str = "") -> Audit:
    """Who does what the route is for, for the record in the commit of the change. The caller's own tenant can see it
    at any rate."""
    caller, action = call.caller, call.route.audit_action
    assert action is not None, call.route.path
    return Audit(
        actor_type=caller.actor_type,
        actor_id=caller.actor_id,
        actor_role=str(caller.role or ""),
        tenant_id=tenant_id or caller.tenant_id or "",
        source="http",
        action=action,
        resource_type=resource_type,
        resource_id=resource_id,
        request_id=call.request_id,
    )


async def audit_refusal(call: Call, told: Audit, error: ApiError) -> None:
    """What came to nothing before there was a command was decided too: a record of its own, for a 403, 404 or 409."""
    if error.code not in (ErrorCode.FORBIDDEN, ErrorCode.NOT_FOUND, ErrorCode.CONFLICT):
        return
    reason = str((error.details or {}).get("reason") or error.code)
    await call.services.engine.ask(Unit("write", [], audit=replace(told, refusal=reason)))


def time_ms(at: datetime, field: str) -> int:
    """A time that somebody names. Raises 400 for one that cannot be written: near the end of the year 9999 in UTC."""
    ms = to_ms(at)
    if ms > LAST_MS:
        raise invalid(field, "the time has to be before the year 10000 in UTC")
    return ms


def trace_of_run(
    call: Call, traceparent: str | None, attempt: str | None = None, *, what: str = "", took_ms: int | None = None
) -> TraceView:
    """A child span of the run's trace; of the request's own when there is no run.

    When somebody listens it is told of as `what`, by default the route's last word, and as long as the request was
    under way, or `took_ms`.
    """
    if not traceparent:
        return trace_view(call.trace)
    trace = stored_trace(traceparent).child(call.services.random)
    if call.services.spans is not None:
        _tell(call.services.spans, call, trace, attempt, what, took_ms)
    return trace_view(trace)


def _tell(spans: Spans, call: Call, trace: Trace, attempt: str | None, what: str, took_ms: int | None) -> None:
    attributes = {"oris.request_id": call.request_id}
    worker = call.path_params.get("worker_id")
    if worker is not None:
        attributes["oris.worker_id"] = worker
    if attempt is not None:
        attributes["oris.attempt_id"] = attempt
    name = what or call.route.path.rpartition("/")[2]
    spans.of_run(name, trace, call.started_at_s, attributes, call.trace, took_ms)


def trace_view(trace: Trace) -> TraceView:
    """A trace as answers show it."""
    return TraceView(trace.trace_id, trace.span_id, trace.parent_span_id, trace.traceparent)


async def payloads_of(call: Call, job: Job, seqs: list[int]) -> list[Raw]:
    """The payloads of these events of the job's thread, `null` where there is none."""
    wanted = [seq for seq in seqs if seq]
    found = await call.services.engine.reads.payloads(job.job_key, wanted) if wanted else {}
    return [Raw(found[seq]) if seq in found else NULL for seq in seqs]


def run_named(name: str) -> RunId:
    """A run id out of the path or a query; whether it exists is found out by looking."""
    return RunId(name)
