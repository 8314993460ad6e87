"""Submitting jobs, one or many. What is answered with success is durable."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from hashlib import sha256
from typing import TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace

from oris.api.envelope import ok
from oris.api.handlers.common import (
    accepted,
    audit,
    audit_refusal,
    is_admin,
    optional_payload,
    tenant_for_new,
    time_ms,
    trace_view,
    wait_seconds,
)
from oris.api.handlers.interrupts import pending_interrupts
from oris.api.handlers.items import item, refusal_of
from oris.api.http import Answer
from oris.api.services import Call
from oris.core.audit import Audit
from oris.core.commands import Submit
from oris.core.meaning import canonical, compact
from oris.core.model import TERMINAL, RetryPolicy
from oris.core.replies import Reply, Submitted
from oris.engine.unit import Unit
from oris.engine.waiters import Ended, Waiter
from oris.errors import ApiError, ErrorCode, invalid
from oris.ids import JobKey, RunId, TenantId, ThreadId, attempt_of, job_key
from oris.observability.trace import stored_trace
from oris.wire.jobs import BatchedJob, BatchRequest, JobRequest, RetryPolicyRequest, SubmittedView
from oris.wire.times import to_ms
from oris.wire.workers import ResultsView

R = TypeVar("R", bound=Reply)

METADATA_MAX_BYTES = 4096
_WAITED_FOR = TERMINAL | {"interrupted"}
"""What ends a submit's wait."""
_encode = msgspec.json.Encoder(order="deterministic").encode


async def run(call: Call, body: JobRequest) -> Answer:
    """`POST /v1/jobs`, `POST /v1/jobs/run`. A wait ends with the run, its questions, or the caller's patience."""
    try:
        command = to_command(call, body, "")
    except ApiError as refused:
        await audit_refusal(call, audit(call, "thread", body.thread_id), refused)
        raise
    wait_s = wait_seconds(call, body.wait_ms)
    unit = Unit(
        "submit",
        [command],
        audit=audit(call, "thread", command.thread_id, command.tenant_id),
        size_bytes=len(command.input or b""),
        by_admin=is_admin(call),
    )
    engine, key, idempotency_key = call.services.engine, command.job_key, body.idempotency_key
    # The unit alone holds the input now, and that until it is committed: who waits for the run does not hold it.
    del body, command
    with engine.waiters.register(key, interrupts=True) as waiter:
        asking = engine.ask(unit)
        del unit
        replies = (await asking).replies
        call.freight.body_done()
        reply = await _as_stored(call, accepted(replies[0], Submitted))
        if wait_s and call.services.waits.are_full:
            wait_s = 0.0  # the job is accepted: what is answered is how it stands now
        with call.services.waits.place() if wait_s else nullcontext():
            ended = await _ended(call, reply, waiter, wait_s)
    status = ended.status if ended is not None else await _status_now(call, reply, wait_s)
    result, error = await _payloads(call, key, ended)
    pending = await pending_interrupts(call, reply.run_id) if status == "interrupted" else ()
    view = _view(call, reply, idempotency_key, status, result, error)
    return ok(call, replace(view, interrupts=pending))


async def batch(call: Call, body: BatchRequest) -> Answer:
    """`POST /v1/jobs/batch`: one commit, and each job on its own in it. Only a malformed one refuses them all."""
    limit = call.services.bounds.batch_max
    if len(body.jobs) > limit:
        raise invalid("jobs", f"has to have at most {limit} jobs; send the rest in another batch")
    made = [_command_or_refusal(call, job, f"jobs[{place}].") for place, job in enumerate(body.jobs)]
    commands = [each for each in made if isinstance(each, Submit)]
    refused = [each for each in made if isinstance(each, ApiError)]
    told = replace(audit(call, "batch", call.request_id), refused_before=len(refused))
    if not commands:
        await audit_refusal(call, told, refused[0])
    replies = iter(await _submit_all(call, commands, told) if commands else ())
    results = []
    for job, each in zip(body.jobs, made, strict=True):
        reply = refusal_of(each) if isinstance(each, ApiError) else await _as_stored(call, next(replies))
        results.append(item(reply, partial(_accepted_view, call, job)))
    return ok(call, ResultsView(tuple(results)))


def _command_or_refusal(call: Call, job: BatchedJob, path: str) -> Submit | ApiError:
    try:
        return to_command(call, job, path)
    except ApiError as error:
        if error.code is ErrorCode.INVALID_ARGUMENT:
            raise
        return error


async def _submit_all(call: Call, commands: Sequence[Submit], told: Audit) -> Sequence[Reply]:
    size = sum(len(command.input or b"") for command in commands)
    unit = Unit("submit", commands, audit=told, size_bytes=size, by_admin=is_admin(call))
    return (await call.services.engine.ask(unit)).replies


async def _as_stored(call: Call, reply: R) -> R:
    """A repeat of a run that is no longer its thread's latest names no status and no trace; a read does."""
    if not isinstance(reply, Submitted) or reply.status is not None:
        return reply
    job = await call.services.engine.reads.run(reply.run_id)
    return reply if job is None else replace(reply, status=job.status, traceparent=job.traceparent)


def _accepted_view(call: Call, job: BatchedJob, reply: Submitted) -> SubmittedView:
    return _view(call, reply, job.idempotency_key, reply.status or "queued")


