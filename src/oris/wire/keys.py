"""Requests and answers about API keys. The answer that makes one holds its secret; no other does, nor its hash."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from oris.wire import fields as f
from oris.wire.words import RoleAsked, RoleShown


class KeysQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which keys to list."""

    tenant_id: f.AskedTenantId | None = None
    cursor: f.Cursor | None = None
    limit: f.PageLimit = 50


class CreateKeyRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The API key to make."""

    role: Annotated[RoleAsked, f.about("What the key may do.")]
    tenant_id: f.KeyTenantId | None = None
    expires_at: (
        Annotated[datetime, Meta(tz=True), f.about("When the key expires: a time with its zone; null: never.")] | None
    ) = None


class RevokeKeyRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Empty: the path names the key."""


class KeyCreatedView(Struct, frozen=True):
    """A new API key with its secret, which is shown only here."""

    key_id: f.KeyId
    secret: Annotated[str, f.about("The secret, shown only here. Send `Authorization: Bearer <key_id>.<secret>`.")]
    role: Annotated[RoleShown, f.about("What the key may do.")]
    tenant_id: Annotated[str, f.about("The tenant that the key is bound to; null: none.")] | None
    expires_at: Annotated[str, f.about("When the key expires; null: never.")] | None


class KeyView(Struct, frozen=True):
    """A stored key."""

    key_id: f.KeyId
    role: Annotated[RoleShown, f.about("What the key may do.")]
    tenant_id: Annotated[str, f.about("The tenant that the key is bound to; null: none.")] | None
    created_at: f.CreatedAt
    expires_at: Annotated[str, f.about("When the key expires; null: never.")] | None
    last_used_at: Annotated[str, f.about("When the key was last used; null: never.")] | None
    revoked_at: Annotated[str, f.about("When the key was revoked; null: it is not revoked.")] | None
