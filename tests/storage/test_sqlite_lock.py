"""Two servers never share a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from oris.errors import ConfigError, Unavailable
from oris.ids import NodeId
from oris.storage.sqlite.database import MemoryDatabase
from oris.storage.sqlite.lock import FileLock
from oris.storage.sqlite.store import SqliteStore

from .driver import Driver, Ticks, submit
from .sqlite_harness import SqliteHarness

pytestmark = pytest.mark.only_store("sqlite")

HOLD = """
import sys
from pathlib import Path
from oris.storage.sqlite.lock import FileLock
lock = FileLock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_server_is_told_who_has_the_file(tmp_path: Path) -> None:
    first = FileLock(tmp_path / "x.db")
    with pytest.raises(ConfigError, match=rf"x\.db is in use by another server \(pid {os.getpid()}\)"):
        FileLock(tmp_path / "x.db")
    first.release()
    first.release()
    FileLock(tmp_path / "x.db").release()


def test_the_lock_of_a_killed_server_is_free(tmp_path: Path) -> None:
    database = tmp_path / "x.db"
    command = [sys.executable, "-c", HOLD, str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(ConfigError, match=f"pid {holder.pid}"):
            FileLock(database)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    FileLock(database).release()


def test_a_program_that_the_server_starts_does_not_keep_the_lock(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "x.db")
    command = [sys.executable, "-c", "import sys; print('runs', flush=True); sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False) as child:
        # Until it has become the other program it is a copy of this process, lock and all.
        assert child.stdout is not None
        assert child.stdout.readline() == b"runs\n"
        lock.release()
        FileLock(tmp_path / "x.db").release()
        assert child.poll() is None
        child.communicate()


def test_a_lock_that_cannot_be_made_is_the_operators_to_mend(tmp_path: Path) -> None:
    (tmp_path / "x.db.lock").mkdir()
    with pytest.raises(ConfigError, match="cannot make the lock file"):
        FileLock(tmp_path / "x.db")


async def test_a_second_store_on_one_file_is_refused_also_through_a_link(tmp_path: Path) -> None:
    harness = SqliteHarness(tmp_path, inline=True)
    await harness.open()
    try:
        (tmp_path / "other.db").symlink_to(harness.path)
        for path in (harness.path, tmp_path / "other.db"):
            with pytest.raises(ConfigError, match="in use by another server"):
                await SqliteStore.open(path, Ticks(), node_id=NodeId("n2"))
    finally:
        await harness.aclose()
    async with await SqliteStore.open(harness.path, Ticks(), node_id=NodeId("n2")):
        pass


@pytest.mark.parametrize("content", [b"this is not a database, " * 100, b"x" * 4096])
async def test_a_file_that_is_no_database_is_refused_and_let_go(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(ConfigError, match="cannot open the database"):
            await SqliteStore.open(path, Ticks(), node_id=NodeId("n1"))
    assert path.read_bytes() == content


async def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the directory does not exist"):
        await SqliteStore.open(tmp_path / "none" / "x.db", Ticks(), node_id=NodeId("n1"))


async def test_a_database_in_memory_outlives_its_stores_but_serves_one_at_a_time() -> None:
    memory, clock = MemoryDatabase(), Ticks()
    harness = SqliteHarness(Path(), inline=True)
    harness.store = first = await SqliteStore.open(memory, clock, node_id=NodeId("n1"), inline=True)
    await Driver(harness).commit(submit("t1"))
    with pytest.raises(ConfigError, match="in use"):
        await SqliteStore.open(memory, clock, node_id=NodeId("n1"), inline=True)
    memory.crash()
    with pytest.raises(Unavailable, match="closed"):
        await first.reads.statistics()
    async with await SqliteStore.open(memory, clock, node_id=NodeId("n1"), inline=True) as second:
        await first.aclose()
        assert (await second.reads.statistics()).waiting == 1
        image = memory.image()
    memory.close()
    copied = MemoryDatabase(image)
    async with await SqliteStore.open(copied, clock, node_id=NodeId("n1"), inline=True) as copy:
        assert (await copy.reads.statistics()).waiting == 1
    copied.close()