def to_command(call: Call, job: BatchedJob, path: str) -> Submit:
    """The command for a job; `path` goes before the names of fields at fault. Raises 400, 404, 413."""
    tenant_id = tenant_for_new(call, job.tenant_id)
    thread_id = ThreadId(job.thread_id)
    if job.delay_ms is not None and job.run_at is not None:
        raise invalid(f"{path}run_at", "give delay_ms or run_at, not both")
    run_at_ms = None if job.run_at is None else time_ms(job.run_at, f"{path}run_at")
    metadata = None if job.metadata is None else _encode(job.metadata)
    if metadata is not None and len(metadata) > METADATA_MAX_BYTES:
        raise ApiError(
            ErrorCode.PAYLOAD_TOO_LARGE,
            f"metadata is larger than {METADATA_MAX_BYTES} bytes",
            {"field": f"{path}metadata", "limit_bytes": METADATA_MAX_BYTES},
        )
    given = optional_payload(call, job.input, f"{path}input")
    limit = job.timeout_policy
    request_hash, *earlier_hashes = _hashes(tenant_id, job, given, metadata)
    return Submit(
        job_key=job_key(tenant_id, thread_id),
        tenant_id=tenant_id,
        thread_id=thread_id,
        workflow=job.workflow,
        priority=job.priority,
        input=given,
        idempotency_key=job.idempotency_key,
        request_hash=request_hash,
        traceparent=call.trace.traceparent,
        timeout_ms=None if limit is None else limit.timeout_ms,
        on_timeout="failed" if limit is None else limit.on_timeout_status,
        retry_policy=to_policy(job.retry_policy),
        delay_ms=job.delay_ms,
        run_at_ms=run_at_ms,
        metadata=metadata,
        earlier_hashes=tuple(earlier_hashes),
    )


def to_policy(policy: RetryPolicyRequest | None) -> RetryPolicy | None:
    """The core's policy for a request's."""
    if policy is None:
        return None
    return RetryPolicy(policy.strategy, policy.backoff_ms, policy.max_retries, policy.max_backoff_ms, policy.multiplier)


def _request_hash(tenant_id: TenantId, job: BatchedJob, given: bytes | None, metadata: bytes | None) -> bytes:
    """Stands for all fields after defaults. `given` is the input in the form in which it is compared."""
    said = (
        tenant_id,
        job.thread_id,
        job.workflow,
        job.priority,
        None if given is None else Raw(given),
        job.timeout_policy,
        job.retry_policy,
        job.delay_ms,
        None if job.run_at is None else to_ms(job.run_at),
        None if metadata is None else Raw(metadata),
    )
    return sha256(_encode(said)).digest()


def _hashes(tenant_id: TenantId, job: BatchedJob, given: bytes | None, metadata: bytes | None) -> list[bytes]:
    """What the key is bound to, and what earlier versions would have bound it to.

    No delay and no metadata are what an absent field means, so they stand for the same; 0.1.0 told them apart. Both
    earlier versions compared the text of the input, without its white space.
    """
    if job.idempotency_key is None:
        return [b""]
    plain = replace(job, delay_ms=job.delay_ms or None)
    stated = metadata if job.metadata else None
    if given is None:
        hashes = [_request_hash(tenant_id, plain, None, stated), _request_hash(tenant_id, job, None, metadata)]
    else:
        text = compact(given)
        hashes = [
            _request_hash(tenant_id, plain, canonical(given), stated),
            _request_hash(tenant_id, plain, text, stated),
            _request_hash(tenant_id, job, text, metadata),
        ]
    return list(dict.fromkeys(hashes))


async def _ended(call: Call, reply: Submitted, waiter: Waiter, wait_s: float) -> Ended | None:
    """How the run ended, or that it waits for people, if it has or does within the wait."""
    if reply.replay and (reply.status is None or reply.status in _WAITED_FOR):
        job = await call.services.engine.reads.run(reply.run_id)
        if job is None:
            return None
        # Somebody may have answered meanwhile; then it goes on.
        if job.status in _WAITED_FOR:
            return Ended(job.run_id, job.status, job.result_seq, job.error_seq)
    ended: Ended | None = None
    if wait_s:
        with call.patience.at_most(wait_s):
            ended = await waiter.ended(reply.run_id)
    return ended


async def _status_now(call: Call, reply: Submitted, wait_s: float) -> str:
    """The status of a run that goes on: as committed, or as it is after a wait."""
    if not wait_s and reply.status is not None:
        return reply.status
    job = await call.services.engine.reads.run(RunId(reply.run_id))
    return job.status if job is not None else reply.status or "queued"


async def _payloads(call: Call, key: JobKey, ended: Ended | None) -> tuple[Raw | UnsetType, Raw | UnsetType]:
    """What an ended run left: its result, and its error. That of a try before is nothing to one that goes on."""
    seqs = [] if ended is None else [seq for seq in (ended.result_seq, ended.error_seq) if seq]
    if ended is None or ended.status not in TERMINAL or not seqs:
        return UNSET, UNSET
    await call.freight.begin_answer("outcome_unknown")  # the job is accepted: only its answer finds no room
    found = await call.services.engine.reads.payloads(key, seqs)
    result, error = found.get(ended.result_seq), found.get(ended.error_seq)
    return UNSET if result is None else Raw(result), UNSET if error is None else Raw(error)


def _view(
    call: Call,
    reply: Submitted,
    key: str | None,
    status: str,
    result: Raw | UnsetType = UNSET,
    error: Raw | UnsetType = UNSET,
) -> SubmittedView:
    # A new run's trace begins with this request's span, whose parent the caller has sent.
    own = reply.traceparent == call.trace.traceparent
    return SubmittedView(
        thread_id=reply.thread_id,
        run_id=reply.run_id,
        attempt_id=attempt_of(reply.run_id),
        status=status,
        interrupts=(),
        idempotency_key=key,
        idempotent_replay=reply.replay,
        trace=trace_view(call.trace if own else stored_trace(reply.traceparent)),
        result=result,
        error=error,
    )
