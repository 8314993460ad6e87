"""Migrations: found, planned, applied once, and refused when they do not fit."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from oris.cli.migrate import migrate as migrate_command
from oris.errors import ConfigError
from oris.ids import NodeId
from oris.storage.migrate import Migration, migrate, migrations_folder, plan, read_migrations
from oris.storage.sqlite.schema import SqliteSchema, statements_of
from oris.storage.sqlite.store import SqliteStore
from oris.storage.sqlite.upgrade import migrate_file, plan_file

from .driver import START_MS, Ticks
from .test_sqlite_schema import insert_job

pytestmark = pytest.mark.only_store("sqlite")

ROOT = Path(__file__).parent.parent.parent
FIRST = """-- min_program_version: 0.1.0
CREATE TABLE runtime_schema_migrations (
    version INTEGER PRIMARY KEY, name TEXT, applied_at_ms INTEGER, checksum TEXT, min_program_version TEXT
);
"""
SECOND = "-- min_program_version: 0.2\nCREATE TABLE two (a);\nINSERT INTO two VALUES (';');\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_first.sql").write_text(FIRST)
    (folder / "0002_second.sql").write_text(SECOND)
    return folder


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    yield connection
    connection.close()


def schema(connection: sqlite3.Connection) -> SqliteSchema:
    return SqliteSchema(connection, Ticks())


def tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_migrations_are_applied_once_and_in_order(folder: Path, connection: sqlite3.Connection) -> None:
    known = read_migrations(folder)
    assert [m.title for m in migrate(schema(connection), known[:1], "0.2.0")] == ["0001_first"]
    assert [m.title for m in migrate(schema(connection), known, "0.2.0")] == ["0002_second"]
    assert migrate(schema(connection), known, "0.2.0") == ()
    rows = schema(connection).applied()
    assert [(r.version, r.name, r.applied_at_ms, r.checksum, r.min_program_version) for r in rows] == [
        (m.version, m.name, START_MS, m.checksum, m.min_program_version) for m in known
    ]
    assert connection.execute("SELECT a FROM two").fetchall() == [(";",)]


def test_a_migration_that_fails_leaves_nothing(folder: Path, connection: sqlite3.Connection) -> None:
    (folder / "0002_second.sql").write_text(SECOND + "CREATE TABLE three (a);\nSELECT nonsense;\n")
    known = read_migrations(folder)
    with pytest.raises(sqlite3.OperationalError, match="nonsense"):
        migrate(schema(connection), known, "1.0")
    assert tables(connection) == {"runtime_schema_migrations"}
    assert not connection.in_transaction
    (folder / "0002_second.sql").write_text(SECOND)
    assert len(migrate(schema(connection), read_migrations(folder), "1.0")) == 1


def test_a_migration_that_another_process_applied_meanwhile_is_not_applied_again(
    folder: Path, connection: sqlite3.Connection
) -> None:
    known = read_migrations(folder)
    migrate(schema(connection), known, "1.0")
    schema(connection).apply(known[1])
    assert connection.execute("SELECT count(*) FROM two").fetchone() == (1,)


def test_check_refuses_what_is_pending_and_applies_nothing(folder: Path, connection: sqlite3.Connection) -> None:
    known = read_migrations(folder)
    with pytest.raises(ConfigError, match="migrations are pending: 0001_first, 0002_second; run `oris migrate`"):
        migrate(schema(connection), known, "1.0", "check")
    assert tables(connection) == set()
    migrate(schema(connection), known, "1.0")
    assert migrate(schema(connection), known, "1.0", "check") == ()


def test_a_file_changed_after_it_was_applied_is_refused(folder: Path, connection: sqlite3.Connection) -> None:
    migrate(schema(connection), read_migrations(folder), "1.0")
    (folder / "0001_first.sql").write_text(FIRST + "-- a word more\n")
    with pytest.raises(ConfigError, match="0001_first was changed after it had been applied") as caught:
        migrate(schema(connection), read_migrations(folder), "1.0")
    assert "\n" not in str(caught.value)


def test_line_ends_do_not_change_a_checksum(folder: Path) -> None:
    before = read_migrations(folder)
    (folder / "0001_first.sql").write_bytes(FIRST.replace("\n", "\r\n").encode())
    assert read_migrations(folder) == before


@pytest.mark.parametrize(
    ("program", "accepted"), [("0.1.9", False), ("0.2", True), ("0.2.0", True), ("0.10.0", True), ("0.2.0rc1", True)]
)
def test_a_migration_from_the_future_is_accepted_when_it_says_so(
    folder: Path, connection: sqlite3.Connection, program: str, accepted: bool
) -> None:
    known = read_migrations(folder)
    migrate(schema(connection), known, "1.0")
    if accepted:
        assert migrate(schema(connection), known[:1], program, "check") == ()
    else:
        with pytest.raises(ConfigError, match=r"newer program \(0002_second\): use version 0.2 or later"):
            migrate(schema(connection), known[:1], program)


def test_a_migration_missing_below_an_applied_one_is_refused(folder: Path, connection: sqlite3.Connection) -> None:
    known = read_migrations(folder)
    migrate(schema(connection), known, "1.0")
    later = [replace(row, version=3) if row.version == 2 else row for row in schema(connection).applied()]
    with pytest.raises(ConfigError, match="0002_second was not applied to this database, but 0003 was"):
        plan(known, later, "1.0")


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("3_third.sql", SECOND, "the name must be like"),
        ("0003_third.sql", "SELECT 1;", "has no line"),
        ("0004_fourth.sql", SECOND, "without a gap"),
        ("0002_again.sql", SECOND, "two migrations are numbered 2"),
    ],
)
def test_a_folder_with_a_file_that_cannot_be_is_refused(folder: Path, name: str, text: str, complaint: str) -> None:
    (folder / name).write_text(text)
    with pytest.raises(ConfigError, match=complaint):
        read_migrations(folder)


def test_the_files_are_found_in_a_repository_and_in_an_installed_package(tmp_path: Path) -> None:
    assert migrations_folder("sqlite").samefile(ROOT / "migrations" / "sqlite")
    installed = tmp_path / "site-packages" / "oris"
    shutil.copytree(ROOT / "migrations", installed / "_migrations")
    found = migrations_folder("sqlite", installed)
    assert found == installed / "_migrations" / "sqlite"
    assert read_migrations(found) == read_migrations(migrations_folder("sqlite"))
    with pytest.raises(ConfigError, match="this installation has no sqlite migrations"):
        migrations_folder("sqlite", tmp_path / "elsewhere" / "oris")


def test_the_wheel_carries_the_files_where_they_are_looked_for() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"]["migrations"] == "oris/_migrations"


def test_scripts_are_cut_into_their_statements() -> None:
    script = (
        "-- first\nCREATE TABLE a (x);\n\nCREATE TRIGGER t AFTER INSERT ON a BEGIN\n  DELETE FROM a;\nEND;\nSELECT 1\n"
    )
    found = [statement.strip() for statement in statements_of(script)]
    assert found == [
        "-- first\nCREATE TABLE a (x);",
        "CREATE TRIGGER t AFTER INSERT ON a BEGIN\n  DELETE FROM a;\nEND;",
        "SELECT 1",
    ]
    assert list(statements_of("SELECT 1;\n-- the end\n")) == ["SELECT 1;\n"]


async def test_a_store_that_only_checks_does_not_start_on_a_fresh_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="migrations are pending"):
        await SqliteStore.open(tmp_path / "x.db", Ticks(), node_id=NodeId("n1"), migrate="check")
    assert [m.version for m in migrate_file(tmp_path / "x.db", Ticks())] == [
        m.version for m in read_migrations(migrations_folder("sqlite"))
    ]
    async with await SqliteStore.open(tmp_path / "x.db", Ticks(), node_id=NodeId("n1"), migrate="check"):
        with pytest.raises(ConfigError, match="in use by another server"):
            migrate_file(tmp_path / "x.db", Ticks())
        assert plan_file(tmp_path / "x.db") == ()


def test_the_plan_is_printed_and_nothing_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    flags = ["--sqlite-db", str(path)]
    shown = CliRunner().invoke(migrate_command, ["--plan", *flags])
    assert "0001_runtime (for version 0.1.0 or later)" in shown.output
    assert list(tmp_path.iterdir()) == []
    done = CliRunner().invoke(migrate_command, flags)
    applied = [f"applied {migration.title}" for migration in read_migrations(migrations_folder("sqlite"))]
    assert done.output.splitlines() == [f"{path}: made", *applied, f"{path}: up to date"]
    content = path.read_bytes()
    again = CliRunner().invoke(migrate_command, ["--plan", *flags])
    assert again.output.splitlines() == [f"{path}: up to date"]
    assert path.read_bytes() == content


def test_the_plan_of_a_file_that_is_no_database_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(ConfigError, match="cannot read the database"):
        plan_file(path)


def test_a_migration_is_called_as_its_file() -> None:
    assert Migration(7, "x", "", "", "1").title == "0007_x"


def test_steps_and_dead_letters_from_before_replays_are_taken_over(connection: sqlite3.Connection) -> None:
    """A run whose steps were not counted would hand none of them to its replay."""
    known = read_migrations(migrations_folder("sqlite"))
    before = next(place for place, migration in enumerate(known) if migration.name == "replay")
    migrate(schema(connection), known[:before], "99.0")
    for table, run in (("runtime_jobs", "run_1"), ("runtime_runs", "run_2")):
        columns = [(row[1], row[2]) for row in connection.execute(f"PRAGMA table_info({table})")]
        values = [run if name == "run_id" else b"" if kind == "BLOB" else 1 for name, kind in columns]
        connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values)
    for run, action, status in (
        ("run_1", "a", "succeeded"),
        ("run_1", "b", "succeeded"),
        ("run_1", "c", "failed"),
        ("run_2", "a", "succeeded"),
    ):
        connection.execute("INSERT INTO runtime_steps VALUES (?, ?, ?, 't', x'00', 1, 0, 1)", (run, action, status))
    connection.execute("INSERT INTO runtime_dead_letters VALUES (1, 'run_1', '/t', '', 't', 'w', 1, 'failed', 1, 1)")
    migrate(schema(connection), known, "99.0")
    counted = [
        connection.execute(f"SELECT steps_succeeded FROM {t}").fetchone()[0] for t in ("runtime_jobs", "runtime_runs")
    ]
    assert counted == [2, 1]

    def pending() -> int:
        (total,) = connection.execute("SELECT total FROM runtime_totals WHERE name = 'dead_letters'").fetchone()
        return int(total)

    totals = [pending()]
    for statement in (
        "UPDATE runtime_dead_letters SET replay_status = 'replayed', replay_count = 1",
        "UPDATE runtime_dead_letters SET replay_status = 'replayed', replay_count = 2",
        "UPDATE runtime_dead_letters SET replay_status = 'pending'",
        "DELETE FROM runtime_dead_letters",
    ):
        connection.execute(statement)
        totals.append(pending())
    assert totals == [1, 0, 0, 1, 0]


def test_what_waits_for_its_time_is_counted_out_of_the_jobs(connection: sqlite3.Connection) -> None:
    known = read_migrations(migrations_folder("sqlite"))
    before = next(place for place, migration in enumerate(known) if migration.name == "delayed")
    migrate(schema(connection), known[:before], "99.0")
    statuses = {"a": ["scheduled", "retry_backoff", "queued", "running", "completed"], "b": ["queued"], "c": ["failed"]}
    for tenant, said in statuses.items():
        connection.execute("INSERT INTO runtime_tenants VALUES (?, 7, 5, 3)", (tenant,))
        for status in said:
            insert_job(connection, tenant_id=tenant, run_id=f"{tenant} {status}", thread_id=status, status=status)
    migrate(schema(connection), known, "99.0")
    rows = connection.execute("SELECT tenant_id, waiting, leased, served, delayed FROM runtime_tenants ORDER BY 1")
    assert rows.fetchall() == [("a", 3, 5, 3, 2), ("b", 1, 5, 3, 0), ("c", 0, 5, 3, 0)]


def test_waits_from_before_keep_their_order_and_vacuum_does_not_change_it(connection: sqlite3.Connection) -> None:
    known = read_migrations(migrations_folder("sqlite"))
    migrate(schema(connection), known[:10], "0.2.0")
    for number, wait in ((7, "b"), (2, "c"), (90, "a")):
        connection.execute(
            "INSERT INTO runtime_waits (rowid, wait_id, run_id, job_key, tenant_id, thread_id, workflow, kind, key, "
            "status, on_expire, on_reject, value_seq, value_index, created_ms, settled_seq) "
            "VALUES (?, ?, 'r', 'j', '', 't', 'w', 'interrupt', ?, 'pending', 'cancel', 'cancel', 1, 0, 0, 0)",
            (number, wait, wait),
        )
    migrate(schema(connection), known, "0.2.0")
    connection.execute("VACUUM")
    found = connection.execute("SELECT id, wait_id FROM runtime_waits ORDER BY id").fetchall()
    assert found == [(2, "c"), (7, "b"), (90, "a")]
