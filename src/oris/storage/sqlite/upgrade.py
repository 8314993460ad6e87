"""Migrations of a file that no server has open: for `oris migrate`."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from oris.config.version import program_version
from oris.errors import ConfigError
from oris.storage.migrate import Migration, check_newer, migrate, migrations_folder, plan, read_migrations
from oris.storage.sqlite.connect import Tuning, open_reader
from oris.storage.sqlite.database import open_file
from oris.storage.sqlite.faults import described
from oris.storage.sqlite.schema import SqliteSchema


def prepare(
    connection: sqlite3.Connection, now_ms: Callable[[], int], mode: Literal["auto", "check"] = "auto"
) -> tuple[Migration, ...]:
    """Bring an open database up to date, or refuse (see `migrate`); the answer is what was applied."""
    known = read_migrations(migrations_folder("sqlite"))
    return migrate(SqliteSchema(connection, now_ms), known, program_version(), mode)


def migrate_file(
    path: Path, now_ms: Callable[[], int], warn: Callable[[str], None] = lambda text: None
) -> tuple[Migration, ...]:
    """Bring a file up to date under the server's own lock; made when missing. Raises ConfigError.

    `warn` is told what the operator should know of the file.
    """
    applied: list[Migration] = []
    database = open_file(path, Tuning(readers=0), sqlite3.Connection, lambda c: applied.extend(prepare(c, now_ms)))
    database.close()
    for warning in database.warnings:
        warn(warning)
    return tuple(applied)


def check_not_newer(connection: sqlite3.Connection) -> None:
    """Raises ConfigError where a newer program has changed the database in a way that this one cannot read."""
    known = read_migrations(migrations_folder("sqlite"))
    check_newer(known, SqliteSchema(connection, lambda: 0).applied(), program_version())


def plan_file(path: Path) -> tuple[Migration, ...]:
    """What `migrate_file` would apply. Takes no lock and changes nothing; raises ConfigError."""
    known = read_migrations(migrations_folder("sqlite"))
    if not path.exists():
        return known
    try:
        connection = open_reader(path, Tuning())
        try:
            applied = SqliteSchema(connection, lambda: 0).applied()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise ConfigError(f"{path}: cannot read the database: {described(error)}") from error
    return plan(known, applied, program_version())
