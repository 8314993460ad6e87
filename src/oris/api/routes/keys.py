"""API keys."""

from __future__ import annotations

from oris.api.handlers import keys
from oris.api.http import AnswerForm, Route
from oris.api.routes.roles import ADMINS
from oris.wire import keys as k
from oris.wire import pages as p

KEY_ROUTES = (
    Route("GET", "/v1/api-keys", keys.list_keys, ADMINS, AnswerForm(p.KeysPage), query=k.KeysQuery),
    Route(
        "POST",
        "/v1/api-keys",
        keys.create,
        ADMINS,
        AnswerForm(k.KeyCreatedView),
        body=k.CreateKeyRequest,
        audit_action="apikey.create",
    ),
    Route(
        "POST",
        "/v1/api-keys/{key_id}/revoke",
        keys.revoke,
        ADMINS,
        AnswerForm(k.KeyView),
        body=k.RevokeKeyRequest,
        audit_action="apikey.revoke",
    ),
)
