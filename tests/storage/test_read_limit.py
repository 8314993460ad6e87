"""A read that lasts too long is stopped, so that it does not hold the WAL."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from oris.errors import Unavailable
from oris.storage.sqlite.connect import Tuning

from .driver import Driver, submit
from .sqlite_harness import SqliteHarness

pytestmark = pytest.mark.only_store("sqlite")

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"


async def test_an_endless_read_is_stopped_and_the_next_one_works(tmp_path: Path) -> None:
    harness = SqliteHarness(tmp_path, inline=False)
    await harness.open(tuning=Tuning(busy_timeout_ms=0, readers=1, read_limit_ms=20))
    driver = Driver(harness)
    await driver.commit(submit("t1"))

    def endless(connection: sqlite3.Connection) -> object:
        connection.execute("SELECT count(*) FROM runtime_jobs").fetchone()
        return connection.execute(ENDLESS).fetchone()

    with pytest.raises(Unavailable, match="SQLITE_INTERRUPT") as stopped:
        await harness.store._read(endless)
    assert stopped.value.cause == "read_too_long"
    await driver.commit(submit("t2"))
    assert await harness.store.checkpoint()
    assert (await harness.store.reads.statistics()).waiting == 2
    assert not harness.store.failed.is_set()
    await harness.aclose()


async def test_a_read_that_holds_the_log_is_told_of_and_waited_for_no_longer_than_for_a_lock(tmp_path: Path) -> None:
    harness = SqliteHarness(tmp_path, inline=False)
    await harness.open()
    driver = Driver(harness)
    await driver.commit(submit("t1"))
    with harness.connection() as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM runtime_jobs").fetchone()
        await driver.commit(submit("t2"))
        assert not await harness.store.checkpoint()
        other.execute("ROLLBACK")
    assert await harness.store.checkpoint()
    assert harness.path.with_name("store.db-wal").stat().st_size == 0
    await driver.verify()
    await harness.aclose()
