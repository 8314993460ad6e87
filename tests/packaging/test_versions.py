"""Versions: what the program, its changelog and its migrations say of each other; and what an older program refuses."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from oris.config.version import program_version
from oris.storage.migrate import Migration, migrations_folder, read_migrations
from tests.e2e.server_process import clean_environment

from .pythons import ROOT, project

CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
MIGRATIONS = read_migrations(migrations_folder("sqlite"))
CURRENT: str = project()["version"]

RELEASED: dict[str, tuple[int, str]] = {
    "0.2.0": (14, "4f5f41d3e1fac972"),
    "0.3.0": (14, "4f5f41d3e1fac972"),
}
"""Of each release since versions count: its newest migration, and a digest of the checksums of all up to it.

A release adds its line. A database may have been migrated by any of them, so released migrations never change.
"""


def numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def dated() -> list[str]:
    """The releases of the changelog, the newest first."""
    return re.findall(r"^## (\d+\.\d+\.\d+) - \d{4}-\d\d-\d\d$", CHANGELOG, re.MULTILINE)


def digest(migrations: tuple[Migration, ...]) -> str:
    return sha256(" ".join(migration.checksum for migration in migrations).encode()).hexdigest()[:16]


def wrong_versions(
    migrations: tuple[Migration, ...], released: int, releases: list[str], current: str
) -> list[tuple[str, str]]:
    """The migrations that name a version they may not name."""
    known = {*releases, current}
    last = numbers(releases[0])
    return [
        (migration.title, migration.min_program_version)
        for migration in migrations
        if migration.min_program_version not in known
        or numbers(migration.min_program_version) > numbers(current)
        or (migration.version > released and numbers(migration.min_program_version) <= last)
    ]


def test_the_installed_program_is_the_one_that_pyproject_describes() -> None:
    assert program_version() == CURRENT


def test_the_changelog_is_about_this_version_or_the_next() -> None:
    releases = dated()
    assert sorted(releases, key=numbers, reverse=True) == releases
    headings = re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)
    if headings[0] == "Unreleased":
        assert numbers(CURRENT) > numbers(releases[0]), "raise the version: what is unreleased is newer than a release"
    else:
        assert headings[0].startswith(f"{CURRENT} - ")
    assert headings[headings[0] == "Unreleased" :] == [heading for heading in headings if heading[:5] in releases]


def test_every_migration_names_a_version_that_can_read_it() -> None:
    newest = dated()[0]
    assert newest in RELEASED, f"{newest} is released: its newest migration belongs into RELEASED"
    assert wrong_versions(MIGRATIONS, RELEASED[newest][0], dated(), CURRENT) == []


@pytest.mark.parametrize("version", RELEASED)
def test_what_was_released_has_not_changed(version: str) -> None:
    count, pinned = RELEASED[version]
    assert digest(MIGRATIONS[:count]) == pinned


@pytest.mark.parametrize(
    ("number", "version", "wrong"),
    [
        (1, "0.1.0", False),
        (2, "0.2.0", False),
        (3, "0.3.0", False),
        (3, "0.2.0", True),
        (3, "0.1.0", True),
        (3, "0.4.0", True),
        (1, "0.1.5", True),
    ],
)
def test_a_migration_newer_than_the_last_release_names_a_newer_version(number: int, version: str, wrong: bool) -> None:
    migration = Migration(number, "planted", "", "", version)
    assert bool(wrong_versions((migration,), 2, ["0.2.0", "0.1.0"], "0.3.0")) is wrong


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that a program of the future has migrated."""
    path = tmp_path_factory.mktemp("newer") / "x.db"
    assert oris("migrate", path).returncode == 0
    future = (len(MIGRATIONS) + 1, "future", 1, "0" * 64, "99.0.0")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO runtime_schema_migrations VALUES (?, ?, ?, ?, ?)", future)
    return path


def oris(command: str, database: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "oris", *command.split(), "--sqlite-db", str(database)],
        env=clean_environment(ORIS_SERVER_ADDR="127.0.0.1:0"),
        cwd=database.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    "command",
    ["", "migrate", "migrate --plan", "keys list", "keys create --role admin", "audit verify", "audit heads"],
)
def test_an_older_program_refuses_a_newer_database_in_one_line(newer: Path, tmp_path: Path, command: str) -> None:
    copy = Path(shutil.copy(newer, tmp_path / "x.db"))
    content = copy.read_bytes()
    refused = oris(command, copy)
    assert refused.returncode == 2
    [line] = [text for text in refused.stderr.splitlines() if not text.startswith("{")]
    assert line.startswith("oris: ")
    assert "the database was migrated by a newer program" in line
    assert f"use version 99.0.0 or later; this is {CURRENT}" in line
    assert copy.read_bytes()[100:] == content[100:], "a row was written"
