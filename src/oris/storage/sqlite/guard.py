"""All that watches over one database file: its locks, the mark beside it, and the names of what is open.

In order: made before SQLite opens anything, `narrow` once the database is known as ours, `claim` once the schema is
there, `settle` when all connections are open, `leave` before they are closed, `release` after that.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path

from oris.errors import ConfigError
from oris.storage.sqlite import mark as marks
from oris.storage.sqlite.connect import set_pragma
from oris.storage.sqlite.files import Names, beside, check_sqlites_own, log_beside, narrow_sqlites_own
from oris.storage.sqlite.inode import Inode
from oris.storage.sqlite.lock import FileLock
from oris.storage.sqlite.mark import Found, Left, Mark
from oris.storage.sqlite.statements import HIGH_WATER


class Guard:
    """Guards one file. Its methods may be called from any thread, one at a time."""

    def __init__(self, database: Path, name: Path | None = None) -> None:
        """Lock the name and the file, and look at what lies there. Raises InUse and ConfigError, with nothing changed
        of what was there.

        `name`: what the database was called, where that leads to it through links.
        """
        self._database = database
        self._name = name
        self._lock = FileLock(database)
        self._inode: Inode | None = None
        self._mark: Mark | None = None
        self._names: Names | None = None
        self._drawn = 0
        """The number of this opening."""
        self._opening: int | None = None
        """The same, once it stands in the file itself: not while another program reads an older state."""
        self._aside: Path | None = None
        self.warnings: list[str] = []
        """What the operator should know of the file."""
        try:
            check_sqlites_own(database)
            self._inode = Inode(database)
            self._mark = _mark_of(database)
            self._left = self._mark.left
            wrong = marks.trouble(database, self._found(), self._left)
            if wrong is not None:
                raise ConfigError(wrong)
        except BaseException:
            self.release()
            raise
        self._mark.turning()

    def narrow(self) -> None:
        """It is ours: nobody but the owner is to read it, or the files beside it. Raises ConfigError."""
        assert self._inode is not None
        warning = self._inode.narrow()
        if warning is not None:
            self.warnings.append(warning)
        narrow_sqlites_own(self._database)

    def claim(self, connection: sqlite3.Connection) -> None:
        """Write into the file that it is open. Raises sqlite3.Error."""
        self._drawn = marks.claim(connection)
        self._see_number()

    @property
    def is_claimed(self) -> bool:
        """Whether the file itself says that it is open: not while another program reads an older state, and not after
        one has changed the schema, as ANALYZE does."""
        assert self._inode is not None
        return self._opening is not None and marks.is_claimed(self._inode.header())

    def claim_again(self, connection: sqlite3.Connection) -> None:
        """Write that it is open. Raises sqlite3.Error."""
        marks.claim_again(connection)
        assert self._mark is not None
        assert self._mark.left is not None
        if self._opening is None and self._see_number():
            self._mark.write(Left("open", self._drawn, self._mark.left.committed_ms))

    def _see_number(self) -> bool:
        assert self._inode is not None
        is_there = not marks.is_overwritten(self._inode.header(), self._drawn)
        self._opening = self._drawn if is_there else None
        return is_there

    def settle(self, connection: sqlite3.Connection) -> None:
        """All connections are open: note the names, and what is missing. Raises sqlite3.Error and ConfigError."""
        assert self._mark is not None
        (newest_ms,) = connection.execute(HIGH_WATER).fetchone()
        lacking = marks.missing(self._database, self._left, newest_ms)
        if lacking is not None:
            self.warnings.append(lacking)
        try:
            self._names = Names(self._database, self._name)
        except OSError as error:
            raise ConfigError(f"{error.filename}: vanished while the database was opened: {error.strerror}") from error
        # Without a number in the file itself nothing can be told from it.
        state: marks.State = "turning" if self._opening is None else "open"
        self._mark.write(Left(state, self._opening or 0, newest_ms))

    def lost(self, *, at_length: bool) -> str | None:
        """What has become of a file whose name leads elsewhere now, or in which something else lies; None: all are
        where they were.

        `at_length`: look at each of them, and into the database, whether or not something was seen to change.
        """
        if self._names is None:
            return None
        if not at_length:
            return self._names.changed()
        told = self._names.lost()
        if told is None and self._is_overwritten():
            return f"{self._database} was overwritten or cut off while the server was running"
        return told

    def _is_overwritten(self) -> bool:
        """A copy of what this very server has open, taken by SQLite, has its number too, and is not found out."""
        if self._opening is None or self._inode is None:
            return False
        try:
            return marks.is_overwritten(self._inode.header(), self._opening)
        except OSError:
            return False  # a disk in trouble, which commits will find

    def committed(self, now_ms: int) -> None:
        """A commit is on the disk."""
        if self._mark is not None:
            self._mark.committed(now_ms)

    def give_up(self) -> None:
        """The database could not be opened: the next start is to see what this one has seen."""
        if self._left is not None and marks.trouble(self._database, self._found(), self._left) is None:
            assert self._mark is not None
            self._mark.write(self._left)

    def leave(self, connection: sqlite3.Connection, patience_ms: int) -> None:
        """All connections are about to be closed, `connection` last. Never raises."""
        assert self._mark is not None
        assert self._names is not None
        if self._names.lost_database():
            return
        if self._is_overwritten():
            assert self._inode is not None
            self._inode.keep_log()
            return
        strange = self._names.strange_wal()
        if strange is not None:
            # The last connection deletes the log by its name. Out of its own, which has none, it saves what it can.
            self._aside = beside(self._database, "-wal.aside")
            with suppress(OSError):
                strange.rename(self._aside)
        self._mark.turning()
        with suppress(sqlite3.Error):
            set_pragma(connection, "busy_timeout", patience_ms)
            marks.disclaim(connection)

    def left(self) -> None:
        """They are closed."""
        assert self._mark is not None
        assert self._inode is not None
        assert self._names is not None
        if self._names.lost_database() or self._is_overwritten():
            return
        if marks.is_closed(self._inode.header()) and log_beside(self._database) is None and self._mark.left is not None:
            self._mark.write(Left("closed", 0, self._mark.left.committed_ms))
        if self._aside is not None:
            with suppress(OSError):
                self._aside.rename(beside(self._database, "-wal"))

    def release(self) -> None:
        """Let the locks go; again is harmless. Only when no connection is open any more."""
        if self._mark is not None:
            self._mark.close()
        if self._inode is not None:
            self._inode.close()
        self._lock.release()

    def _found(self) -> Found:
        assert self._inode is not None
        return _found(self._database, self._inode)


def adopt(database: Path) -> Path | None:
    """Have the next start take what is there as it is; the answer is the log that it will find. Raises InUse and
    ConfigError."""
    lock = FileLock(database)
    try:
        inode = Inode(database)
        try:
            wrong = marks.log_alone(database, _found(database, inode))
        finally:
            inode.close()
        if wrong is not None:
            raise ConfigError(wrong)
        mark = _mark_of(database)
        mark.turning()
        mark.close()
    finally:
        lock.release()
    return log_beside(database)


def _found(database: Path, inode: Inode) -> Found:
    return Found(inode.header(), log_beside(database))


def _mark_of(database: Path) -> Mark:
    try:
        return Mark(database)
    except OSError as error:
        raise ConfigError(f"{beside(database, '.mark')}: cannot make the file: {error.strerror}") from error
