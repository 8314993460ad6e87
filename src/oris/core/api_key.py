"""API keys: an id that may be known to everybody, and the hash of a secret that only its holder knows."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from oris.ids import KeyId, TenantId

KeyRole = Literal["admin", "operator", "client", "worker"]


class ApiKey(Struct, frozen=True):
    """One stored key; field order is column order. Times are engine ms."""

    key_id: KeyId
    role: KeyRole
    tenant_id: TenantId | None
    """The tenant it is bound to; None: none."""
    digest: bytes
    """SHA-256 of the secret, which has 256 random bits: nothing slower is needed to keep it from being guessed."""
    created_ms: int
    expires_ms: int | None = None
    revoked_ms: int | None = None
    used_ms: int | None = None
    """When it was last used, to the minute or so."""

    def lets_in(self, now_ms: int) -> bool:
        """Whether its holder is let in at this time."""
        return self.revoked_ms is None and (self.expires_ms is None or now_ms < self.expires_ms)
