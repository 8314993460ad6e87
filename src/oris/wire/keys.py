"""Requests and answers about API keys. The answer that makes one holds its secret; no other does, nor its hash."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from oris.wire.names import BoundTenant, PageLimit, TenantName, Token
from oris.wire.words import RoleAsked, RoleShown


class KeysQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which keys to list."""

    tenant_id: TenantName | None = None
    cursor: Token | None = None
    limit: PageLimit = 50


class CreateKeyRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A key that is to be made."""

    role: RoleAsked
    tenant_id: BoundTenant | None = None
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class RevokeKeyRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing is to be said: the path names the key."""


class KeyCreatedView(Struct, frozen=True):
    """A new key, with its secret: this once."""

    key_id: str
    secret: str
    role: RoleShown
    tenant_id: str | None
    expires_at: str | None


class KeyView(Struct, frozen=True):
    """A stored key."""

    key_id: str
    role: RoleShown
    tenant_id: str | None
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    revoked_at: str | None
