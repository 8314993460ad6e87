"""Revoke key: nobody gets in with it any more, for good."""

from __future__ import annotations

from msgspec.structs import replace

from oris.core.changes import Decision
from oris.core.commands import RevokeKey
from oris.core.facts import Facts
from oris.core.replies import KeyRevoked, not_found
from oris.core.stamp import Stamp


def revoke_key(facts: Facts, command: RevokeKey, stamp: Stamp) -> Decision:
    """Repeating it is harmless: the time of the first revocation stands."""
    key = facts.api_key(command.key_id)
    if key is None or command.tenant_id not in (None, key.tenant_id):
        return Decision(not_found("key"))
    if key.revoked_ms is not None:
        return Decision(KeyRevoked(key))
    revoked = replace(key, revoked_ms=stamp.date_ms)
    return Decision(KeyRevoked(revoked), api_keys=(revoked,))
