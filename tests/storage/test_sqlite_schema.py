"""Columns are fields, statements are written out over them, and no query walks a table."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

import pytest

from oris.core.model import Job, Lane
from oris.errors import ConfigError
from oris.ids import TenantId
from oris.storage.sqlite import (
    audit_statements,
    history_statements,
    list_statements,
    queries,
    read_statements,
    retention_statements,
    statements,
)
from oris.storage.sqlite import columns as c
from oris.storage.sqlite.columns import RUN_FIELDS, SAID_BY_SUBMIT
from oris.storage.sqlite.connect import Tuning, open_memory, version_warnings
from oris.storage.sqlite.upgrade import prepare

pytestmark = pytest.mark.only_store("sqlite")

MODULES = (*(statements, read_statements, history_statements, list_statements, audit_statements, retention_statements),)


def texts() -> Iterator[tuple[str, str]]:
    """Every statement with its name; the two of a list have one name each."""
    for module in MODULES:
        of = module.__name__.rpartition(".")[2]
        for name, value in vars(module).items():
            if name.startswith("_"):
                continue
            if name.isupper() and isinstance(value, str):
                yield f"{of}.{name}", value
            elif name.isupper() and isinstance(value, list_statements.Listing):
                yield f"{of}.{name}.page", value.page
                yield f"{of}.{name}.walk_end", value.walk_end


ALL = dict(texts())
# One row per tenant, and one per node: summed as a whole. Keys in force are all kept in memory.
WALKS = {
    "statements.HIGH_WATER": "runtime_nodes",
    "statements.TOTAL": "runtime_nodes",
    "read_statements.STORED_KEYS": "runtime_api_keys",
    "read_statements.MODES": "runtime_modes",
    "read_statements.NODES": "runtime_nodes",
    "retention_statements.OLD_NODES": "runtime_nodes",
    # Over an index of open questions alone.
    "read_statements.PENDING_INTERRUPTS": "runtime_waits",
    # The first row there is.
    "statements.ANY_HOLD": "runtime_holds",
    # As many as were found by the index, which are bounded.
    "statements.LOST_LEAST": "runtime_jobs",
    "statements.QUEUED_OF_THREAD": "runtime_jobs",
}
# Few rows each: what one request was, and the jobs of one poll.
SORTED_BY_HAND = {
    "list_statements.AUDIT_OF_REQUEST.page",
    "list_statements.AUDIT_OF_REQUEST.walk_end",
    "statements.JOBS_BY_POLL",
}

# Pages of old runs have of each what retention goes by.
OF_OLD_RUNS = {"retention_statements.OLDEST_PAST_RUNS", "retention_statements.LATEST_RUN"}


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = open_memory(sqlite3.Connection)
    prepare(connection, lambda: 0)
    yield connection
    connection.close()


def columns(connection: sqlite3.Connection, table: str) -> tuple[str, ...]:
    return tuple(row[1] for row in connection.execute(f"PRAGMA table_info({table})"))


@pytest.mark.parametrize("table", c.TABLES, ids=lambda table: table.name)
def test_the_columns_of_a_table_are_those_of_the_migrations(connection: sqlite3.Connection, table: c.Table) -> None:
    assert sorted(columns(connection, table.name)) == sorted(table.columns)
    assert set(table.without) <= set(table.struct.__struct_fields__)


def test_a_table_that_is_no_struct_is_written_by_hand_on_purpose(connection: sqlite3.Connection) -> None:
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    by_hand = {"runtime_nodes", "runtime_totals", "runtime_schema_migrations"}
    assert names == by_hand | {table.name for table in c.TABLES}


@pytest.mark.parametrize("name", ALL)
def test_no_statement_goes_by_the_rowid_that_vacuum_may_number_anew(name: str) -> None:
    assert "rowid" not in ALL[name]


def test_every_table_is_strict(connection: sqlite3.Connection) -> None:
    loose = connection.execute("SELECT name FROM pragma_table_list WHERE type = 'table' AND strict = 0").fetchall()
    assert {name for (name,) in loose} <= {"sqlite_schema", "sqlite_temp_schema"}


def columns_named(statement: str) -> list[str]:
    """The column list of an INSERT, a SELECT or an UPDATE."""
    inserted = re.search(r"INSERT INTO \w+ \(([^)]*)\)", statement)
    selected = re.search(r"SELECT (.*?)\s+FROM", statement, re.DOTALL)
    updated = re.search(r"SET(.*)WHERE", statement, re.DOTALL)
    text = next(found[1] for found in (inserted, selected, updated) if found)
    return [part.strip().removesuffix(" = ?").strip() for part in text.split(",")]


@pytest.mark.parametrize("name", [n for n, text in ALL.items() if "head_hash" in text and n not in OF_OLD_RUNS])
def test_statements_over_whole_jobs_list_all_fields_in_order(name: str) -> None:
    listed = columns_named(ALL[name])
    fields = list(Job.__struct_fields__)
    if name.endswith("UPDATE_RUN"):
        assert tuple(listed) == RUN_FIELDS
        assert set(fields) - set(listed) == SAID_BY_SUBMIT, "a name that is no field of a job"
    elif "UPDATE" in name:
        assert listed == fields
    elif name.endswith("INSERT_JOB"):
        assert listed == ["id", *fields]
    elif "INSERT" in name:
        assert listed == fields
    else:
        assert listed in (fields, [*fields, "id"])


def plan_of(connection: sqlite3.Connection, statement: str) -> list[str]:
    named = dict.fromkeys(re.findall(r":(\w+)", statement))
    parameters = named or (None,) * statement.count("?")
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]


@pytest.mark.parametrize("name", [n for n in ALL if n not in WALKS])
def test_no_statement_walks_or_sorts_a_table(connection: sqlite3.Connection, name: str) -> None:
    steps = plan_of(connection, ALL[name])
    walked = [step for step in steps if step.startswith("SCAN") and "CONSTANT ROW" not in step]
    # An index read in order until LIMIT is no walk: one probe a row that is given back.
    bounded = "LIMIT" in ALL[name] and all(" USING " in step for step in walked)
    assert not walked or bounded or (name.endswith("NEXT_JOB_ID")), steps
    if name not in SORTED_BY_HAND:
        assert not [step for step in steps if "TEMP B-TREE" in step], steps


def test_the_next_job_id_is_one_probe(connection: sqlite3.Connection) -> None:
    opcodes = [row[1] for row in connection.execute(f"EXPLAIN {statements.NEXT_JOB_ID}")]
    assert "Last" in opcodes
    assert "Next" not in opcodes


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("statements.JOB_BY_KEY", "runtime_jobs_thread (thread_id=? AND tenant_id=?)"),
        ("statements.JOB_BY_RUN", "runtime_jobs_run_id (run_id=?)"),
        ("statements.JOBS_BY_POLL", "runtime_jobs_poll (worker_key=? AND poll_id=?)"),
        ("statements.LANE_HEADS", "runtime_jobs_dispatch (tenant_id=? AND workflow=?)"),
        ("statements.LOST_LEAST", "runtime_jobs_dispatch (tenant_id=? AND workflow=?)"),
        ("statements.QUEUED_OF_THREAD", "runtime_jobs_thread (thread_id=?)"),
        ("statements.LATEST_STEPS", "runtime_steps_latest (run_id=? AND seq>?)"),
        ("statements.SUCCEEDED_STEPS", "runtime_steps_latest (run_id=? AND seq>? AND seq<?)"),
        ("statements.STEP_BYTES", "runtime_steps_latest (run_id=? AND seq<?)"),
        ("list_statements.PENDING_DEAD_LETTERS.page", "runtime_dead_letters_pending ((dead_ms,run_id)>(?,?)"),
        ("list_statements.OPEN_INTERRUPTS.page", "runtime_waits_open ((created_ms,wait_id)>(?,?)"),
        ("list_statements.INTERRUPTS_OF_RUN.page", "runtime_waits_run_interrupts (run_id=?"),
        ("list_statements.AUDIT_OF_TENANT.page", "runtime_audit_log_tenant (tenant_id=?"),
        ("list_statements.PAST_RUNS", "runtime_runs_thread (job_key=? AND seq<?)"),
        ("read_statements.RETRIES", "runtime_events_retries (run_id=? AND seq>?)"),
        ("read_statements.DUE", "runtime_jobs_wake (wake_ms>? AND wake_ms<?)"),
        ("read_statements.LEASED", "runtime_jobs_leased (id>?)"),
        ("read_statements.NEXT_LANE_OF_TENANT", "runtime_jobs_dispatch (tenant_id=? AND workflow>?)"),
        ("read_statements.FIRST_LANE_AFTER_TENANT", "runtime_jobs_dispatch (tenant_id>?)"),
        ("read_statements.OLDEST_BELOW_PRIORITY", "runtime_jobs_dispatch (tenant_id=? AND workflow=? AND priority<?)"),
        ("list_statements.JOBS_OF_TENANT.page", "runtime_jobs_tenant (tenant_id=?"),
        ("retention_statements.OLD_PAST_RUNS", "runtime_runs_over (updated_ms>? AND updated_ms<?)"),
        ("retention_statements.OLD_JOBS", "runtime_jobs_over (updated_ms>? AND updated_ms<?)"),
        ("retention_statements.OLD_WORKERS", "runtime_workers_first_seen ((first_seen_ms,worker_key)>(?,?)"),
        ("retention_statements.OLD_SESSIONS", "runtime_ended_sessions_ended (ended_ms<?)"),
        ("retention_statements.OLDEST_PAST_RUNS", "runtime_runs_thread (job_key=? AND seq>?)"),
        ("retention_statements.OLDEST_PAST_RUNS", "runtime_runs_replays (replay_of=?)"),
        ("retention_statements.OLDEST_PAST_RUNS", "INDEX sqlite_autoindex_runtime_dead_letters_1 (run_id=?)"),
        ("retention_statements.LATEST_RUN", "runtime_jobs_thread (thread_id=? AND tenant_id=?)"),
        ("retention_statements.INSERT_PRUNED_RUNS", "runtime_runs_thread (job_key=? AND seq<?)"),
        ("retention_statements.INSERT_PRUNED_RUNS", "runtime_jobs_run_id (run_id=?)"),
        ("retention_statements.DELETE_IDEMPOTENT", "runtime_idempotency USING PRIMARY KEY (key=?)"),
        ("retention_statements.DELETE_IDEMPOTENT", "runtime_runs_thread (job_key=? AND seq<?)"),
        ("retention_statements.DELETE_CLAIMS", "runtime_replay_effects USING PRIMARY KEY (target=?)"),
        ("retention_statements.DELETE_CLAIMS", "runtime_runs_thread (job_key=? AND seq<?)"),
        ("retention_statements.DELETE_DEAD_LETTERS", "INDEX sqlite_autoindex_runtime_dead_letters_1 (run_id=?)"),
        ("retention_statements.DELETE_DEAD_LETTERS", "runtime_runs_thread (job_key=? AND seq<?)"),
        ("retention_statements.DELETE_PAST_RUNS", "runtime_runs_thread (job_key=? AND seq<?)"),
        ("retention_statements.OLDEST_RECORDS", "runtime_audit_log_chain (chain_id=?)"),
        ("retention_statements.DELETE_CLOSED_LEASES", "PRIMARY KEY (lease_id>? AND lease_id<?)"),
        ("read_statements.NEWEST_CHAINS", "runtime_audit_log_chain_starts"),
    ],
)
def test_a_query_uses_the_index_that_was_made_for_it(connection: sqlite3.Connection, name: str, index: str) -> None:
    assert any(index in step for step in plan_of(connection, ALL[name])), plan_of(connection, ALL[name])


def test_the_views_for_operators_can_be_read(connection: sqlite3.Connection) -> None:
    assert connection.execute("SELECT attempt_id, status FROM runtime_attempts").fetchall() == []
    assert connection.execute("SELECT lease_id, worker_key FROM runtime_leases").fetchall() == []


def test_an_old_sqlite_is_warned_of_and_a_very_old_one_refused() -> None:
    assert version_warnings(Tuning(), (3, 51, 3)) == []
    (warning,) = version_warnings(Tuning(), (3, 45, 1))
    assert "SQLite 3.45.1" in warning
    (warning,) = version_warnings(Tuning(synchronous="normal"), (3, 52, 0))
    assert "power cut" in warning
    with pytest.raises(ConfigError, match="too old"):
        version_warnings(Tuning(), (3, 36, 0))


def insert_job(connection: sqlite3.Connection, **said: object) -> None:
    """A row of which only this matters."""
    listed = [(row[1], row[2]) for row in connection.execute("PRAGMA table_info(runtime_jobs)")]
    values = [said.get(name, None if name == "id" else b"" if kind == "BLOB" else 1) for name, kind in listed]
    connection.execute(f"INSERT INTO runtime_jobs VALUES ({', '.join('?' * len(values))})", values)


def test_the_next_lane_is_found_without_walking_this_one(connection: sqlite3.Connection) -> None:
    """Counted in steps of SQLite's machine: as many with two thousand jobs in the lane as with two."""

    def steps() -> int:
        counted = [0]

        def step() -> None:
            counted[0] += 1

        connection.set_progress_handler(step, 1)
        found = queries.lanes(connection, 10)
        connection.set_progress_handler(None, 1)
        assert found == [Lane(TenantId(""), "a"), Lane(TenantId(""), "b"), Lane(TenantId("t"), "a")]
        return counted[0]

    def fill(numbers: range) -> None:
        for tenant, workflow in (("", "a"), ("", "b"), ("t", "a")):
            for n in numbers:
                run = f"run_{tenant}_{workflow}_{n}"
                insert_job(connection, tenant_id=tenant, workflow=workflow, run_id=run, thread_id=run, status="queued")

    fill(range(2))
    few = steps()
    fill(range(2, 2000))
    assert steps() == few
