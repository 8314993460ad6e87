"""Workflows that are held because all their leases were lost."""

from __future__ import annotations

from oris.api.envelope import ok
from oris.api.handlers.common import accepted, audit, audit_refusal, name_in_path, tenant_filter
from oris.api.http import Answer
from oris.api.services import Call
from oris.core.commands import ClearHold
from oris.core.replies import HoldCleared
from oris.engine.unit import Unit
from oris.errors import ApiError
from oris.ids import NO_TENANT
from oris.wire.operators import ClearHoldRequest, HoldClearedView


async def clear_hold(call: Call, body: ClearHoldRequest) -> Answer:
    """`POST /v1/workflows/{workflow}/clear-hold`: harmless for one that is not held."""
    try:
        workflow = name_in_path(call, "workflow", "workflow")
        tenant = tenant_filter(call, body.tenant_id) or NO_TENANT
    except ApiError as error:
        name = call.path_params["workflow"][:256]
        await audit_refusal(call, audit(call, "workflow", name), error)
        raise
    told = audit(call, "workflow", workflow, tenant)
    answer = await call.services.engine.ask(Unit("write", [ClearHold(tenant, workflow)], audit=told))
    reply = accepted(answer.replies[0], HoldCleared)
    return ok(call, HoldClearedView(workflow, tenant, was_held=reply.was_held, held=False))
