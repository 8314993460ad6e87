"""What is looked at before SQLite may open a database, and what of it is written down."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from oris.core.changes import Changes
from oris.core.needs import Loaded
from oris.errors import ConfigError, OutcomeUnknown, Unavailable
from oris.storage.sqlite.files import Names
from oris.storage.sqlite.guard import Guard, adopt
from oris.storage.sqlite.inode import Inode
from oris.storage.sqlite.mark import Left, Mark, missing
from oris.storage.sqlite.upgrade import migrate_file, plan_file

from .driver import START_MS, Driver, submit
from .sqlite_harness import SqliteHarness

pytestmark = pytest.mark.only_store("sqlite")


@pytest.fixture(params=["threads", "inline"])
async def harness(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqliteHarness]:
    harness = SqliteHarness(tmp_path, inline=request.param == "inline")
    await harness.open()
    try:
        yield harness
    finally:
        await harness.aclose()


def left(database: Path) -> Left:
    """What the mark says."""
    mark = Mark(database)
    mark.close()
    assert mark.left is not None
    return mark.left


def header(harness: SqliteHarness) -> tuple[int, int, int]:
    """user_version, the schema's number and application_id, in the file itself."""
    guard = harness.store._database.guard
    assert guard is not None
    assert guard._inode is not None
    found = guard._inode.header()
    user_version, schema, opening = (int.from_bytes(found[place : place + 4], "big") for place in (60, 40, 68))
    return user_version, schema, opening


async def test_a_commit_whose_file_goes_before_it_is_answered_is_unknown(harness: SqliteHarness) -> None:
    driver = Driver(harness)
    await driver.commit(submit("t1"))
    transact = harness.store.transact

    async def losing(needs: object, work: object, batch_id: str) -> object:
        def lose(loaded: Loaded, now_ms: int) -> Changes:
            harness.path.rename(harness.path.with_name("away.db"))
            return work(loaded, now_ms)  # type: ignore[operator, no-any-return]

        return await transact(needs, lose, batch_id)  # type: ignore[arg-type]

    harness.store.transact = losing  # type: ignore[method-assign, assignment]
    with pytest.raises(OutcomeUnknown):
        await driver.commit(submit("t2"))
    assert harness.store.failed.is_set()
    harness.store.transact = transact  # type: ignore[method-assign]
    with pytest.raises(Unavailable) as refused:
        await driver.commit(submit("t3"))
    assert refused.value.cause == "file_lost"
    assert str(harness.path) not in str(refused.value)
    with pytest.raises(Unavailable):
        await harness.store.reads.statistics()
    harness.path.with_name("away.db").rename(harness.path)


async def test_what_other_programs_do_in_the_open_database_is_no_overwriting(harness: SqliteHarness) -> None:
    driver = Driver(harness)
    await driver.commit(submit("t1"))
    with closing(sqlite3.connect(harness.path, isolation_level=None)) as other:
        other.execute("CREATE INDEX theirs ON runtime_jobs (workflow)")
        other.execute("DROP INDEX theirs")
        other.execute("VACUUM")
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    await harness.store.look()
    assert harness.store.failure is None
    await driver.commit(submit("t2"))


async def test_an_overwritten_database_is_no_more_written_not_even_at_the_end(harness: SqliteHarness) -> None:
    driver = Driver(harness)
    await driver.commit(submit("t1"))
    log = harness.path.with_name(harness.path.name + "-wal")
    assert log.stat().st_size
    strange = b"SQLite format 3\0" + bytes(8000)
    harness.path.write_bytes(strange)
    await harness.store.look()
    assert harness.store.failure is not None
    assert "was overwritten" in harness.store.failure
    with pytest.raises(Unavailable):
        await driver.commit(submit("t2"))
    await harness.store.aclose()
    assert harness.path.read_bytes() == strange
    assert log.stat().st_size


async def test_the_mark_follows_the_commits_and_is_closed_with_the_store(harness: SqliteHarness) -> None:
    driver = Driver(harness)
    for number in range(3):
        harness.clock.ms += 1000
        await driver.commit(submit(f"t{number}"))
        found = left(harness.path)
        assert (found.state, found.committed_ms) == ("open", await harness.store.high_water_ms())
    user_version, schema, opening = header(harness)
    assert (user_version, opening) == (schema, found.opening)
    await harness.store.aclose()
    assert left(harness.path) == Left("closed", 0, found.committed_ms)
    assert int.from_bytes(harness.path.read_bytes()[60:64], "big") == 0
    assert not harness.path.with_name("store.db-wal").exists()
    await harness.open()
    assert left(harness.path).opening != found.opening


