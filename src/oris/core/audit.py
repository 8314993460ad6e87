"""The audit trail: one hash chain per server start, so that nodes never wait for each other's.

A chain opens with a record that holds the heads of the other chains: a cut or a swapped chain is found by the next.
"""

from __future__ import annotations

from hashlib import sha256

from msgspec import Struct
from msgspec.structs import replace

from oris.audit_actions import AuditAction
from oris.core.stamp import Stamp


class Audit(Struct, frozen=True):
    """Who did what, written in the commit of the change. Without secrets or payloads."""

    actor_type: str
    actor_id: str
    actor_role: str
    tenant_id: str
    source: str
    action: AuditAction
    resource_type: str
    resource_id: str
    request_id: str
    refusal: str | None = None
    """Set when the API refused before any command could be made (403)."""
    details: bytes = b"{}"
    """What was done, as JSON; for a batch the counts stand in its place."""
    refused_before: int = 0
    """Items of a batch that were refused before any command could be made of them."""


class AuditHead(Struct, frozen=True):
    """The end of a chain: what the next record is tied to."""

    chain_id: str
    seq: int
    hash: bytes


class AuditRecord(Struct, frozen=True):
    """One line of the trail, as stored."""

    audit_id: str
    chain_id: str
    seq: int
    actor_type: str
    actor_id: str
    actor_role: str
    tenant_id: str
    source: str
    action: str
    resource_type: str
    resource_id: str
    result: str
    request_id: str
    details: bytes
    created_ms: int
    hash: bytes


def link(previous: bytes, record: AuditRecord) -> bytes:
    """The hash of a record; its own `hash` field is left out."""
    fields = (
        record.audit_id,
        record.chain_id,
        str(record.seq),
        record.actor_type,
        record.actor_id,
        record.actor_role,
        record.tenant_id,
        record.source,
        record.action,
        record.resource_type,
        record.resource_id,
        record.result,
        record.request_id,
        str(record.created_ms),
    )
    # Lengths go before the fields: no two different records join to the same bytes.
    packed = b"".join(f"{len(f)}:{f}".encode() for f in fields)
    return sha256(b"".join((previous, packed, record.details))).digest()


def record(head: AuditHead, audit: Audit, result: str, details: bytes, stamp: Stamp) -> AuditRecord:
    """The next record of the chain."""
    unsigned = AuditRecord(
        audit_id=f"aud_{stamp.number():032x}",
        chain_id=head.chain_id,
        seq=head.seq + 1,
        actor_type=audit.actor_type,
        actor_id=audit.actor_id,
        actor_role=audit.actor_role,
        tenant_id=audit.tenant_id,
        source=audit.source,
        action=audit.action,
        resource_type=audit.resource_type,
        resource_id=audit.resource_id,
        result=result,
        request_id=audit.request_id,
        details=details,
        created_ms=stamp.date_ms,
        hash=b"",
    )
    return replace(unsigned, hash=link(head.hash, unsigned))


def first_bad_record(
    records: list[AuditRecord], start: bytes = bytes(32), noted: AuditHead | None = None, after_seq: int = 0
) -> int | None:
    """Where a chain, given from its first record on or (`start`, `after_seq`) from its anchor, does not hold; None when
    it does.

    `noted` is the head that another chain opened with: a chain that was cut before it does not hold.
    """
    previous = start
    for expected, entry in enumerate(records, after_seq + 1):
        if entry.seq != expected or entry.hash != link(previous, entry):
            return expected
        previous = entry.hash
    if noted is not None and noted.seq and (len(records) < noted.seq or records[noted.seq - 1].hash != noted.hash):
        return min(noted.seq, len(records) + 1)
    return None
