"""The migrations' view of a SQLite database."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence

from oris.errors import ConfigError
from oris.storage.migrate import Applied, Migration

_HAS_RECORDS = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'runtime_schema_migrations'"
_HAS_TABLES = "SELECT 1 FROM sqlite_master WHERE type = 'table' LIMIT 1"
_RECORDS = """
SELECT version, name, applied_at_ms, checksum, min_program_version FROM runtime_schema_migrations ORDER BY version
"""
_RECORD = """
INSERT INTO runtime_schema_migrations (version, name, applied_at_ms, checksum, min_program_version)
VALUES (?, ?, ?, ?, ?)
"""


class SqliteSchema:
    """Applies migrations over one connection; `now_ms` dates the records."""

    def __init__(self, connection: sqlite3.Connection, now_ms: Callable[[], int]) -> None:
        self._connection = connection
        self._now_ms = now_ms

    def applied(self) -> Sequence[Applied]:
        """What was applied so far."""
        if self._connection.execute(_HAS_RECORDS).fetchone() is None:
            if self._connection.execute(_HAS_TABLES).fetchone() is not None:
                raise ConfigError("the database belongs to another program: it has tables, but no tables of Oris")
            return ()
        return tuple(Applied(*row) for row in self._connection.execute(_RECORDS))

    def apply(self, migration: Migration) -> None:
        """Run one migration under the write lock. Raises sqlite3.Error, with nothing changed."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            if all(row.version != migration.version for row in self.applied()):
                for statement in statements_of(migration.sql):
                    connection.execute(statement)
                record = (migration.version, migration.name, self._now_ms(), migration.checksum)
                connection.execute(_RECORD, (*record, migration.min_program_version))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def statements_of(script: str) -> Iterator[str]:
    """The statements of a script one by one; `executescript` would end the transaction around it."""
    lines: list[str] = []
    for line in script.splitlines(keepends=True):
        lines.append(line)
        if sqlite3.complete_statement("".join(lines)):
            yield "".join(lines)
            lines.clear()
    rest = "".join(lines)
    if any(line.strip() and not line.lstrip().startswith("--") for line in rest.splitlines()):
        yield rest