async def test_a_start_that_is_refused_leaves_the_mark_as_it_was(harness: SqliteHarness) -> None:
    await Driver(harness).commit(submit("t1"))
    await harness.store.aclose()
    before = left(harness.path)
    with closing(sqlite3.connect(harness.path)) as connection, connection:
        connection.execute("UPDATE runtime_schema_migrations SET checksum = 'x'")
    with pytest.raises(ConfigError, match="was changed after"):
        await harness.open()
    assert left(harness.path) == before


def test_an_empty_file_that_was_made_in_vain_is_removed_and_one_that_was_there_is_not(tmp_path: Path) -> None:
    Inode(tmp_path / "x.db").close()
    assert not (tmp_path / "x.db").exists()
    (tmp_path / "x.db").touch()
    Inode(tmp_path / "x.db").close()
    assert (tmp_path / "x.db").exists()


@pytest.mark.parametrize("text", [b"", b"{", b"[]\n", b"\xff" * 128, b'{"state":"odd","opening":1,"committed_ms":1}'])
def test_a_mark_that_cannot_be_read_is_none(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "x.db.mark").write_bytes(text)
    mark = Mark(tmp_path / "x.db")
    assert mark.left is None
    mark.write(Left("open", 7, 2**53))
    mark.close()
    assert left(tmp_path / "x.db") == Left("open", 7, 2**53)


def test_what_is_missing_is_told_in_seconds() -> None:
    path = Path("x.db")
    assert missing(path, None, 0) is None
    assert missing(path, Left("open", 1, START_MS), START_MS) is None
    said = missing(path, Left("open", 1, START_MS + 61_500), START_MS)
    assert said is not None
    assert "lacks the commits of the last 61.500 s" in said
    said = missing(path, Left("open", 1, 1_700_000_000_123), 1_700_000_000_000)
    assert said is not None
    assert "from 2023-11-14T22:13:20.000Z to 2023-11-14T22:13:20.123Z" in said


def a_name_goes(path: Path) -> None:
    path.unlink()


def a_name_leads_elsewhere(path: Path) -> None:
    path.with_name("copy").write_bytes(b"copy")
    path.with_name("copy").rename(path)


def the_folder_goes(path: Path) -> None:
    path.parent.rename(path.parent.with_name("away"))


