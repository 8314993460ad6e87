"""Connections and their settings."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Literal

from msgspec import Struct

from oris.errors import ConfigError
from oris.storage.sqlite.schema import SqliteSchema
from oris.storage.sqlite.space import ReserveSize

Synchronous = Literal["full", "normal"]

OLDEST_SQLITE = (3, 37, 0)
"""STRICT tables; upserts and row values are older."""
SAFE_SQLITE = (3, 51, 3)
"""Before this, two connections that write or checkpoint at once can corrupt a WAL database."""


class Tuning(Struct, frozen=True):
    """How a store uses its file."""

    synchronous: Synchronous = "full"
    busy_timeout_ms: int = 250
    """How long another program's lock on the file is waited for, before a batch is refused."""
    readers: int = 2
    """Connections, and threads at a time, for reads beside the commits."""
    cache_kib: int = 65_536
    """Page cache of the writer; readers have an eighth each."""
    checkpoint_pages: int = 4_000
    """WAL pages after which the writer copies them into the database, within the commit that passes it."""
    wal_keep_bytes: int = 64 * 1024 * 1024
    """To this the WAL is cut back once it has been copied."""
    read_limit_ms: int = 10_000
    """A read that takes longer is stopped: as long as it runs, the WAL cannot be used again from its beginning."""
    reserve: ReserveSize = "as_it_is"
    """Room on the disk that is kept for commits that make no new runs."""


def open_writer(path: Path, tuning: Tuning, factory: type[sqlite3.Connection]) -> sqlite3.Connection:
    """The one connection that writes and checkpoints. Raises sqlite3.Error, and ConfigError without WAL, and for the
    database of another program, which stays as it is."""
    connection = _connect(path, "rwc", tuning, factory)
    try:
        SqliteSchema(connection, lambda: 0).applied()
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise ConfigError(f"{path}: this file system does not allow SQLite's WAL (journal mode stays {mode!r})")
        match tuning.synchronous:
            case "full":
                connection.execute("PRAGMA synchronous = FULL")
            case "normal":
                connection.execute("PRAGMA synchronous = NORMAL")
        set_pragma(connection, "wal_autocheckpoint", tuning.checkpoint_pages)
        set_pragma(connection, "journal_size_limit", tuning.wal_keep_bytes)
        set_pragma(connection, "cache_size", -tuning.cache_kib)
        connection.execute("PRAGMA temp_store = MEMORY")
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path, tuning: Tuning) -> sqlite3.Connection:
    """A connection that can only read, and never checkpoints."""
    connection = _connect(path, "ro", tuning, sqlite3.Connection)
    try:
        connection.execute("PRAGMA query_only = ON")
        set_pragma(connection, "wal_autocheckpoint", 0)
        set_pragma(connection, "cache_size", -tuning.cache_kib // 8)
    except BaseException:
        connection.close()
        raise
    return connection


def open_memory(factory: type[sqlite3.Connection]) -> sqlite3.Connection:
    """A database that lives as long as this connection."""
    return sqlite3.connect(
        ":memory:", isolation_level=None, check_same_thread=False, cached_statements=256, factory=factory
    )


def set_pragma(connection: sqlite3.Connection, name: str, value: int) -> None:
    """Set one of SQLite's numeric settings; pragmas take no parameters."""
    connection.execute(f"PRAGMA {name} = {value:d}")


def version_warnings(tuning: Tuning, version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> list[str]:
    """What the operator should know of this SQLite. Raises ConfigError when it is too old to work with."""
    shown = ".".join(map(str, version))
    if version < OLDEST_SQLITE:
        raise ConfigError(f"SQLite {shown} is too old; use 3.37.0 or later")
    warnings = []
    if version < SAFE_SQLITE:
        warnings.append(
            f"SQLite {shown} can damage a database when two programs write to it at once (fixed in 3.51.3); "
            "the server is safe, because it uses one connection; let no other program write to its file"
        )
    if tuning.synchronous == "normal":
        warnings.append("synchronous=normal: a power cut can lose commits that were acknowledged")
    return warnings


def _connect(
    path: Path, mode: Literal["rwc", "ro"], tuning: Tuning, factory: type[sqlite3.Connection]
) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=tuning.busy_timeout_ms / 1000,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
        factory=factory,
    )
