"""The one transaction that writes, in two synchronous halves: everything up to COMMIT, and COMMIT.

The same connection does what else writes: a commit that only tries whether one can be made, and the checkpoint.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from msgspec.structs import astuple

from oris.core.changes import Changes, Handed
from oris.core.handouts import read_handout
from oris.core.lookups import answered
from oris.core.needs import Needs
from oris.errors import OutcomeUnknown, Unavailable
from oris.ids import NodeId, RunId, name_of_node
from oris.storage.sqlite import statements as sql
from oris.storage.sqlite.connect import set_pragma
from oris.storage.sqlite.faults import Fault, cause_of, described, fault_of, is_refused_write, unavailable
from oris.storage.sqlite.guard import Guard
from oris.storage.sqlite.load import load
from oris.storage.sqlite.lookups import SqliteLookups
from oris.storage.sqlite.space import Disk
from oris.storage.sqlite.write import write
from oris.storage.store import Work


class Prepared(NamedTuple):
    """A batch whose changes are in the open transaction."""

    handed: dict[RunId, Handed]
    to_commit: bool
    """False: it changes nothing, and the transaction is over."""
    now_ms: int
    """The time of the batch."""


class Writer:
    """Owns the connection that writes. One thread at a time; which one does not matter."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        node_id: NodeId,
        now_ms: Callable[[], int],
        disk: Disk | None = None,
        guard: Guard | None = None,
        patience_ms: int = 0,
    ) -> None:
        """`disk` is where the database lies and `guard` looks after its files, unless it is in memory.

        `patience_ms`: how long another program is waited for by what runs in a thread of its own.
        """
        self._connection = connection
        self._disk = disk
        self._guard = guard
        self._patience_ms = patience_ms
        self._may_use_reserve = False
        """What is being written makes no new runs."""
        self._copied = False
        """The disk was full, and the WAL has been copied; no commit has succeeded since."""
        self._node_id = node_id
        self._now_ms = now_ms
        self.shared = False
        """Other nodes write here too: no batch is decided at a time before that of the one before it."""
        self.failure: str | None = None
        """Why nothing can be written any more, once that is so."""
        self.lost = False
        """It is because a file has lost its name."""
        self._is_sure = False
        """A commit was found in its place since the last look at length, which comes every quarter of a second."""

    def check(self) -> None:
        """Raises Unavailable once the database has failed."""
        if self.lost:
            # Where the files are is for the log, not for clients.
            raise Unavailable("a file of the database was moved or deleted; the server stops", cause="file_lost")
        if self.failure is not None:
            raise Unavailable(f"the database has failed: {self.failure}")

    def look(self, *, at_length: bool = False) -> None:
        """Find out whether the names of the open files still lead to them. Raises Unavailable when they do not."""
        if self.failure is None and self._guard is not None:
            self._is_sure = False
            self.failure = self._guard.lost(at_length=at_length)
            self.lost = self.failure is not None
        self.check()

    def prepare(self, needs: Needs, work: Work, batch_id: str) -> Prepared:
        """One batch, up to its COMMIT. Raises Unavailable, or what `work` or a bad row raised: rolled back.

        Another program's lock is not waited for: `busy`.
        """
        if self._is_sure:
            self.check()
        else:
            self.look()
        connection = self._connection
        self._may_use_reserve = True
        try:
            connection.execute("BEGIN IMMEDIATE")
            # Under the write lock: batches are ordered as their times are.
            now_ms = self._now_ms()
            if self.shared:
                now_ms = max(now_ms, connection.execute(sql.HIGH_WATER).fetchone()[0])
            found = load(connection, needs)
            if self.shared:
                found.loaded.others_calm_ms = connection.execute(sql.OTHERS_CALM, (self._node_id,)).fetchone()[0]
            changes = work(found.loaded, now_ms)
            self._may_use_reserve = not any(entry.event_type == "run_created" for entry in changes.entries)
            ids = write(connection, changes, found.rows, self._node_id)
            if not changes.empty:
                self._write_node(changes, batch_id, now_ms)
            lookups = SqliteLookups(connection, ids.__getitem__)
            handed = {each.run_id: answered(read_handout(each), lookups) for each in changes.handouts}
        except sqlite3.Error as error:
            self._roll_back()
            self._raise_for(error)
            raise
        except BaseException:
            self._roll_back()
            raise
        if changes.empty:
            self._roll_back()
        return Prepared(handed, not changes.empty, now_ms)

    def _write_node(self, changes: Changes, batch_id: str, now_ms: int) -> None:
        """This node's own row: which batch it has committed last, and when, and what it has counted."""
        times = (now_ms, changes.calm_ms, changes.skew_ms)
        row = (self._node_id, name_of_node(self._node_id), batch_id, *times, *astuple(changes.total))
        self._connection.execute(sql.WRITE_NODE, row)

    def abandon(self) -> None:
        """Roll back what `prepare` has left to commit."""
        self._roll_back()

    def fail(self, error: sqlite3.Error) -> None:
        """Note that the file is not to be trusted; the first reason stands."""
        if self.failure is None:
            self.failure = described(error)

    def confirm(self, now_ms: int) -> None:
        """COMMIT has succeeded: see that it went into the files that the next start will find, and note its time.

        Raises OutcomeUnknown.
        """
        if self._guard is None:
            return
        try:
            self.look()
        except Unavailable as error:
            raise OutcomeUnknown("the commit went to a file that was moved or deleted") from error
        self._is_sure = True
        self._guard.committed(now_ms)

    def commit(self, batch_id: str) -> None:
        """COMMIT what `prepare` has left to commit: the part that waits for the disk.

        Raises Unavailable (nothing written) and OutcomeUnknown.
        """
        try:
            self._connection.execute("COMMIT")
            self._copied = False
        except sqlite3.Error as error:
            self._roll_back()
            found = self._fault(error)
            if found[0] is Fault.FATAL:
                # What reached the WAL may be found by the next start, although it cannot be seen now.
                self.fail(error)
                raise OutcomeUnknown(f"the commit failed: {described(error)}") from error
            if self._committed(batch_id):
                return
            self._raise_for(error, found)
            raise

    def probe(self) -> None:
        """Commit something of no consequence, to learn whether that can be done. Raises Unavailable."""
        self.look()
        self._may_use_reserve = True
        try:
            with self._patience():
                self._connection.execute("BEGIN IMMEDIATE")
                self._connection.execute(sql.TOUCH_NODE, (self._node_id, name_of_node(self._node_id), self._now_ms()))
                self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            self._raise_for(error)
            raise

    @property
    def is_claimed(self) -> bool:
        """Whether the file says that it is open: see `claim_again`."""
        return self._guard is None or self._guard.is_claimed

    def claim_again(self) -> None:
        """Write into the file that it is open, where another program has changed its schema, or has read an older state
        until now: a start would not trust its log otherwise. Raises Unavailable."""
        assert self._guard is not None
        self._may_use_reserve = False
        try:
            with self._patience():
                self._guard.claim_again(self._connection)
        except sqlite3.Error as error:
            self._raise_for(error)
            raise

    def checkpoint(self) -> bool:
        """Copy the whole WAL into the database, and cut it off. Raises Unavailable.

        New readers wait for nothing, old ones are waited for as long as for a lock; False: one still reads from it.
        """
        self._may_use_reserve = False
        try:
            with self._patience():
                (busy, _, _) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as error:
            self._raise_for(error)
            raise
        return not busy

    @contextmanager
    def _patience(self) -> Iterator[None]:
        """Wait for other programs' locks meanwhile: in a thread, where it holds nobody but the commits."""
        set_pragma(self._connection, "busy_timeout", self._patience_ms)
        try:
            yield
        finally:
            set_pragma(self._connection, "busy_timeout", 0)

    def _committed(self, batch_id: str) -> bool:
        """Whether the batch is there after all: each writes its id to its node's row."""
        try:
            row = self._connection.execute(sql.READ_BATCH, (self._node_id,)).fetchone()
        except sqlite3.Error as error:
            self.fail(error)
            raise OutcomeUnknown(f"the commit could not be looked up: {described(error)}") from error
        return row is not None and row[0] == batch_id

    def _raise_for(self, error: sqlite3.Error, found: tuple[Fault, str] | None = None) -> None:
        """Raise what the caller should see instead; a mistake of ours it sees as it is."""
        fault, cause = found or self._fault(error)
        match fault:
            case Fault.FATAL:
                self.fail(error)
                raise unavailable(error) from error
            case Fault.PASSING:
                raise unavailable(error, cause, again=cause == "disk_full" and self._make_room()) from error
            case Fault.OURS:
                return

    def _fault(self, error: sqlite3.Error) -> tuple[Fault, str]:
        """Whose trouble it is, and its cause. A write that was refused for a reason that passes is no damage."""
        if is_refused_write(error) and self._disk is not None:
            cause = self._disk.why_unwritable()
            if cause is not None:
                return Fault.PASSING, cause
        return fault_of(error), cause_of(error)

    def _make_room(self) -> bool:
        """Whether the same may succeed now: not for what makes new runs, which closes the gate alone."""
        if self._disk is None:
            return False
        self._disk.low = True
        if not self._may_use_reserve:
            return False
        if not self._copied and self._copy_wal():
            self._copied = True
            return True
        if not self._disk.make_room():
            return False
        # What the WAL holds needs less room in the database, and the WAL begins anew.
        self._copy_wal()
        return True

    def _copy_wal(self) -> bool:
        """Checkpoint, so that the next commit can use the WAL's own room again. False: that did not work, or not all
        of it."""
        try:
            busy, frames, copied = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            if self._fault(error)[0] is Fault.FATAL:
                self.fail(error)
            return False
        return not busy and bool(frames) and frames == copied

    def _roll_back(self) -> None:
        """End the transaction, if SQLite has not done so itself."""
        if not self._connection.in_transaction:
            return
        try:
            self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            self.fail(error)
