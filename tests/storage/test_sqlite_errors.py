"""What SQLite's errors do to a batch, to the next one, and to the server."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from oris.errors import ConfigError, OutcomeUnknown, Unavailable
from oris.storage.reads.operators import JobFilter
from oris.storage.sqlite.connect import Tuning
from oris.storage.sqlite.faults import Fault, fault_of
from oris.storage.sqlite.space import Disk
from oris.storage.sqlite.writer import Writer

from .driver import Driver, key, submit, want
from .sqlite_harness import SqliteHarness

pytestmark = pytest.mark.only_store("sqlite")


class Breaking(sqlite3.Connection):
    """A connection whose next COMMIT goes wrong, before or after it happened."""

    plan: str | None = None
    code = sqlite3.SQLITE_IOERR_FSYNC

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if sql == "COMMIT" and self.plan is not None:
            plan, self.plan = self.plan, None
            if plan == "after":
                super().execute(sql, parameters)
            error = sqlite3.OperationalError("planted")
            error.sqlite_errorcode, error.sqlite_errorname = self.code, "PLANTED"
            raise error
        return super().execute(sql, parameters)


@pytest.fixture(params=["threads", "inline"])
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteHarness]:
    harness = SqliteHarness(tmp_path, inline=request.param == "inline", connection_class=Breaking)
    await harness.open()
    try:
        yield harness
    finally:
        await harness.aclose()


@pytest.fixture
def driver(harness: SqliteHarness) -> Driver:
    return Driver(harness)


def breaking(harness: SqliteHarness) -> Breaking:
    """The writer's connection."""
    connection = harness.store._database.writer
    assert isinstance(connection, Breaking)
    return connection


async def test_a_file_locked_by_another_program_is_unavailable_until_it_is_free(
    harness: SqliteHarness, driver: Driver
) -> None:
    await driver.commit(submit("t1"))
    with harness.connection() as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="SQLITE_BUSY"):
            await driver.commit(submit("t2"))
        other.execute("ROLLBACK")
    assert not harness.store.failed.is_set()
    await driver.commit(submit("t2"))
    assert (await driver.verify()).jobs.keys() == {key("t1"), key("t2")}


async def test_a_full_disk_is_unavailable_until_there_is_room(harness: SqliteHarness, driver: Driver) -> None:
    await driver.commit(submit("t1"))
    writer = breaking(harness)
    (pages,) = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count = {pages}")
    before = await harness.snapshot()
    big = b'"' + b"x" * 500_000 + b'"'
    with pytest.raises(Unavailable, match="SQLITE_FULL"):
        await driver.commit(submit("t2", input=big))
    assert await harness.snapshot() == before
    writer.execute("PRAGMA max_page_count = 1000000")
    await driver.commit(submit("t2", input=big))
    assert not harness.store.failed.is_set()
    await driver.verify()


async def test_a_database_that_cannot_be_written_is_unavailable(harness: SqliteHarness, driver: Driver) -> None:
    await driver.commit(submit("t1"))
    breaking(harness).execute("PRAGMA query_only = ON")
    with pytest.raises(Unavailable, match="SQLITE_READONLY"):
        await driver.commit(submit("t2"))
    breaking(harness).execute("PRAGMA query_only = OFF")
    await driver.commit(submit("t2"))
    await driver.verify()


async def test_a_commit_that_failed_before_it_happened_is_unavailable(harness: SqliteHarness, driver: Driver) -> None:
    breaking(harness).plan, breaking(harness).code = "before", sqlite3.SQLITE_FULL
    with pytest.raises(Unavailable):
        await driver.commit(submit("t1"))
    assert (await driver.verify()).jobs == {}
    await driver.commit(submit("t1"))


async def test_a_commit_that_happened_although_it_failed_is_found_out(harness: SqliteHarness, driver: Driver) -> None:
    breaking(harness).plan, breaking(harness).code = "after", sqlite3.SQLITE_BUSY
    done = await driver.commit(submit("t1", input=b"1"), wants=[want()])
    assert done.handed[done.job().run_id].input == b"1"
    assert key("t1") in (await driver.verify()).jobs


@pytest.mark.parametrize("plan", ["before", "after"])
async def test_an_io_error_in_commit_is_unknown_and_the_end_of_the_store(
    harness: SqliteHarness, driver: Driver, plan: str
) -> None:
    await driver.commit(submit("t1"))
    breaking(harness).plan = plan
    with pytest.raises(OutcomeUnknown):
        await driver.commit(submit("t2"))
    assert harness.store.failed.is_set()
    assert harness.store.failure == "planted (PLANTED)"
    with pytest.raises(Unavailable, match="has failed"):
        await driver.commit(submit("t3"))
    await harness.reopen()
    rows = await driver.verify()
    assert rows.jobs.keys() == ({key("t1")} if plan == "before" else {key("t1"), key("t2")})


