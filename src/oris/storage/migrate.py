"""Migrations: forward only, numbered SQL files, each applied in one transaction and recorded with its checksum.

The runner knows no database: a `Schema` lists what was applied and applies one more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Literal, Protocol

from msgspec import Struct

from oris.errors import ConfigError

Backend = Literal["sqlite", "postgres"]

_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_MIN_VERSION = re.compile(r"^-- min_program_version: (\d+(?:\.\d+)*)$", re.MULTILINE)


class Migration(Struct, frozen=True):
    """One file. `min_program_version` is the oldest program that can work on the schema it leaves."""

    version: int
    name: str
    sql: str
    checksum: str
    min_program_version: str

    @property
    def title(self) -> str:
        """As its file is called, without the ending."""
        return f"{self.version:04d}_{self.name}"


class Applied(Struct, frozen=True):
    """One row of `runtime_schema_migrations`; field order is column order."""

    version: int
    name: str
    applied_at_ms: int
    checksum: str
    min_program_version: str


class Schema(Protocol):
    """A database, as far as migrations are concerned. Both raise StoreError or the driver's own errors."""

    def applied(self) -> Sequence[Applied]:
        """What was applied so far, by version; nothing in a fresh database."""

    def apply(self, migration: Migration) -> None:
        """Run one migration and record it, in one transaction that no other writer shares.

        Does nothing when another process has applied it meanwhile.
        """


def migrations_folder(backend: Backend, package: Path | None = None) -> Path:
    """Where the files are: inside the installed package, or at the root of the repository it is run from."""
    package = Path(__file__).parent.parent if package is None else package
    candidates = (package / "_migrations" / backend, package.parent.parent / "migrations" / backend)
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise ConfigError(f"this installation has no {backend} migrations in {candidates[0]}")


def read_migrations(folder: Path) -> tuple[Migration, ...]:
    """All migrations of a folder, by version. Raises ConfigError for a file that cannot be one."""
    found: dict[int, Migration] = {}
    for file in sorted(folder.glob("*.sql")):
        migration = _read(file)
        if migration.version in found:
            raise ConfigError(f"two migrations are numbered {migration.version}: {file.name} is one of them")
        found[migration.version] = migration
    if sorted(found) != list(range(1, len(found) + 1)):
        raise ConfigError(f"the migrations in {folder} are not numbered 1, 2, 3, … without a gap")
    return tuple(found[version] for version in sorted(found))


def plan(known: Sequence[Migration], applied: Sequence[Applied], program_version: str) -> tuple[Migration, ...]:
    """What is still to be applied. Raises ConfigError when this program must not touch the database."""
    check_newer(known, applied, program_version)
    by_version = {migration.version: migration for migration in known}
    for row in applied:
        migration = by_version.get(row.version)
        if migration is not None and migration.checksum != row.checksum:
            raise ConfigError(
                f"migration {migration.title} was changed after it had been applied to this database: "
                f"checksum {migration.checksum[:12]}, recorded {row.checksum[:12]}"
            )
    newest = max((row.version for row in applied), default=0)
    done = {row.version for row in applied}
    pending = tuple(migration for migration in known if migration.version not in done)
    if pending and pending[0].version < newest:
        raise ConfigError(f"migration {pending[0].title} was not applied to this database, but {newest:04d} was")
    return pending


def check_newer(known: Sequence[Migration], applied: Sequence[Applied], program_version: str) -> None:
    """A migration from the future is fine as long as its author said so. Raises ConfigError where he did not."""
    known_versions = {migration.version for migration in known}
    for row in applied:
        if row.version not in known_versions and _numbers(row.min_program_version) > _numbers(program_version):
            raise ConfigError(
                f"the database was migrated by a newer program ({row.version:04d}_{row.name}): "
                f"use version {row.min_program_version} or later; this is {program_version}"
            )


def migrate(
    schema: Schema, known: Sequence[Migration], program_version: str, mode: Literal["auto", "check"] = "auto"
) -> tuple[Migration, ...]:
    """Bring a database up to date; the answer is what was applied. `check` raises ConfigError instead of applying."""
    pending = plan(known, schema.applied(), program_version)
    if pending and mode == "check":
        titles = ", ".join(migration.title for migration in pending)
        raise ConfigError(f"migrations are pending: {titles}; run `oris migrate`, or set ORIS_MIGRATE=auto")
    for migration in pending:
        schema.apply(migration)
    return pending


def _read(file: Path) -> Migration:
    matched = _FILE_NAME.fullmatch(file.name)
    if matched is None:
        raise ConfigError(f"{file.name} is not a migration; the name must be like 0001_runtime.sql")
    text = file.read_text(encoding="utf-8")
    version = _MIN_VERSION.search(text)
    if version is None:
        raise ConfigError(f"migration {file.name} has no line `-- min_program_version: …`")
    return Migration(
        version=int(matched[1]),
        name=matched[2],
        sql=text,
        checksum=sha256(text.encode()).hexdigest(),
        min_program_version=version[1],
    )


def _numbers(version: str) -> tuple[int, ...]:
    """`1.2.0rc1` as (1, 2, 0): a release candidate has the schema of its release."""
    leading = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(part) for part in leading[0].split(".")] if leading else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
