"""A database that is open: its connections, its lock, its place on the disk."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from oris.errors import ConfigError
from oris.storage.sqlite.connect import Tuning, open_memory, open_reader, open_writer
from oris.storage.sqlite.faults import cause_of, described
from oris.storage.sqlite.lock import FileLock
from oris.storage.sqlite.space import Disk


class Database:
    """What a store works on. Without readers of its own, reads take turns with the writer."""

    def __init__(
        self,
        writer: sqlite3.Connection,
        readers: list[sqlite3.Connection],
        disk: Disk | None,
        release: Callable[[], None],
    ) -> None:
        """`disk` is None for a database in memory, which is not closed with its store."""
        self.writer = writer
        self.readers = readers
        self.disk = disk
        self._release = release
        self.cut = False
        """Set when the database was taken away: nothing may be done on it any more."""

    def close(self) -> None:
        """Readers first: the last connection copies the WAL into the file, and only the writer may."""
        if self.cut:
            return
        try:
            for reader in self.readers:
                reader.close()
            if self.disk is not None:
                self.writer.close()
        finally:
            if self.disk is not None:
                self.disk.close()
            self._release()


class MemoryDatabase:
    """A database in memory that outlives the stores opened on it: the disk of a simulated machine."""

    def __init__(self, image: bytes | None = None, factory: type[sqlite3.Connection] = sqlite3.Connection) -> None:
        """`image`: what another one's `image` gave."""
        self._connection = open_memory(factory)
        self._holder: Database | None = None
        if image:
            self._connection.deserialize(image)

    def image(self) -> bytes:
        """All that is committed, as the bytes of a database file. Not inside a transaction."""
        return self._connection.serialize()

    def open(self, prepare: Callable[[sqlite3.Connection], None]) -> Database:
        """Take it and `prepare` (migrate) it. Raises ConfigError while another store has it."""
        if self._holder is not None:
            raise ConfigError(f"the database in memory is in use by another server (pid {os.getpid()})")
        prepare(self._connection)
        self._holder = Database(self._connection, [], None, self.crash)
        return self._holder

    def crash(self) -> None:
        """Take it from the store that has it, as the death of its process would: an open transaction is gone."""
        if self._holder is not None:
            self._holder.cut = True
            self._holder = None
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """The end of it; its contents are gone."""
        self._connection.close()


def open_file(
    path: Path, tuning: Tuning, factory: type[sqlite3.Connection], prepare: Callable[[sqlite3.Connection], None]
) -> Database:
    """Lock, open and `prepare` (migrate) a file; made when missing. Raises ConfigError, with nothing left open.

    On a full disk the reserve that an earlier server left is given up for it, as far as it has to be.
    """
    path = path.resolve()
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: the directory does not exist")
    lock = FileLock(path)
    disk: Disk | None = None
    try:
        disk = Disk(path, tuning.reserve)
        while True:
            try:
                opened = _open(path, tuning, factory, prepare)
                break
            except sqlite3.Error as error:
                if cause_of(error) != "disk_full" or not disk.make_room():
                    raise ConfigError(f"{path}: cannot open the database: {described(error)}") from error
        disk.look()
    except BaseException:
        if disk is not None:
            disk.close()
        lock.release()
        raise
    return Database(opened[0], opened[1:], disk, lock.release)


def _open(
    path: Path, tuning: Tuning, factory: type[sqlite3.Connection], prepare: Callable[[sqlite3.Connection], None]
) -> list[sqlite3.Connection]:
    """The writer and the readers, or none."""
    opened: list[sqlite3.Connection] = []
    try:
        opened.append(open_writer(path, tuning, factory))
        prepare(opened[0])
        opened.extend(open_reader(path, tuning) for _ in range(tuning.readers))
    except BaseException:
        for connection in reversed(opened):
            connection.close()
        raise
    return opened
