"""The check of a whole audit trail, whatever store it is in: read a record at a time, with nothing held in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from oris.core.audit import AuditHead, AuditRecord
from oris.core.audit_anchor import AnchorKey, AuditAnchor
from oris.core.audit_check import Bad, broken, differs, head_of, noted_in, start_of, unsigned


class AuditTrail(Protocol):
    """All chains of a database."""

    def records(self) -> Iterator[AuditRecord]:
        """All records, in the order they were written in: out of the rows themselves, whatever an index says."""

    def record(self, chain_id: str, seq: int) -> AuditRecord | None:
        """One record."""

    def anchor(self, chain_id: str) -> AuditAnchor | None:
        """What is kept of the beginning of a chain that was let go."""

    def anchors(self) -> Iterator[AuditAnchor]:
        """All anchors, by chain."""

    def heads(self) -> Iterator[AuditHead]:
        """The ends of all chains; their ids rise with the time of their start. Of one that has gone: its anchor."""


class Check:
    """One check of a whole trail. What it keeps is the end of every chain, of which there is one per server start."""

    def __init__(self, trail: AuditTrail, tell: Callable[[Bad], None], key: AnchorKey | None = None) -> None:
        """`tell` is called with the first bad record of each chain that has one; `key` signs anchors."""
        self._trail = trail
        self._key = key
        self._gone: dict[str, AuditHead] = {}
        """The heads of anchors that hold: what comes before them was let go."""
        self._tell = tell
        self._heads: dict[str, AuditHead] = {}
        self.bad: set[str] = set()
        """Chains that do not hold."""
        self.records = 0
        self.noted = 0
        """Heads noted elsewhere that were looked for."""

    @property
    def chains(self) -> int:
        """Chains that were found."""
        return len(self._heads)

    def run(self, noted: Iterable[AuditHead]) -> None:
        """Check every record, what each chain has noted of those before it, and what was noted elsewhere."""
        for anchor in self._trail.anchors():
            self._anchored(anchor)
        for record in self._trail.records():
            self.records += 1
            if record.chain_id not in self.bad:
                self._next(record)
        for head in noted:
            self.noted += 1
            self._compare(head)

    def _next(self, record: AuditRecord) -> None:
        head = self._heads.get(record.chain_id) or start_of(record.chain_id)
        bad = broken(head, record)
        if bad is not None and record.seq > head.seq + 1 and self._was_cut(head, record):
            head = self._gone[record.chain_id]
            bad = broken(head, record)
        if bad is not None:
            self._heads.setdefault(record.chain_id, head)
            self._found(bad)
            return
        self._heads[record.chain_id] = head_of(record)
        if record.seq == 1:
            for noted in noted_in(record):
                self._compare(noted)

    def _anchored(self, anchor: AuditAnchor) -> None:
        self._heads[anchor.chain_id] = anchor.head
        bad = unsigned(anchor, self._key)
        if bad is not None:
            self._found(bad)
            return
        self._gone[anchor.chain_id] = anchor.head

    def _was_cut(self, head: AuditHead, record: AuditRecord) -> bool:
        """Whether a server beside this check has let go what is missing between the two."""
        anchor = self._trail.anchor(record.chain_id)
        if anchor is None or not head.seq <= anchor.seq < record.seq or unsigned(anchor, self._key) is not None:
            return False
        if anchor.seq == head.seq and anchor.hash != head.hash:
            return False
        self._gone[anchor.chain_id] = anchor.head
        return True

    def _compare(self, noted: AuditHead) -> None:
        if noted.chain_id in self.bad or not noted.seq:
            return
        gone = self._gone.get(noted.chain_id)
        if gone is not None and noted.seq <= gone.seq:
            # Of what came before the anchor nothing is left to compare; its signature says that it was in order.
            bad = None if noted.seq < gone.seq else differs(noted, gone, gone)
            if bad is not None:
                self._found(bad)
            return
        end = self._heads.get(noted.chain_id) or start_of(noted.chain_id)
        if end.seq == noted.seq:
            found: AuditHead | None = end
        else:
            record = self._trail.record(noted.chain_id, noted.seq) if end.seq > noted.seq else None
            found = None if record is None else head_of(record)
        bad = differs(noted, found, end)
        if bad is not None:
            self._found(bad)

    def _found(self, bad: Bad) -> None:
        self.bad.add(bad.chain_id)
        self._tell(bad)
