"""A database that is open: its connections, its lock, its place on the disk."""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Callable
from pathlib import Path

from oris.errors import ConfigError
from oris.storage.sqlite.connect import Tuning, open_memory, open_reader, open_writer, set_pragma
from oris.storage.sqlite.faults import cause_of, described
from oris.storage.sqlite.guard import Guard
from oris.storage.sqlite.space import Disk


class Database:
    """What a store works on. Without readers of its own, reads take turns with the writer."""

    def __init__(
        self,
        writer: sqlite3.Connection,
        readers: list[sqlite3.Connection],
        disk: Disk | None,
        guard: Guard | None,
        patience_ms: int = 0,
    ) -> None:
        """`disk` and `guard` are None for a database in memory, which is not closed with its store."""
        self.writer = writer
        self.readers = readers
        self.disk = disk
        self.guard = guard
        self._patience_ms = patience_ms
        self.cut = False
        """Set when the database was taken away: nothing may be done on it any more."""

    @property
    def warnings(self) -> list[str]:
        """What the operator should know of the file."""
        return [] if self.guard is None else self.guard.warnings

    def close(self) -> None:
        """Readers first: the last connection copies the WAL into the file, and only the writer may."""
        if self.cut or self.guard is None or self.disk is None:
            return
        try:
            self.guard.leave(self.writer, self._patience_ms)
            for reader in self.readers:
                reader.close()
            self.writer.close()
            self.guard.left()
        finally:
            self.disk.close()
            self.guard.release()


class _InMemory(Database):
    """Closing it is leaving it to the next store."""

    def __init__(self, connection: sqlite3.Connection, leave: Callable[[Database], None]) -> None:
        super().__init__(connection, [], None, None)
        self._leave = leave

    def close(self) -> None:
        """Again is harmless."""
        if not self.cut:
            self._leave(self)


class MemoryDatabase:
    """A database in memory that outlives the stores opened on it: the disk of a simulated machine."""

    def __init__(self, image: bytes | None = None, factory: type[sqlite3.Connection] = sqlite3.Connection) -> None:
        """`image`: what another one's `image` gave."""
        self._connection = open_memory(factory)
        # Nothing is lost with it, so it need not be closed by name: it ends with the last one who could open it.
        self._end = weakref.finalize(self, self._connection.close)
        self._holders: list[Database] = []
        self._shared = False
        if image:
            self._connection.deserialize(image)

    def image(self) -> bytes:
        """All that is committed, as the bytes of a database file. Not inside a transaction."""
        return self._connection.serialize()

    def open(self, prepare: Callable[[sqlite3.Connection], None], *, shared: bool = False) -> Database:
        """Take it and `prepare` (migrate) it. Raises ConfigError while another store has it that does not share it."""
        if self._holders and not (shared and self._shared):
            raise ConfigError(f"the database in memory is in use by another server (pid {os.getpid()})")
        self._shared = shared
        prepare(self._connection)
        holder = _InMemory(self._connection, self._left)
        self._holders.append(holder)
        return holder

    def crash(self, holder: Database | None = None) -> None:
        """Take it from a store (None: from all), as the death of its process would: an open transaction is gone."""
        for each in [holder] if holder is not None else list(self._holders):
            each.cut = True
            if each in self._holders:
                self._holders.remove(each)
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _left(self, holder: Database) -> None:
        self.crash(holder)

    def close(self) -> None:
        """The end of it, now; its contents are gone. Again is harmless."""
        self._end()


def open_file(
    path: Path, tuning: Tuning, factory: type[sqlite3.Connection], prepare: Callable[[sqlite3.Connection], None]
) -> Database:
    """Lock, open and `prepare` (migrate) a file; made when missing. Raises ConfigError, with nothing left open.

    On a full disk the reserve that an earlier server left is given up for it, as far as it has to be.
    """
    # Not what `abspath` makes of it: behind a link, `..` leads elsewhere than the name says.
    name, path = Path.cwd() / path, path.resolve()
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: the directory does not exist")
    guard = Guard(path, name)
    disk: Disk | None = None
    try:
        disk = Disk(path, tuning.reserve)
        while True:
            try:
                opened = _open(path, tuning, factory, prepare, guard)
                break
            except sqlite3.Error as error:
                if cause_of(error) != "disk_full" or not disk.make_room():
                    raise ConfigError(f"{path}: cannot open the database: {described(error)}") from error
        disk.look()
    except BaseException:
        if disk is not None:
            disk.close()
        guard.give_up()
        guard.release()
        raise
    return Database(opened[0], opened[1:], disk, guard, tuning.busy_timeout_ms)


def _open(
    path: Path,
    tuning: Tuning,
    factory: type[sqlite3.Connection],
    prepare: Callable[[sqlite3.Connection], None],
    guard: Guard,
) -> list[sqlite3.Connection]:
    """The writer and the readers, or none."""
    opened: list[sqlite3.Connection] = []
    try:
        writer = open_writer(path, tuning, factory)
        opened.append(writer)
        guard.narrow()
        prepare(writer)
        guard.claim(writer)
        for _ in range(tuning.readers):
            opened.append(open_reader(path, tuning))
            # With its first read it opens the log, while that still has its name.
            opened[-1].execute("PRAGMA schema_version").fetchone()
        guard.settle(writer)
        # From here on it is the event loop that would wait for another program's lock.
        set_pragma(writer, "busy_timeout", 0)
    except BaseException:
        for connection in reversed(opened):
            connection.close()
        raise
    return opened
