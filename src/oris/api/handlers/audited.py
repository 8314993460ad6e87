"""A decision that never became a command, because what it was about is not there: a record of its own."""

from __future__ import annotations

import msgspec

from oris.api.handlers.common import audit
from oris.api.services import Call
from oris.engine.unit import Unit
from oris.errors import ApiError


async def refused(call: Call, action: str, resource_type: str, resource_id: str, error: ApiError) -> None:
    """Note that somebody was refused. Raises StoreError."""
    reason = str((error.details or {}).get("reason") or error.code)
    told = msgspec.structs.replace(audit(call, action, resource_type, resource_id), refusal=reason)
    await call.services.engine.ask(Unit("write", [], audit=told))
