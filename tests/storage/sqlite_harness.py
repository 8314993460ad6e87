"""The harness of `driver` over SQLite, on a file, threaded or inline."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import trio

from oris.core.invariants import Snapshot
from oris.ids import NodeId
from oris.storage.sqlite.connect import Tuning
from oris.storage.sqlite.snapshot import read_snapshot
from oris.storage.sqlite.store import SqliteStore

from .driver import Action, Ticks


class SqliteHarness:
    """One file after another: a crash goes on with a copy."""

    def __init__(
        self, folder: Path, *, inline: bool, connection_class: type[sqlite3.Connection] = sqlite3.Connection
    ) -> None:
        self.clock = Ticks()
        self.path = folder / "store.db"
        self.store: SqliteStore
        self._folder = folder
        self._inline = inline
        self._class = connection_class
        self._left: list[SqliteStore] = []

    async def open(self, node_id: str = "node-1", tuning: Tuning | None = None) -> None:
        """Open the file as it is."""
        self.store = await SqliteStore.open(
            self.path,
            self.clock,
            node_id=NodeId(node_id),
            inline=self._inline,
            tuning=tuning or Tuning(busy_timeout_ms=0),
            connection_class=self._class,
        )

    async def reopen(self, node_id: str = "node-1") -> None:
        """Close the store and open it again."""
        await self.store.aclose()
        await self.open(node_id)

    async def crash(self) -> None:
        """Go on with a copy of the files as they lie there, unclosed. The shared memory would not survive a reboot."""
        self._left.append(self.store)
        copy = self._folder / f"crash-{len(self._left)}"
        copy.mkdir()
        for name in ("store.db", "store.db-wal"):
            shutil.copy(self.path.with_name(name), copy / name)
        self.path = copy / "store.db"
        await self.open()

    async def snapshot(self) -> Snapshot:
        """All rows."""
        with self.connection() as connection:
            return read_snapshot(connection)

    async def refuse(self, table: str, action: Action) -> None:
        """A trigger that aborts the statement."""
        with self.connection() as connection:
            connection.execute(
                f"CREATE TRIGGER planted BEFORE {action} ON {table} BEGIN SELECT RAISE(ABORT, 'planted'); END"
            )

    async def heal(self) -> None:
        """Take the trigger away."""
        with self.connection() as connection:
            connection.execute("DROP TRIGGER planted")

    async def aclose(self) -> None:
        """Close all stores, those that were left in a crash too."""
        with trio.CancelScope(shield=True):
            for store in (*self._left, self.store):
                await store.aclose()

    def connection(self) -> Outside:
        """Another program's connection to the file."""
        return Outside(self.path)


class Outside:
    """A connection as a context: unlike sqlite3's own, it is closed at the end."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)

    def __enter__(self) -> sqlite3.Connection:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()
