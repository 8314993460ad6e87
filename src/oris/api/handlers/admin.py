"""Running the server: its status, and what is switched on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import msgspec

from oris.api.envelope import ok
from oris.api.handlers.common import accepted, audit
from oris.api.http import Answer
from oris.api.services import Call
from oris.core.commands import SetMode
from oris.core.mode import CLUSTER, OFFLINE, Mode
from oris.core.replies import ModeSet
from oris.engine.unit import Unit
from oris.errors import StoreError
from oris.storage.reads.cluster import Statistics
from oris.wire.admin import ModeRequest, ModeView, NodeView
from oris.wire.times import rfc3339


async def set_mode(call: Call, body: ModeRequest) -> Answer:
    """`POST /v1/admin/mode`. Durable; parked polls are answered before this is."""
    place = ("cluster", "") if body.node is None else ("node", body.node)
    command = SetMode(
        CLUSTER if body.node is None else body.node, body.submit, body.dispatch, body.reason, call.caller.actor_id
    )
    said = {"submit": body.submit, "dispatch": body.dispatch, "reason": body.reason}
    record = msgspec.structs.replace(audit(call, *place), details=msgspec.json.encode(said))
    answer = await call.services.engine.ask(Unit("write", [command], audit=record))
    return ok(call, _view(accepted(answer.replies[0], ModeSet).mode))


async def status(call: Call, _: None) -> Answer:
    """`GET /v1/admin/status`. Also when the store does not answer: what only it knows is null then."""
    engine = call.services.engine
    modes: Sequence[Mode] = engine.admission.modes.rows
    counted: Statistics | None = None
    nodes: list[NodeView] | None = None
    # What is the matter with it stands under `store`.
    with suppress(StoreError):
        modes = await engine.reads.modes()
        counted = await engine.reads.statistics()
        nodes = [NodeView(node, rfc3339(at_ms)) for node, at_ms in await engine.reads.nodes() if node != OFFLINE]
    stored = {
        "modes": [_view(mode) for mode in modes],
        "queue_depth": None if counted is None else counted.due,
        "delayed_jobs": None if counted is None else counted.delayed,
        "active_leases": None if counted is None else counted.leased,
        "nodes": nodes,
    }
    return ok(call, msgspec.json.encode(call.services.status() | stored))


def _view(mode: Mode) -> ModeView:
    node = None if mode.node == CLUSTER else mode.node
    return ModeView(node, mode.submit, mode.dispatch, mode.reason, mode.set_by, rfc3339(mode.set_ms))
