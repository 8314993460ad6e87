"""A worker has nothing to do until something happens: suspend, and interrupt, which is suspend with people alone."""

from __future__ import annotations

from msgspec import UNSET, Raw

from oris.api.envelope import ok
from oris.api.handlers.common import (
    NULL,
    PAGE_BYTES,
    accepted,
    checkpoint_of,
    optional_payload,
    payload,
    time_ms,
    trace_of_run,
)
from oris.api.http import Answer
from oris.api.services import Call
from oris.api.worker_calls import worker_in_path
from oris.core.commands import Suspend, WaitSpec
from oris.core.model import WaitMode
from oris.core.replies import Suspended
from oris.engine.unit import Unit
from oris.errors import invalid
from oris.ids import AttemptId, LeaseId, WaitId
from oris.wire.jobs import is_given
from oris.wire.waits import (
    InterruptedView,
    InterruptRequest,
    InterruptSpec,
    RaisedInterruptView,
    SuspendedView,
    SuspendRequest,
    TimeWait,
    WaitView,
)


async def suspend(call: Call, body: SuspendRequest) -> Answer:
    """`POST /v1/workers/{worker_id}/suspend`. The identical request again gets the same answer."""
    specs = tuple(_spec(call, wait, f"waits[{place}].") for place, wait in enumerate(body.waits))
    reply = await _ask(call, body, specs, "waits", body.mode)
    values = await _values(call, reply)
    waits = tuple(WaitView(w.wait_id, w.kind, w.key, w.status, values.get(w.wait_id, UNSET)) for w in reply.waits)
    trace = trace_of_run(call, reply.traceparent, reply.attempt_id)
    return ok(call, SuspendedView(reply.attempt_id, reply.status, waits, trace))


async def interrupt(call: Call, body: InterruptRequest) -> Answer:
    """`POST /v1/workers/{worker_id}/interrupt`."""
    specs = tuple(_spec(call, wait, f"interrupts[{place}].") for place, wait in enumerate(body.interrupts))
    reply = await _ask(call, body, specs, "interrupts", "all")
    values = await _values(call, reply)
    raised = tuple(RaisedInterruptView(w.wait_id, w.key, w.status, values.get(w.wait_id, UNSET)) for w in reply.waits)
    trace = trace_of_run(call, reply.traceparent, reply.attempt_id)
    return ok(call, InterruptedView(reply.attempt_id, reply.status, raised, trace))


async def _ask(
    call: Call, body: SuspendRequest | InterruptRequest, specs: tuple[WaitSpec, ...], field: str, mode: WaitMode
) -> Suspended:
    if len({spec.key for spec in specs}) < len(specs):
        raise invalid(field, "a request may name each key only once")
    worker = worker_in_path(call)
    command = Suspend(
        worker_key=worker,
        attempt_id=AttemptId(body.attempt_id),
        lease_id=LeaseId(body.lease_id),
        waits=specs,
        mode=mode,
        checkpoint=checkpoint_of(call, body.checkpoint),
    )
    size = sum(len(spec.value or b"") + len(spec.expire_value or b"") for spec in specs)
    unit = Unit("write", [command], size_bytes=size + len(command.checkpoint or b""))
    return accepted((await call.services.engine.ask(unit)).replies[0], Suspended)


def _spec(call: Call, wait: TimeWait | InterruptSpec, path: str) -> WaitSpec:
    if isinstance(wait, TimeWait):
        if (wait.at is None) == (wait.after_ms is None):
            raise invalid(f"{path}at", "give either at or after_ms")
        at_ms = None if wait.at is None else time_ms(wait.at, f"{path}at")
        return WaitSpec("time", wait.key, at_ms=at_ms, after_ms=wait.after_ms)
    if is_given(wait.expire_value) and wait.on_expire != "resume":
        raise invalid(f"{path}expire_value", 'give expire_value only with on_expire "resume"')
    return WaitSpec(
        "interrupt",
        wait.key,
        after_ms=wait.expires_in_ms,
        value=payload(call, wait.value, f"{path}value"),
        on_expire=wait.on_expire,
        expire_value=optional_payload(call, wait.expire_value, f"{path}expire_value"),
        on_reject=wait.on_reject,
    )


async def _values(call: Call, reply: Suspended) -> dict[WaitId, Raw]:
    """What the waits that are named again were settled with, the first of them that fit into an answer."""
    settled = [wait for wait in reply.waits if wait.status != "pending"]
    found = await call.services.engine.reads.settled_values(reply.job_key, settled, PAGE_BYTES) if settled else ()
    named = zip(settled, found, strict=False)
    return {wait.wait_id: NULL if value is None else Raw(value) for wait, value in named}
