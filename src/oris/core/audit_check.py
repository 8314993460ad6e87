"""Whether an audit trail is what was written: chain by chain, record by record, in as much memory as one record takes.

A chain shows by itself every change, gap and swap in it. That its end was cut off, or that it was forged as a whole,
shows against its head as somebody else has noted it: the next chain in its first record, or an auditor elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta, Struct

from oris.audit_actions import OPENING
from oris.core.audit import AuditHead, AuditRecord, link
from oris.core.audit_anchor import AnchorKey, AuditAnchor

Seq: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_heads = msgspec.json.Decoder(dict[str, tuple[Seq, str]])


class _Line(Struct, forbid_unknown_fields=True):
    chain_id: str
    seq: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    hash: str


_line = msgspec.json.Decoder(_Line)


class Bad(Struct, frozen=True):
    """The first record of a chain that is not as it was written; `audit_id` is None when there is none."""

    chain_id: str
    seq: int
    audit_id: str | None
    what: str


def start_of(chain_id: str) -> AuditHead:
    """What a chain's first record is tied to."""
    return AuditHead(chain_id, 0, bytes(32))


def head_of(record: AuditRecord) -> AuditHead:
    """What the record after this one is tied to."""
    return AuditHead(record.chain_id, record.seq, record.hash)


def unsigned(anchor: AuditAnchor, key: AnchorKey | None) -> Bad | None:
    """What is wrong with an anchor; None: whoever has the key has let go what came before it."""
    if key is None:
        return Bad(anchor.chain_id, anchor.seq, None, "was deleted; set ORIS_AUDIT_ANCHOR_KEY to check why")
    if not key.has_signed(anchor):
        return Bad(anchor.chain_id, anchor.seq, None, "was deleted, and its anchor is not signed with this key")
    return None


def broken(head: AuditHead, record: AuditRecord) -> Bad | None:
    """What is wrong with the record that is found behind a head; None: it fits."""
    if record.seq > head.seq + 1:
        return missing(head)
    if record.seq != head.seq + 1 or record.chain_id != head.chain_id:
        return Bad(head.chain_id, head.seq + 1, record.audit_id, "is in the place of another record")
    if not _is_linked(head.hash, record):
        return Bad(record.chain_id, record.seq, record.audit_id, "differs from what was written")
    if record.seq == 1 and _heads_in(record) is None:
        return Bad(record.chain_id, record.seq, record.audit_id, "is not the opening record of this chain")
    return None


def missing(head: AuditHead) -> Bad:
    """Nothing stands behind this head, and something must."""
    return Bad(head.chain_id, head.seq + 1, None, "is missing")


def differs(noted: AuditHead, found: AuditHead | None, end: AuditHead) -> Bad | None:
    """What a head that was noted elsewhere shows of a chain: `found` is what stands in its place, `end` the chain's
    own end."""
    if found is None:
        return missing(end)
    if found.hash != noted.hash:
        return Bad(noted.chain_id, noted.seq, None, "differs from its head in the file")
    return None


def noted_in(record: AuditRecord) -> Iterator[AuditHead]:
    """The heads of other chains that a chain's first record holds."""
    yield from _heads_in(record) or ()


def write_head(head: AuditHead) -> bytes:
    """A head as a line of JSON, to be kept elsewhere."""
    return msgspec.json.encode(_Line(head.chain_id, head.seq, head.hash.hex()))


def read_head(line: str) -> AuditHead:
    """What `write_head` has written. Raises ValueError."""
    found = _line.decode(line)
    return AuditHead(found.chain_id, found.seq, bytes.fromhex(found.hash))


def _is_linked(previous: bytes, record: AuditRecord) -> bool:
    try:
        return record.hash == link(previous, record)
    except UnicodeEncodeError:  # bytes that are no text: nobody has written these
        return False


def _heads_in(record: AuditRecord) -> list[AuditHead] | None:
    """None: it is not the first record of its chain."""
    if (record.action, record.resource_id) != (OPENING, record.chain_id):
        return None
    try:
        told = _heads.decode(record.details)
        return [AuditHead(chain_id, seq, bytes.fromhex(digest)) for chain_id, (seq, digest) in told.items()]
    except ValueError:
        return None
