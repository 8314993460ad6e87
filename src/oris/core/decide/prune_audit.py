"""Prune audit: the beginning of an audit chain goes, and a signed anchor stays in its place."""

from __future__ import annotations

from oris.core.changes import Decision
from oris.core.commands import PruneAudit
from oris.core.facts import Facts
from oris.core.replies import Forgotten


def prune_audit(facts: Facts, command: PruneAudit) -> Decision:
    """Only up to a record that is there, and is the one that was signed for; a chain is never cut back."""
    anchor = command.anchor
    before = facts.changes.anchors.get(anchor.chain_id) or facts.old.anchors.get(anchor.chain_id)
    gone = 0 if before is None else before.seq
    if anchor.seq <= gone or facts.old.audit_heads.get((anchor.chain_id, anchor.seq)) != anchor.head:
        return Decision(Forgotten(0))
    return Decision(Forgotten(anchor.seq - gone), anchor=anchor)
