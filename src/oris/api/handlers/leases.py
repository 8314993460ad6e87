"""What a worker writes under its lease: heartbeats, steps, acks, releases."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec
from msgspec import UNSET, Raw, UnsetType

from oris.api.envelope import ok
from oris.api.handlers.common import (
    accepted,
    check_session,
    checkpoint_of,
    optional_payload,
    trace_of_run,
    trace_view,
)
from oris.api.handlers.items import item, one_or_list
from oris.api.handlers.poll import check_watch, poll_view, want_of
from oris.api.handlers.submit import to_policy
from oris.api.http import Answer
from oris.api.services import Call
from oris.api.strict_json import decode_part
from oris.api.worker_calls import worker_in_path
from oris.core.commands import Ack, Heartbeat, Release, ReportStep
from oris.core.replies import Acked, Beaten, Refusal, Released, Reply, Reported
from oris.engine.unit import Unit
from oris.errors import invalid
from oris.ids import AttemptId, LeaseId, WorkerKey, worker_of
from oris.wire.jobs import TraceView, is_given
from oris.wire.times import rfc3339
from oris.wire.workers import (
    AckedView,
    AckError,
    AckRequest,
    AckResultsView,
    HeartbeatRequest,
    HeartbeatView,
    LeaseBeat,
    ListedAck,
    ListedStep,
    PollView,
    ReleasedView,
    ReleaseRequest,
    ReportedView,
    ReportRequest,
    ResultsView,
)

_error_decoder = msgspec.json.Decoder(AckError)


async def heartbeat(call: Call, body: HeartbeatRequest) -> Answer:
    """`POST /v1/workers/{worker_id}/heartbeat`, `…/extend-lease`."""
    worker = worker_in_path(call)
    if (body.lease_id is None) == (body.lease_ids is None):
        raise invalid("lease_id", "give either lease_id or lease_ids")
    if body.lease_ids == [] and body.session is None:
        raise invalid("lease_ids", "an empty list is only allowed with a session; give session too")
    await check_session(call, worker, body.session)
    single = body.lease_id is not None
    named = [body.lease_id] if body.lease_id is not None else list(dict.fromkeys(body.lease_ids or ()))
    ttl_ms = 1000 * (body.lease_ttl_seconds or call.services.bounds.lease_ttl_default_s)
    commands = [Heartbeat(worker, LeaseId(lease), ttl_ms, single) for lease in named]
    replies: list[Beaten] = []
    if commands:
        answer = await call.services.engine.ask(Unit("renew", commands))
        replies = [accepted(reply, Beaten) for reply in answer.replies]
    clock = call.services.engine.clock
    now_ms, skew_ms = clock.now_ms(), clock.skew_ms()
    leases = tuple(
        LeaseBeat(
            reply.lease_id,
            reply.state,
            rfc3339(reply.expires_ms + skew_ms) if reply.expires_ms else None,
            max(0, reply.expires_ms - now_ms),
        )
        for reply in replies
    )
    view = HeartbeatView(
        worker_id=worker_of(worker),
        leases=leases,
        trace=_trace_of_leases(call, replies),
        lease_id=replies[0].lease_id if single else UNSET,
        lease_expires_at=rfc3339(replies[0].expires_ms + skew_ms) if single else UNSET,
    )
    return ok(call, view)


async def report_step(call: Call, body: ReportRequest) -> Answer:
    """`POST /v1/workers/{worker_id}/report-step`, one step or a list."""
    worker = worker_in_path(call)
    steps, prefixes = one_or_list(body, "steps", ListedStep)
    commands = [_report(call, worker, body, step, prefix) for step, prefix in zip(steps, prefixes, strict=True)]
    size = sum(len(command.body or b"") + len(command.checkpoint or b"") for command in commands)
    answer = await call.services.engine.ask(Unit("write", commands, size_bytes=size))
    if body.steps is None:
        return ok(call, _reported(call, accepted(answer.replies[0], Reported)))
    results = tuple(item(reply, lambda done: _reported(call, done)) for reply in answer.replies)
    return ok(call, ResultsView(results))


async def ack(call: Call, body: AckRequest) -> Answer:
    """`POST /v1/workers/{worker_id}/ack`, one or a list; with `poll`, finish and fetch in one commit."""
    worker = worker_in_path(call)
    acks, prefixes = one_or_list(body, "acks", ListedAck)
    commands = [_ack(call, worker, one, prefix) for one, prefix in zip(acks, prefixes, strict=True)]
    unit = Unit("write", commands, size_bytes=sum(len(command.body or b"") for command in commands))
    engine, polled = call.services.engine, None
    if body.poll is None:
        answer = await engine.ask(unit)
    else:
        check_watch(body.poll, "poll.watch")
        want = want_of(call, worker, body.poll, body.poll.poll_id or acks[0].lease_id)
        answer, polled = await engine.ask_and_poll(unit, want, watch=body.poll.watch)
    single = None if body.acks is not None else accepted(answer.replies[0], Acked)
    if polled is None:
        return ok(call, _ack_view(call, single, answer.replies, UNSET))
    # Should there be no room to hand out again what it holds, the ack is committed all the same.
    fetched = poll_view(call, polled, "outcome_unknown")
    view = _ack_view(call, single, answer.replies, fetched)
    return ok(call, view, on_undelivered=partial(engine.undelivered, polled.outline()))


def _ack_view(
    call: Call, single: Acked | None, replies: Sequence[Reply], fetched: PollView | UnsetType
) -> AckedView | AckResultsView:
    if single is not None:
        return msgspec.structs.replace(_acked(call, single), next=fetched)
    return AckResultsView(tuple(item(reply, lambda done: _acked(call, done)) for reply in replies), fetched)


async def release(call: Call, body: ReleaseRequest) -> Answer:
    """`POST /v1/workers/{worker_id}/release`. When none of the leases is the caller's, it is told why."""
    worker = worker_in_path(call)
    leases = dict.fromkeys(body.lease_ids)
    commands = [Release(worker, LeaseId(lease), body.delay_ms) for lease in leases]
    answer = await call.services.engine.ask(Unit("write", commands))
    released = tuple(reply.lease_id for reply in answer.replies if isinstance(reply, Released))
    if not released:
        accepted(next(reply for reply in answer.replies if isinstance(reply, Refusal)), Released)
    return ok(call, ReleasedView(released))


