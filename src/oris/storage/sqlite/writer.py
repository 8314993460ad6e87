"""The one transaction that writes, in two synchronous halves: everything up to COMMIT, and COMMIT."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import NamedTuple

from oris.core.changes import Handed
from oris.core.facts import Needs
from oris.errors import OutcomeUnknown, Unavailable
from oris.ids import RunId
from oris.storage.sqlite import statements as sql
from oris.storage.sqlite.faults import Fault, described, fault_of, unavailable
from oris.storage.sqlite.handouts import read_handout
from oris.storage.sqlite.load import load
from oris.storage.sqlite.write import write
from oris.storage.store import Work


class Prepared(NamedTuple):
    """A batch whose changes are in the open transaction."""

    handed: dict[RunId, Handed]
    to_commit: bool
    """False: it changes nothing, and the transaction is over."""


class Writer:
    """Owns the connection that writes. One thread at a time; which one does not matter."""

    def __init__(self, connection: sqlite3.Connection, node_id: str, now_ms: Callable[[], int]) -> None:
        self._connection = connection
        self._node_id = node_id
        self._now_ms = now_ms
        self.failure: str | None = None
        """Why nothing can be written any more, once that is so."""

    def prepare(self, needs: Needs, work: Work, batch_id: str) -> Prepared:
        """One batch, up to its COMMIT. Raises Unavailable, or what `work` or a bad row raised: rolled back."""
        if self.failure is not None:
            raise Unavailable(f"the database has failed: {self.failure}")
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            # Under the write lock: batches are ordered as their times are.
            now_ms = self._now_ms()
            found = load(connection, needs)
            changes = work(found.loaded, now_ms)
            ids = write(connection, changes, found.rows)
            if not changes.empty:
                connection.execute(sql.WRITE_NODE, (self._node_id, batch_id, now_ms, now_ms if changes.calm else 0))
            handed = {h.run_id: read_handout(connection, h, ids[h.job_key]) for h in changes.handouts}
        except sqlite3.Error as error:
            self._roll_back()
            self._raise_for(error)
            raise
        except BaseException:
            self._roll_back()
            raise
        if changes.empty:
            self._roll_back()
        return Prepared(handed, not changes.empty)

    def abandon(self) -> None:
        """Roll back what `prepare` has left to commit."""
        self._roll_back()

    def fail(self, error: sqlite3.Error) -> None:
        """Note that the file is not to be trusted; the first reason stands."""
        if self.failure is None:
            self.failure = described(error)

    def commit(self, batch_id: str) -> None:
        """COMMIT what `prepare` has left to commit: the part that waits for the disk.

        Raises Unavailable (nothing written) and OutcomeUnknown.
        """
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            if fault_of(error) is Fault.FATAL:
                # What reached the WAL may be found by the next start, although it cannot be seen now.
                self.fail(error)
                raise OutcomeUnknown(f"the commit failed: {described(error)}") from error
            if self._committed(batch_id):
                return
            self._raise_for(error)
            raise

    def _committed(self, batch_id: str) -> bool:
        """Whether the batch is there after all: each writes its id to its node's row."""
        try:
            row = self._connection.execute(sql.READ_BATCH, (self._node_id,)).fetchone()
        except sqlite3.Error as error:
            self.fail(error)
            raise OutcomeUnknown(f"the commit could not be looked up: {described(error)}") from error
        return row is not None and row[0] == batch_id

    def _raise_for(self, error: sqlite3.Error) -> None:
        """Raise what the caller should see instead; a mistake of ours it sees as it is."""
        match fault_of(error):
            case Fault.FATAL:
                self.fail(error)
                raise unavailable(error) from error
            case Fault.PASSING:
                raise unavailable(error) from error
            case Fault.OURS:
                return

    def _roll_back(self) -> None:
        """End the transaction, if SQLite has not done so itself."""
        if not self._connection.in_transaction:
            return
        try:
            self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            self.fail(error)
