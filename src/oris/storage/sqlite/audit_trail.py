"""The audit trail of a file, read beside a server that may be writing it: a page at a time, nothing held in between."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from oris.core.audit import AuditHead, AuditRecord
from oris.core.audit_anchor import AnchorKey, AuditAnchor
from oris.core.audit_check import Bad, broken, differs, head_of, noted_in, start_of, unsigned
from oris.errors import ConfigError
from oris.storage.sqlite import audit_statements as sql
from oris.storage.sqlite.connect import Tuning, open_reader
from oris.storage.sqlite.faults import described
from oris.storage.sqlite.upgrade import check_not_newer

PAGE = 500
"""Records that are read at once: each page is a read of its own, so that the WAL can begin anew in between."""
_HAS_TRAIL = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'runtime_audit_log'"
_HAS_ANCHORS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'runtime_audit_anchors'"
_BEFORE_ALL = -(2**63)


@contextmanager
def open_trail(path: Path) -> Iterator[AuditTrail]:
    """Open a file's trail, for reading alone. Raises ConfigError when the file is none of ours, cannot be read,
    or was changed by a newer program."""
    if not path.exists():
        raise ConfigError(f"{path}: there is no such database")
    try:
        with closing(open_reader(path, Tuning())) as connection:
            # Also what is no text any more is to be found, and not to end the search for it.
            connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
            if connection.execute(_HAS_TRAIL).fetchone() is None:
                raise ConfigError(f"{path}: there is no audit trail in this database")
            check_not_newer(connection)
            yield AuditTrail(connection)
    except sqlite3.Error as error:
        raise ConfigError(f"{path}: cannot read the database: {described(error)}") from error


class AuditTrail:
    """All chains of a database."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._has_anchors = connection.execute(_HAS_ANCHORS).fetchone() is not None
        """A database that this version has not opened yet has none."""

    def records(self) -> Iterator[AuditRecord]:
        """All records, in the order they were written in: out of the rows themselves, whatever an index says."""
        after = _BEFORE_ALL
        while page := self._connection.execute(sql.PAGE, (after, PAGE)).fetchall():
            yield from (AuditRecord(*row[1:]) for row in page)
            after = page[-1][0]

    def record(self, chain_id: str, seq: int) -> AuditRecord | None:
        """One record."""
        row = self._connection.execute(sql.RECORD, (_bytes(chain_id), seq)).fetchone()
        return None if row is None else AuditRecord(*row)

    def anchor(self, chain_id: str) -> AuditAnchor | None:
        """What is kept of the beginning of a chain that was let go."""
        if not self._has_anchors:
            return None
        row = self._connection.execute(sql.ANCHOR, (_bytes(chain_id),)).fetchone()
        return None if row is None else AuditAnchor(*row)

    def anchors(self) -> Iterator[AuditAnchor]:
        """All anchors, by chain."""
        chain = ""
        while self._has_anchors:
            row = self._connection.execute(sql.NEXT_ANCHOR, (_bytes(chain),)).fetchone()
            if row is None:
                return
            chain = row[0]
            yield AuditAnchor(*row)

    def heads(self) -> Iterator[AuditHead]:
        """The ends of all chains; their ids rise with the time of their start. Of one that has gone: its anchor."""
        gone = {anchor.chain_id: anchor.head for anchor in self.anchors()}
        chain = ""
        while (row := self._connection.execute(sql.NEXT_CHAIN, (_bytes(chain),)).fetchone()) is not None:
            (chain,) = row
            gone[chain] = AuditHead(*self._connection.execute(sql.CHAIN_END, (_bytes(chain),)).fetchone())
        for chain in sorted(gone):
            yield gone[chain]


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


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