def _trace_of_leases(call: Call, replies: list[Beaten]) -> TraceView:
    """That of the first lease's run. Those of the others are not shown, and made only when somebody listens."""
    if not replies:
        return trace_view(call.trace)
    first = trace_of_run(call, replies[0].traceparent, what="heartbeat")
    if call.services.spans is not None:
        for reply in replies[1:]:
            trace_of_run(call, reply.traceparent, what="heartbeat")
    return first


def _report(call: Call, worker: WorkerKey, body: ReportRequest, step: ListedStep, prefix: str) -> ReportStep:
    wrong = step.output if step.status == "failed" else step.error
    if is_given(wrong):
        field = "output" if step.status == "failed" else "error"
        raise invalid(prefix + field, f"a step that is {step.status} has no {field}")
    field, value = ("error", step.error) if step.status == "failed" else ("output", step.output)
    return ReportStep(
        worker_key=worker,
        attempt_id=AttemptId(body.attempt_id),
        lease_id=LeaseId(body.lease_id),
        action_id=step.action_id,
        status=step.status,
        token=step.dedupe_token,
        body=optional_payload(call, value, prefix + field),
        checkpoint=checkpoint_of(call, step.checkpoint, prefix),
    )


def _ack(call: Call, worker: WorkerKey, one: ListedAck, prefix: str) -> Ack:
    failed = one.terminal_status == "failed"
    if is_given(one.result if failed else one.error):
        field = "result" if failed else "error"
        raise invalid(prefix + field, f"an attempt that is {one.terminal_status} has no {field}")
    field, value = ("error", one.error) if failed else ("result", one.result)
    return Ack(
        worker_key=worker,
        attempt_id=AttemptId(one.attempt_id),
        lease_id=LeaseId(one.lease_id),
        terminal_status=one.terminal_status,
        body=optional_payload(call, value, prefix + field),
        retryable=_retryable(value, prefix) if failed else True,
        retry_policy=to_policy(one.retry_policy),
    )


def _retryable(error: Raw, prefix: str) -> bool:
    """Whether the error may be tried again; also checks its form. Raises 400."""
    return decode_part(error, _error_decoder, f"{prefix}error").retryable if is_given(error) else True


def _reported(call: Call, reply: Reported) -> ReportedView:
    return ReportedView(
        reply.attempt_id,
        reply.status,
        trace_of_run(call, reply.traceparent, reply.attempt_id),
        UNSET if reply.checkpoint_id is None else reply.checkpoint_id,
    )


def _acked(call: Call, reply: Acked) -> AckedView:
    return AckedView(
        reply.attempt_id,
        reply.status,
        reply.next_attempt_no,
        trace_of_run(call, reply.traceparent, reply.attempt_id),
        UNSET if reply.next_retry_ms is None else rfc3339(reply.next_retry_ms),
    )
