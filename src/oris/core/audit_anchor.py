"""Anchors of the audit trail: what is kept of the beginning of a chain whose oldest records were let go.

An anchor names the last record that has gone, and its hash, which the first one that is kept is tied to. Whoever can
write the database can cut a chain's beginning off too, and write an anchor: so it is signed with a key that is not in
the database.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from msgspec import Struct

from oris.core.audit import AuditHead, AuditRecord
from oris.core.audit import link as chained


class AuditAnchor(Struct, frozen=True):
    """The end of what has gone of a chain; field order is column order."""

    chain_id: str
    seq: int
    hash: bytes
    signature: bytes

    @property
    def head(self) -> AuditHead:
        """What the first record that is kept is tied to."""
        return AuditHead(self.chain_id, self.seq, self.hash)


class AnchorKey:
    """Signs anchors, and knows its signatures again: HMAC-SHA256. Shows its secret to nobody."""

    __slots__ = ("_secret",)

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def sign(self, head: AuditHead) -> AuditAnchor:
        """The anchor of a chain that has gone up to here."""
        return AuditAnchor(head.chain_id, head.seq, head.hash, self._signature(head))

    def has_signed(self, anchor: AuditAnchor) -> bool:
        """Whether the anchor is one of this key's."""
        return hmac.compare_digest(anchor.signature, self._signature(anchor.head))

    def _signature(self, head: AuditHead) -> bytes:
        # The hash comes last and has one length: no two different heads join to the same bytes.
        told = f"oris audit anchor\n{head.chain_id}\n{head.seq}\n".encode("utf-8", "surrogateescape") + head.hash
        return hmac.digest(self._secret, told, "sha256")


class Uncut(Struct, frozen=True):
    """Why the beginning of a chain is not let go: it would be evidence."""

    chain_id: str
    seq: int
    what: str


def cut(
    key: AnchorKey, chain_id: str, anchor: AuditAnchor | None, records: Sequence[AuditRecord], before_ms: int
) -> AuditAnchor | Uncut | None:
    """The anchor for the records, given from the first that is kept on, that are older than this time; None: none is.

    What goes has to be in order: a signed anchor behind a broken chain would hide that for good.
    """
    if anchor is not None and not key.has_signed(anchor):
        return Uncut(chain_id, anchor.seq, "the anchor is not signed with this ORIS_AUDIT_ANCHOR_KEY")
    head = AuditHead(chain_id, 0, bytes(32)) if anchor is None else anchor.head
    start = head
    for record in records:
        if record.created_ms >= before_ms:
            break
        if record.seq != head.seq + 1 or record.hash != chained(head.hash, record):
            return Uncut(chain_id, head.seq + 1, "the record differs from what was written")
        head = AuditHead(chain_id, record.seq, record.hash)
    return None if head is start else key.sign(head)
