"""Databases of released versions: what is in them is the same after the upgrade."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from oris.core.commands import Cancel
from oris.core.invariants import check_all
from oris.storage.migrate import migrate, migrations_folder, read_migrations
from oris.storage.sqlite.schema import SqliteSchema
from oris.storage.sqlite.snapshot import read_snapshot

from .driver import Driver, ack, audited, key, question, replayed, report, submit, suspend, want
from .sqlite_harness import SqliteHarness

pytestmark = pytest.mark.only_store("sqlite")

KNOWN = read_migrations(migrations_folder("sqlite"))
RELEASED = {"0.3.0": 14}
"""Of each release its newest migration."""


async def fill(driver: Driver) -> None:
    """Something of everything that has rows: runs that ended in each way, replays, waits, keys, an audit trail."""

    def tick() -> None:
        driver.harness.clock.ms += 7

    for number in range(4):
        tick()
        await driver.commit(submit(f"t{number}"), audit=[audited()])
        job = (await driver.commit(wants=[want()])).job()
        tick()
        await driver.commit(report(job, "step", checkpoint=b"1"))
        if number == 0:
            await driver.commit(ack(job))
            tick()
            await driver.commit(submit("t0"), audit=[audited()])
            await driver.commit(Cancel(key("t0"), None))
        elif number == 1:
            await driver.commit(ack(job, "failed"))
            tick()
            await driver.commit(replayed("t1"))
        else:
            await driver.commit(suspend(job, question("a"), question("b")))


def tables(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    return [name for (name,) in rows if name != "runtime_schema_migrations"]


def columns(connection: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}


def copy_rows(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """All rows, as far as the older one has columns for them."""
    for table in tables(source):
        shared = sorted(columns(source, table) & columns(target, table))
        rows = source.execute(f"SELECT {', '.join(shared)} FROM {table}").fetchall()
        target.execute(f"DELETE FROM {table}")
        target.executemany(f"INSERT INTO {table} ({', '.join(shared)}) VALUES ({', '.join('?' for _ in shared)})", rows)


@pytest.mark.parametrize("release", RELEASED)
async def test_a_database_of_a_release_holds_the_same_after_the_upgrade(tmp_path: Path, release: str) -> None:
    harness = SqliteHarness(tmp_path, inline=True)
    await harness.open()
    await fill(Driver(harness))
    expected = await harness.snapshot()
    await harness.aclose()
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as old:
        schema = SqliteSchema(old, lambda: 0)
        migrate(schema, KNOWN[: RELEASED[release]], "99")
        with closing(sqlite3.connect(harness.path)) as source:
            copy_rows(source, old)
        migrate(schema, KNOWN, "99")
        upgraded = read_snapshot(old)
        with closing(sqlite3.connect(harness.path)) as source:
            named = "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type, name"
            assert old.execute(named).fetchall() == source.execute(named).fetchall()
    assert len(expected.past_runs) == 2
    assert upgraded == expected
    assert check_all(upgraded) == []