@pytest.mark.parametrize("cause", ["read_only", "disk_full"])
async def test_a_write_that_the_system_refuses_for_a_while_is_no_damage(
    harness: SqliteHarness, driver: Driver, monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    """SQLite says the same for a quota, a disk mounted read-only, and one that is broken: a write of our own tells."""
    await driver.commit(submit("t1"))
    with monkeypatch.context() as patch:
        patch.setattr(Disk, "why_unwritable", lambda self: cause)
        breaking(harness).plan, breaking(harness).code = "before", sqlite3.SQLITE_IOERR_WRITE
        with pytest.raises(Unavailable) as refused:
            await driver.commit(submit("t2"))
    assert refused.value.cause == cause
    assert not harness.store.failed.is_set()
    await driver.commit(submit("t2"))
    await driver.verify()


async def test_a_write_that_fails_on_a_disk_that_can_be_written_is_the_end_of_the_store(
    harness: SqliteHarness, driver: Driver
) -> None:
    breaking(harness).plan, breaking(harness).code = "before", sqlite3.SQLITE_IOERR_WRITE
    with pytest.raises(OutcomeUnknown):
        await driver.commit(submit("t1"))
    assert harness.store.failed.is_set()


async def test_a_probe_tells_whether_anything_can_be_committed_and_leaves_nothing(
    harness: SqliteHarness, driver: Driver
) -> None:
    await driver.commit(submit("t1"))
    before = await harness.snapshot()
    await harness.store.probe()
    with harness.connection() as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="SQLITE_BUSY") as refused:
            await harness.store.probe()
        assert refused.value.cause == "busy"
        other.execute("ROLLBACK")
    await harness.store.probe()
    assert await harness.snapshot() == before
    await driver.commit(submit("t2"))
    breaking(harness).plan = "before"
    with pytest.raises(Unavailable):
        await harness.store.probe()
    assert harness.store.failed.is_set()


