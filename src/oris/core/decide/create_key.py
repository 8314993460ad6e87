"""Create key: whoever knows the secret is let in from now on."""

from __future__ import annotations

from oris.core.api_key import ApiKey
from oris.core.changes import Decision
from oris.core.commands import CreateKey
from oris.core.facts import Facts
from oris.core.replies import KeyCreated, Refusal
from oris.core.stamp import Stamp
from oris.errors import ErrorCode


def create_key(facts: Facts, command: CreateKey, stamp: Stamp) -> Decision:
    """Several live keys may do the same: that is how one is replaced without a gap."""
    known = facts.api_key(command.key_id)
    if known is not None:
        if known.digest == command.digest:
            return Decision(KeyCreated(known))
        return Decision(Refusal(ErrorCode.INTERNAL, "this key id already exists"))
    if command.expires_ms is not None and command.expires_ms <= stamp.date_ms:
        return Decision(Refusal(ErrorCode.INVALID_ARGUMENT, "must be in the future", {"field": "expires_at"}))
    key = ApiKey(
        command.key_id, command.role, command.tenant_id, command.digest, stamp.date_ms, expires_ms=command.expires_ms
    )
    return Decision(KeyCreated(key), api_keys=(key,))
