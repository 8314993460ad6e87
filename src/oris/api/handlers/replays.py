"""Replays: a new run goes on from an earlier one's state. What is answered with success is durable."""

from __future__ import annotations

from msgspec import UNSET, Raw

from oris.api.envelope import ok
from oris.api.handlers.common import accepted, audit, audit_refusal, locate, not_found, run_named, trace_view
from oris.api.handlers.operators import dead_letter_named
from oris.api.http import Answer
from oris.api.services import Call
from oris.core.commands import Replay, ReplayDeadLetter
from oris.core.replies import Replayed
from oris.engine.unit import Unit
from oris.errors import ApiError
from oris.ids import JobKey, RunId, attempt_of, checkpoint_of
from oris.observability.trace import stored_trace
from oris.wire.jobs import TraceView
from oris.wire.replays import DeadLetterReplayedView, ReplayDeadLetterRequest, ReplayedView, ReplayRequest


async def replay(call: Call, body: ReplayRequest) -> Answer:
    """`POST /v1/jobs/{thread_id}/replay`. Once the same has completed, its run and result are answered again."""
    thread = call.path_params["thread_id"][:256]
    try:
        key = await locate(call, body.tenant_id)
        checkpoint = _checkpoint(body.checkpoint_id)
    except ApiError as error:
        await audit_refusal(call, audit(call, "thread", thread), error)
        raise
    tenant, _, thread = key.partition("/")
    run_id = None if body.run_id is None else run_named(body.run_id)
    command = Replay(key, call.trace.traceparent, checkpoint, run_id)
    unit = Unit("submit", [command], audit=audit(call, "thread", thread, tenant))
    reply = accepted((await call.services.engine.ask(unit)).replies[0], Replayed)
    result = await _result(call, key, reply)
    view = ReplayedView(
        thread_id=reply.thread_id,
        run_id=reply.run_id,
        attempt_id=attempt_of(reply.run_id),
        status=reply.status,
        idempotent_replay=reply.replay,
        trace=_trace(call, reply),
        checkpoint_id=UNSET if reply.checkpoint_id is None else reply.checkpoint_id,
        result=UNSET if result is None else Raw(result),
    )
    return ok(call, view)


async def replay_dead_letter(call: Call, _: ReplayDeadLetterRequest) -> Answer:
    """`POST /v1/dlq/{attempt_id}/replay`: the same guard, a fresh budget."""
    try:
        letter = await dead_letter_named(call)
    except ApiError as error:
        await audit_refusal(call, audit(call, "dead_letter", call.path_params["attempt_id"][:256]), error)
        raise
    command = ReplayDeadLetter(letter.job_key, letter.run_id, call.trace.traceparent)
    told = audit(call, "dead_letter", attempt_of(letter.run_id), letter.tenant_id)
    answer = await call.services.engine.ask(Unit("submit", [command], audit=told))
    reply = accepted(answer.replies[0], Replayed)
    attempt = attempt_of(reply.run_id)
    view = DeadLetterReplayedView(reply.thread_id, reply.run_id, attempt, reply.status, reply.replay_count)
    return ok(call, view)


def _checkpoint(name: str | None) -> tuple[RunId, int] | None:
    """The checkpoint that is named. Raises 404 for what cannot be one."""
    if name is None:
        return None
    found = checkpoint_of(name)
    if found is None:
        raise not_found("checkpoint")
    return found


async def _result(call: Call, key: JobKey, reply: Replayed) -> bytes | None:
    """What the run that completed has left."""
    if not reply.replay or not reply.result_seq:
        return None
    return (await call.services.engine.reads.payloads(key, [reply.result_seq])).get(reply.result_seq)


def _trace(call: Call, reply: Replayed) -> TraceView:
    # A new run's trace begins with this request's span, whose parent the caller has sent.
    own = reply.traceparent == call.trace.traceparent
    return trace_view(call.trace if own else stored_trace(reply.traceparent))
