"""Interrupts: the questions that runs have for people, and the answers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import starmap, zip_longest

from msgspec import UNSET, Raw

from oris.api.envelope import ok
from oris.api.handlers.common import (
    NULL,
    PAGE_BYTES,
    accepted,
    audit,
    audit_refusal,
    locate,
    next_cursor,
    not_found,
    payload,
    place_after,
    run_named,
    tenant_filter,
)
from oris.api.http import Answer
from oris.api.services import Call
from oris.core.commands import Command, Reject, Resume, ResumeThread
from oris.core.model import Wait
from oris.core.replies import Settled
from oris.core.wait_values import WaitValue
from oris.engine.unit import Unit
from oris.errors import ApiError, DataDamaged
from oris.ids import RunId, ThreadId, WaitId, attempt_of
from oris.storage.pages import cut, place_of_wait
from oris.storage.reads.operators import InterruptFilter
from oris.wire.jobs import PendingView
from oris.wire.pages import InterruptsPage
from oris.wire.times import rfc3339, rfc3339_or_none
from oris.wire.waits import InterruptsQuery, InterruptView, RejectRequest, ResumeRequest, ResumeThreadRequest

PENDING_MAX = 100
"""Interrupts shown with a run: as many as one request can raise."""


async def list_interrupts(call: Call, _: None) -> Answer:
    """`GET /v1/interrupts`."""
    query: InterruptsQuery = call.options
    where = InterruptFilter(
        tenant_id=tenant_filter(call, query.tenant_id),
        status=query.status,
        run_id=None if query.run_id is None else RunId(query.run_id),
        thread_id=None if query.thread_id is None else ThreadId(query.thread_id),
        workflow=query.workflow,
    )
    reads = call.services.engine.reads
    page = await reads.interrupts(where, place_after(call, query.cursor), query.limit)
    values = await reads.wait_values(page.items, PAGE_BYTES)
    shown = tuple(starmap(_view, zip(page.items, values, strict=False)))
    page = cut(page, len(shown), place_of_wait)
    return ok(call, InterruptsPage(shown, next_cursor(call, page)))


async def show(call: Call, _: None) -> Answer:
    """`GET /v1/interrupts/{interrupt_id}`."""
    wait = await _named(call)
    (value,) = await call.services.engine.reads.wait_values([wait], PAGE_BYTES)
    if value.damaged_seq:
        raise DataDamaged(wait.job_key, value.damaged_seq)
    return ok(call, _view(wait, value))


async def resume(call: Call, body: ResumeRequest) -> Answer:
    """`POST /v1/interrupts/{interrupt_id}/resume`: durable before the answer; admission does not apply."""
    return await _settle(call, lambda wait: Resume(wait.wait_id, _given(call, body), _by(call)))


async def reject(call: Call, body: RejectRequest) -> Answer:
    """`POST /v1/interrupts/{interrupt_id}/reject`."""
    return await _settle(call, lambda wait: Reject(wait.wait_id, body.reason, _by(call)))


async def resume_thread(call: Call, body: ResumeThreadRequest) -> Answer:
    """`POST /v1/jobs/{thread_id}/resume`: for a run that waits for one answer, or to the question with a key."""
    value = _given(call, body)
    thread = call.path_params["thread_id"][:256]
    try:
        key = await locate(call, body.tenant_id)
    except ApiError as error:
        await audit_refusal(call, audit(call, "thread", thread), error)
        raise
    tenant, _, thread = key.partition("/")
    run_id = None if body.run_id is None else run_named(body.run_id)
    command = ResumeThread(key, value, _by(call), run_id, body.key)
    unit = Unit("client", [command], audit=audit(call, "thread", thread, tenant), size_bytes=len(value))
    answer = await call.services.engine.ask(unit)
    return ok(call, await interrupt_view(call, accepted(answer.replies[0], Settled).wait))


async def pending_interrupts(call: Call, run_id: RunId) -> tuple[PendingView, ...]:
    """What a run waits for people to say, the oldest first. Past `PAGE_BYTES` they come without their values."""
    reads = call.services.engine.reads
    page = await reads.interrupts(InterruptFilter(status="pending", run_id=run_id), None, PENDING_MAX)
    waits = page.items[::-1]
    values = await reads.wait_values(waits, PAGE_BYTES)
    return tuple(starmap(_pending, zip_longest(waits, values)))


async def interrupt_view(call: Call, wait: Wait) -> InterruptView:
    """An interrupt with its values; it was settled already, so damaged ones are told of in it."""
    (value,) = await call.services.engine.reads.wait_values([wait], PAGE_BYTES)
    return _view(wait, value)


def _pending(wait: Wait, value: WaitValue | None) -> PendingView:
    shown = UNSET if value is None or value.damaged_seq else _raw(value.raised)
    return PendingView(wait.wait_id, wait.key, rfc3339_or_none(wait.due_ms), shown)


def _view(wait: Wait, value: WaitValue) -> InterruptView:
    return InterruptView(
        interrupt_id=wait.wait_id,
        thread_id=wait.thread_id,
        run_id=wait.run_id,
        attempt_id=attempt_of(wait.run_id),
        workflow=wait.workflow,
        tenant_id=wait.tenant_id,
        key=wait.key,
        value=_raw(value.raised),
        status=wait.status,
        on_expire=wait.on_expire,
        on_reject=wait.on_reject,
        expires_at=rfc3339_or_none(wait.due_ms),
        created_at=rfc3339(wait.created_ms),
        settled_at=rfc3339_or_none(wait.settled_ms),
        settled_by=wait.settled_by,
        settled_value=_raw(value.settled),
        damaged=True if value.damaged_seq else UNSET,
    )


def _raw(value: bytes | None) -> Raw:
    return NULL if value is None else Raw(value)


async def _settle(call: Call, command_for: Callable[[Wait], Command]) -> Answer:
    try:
        wait = await _named(call)
    except ApiError as error:
        await audit_refusal(call, audit(call, "interrupt", call.path_params["interrupt_id"][:256]), error)
        raise
    command = command_for(wait)
    told = audit(call, "interrupt", wait.wait_id, wait.tenant_id)
    size = len(command.value) if isinstance(command, Resume) else 0
    answer = await call.services.engine.ask(Unit("client", [command], audit=told, size_bytes=size))
    return ok(call, await interrupt_view(call, accepted(answer.replies[0], Settled).wait))


async def _named(call: Call) -> Wait:
    """The interrupt in the path, when the caller may know of it. Raises 404."""
    wait = await call.services.engine.reads.wait(WaitId(call.path_params["interrupt_id"]))
    if wait is None or wait.kind != "interrupt" or call.caller.tenant_id not in (None, wait.tenant_id):
        raise not_found("interrupt")
    return wait


def _given(call: Call, body: ResumeRequest) -> bytes:
    return payload(call, body.value, "value")


def _by(call: Call) -> str:
    return f"{call.caller.actor_type}:{call.caller.actor_id}"