async def test_a_commit_that_cannot_be_looked_up_is_unknown(
    harness: SqliteHarness, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaking(harness).plan, breaking(harness).code = "after", sqlite3.SQLITE_BUSY
    monkeypatch.setattr("oris.storage.sqlite.statements.READ_BATCH", "SELECT nothing FROM nowhere WHERE node_id = ?")
    with pytest.raises(OutcomeUnknown, match="looked up"):
        await driver.commit(submit("t1"))
    assert harness.store.failed.is_set()


async def test_a_damaged_file_ends_the_store(harness: SqliteHarness, driver: Driver, tmp_path: Path) -> None:
    await driver.commit(*(submit(f"t{n}") for n in range(200)))
    await harness.store.aclose()
    data = bytearray(harness.path.read_bytes())
    # The tree of jobs by thread begins on a page of its own: find it through the catalogue, and overwrite it.
    with harness.connection() as other:
        (page,) = other.execute("SELECT rootpage FROM sqlite_master WHERE name = 'runtime_jobs_thread'").fetchone()
    data[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    harness.path.write_bytes(data)
    await harness.open()
    with pytest.raises(Unavailable, match="SQLITE_CORRUPT"):
        await driver.commit(submit("t1"))
    assert harness.store.failed.is_set()
    with pytest.raises(Unavailable, match="has failed"):
        await driver.commit(submit("t1"))


async def test_a_read_that_meets_damage_ends_the_store(harness: SqliteHarness, driver: Driver) -> None:
    await driver.commit(*(submit(f"t{n}") for n in range(200)))
    await harness.store.aclose()
    with harness.connection() as other:
        (page,) = other.execute("SELECT rootpage FROM sqlite_master WHERE name = 'runtime_jobs'").fetchone()
    data = bytearray(harness.path.read_bytes())
    data[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    harness.path.write_bytes(data)
    await harness.open()
    with pytest.raises(Unavailable):
        await harness.store.reads.jobs(JobFilter(), None, 10)
    assert harness.store.failed.is_set()


async def test_a_value_that_does_not_fit_is_the_units_own_fault(harness: SqliteHarness, driver: Driver) -> None:
    with pytest.raises(OverflowError):
        await driver.commit(submit("t1", priority=2**70))
    await driver.commit(submit("t1"))
    await driver.verify()


async def test_a_closed_store_is_unavailable_and_may_be_closed_again(harness: SqliteHarness, driver: Driver) -> None:
    await harness.store.aclose()
    await harness.store.aclose()
    with pytest.raises(Unavailable, match="closed"):
        await driver.commit(submit("t1"))
    with pytest.raises(Unavailable, match="closed"):
        await harness.store.reads.statistics()


async def test_closing_waits_for_the_batch_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    harness = SqliteHarness(tmp_path, inline=False)
    await harness.open()
    token = trio.lowlevel.current_trio_token()
    begun = trio.Event()
    commit = Writer.commit

    def slow_commit(self: Writer, batch_id: str) -> None:
        trio.from_thread.run_sync(begun.set, trio_token=token)
        # Give the closing task its turn: it must not close what is in use here.
        trio.from_thread.run(trio.testing.wait_all_tasks_blocked, trio_token=token)
        commit(self, batch_id)

    monkeypatch.setattr(Writer, "commit", slow_commit)
    driver = Driver(harness)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(driver.commit, submit("t1"))
        await begun.wait()
        await harness.store.aclose()
    await harness.open()
    await driver.verify()
    await harness.aclose()


def test_errors_are_told_apart_by_their_primary_code() -> None:
    def error(code: int) -> sqlite3.Error:
        made = sqlite3.OperationalError("x")
        made.sqlite_errorcode = code
        return made

    assert fault_of(error(sqlite3.SQLITE_BUSY_SNAPSHOT)) is Fault.PASSING
    assert fault_of(error(sqlite3.SQLITE_IOERR_WRITE)) is Fault.FATAL
    assert fault_of(error(sqlite3.SQLITE_IOERR_SHMSIZE)) is Fault.PASSING
    assert fault_of(error(sqlite3.SQLITE_READONLY)) is Fault.PASSING
    assert fault_of(error(sqlite3.SQLITE_READONLY_DBMOVED)) is Fault.FATAL
    assert fault_of(error(sqlite3.SQLITE_CONSTRAINT_UNIQUE)) is Fault.OURS
    assert fault_of(sqlite3.ProgrammingError("x")) is Fault.OURS


async def test_a_wal_without_its_end_loses_only_the_batch_that_was_being_written(
    harness: SqliteHarness, driver: Driver, tmp_path: Path
) -> None:
    """A power cut in the middle of a commit: the torn frame is not a commit."""
    await driver.commit(submit("t1"))
    before = await harness.snapshot()
    size = harness.path.with_name("store.db-wal").stat().st_size
    await driver.commit(submit("t2"))
    torn = tmp_path / "torn"
    torn.mkdir()
    shutil.copy(harness.path, torn / "store.db")
    wal = harness.path.with_name("store.db-wal").read_bytes()
    (torn / "store.db-wal").write_bytes(wal[: (size + len(wal)) // 2])
    other = SqliteHarness(torn, inline=True)
    await other.open(tuning=Tuning())
    try:
        assert await other.snapshot() == before
    finally:
        await other.aclose()


async def test_a_commit_that_finds_no_thread_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = SqliteHarness(tmp_path, inline=False)
    await harness.open()
    driver = Driver(harness)

    async def no_thread(*_: object, **__: object) -> object:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(trio.to_thread, "run_sync", no_thread)
        with pytest.raises(Unavailable, match="no thread"):
            await driver.commit(submit("t1"))
    await driver.commit(submit("t2"))
    await driver.verify()
    await harness.aclose()


async def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    harness = SqliteHarness(tmp_path, inline=False)
    await harness.open()
    await harness.aclose()
    database = harness.path
    database.unlink()
    with closing(sqlite3.connect(database)) as theirs:
        theirs.execute("CREATE TABLE theirs (x)")
    with pytest.raises(ConfigError, match="another program"):
        await harness.open()


async def test_another_programs_lock_is_waited_for_without_holding_the_loop(tmp_path: Path) -> None:
    harness = SqliteHarness(tmp_path, inline=False)
    await harness.open(tuning=Tuning(busy_timeout_ms=30_000))
    try:
        driver = Driver(harness)
        with harness.connection() as other:
            other.execute("BEGIN IMMEDIATE")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(driver.commit, submit("t1"))
                # This task runs at all, and it is what ends the lock.
                await trio.testing.wait_all_tasks_blocked()
                other.execute("ROLLBACK")
        assert (await harness.store.reads.statistics()).waiting == 1
    finally:
        await harness.aclose()


async def test_a_lock_that_is_kept_refuses_the_batch_in_the_end_and_inline_at_once(harness: SqliteHarness) -> None:
    await harness.store.aclose()
    await harness.open(tuning=Tuning(busy_timeout_ms=20))
    driver = Driver(harness)
    with harness.connection() as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable) as refused:
            await driver.commit(submit("t1"))
    assert refused.value.cause == "busy"
    await driver.commit(submit("t1"))
