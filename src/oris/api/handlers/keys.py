"""API keys: made, listed, revoked. To an admin who is bound to a tenant there are only that tenant's."""

from __future__ import annotations

import re

import msgspec

from oris.api.envelope import ok
from oris.api.handlers.common import (
    accepted,
    audit,
    audit_refusal,
    next_cursor,
    not_found,
    place_after,
    tenant_filter,
    tenant_for_new,
    time_ms,
)
from oris.api.http import Answer
from oris.api.key_ring import new_key
from oris.api.services import Call
from oris.core.api_key import ApiKey
from oris.core.commands import CreateKey, RevokeKey
from oris.core.replies import KeyCreated, KeyRevoked
from oris.engine.unit import Unit
from oris.errors import ApiError, invalid
from oris.ids import KEY_ID, KeyId, TenantId
from oris.wire.keys import CreateKeyRequest, KeyCreatedView, KeysQuery, KeyView, RevokeKeyRequest
from oris.wire.pages import KeysPage
from oris.wire.times import rfc3339, rfc3339_or_none

_KEY_ID = re.compile(KEY_ID)


async def list_keys(call: Call, _: None) -> Answer:
    """`GET /v1/api-keys`."""
    query: KeysQuery = call.options
    tenant = tenant_filter(call, query.tenant_id)
    page = await call.services.engine.reads.api_keys(tenant, place_after(call, query.cursor), query.limit)
    return ok(call, KeysPage(tuple(map(_view, page.items)), next_cursor(call, page)))


async def create(call: Call, body: CreateKeyRequest) -> Answer:
    """`POST /v1/api-keys`: the only answer that ever holds the secret, so nobody on its way is to keep it."""
    key_id, secret, digest = new_key()
    if call.caller.actor_type == "anonymous":
        _check_first(body)
    try:
        tenant = _tenant(call, body.tenant_id)
    except ApiError as error:
        await audit_refusal(call, audit(call, "api_key", ""), error)
        raise
    expires_ms = None if body.expires_at is None else time_ms(body.expires_at, "expires_at")
    told = audit(call, "api_key", key_id, tenant or "")
    command = CreateKey(key_id, body.role, tenant, digest, expires_ms)
    answer = await call.services.engine.ask(Unit("write", [command], audit=told))
    key = accepted(answer.replies[0], KeyCreated).key
    view = KeyCreatedView(key.key_id, secret, key.role, key.tenant_id, rfc3339_or_none(key.expires_ms))
    return msgspec.structs.replace(ok(call, view), headers=(("cache-control", "no-store"),))


async def revoke(call: Call, _: RevokeKeyRequest) -> Answer:
    """`POST /v1/api-keys/{key_id}/revoke`: when this is answered, nobody gets in with it."""
    named = call.path_params["key_id"]
    if not _KEY_ID.fullmatch(named):
        # What it is instead may be a secret, put there by mistake: it goes nowhere.
        refused = not_found("key")
        await audit_refusal(call, audit(call, "api_key", ""), refused)
        raise refused
    bound = call.caller.tenant_id
    command = RevokeKey(KeyId(named), None if bound is None else TenantId(bound))
    told = audit(call, "api_key", named)
    answer = await call.services.engine.ask(Unit("write", [command], audit=told))
    return ok(call, _view(accepted(answer.replies[0], KeyRevoked).key))


def _check_first(body: CreateKeyRequest) -> None:
    """It closes an open server, and with anything less nobody could administer it any more. Raises 400."""
    for field, is_less in (("role", body.role != "admin"), ("tenant_id", body.tenant_id is not None)):
        if is_less:
            raise invalid(field, "the first key must have the role admin and no tenant")


def _tenant(call: Call, named: str | None) -> TenantId | None:
    """What the key will be bound to: the caller's own tenant, if it has one. Raises 404 for another."""
    return tenant_for_new(call, named) or None


def _view(key: ApiKey) -> KeyView:
    return KeyView(
        key_id=key.key_id,
        role=key.role,
        tenant_id=key.tenant_id,
        created_at=rfc3339(key.created_ms),
        expires_at=rfc3339_or_none(key.expires_ms),
        last_used_at=rfc3339_or_none(key.used_ms),
        revoked_at=rfc3339_or_none(key.revoked_ms),
    )