@pytest.mark.parametrize("harm", [a_name_goes, a_name_leads_elsewhere, the_folder_goes])
@pytest.mark.parametrize("ending", ["", "-wal", "-shm"])
def test_a_name_that_leads_elsewhere_is_seen_by_the_folder_and_at_length(
    tmp_path: Path, ending: str, harm: Callable[[Path], None]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for each in ("", "-wal", "-shm"):
        (folder / f"x.db{each}").touch()
    names = Names(folder / "x.db")
    (folder / "other").touch()
    assert [names.changed(), names.changed(), names.lost()] == [None, None, None]
    # The folder's time goes on in ticks: the change is in another one than those before it.
    os.utime(folder, ns=(0, 0))
    assert names.changed() is None
    harm(folder / f"x.db{ending}")
    told = names.changed()
    assert told is not None
    assert "while the server was running" in told
    assert names.changed() == names.lost() == told


def test_a_link_by_which_the_database_was_named_is_watched_too(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for each in ("", "-wal", "-shm"):
        (folder / f"x.db{each}").touch()
    link = tmp_path / "link"
    link.symlink_to(folder)
    names = Names(folder / "x.db", link / "x.db")
    assert names.lost() is None
    folder.rename(tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved")
    assert names.lost() is None
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.db").touch()
    link.unlink()
    link.symlink_to(tmp_path / "other")
    assert names.lost() == f"{link / 'x.db'} was replaced by another file while the server was running"
    assert not names.lost_database()


async def test_files_that_were_put_together_by_hand_are_refused_until_they_are_adopted(harness: SqliteHarness) -> None:
    await Driver(harness).commit(submit("old"))
    kept = harness.path.with_name("kept")
    kept.mkdir()
    for name in ("store.db", "store.db-wal"):
        shutil.copy(harness.path.with_name(name), kept)
    await harness.store.aclose()
    for name in ("store.db", "store.db-wal"):
        shutil.copy(kept / name, harness.path.parent)
    with pytest.raises(ConfigError, match=r"store\.db-wal may belong to another database"):
        Guard(harness.path)
    assert adopt(harness.path) == harness.path.with_name("store.db-wal")
    await harness.open()
    assert (await harness.store.reads.statistics()).waiting == 1


async def test_a_backup_over_the_one_before_is_whole_however_often_it_was_made(harness: SqliteHarness) -> None:
    await Driver(harness).commit(submit("t1"))
    target = harness.path.with_name("backup.db")
    with harness.connection() as source, closing(sqlite3.connect(target)) as backup:
        backup.execute("PRAGMA synchronous = OFF")
        for _ in range(150):
            source.backup(backup)
            found = target.read_bytes()[:100]
            assert found[60:64] != found[40:44]
    Guard(target).release()


def test_the_database_of_another_program_is_told_from_a_copy_of_ours_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (a)")
        connection.execute("PRAGMA user_version = 1")
    path.chmod(0o664)
    before = path.read_bytes()
    assert before[60:64] == before[40:44]
    with pytest.raises(ConfigError, match="belongs to another program"):
        migrate_file(path, lambda: START_MS)
    assert path.read_bytes() == before
    assert path.stat().st_mode & 0o777 == 0o664


def copied(database: Path, *endings: str) -> Path:
    """What lies there, in a folder of its own, as it would be found after a crash."""
    folder = database.with_name("found")
    folder.mkdir()
    for ending in ("", *endings):
        shutil.copy(database.with_name(database.name + ending), folder)
    return folder / database.name


async def test_a_database_is_known_again_after_another_program_has_changed_its_schema(harness: SqliteHarness) -> None:
    driver = Driver(harness)
    await driver.commit(submit("t1"))
    with harness.connection() as other:
        other.execute("ANALYZE")
        other.execute("PRAGMA wal_checkpoint")
    await harness.store.look()
    await driver.commit(submit("t2"))
    found = copied(harness.path, "-wal", ".mark")
    guard = Guard(found)
    assert guard.warnings == []
    guard.release()


async def test_a_database_that_was_read_during_the_start_is_marked_as_open_once_the_reader_has_gone(
    harness: SqliteHarness,
) -> None:
    driver = Driver(harness)
    await driver.commit(submit("t1"))
    with harness.connection() as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM runtime_jobs").fetchall()
        await harness.store.aclose()
        await harness.open()
        await harness.store.look()
        await driver.commit(submit("t2"))
        assert left(harness.path).state == "turning"
        other.execute("ROLLBACK")
    await harness.store.look()
    assert left(harness.path) == Left("open", header(harness)[2], await harness.store.high_water_ms())
    harness.path.write_bytes(b"SQLite format 3\0" + bytes(8000))
    await harness.store.look()
    assert "was overwritten" in (harness.store.failure or "")


async def test_a_copy_without_its_log_is_none_also_after_somebody_has_looked_at_it(harness: SqliteHarness) -> None:
    await Driver(harness).commit(submit("t1"))
    found = copied(harness.path)
    plan_file(found)
    with pytest.raises(ConfigError, match="without its log"):
        Guard(found)


@pytest.mark.parametrize("left_behind", [None, Left("turning", 0, START_MS)])
async def test_a_log_without_its_database_is_never_deleted(harness: SqliteHarness, left_behind: Left | None) -> None:
    await Driver(harness).commit(submit("t1"))
    found = copied(harness.path, "-wal")
    found.write_bytes(b"")
    if left_behind is not None:
        mark = Mark(found)
        mark.write(left_behind)
        mark.close()
    with pytest.raises(ConfigError, match="put the database back, or move the log away"):
        adopt(found)
    with pytest.raises(ConfigError, match="put the database back, or move the log away"):
        Guard(found)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_makes_beside_a_database_belongs_to_its_owner(tmp_path: Path) -> None:
    database = tmp_path / "x.db"
    database.touch()
    os.chown(database, 4321, 8765)
    adopt(database)
    for ending in (".lock", ".mark"):
        found = (tmp_path / f"x.db{ending}").stat()
        assert (found.st_uid, found.st_gid) == (4321, 8765)
