"""The audit trail of a file, read beside a server that may be writing it: a page at a time, nothing held in between."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from oris.core.audit import AuditHead, AuditRecord
from oris.core.audit_anchor import AuditAnchor
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
def open_trail(path: Path) -> Iterator[SqliteTrail]:
    """Open a file's trail, for reading alone. Raises ConfigError when the file is none of ours, cannot be read,
    or was changed by a newer program."""
    if not path.exists():
        raise ConfigError(f"{path}: this database does not exist")
    try:
        with closing(open_reader(path, Tuning())) as connection:
            # Also what is no text any more is to be found, and not to end the search for it.
            connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
            if connection.execute(_HAS_TRAIL).fetchone() is None:
                raise ConfigError(f"{path}: this database has no audit trail")
            check_not_newer(connection)
            yield SqliteTrail(connection)
    except sqlite3.Error as error:
        raise ConfigError(f"{path}: cannot read the database: {described(error)}") from error


class SqliteTrail:
    """`AuditTrail` over a connection; see there."""

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


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
