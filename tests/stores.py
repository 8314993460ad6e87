"""The store that tests run on. With `pytest --store=memory` tests/engine, and what else opens a store here, runs on
another one than SQLite. A test that is about one store alone says so: `@pytest.mark.only_store("sqlite")`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import pytest

from oris.core.invariants import Snapshot
from oris.ids import NodeId
from oris.storage.hints import Hints
from oris.storage.memory.store import MemoryStore
from oris.storage.memory.tables import Tables, Volume, snapshot_of
from oris.storage.sqlite.database import MemoryDatabase
from oris.storage.sqlite.snapshot import read_snapshot
from oris.storage.sqlite.store import SqliteStore
from oris.storage.store import Store


class Database(Protocol):
    """What a store works on. It outlives the stores that are opened on it, one after the other."""

    async def open(self, now_ms: Callable[[], int], node: str = "node", hints: Hints | None = None) -> Store:
        """A store, to be closed by whoever asks for it. `now_ms` is the engine's clock."""

    def rows(self) -> Snapshot:
        """All that is committed."""

    def copy(self) -> Database:
        """What would be there if the process died at this moment."""

    def lose_events(self) -> None:
        """Damage it: no event is there any more."""


class SqliteDatabase:
    """SQLite in memory, in the calling task."""

    def __init__(self, image: bytes | None = None) -> None:
        self._database = MemoryDatabase(image)

    async def open(self, now_ms: Callable[[], int], node: str = "node", hints: Hints | None = None) -> Store:
        """A store."""
        return await SqliteStore.open(self._database, now_ms, node_id=NodeId(node), inline=True, hints=hints)

    def rows(self) -> Snapshot:
        """Read from a copy: a transaction may be open."""
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.deserialize(self._database.image())
            return read_snapshot(connection)

    def copy(self) -> Database:
        """Another database with the same bytes."""
        return SqliteDatabase(self._database.image())

    def lose_events(self) -> None:
        """Delete them."""
        self._database._connection.execute("DELETE FROM runtime_events")


class DictDatabase:
    """The store in memory."""

    def __init__(self, tables: Tables | None = None) -> None:
        self._volume = Volume(tables)

    async def open(self, now_ms: Callable[[], int], node: str = "node", hints: Hints | None = None) -> Store:
        """A store."""
        return MemoryStore(self._volume, now_ms, NodeId(node), hints)

    def rows(self) -> Snapshot:
        """The committed state."""
        return snapshot_of(self._volume.tables)

    def copy(self) -> Database:
        """Another volume with the same rows."""
        return DictDatabase(self._volume.tables.copy())

    def lose_events(self) -> None:
        """Delete them."""
        self._volume.tables.entries.clear()


KINDS: dict[str, Callable[[], Database]] = {"sqlite": SqliteDatabase, "memory": DictDatabase}
"""What may be chosen; the first one is the default."""
DEFAULT = next(iter(KINDS))
_chosen = DEFAULT


def choose(kind: str) -> None:
    """Run the tests on this store from now on."""
    global _chosen
    _chosen = kind


def new_database() -> Database:
    """An empty one of the chosen kind."""
    return KINDS[_chosen]()


def server_settings(database: Path) -> dict[str, Any]:
    """The fields of `Settings` that put a server on the chosen store. Skips the test when that is none for servers."""
    if _chosen == "memory":
        pytest.skip("no server has its store in memory")
    return {"runtime_backend": _chosen, "sqlite_db": database}


def server_environment(database: Path) -> dict[str, str]:
    """The same for a server in a process of its own."""
    return {f"ORIS_{name.upper()}": str(value) for name, value in server_settings(database).items()}


def rows_of_server(database: Path) -> Snapshot:
    """All rows of such a store."""
    with closing(sqlite3.connect(database)) as connection:
        return read_snapshot(connection)
