"""A disk that is really full, in each place where SQLite meets it: nothing is half done, and work goes on with room."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from oris.core.model import Job
from oris.errors import Unavailable
from oris.storage.sqlite.connect import Tuning
from oris.storage.sqlite.lock import FileLock
from oris.storage.sqlite.space import Disk

from ..small_disk import Hog, small_disk
from .driver import Driver, ack, report, submit, want
from .sqlite_harness import SqliteHarness

pytestmark = pytest.mark.only_store("sqlite")

MIB = 1024 * 1024
RESERVE = Tuning(busy_timeout_ms=0, reserve=4 * MIB)
WRITES = 2000
BIG = b'"' + b"x" * 100_000 + b'"'


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 24 * MIB) as mounted:
        yield mounted


@pytest.fixture(params=["threads", "inline"])
async def harness(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[SqliteHarness]:
    harness = SqliteHarness(folder, inline=request.param == "inline")
    await harness.open(tuning=RESERVE)
    try:
        yield harness
    finally:
        await harness.aclose()


@pytest.fixture
def driver(harness: SqliteHarness) -> Driver:
    return Driver(harness)


@pytest.fixture
def hog(folder: Path) -> Hog:
    return Hog(folder)


def disk_of(harness: SqliteHarness) -> Disk:
    disk = harness.store._database.disk
    assert disk is not None
    return disk


def prepare_wal(harness: SqliteHarness, size_bytes: int) -> None:
    """The WAL has room of its own from now on, as it has after a checkpoint."""
    with harness.path.with_name("store.db-wal").open("r+b") as wal:
        os.posix_fallocate(wal.fileno(), 0, size_bytes)


async def refusal(work: Callable[[], Awaitable[object]]) -> Unavailable | None:
    """Why it could not be written; None: it was."""
    try:
        await work()
    except Unavailable as error:
        return error
    return None


async def in_the_end(work: Callable[[], Awaitable[object]]) -> None:
    """As often as there is room for another try, which has to be enough."""
    while (error := await refusal(work)) is not None:
        assert error.again


async def running_jobs(driver: Driver, number: int) -> tuple[Job, ...]:
    """So many jobs that one worker holds."""
    await driver.commit(*(submit(f"held-{n}") for n in range(number)))
    (granted,) = (await driver.commit(wants=[want(limit=number)])).granted
    assert len(granted.jobs) == number
    return granted.jobs


async def test_new_runs_are_refused_and_the_reserve_is_not_touched_for_them(
    harness: SqliteHarness, driver: Driver, hog: Hog
) -> None:
    await driver.commit(submit("t1"))
    before = await harness.snapshot()
    hog.fill()
    for number in range(3):
        with pytest.raises(Unavailable, match="SQLITE_FULL") as refused:
            await driver.commit(submit(f"new-{number}", input=BIG))
        assert (refused.value.cause, refused.value.again) == ("disk_full", False)
    assert harness.store.no_room()
    assert disk_of(harness).look().held_bytes == 4 * MIB
    assert await harness.snapshot() == before
    hog.free()
    assert not disk_of(harness).look().low
    await driver.commit(submit("t2", input=BIG))
    await driver.verify()


async def test_what_ends_work_gets_room_from_the_reserve_and_nothing_is_half_done(
    harness: SqliteHarness, driver: Driver, hog: Hog
) -> None:
    jobs = await running_jobs(driver, 10)
    hog.fill()
    causes: list[str | None] = []
    for job in jobs:
        before = await harness.snapshot()
        while (error := await refusal(partial(driver.commit, report(job, "a", BIG), ack(job)))) is not None:
            causes.append(error.cause)
            assert error.again
            assert await harness.snapshot() == before
    assert set(causes) == {"disk_full"}
    hog.free()
    rows = await driver.verify()
    assert {job.status for job in rows.jobs.values()} == {"completed"}
    assert not harness.store.failed.is_set()


async def test_small_writes_go_on_for_ever_because_the_log_is_used_again(
    harness: SqliteHarness, driver: Driver, hog: Hog
) -> None:
    """Heartbeats change rows that are there: copied into the database they need no new room."""
    (job,) = await running_jobs(driver, 1)
    hog.fill()
    for _ in range(WRITES):
        harness.clock.ms += 1000
        await in_the_end(harness.store.probe)
    assert harness.path.with_name("store.db-wal").stat().st_size < WRITES * 4096 / 2
    assert disk_of(harness).look().held_bytes > 0
    await in_the_end(partial(driver.commit, ack(job, body=None)))
    await driver.verify()


async def test_a_checkpoint_that_finds_no_room_does_not_fail_the_commit_before_it(
    harness: SqliteHarness, driver: Driver, hog: Hog
) -> None:
    harness.store._database.writer.execute("PRAGMA wal_autocheckpoint = 10")
    await driver.commit(submit("t1"))
    prepare_wal(harness, 2 * MIB)
    hog.fill()
    size = harness.path.stat().st_size
    await driver.commit(submit("t2", input=BIG))
    await driver.commit(submit("t3", input=BIG))
    assert harness.path.stat().st_size == size
    with pytest.raises(Unavailable, match="SQLITE_FULL"):
        await harness.store.checkpoint()
    assert not harness.store.failed.is_set()
    hog.free()
    assert await harness.store.checkpoint()
    assert harness.path.stat().st_size > size
    assert len((await driver.verify()).jobs) == 3


async def test_an_index_of_the_log_that_cannot_grow_is_no_damage(
    harness: SqliteHarness, driver: Driver, hog: Hog
) -> None:
    """4,062 pages of WAL fit into the first part of its index; the next one needs room."""
    writer = harness.store._database.writer
    writer.execute("PRAGMA wal_autocheckpoint = 0")
    await driver.commit(submit("t1"))
    await harness.store.checkpoint()
    with harness.connection() as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM runtime_jobs").fetchall()
        disk_of(harness).make_room()
        prepare_wal(harness, 17 * MIB)
        hog.fill()
        for number in count():
            refused = await refusal(partial(driver.commit, submit(f"n{number}", input=BIG)))
            if refused is not None:
                break
        assert refused is not None
        assert "SQLITE_IOERR_SHMSIZE" in str(refused)
        assert refused.cause == "disk_full"
        assert not harness.store.failed.is_set()
        assert (await harness.store.reads.statistics()).waiting > 100
        hog.free()
        await driver.commit(submit("t2", input=BIG))
        reader.execute("ROLLBACK")
    reader.close()
    await driver.verify()


async def test_a_start_on_a_full_disk_uses_the_reserve_that_was_left(folder: Path, hog: Hog) -> None:
    harness = SqliteHarness(folder, inline=False)
    await harness.open(tuning=RESERVE)
    driver = Driver(harness)
    (job,) = await running_jobs(driver, 1)
    await harness.store.aclose()
    hog.fill()
    await harness.open(tuning=RESERVE)
    assert disk_of(harness).look().held_bytes < 4 * MIB
    assert harness.store.no_room()
    await in_the_end(partial(driver.commit, ack(job, body=None)))
    await harness.aclose()
    hog.free()
    await harness.open(tuning=RESERVE)
    assert disk_of(harness).look().held_bytes == 4 * MIB
    await driver.verify()
    await harness.aclose()


def test_the_lock_is_taken_although_nobody_can_be_told_who_has_it(folder: Path, hog: Hog) -> None:
    (folder / "x.db.lock").touch()
    hog.fill()
    lock = FileLock(folder / "x.db")
    assert (folder / "x.db.lock").read_bytes() == b""
    lock.release()
