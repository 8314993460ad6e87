"""The files of the database, as operators treat them: deleted, replaced, linked, mounted, copied and put back."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from .server_process import ServerProcess, clean_environment, data_of, error_of, serving
from .test_starts import refused


def submit(server: ServerProcess, *threads: str) -> None:
    """Accepted, each of them."""
    with server.client() as http:
        for thread in threads:
            data_of(http.post("/v1/jobs", json={"thread_id": thread}))


def known(server: ServerProcess) -> set[str]:
    """The threads it has."""
    with server.client() as http:
        return {job["thread_id"] for job in data_of(http.get("/v1/jobs"))["jobs"]}


def warned(server: ServerProcess) -> list[str]:
    """What it has said of its file at the start."""
    return [line["detail"] for line in server.lines("database_warning")]


def beside(database: Path, ending: str) -> Path:
    """A side file."""
    return database.with_name(database.name + ending)


def remove_all(database: Path) -> None:
    """`rm oris.db*`."""
    for path in database.parent.glob("oris.db*"):
        path.unlink()


def remove_database(database: Path) -> None:
    """`rm oris.db`."""
    database.unlink()


def remove_log(database: Path) -> None:
    """`rm oris.db-wal`."""
    beside(database, "-wal").unlink()


def remove_index(database: Path) -> None:
    """`rm oris.db-shm`."""
    beside(database, "-shm").unlink()


def rename_over(database: Path) -> None:
    """A copy is renamed over it."""
    copy = database.with_name("copy.db")
    shutil.copyfile(database, copy)
    copy.rename(database)


def rename_over_log(database: Path) -> None:
    """The same with its log."""
    rename_over(beside(database, "-wal"))


def move_folder(database: Path) -> None:
    """The folder gets another name."""
    database.parent.rename(database.parent.with_name("moved"))


@pytest.mark.parametrize(
    "harm",
    [remove_all, remove_database, remove_log, remove_index, rename_over, rename_over_log, move_folder],
    ids=lambda harm: harm.__name__,
)
def test_a_file_that_is_gone_or_replaced_ends_the_server_and_nothing_more_is_accepted(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    with (
        serving(tmp_path, unchecked="its files are taken away", ORIS_SQLITE_DB=str(place / "oris.db")) as server,
        server.client() as http,
    ):
        submit(server, "before")
        assert http.get("/readyz").status_code == http.get("/healthz").status_code == 200
        harm(server.database)
        # Each answer is of a server that knows, from the first on; in the end nobody answers.
        answers: list[tuple[int, str, dict[str, object]]] = []
        with suppress(httpx.TransportError):
            while True:
                answers.append(error_of(http.post("/v1/jobs", json={"thread_id": f"t{len(answers)}"})))
                assert http.get("/readyz").status_code == 503
                assert http.get("/healthz").status_code == 503
        assert {status for status, _, _ in answers} <= {503}
        assert server.wait_end() == 1
        (line,) = [line for line in server.lines() if line["level"] == "error" and str(place) in str(line)]
        assert line["event"] == "database_lost"
        assert "oris.db" in line["detail"]


def test_an_idle_server_sees_it_by_itself_and_the_next_one_finds_what_was_moved_back(tmp_path: Path) -> None:
    with serving(tmp_path, unchecked="its files are moved away") as server:
        submit(server, "before")
        away = tmp_path / "away"
        away.mkdir()
        for path in tmp_path.glob("oris.db*"):
            path.rename(away / path.name)
        assert server.wait_end() == 1
    for path in away.glob("oris.db*"):
        path.rename(tmp_path / path.name)
    with serving(tmp_path) as again:
        assert known(again) == {"before"}
        assert warned(again) == []


def test_a_copy_written_into_the_open_file_ends_the_server_and_is_left_as_it_is(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        submit(server, "old")
        assert server.stop() == 0
    backup = tmp_path / "backup"
    shutil.copyfile(server.database, backup)
    with serving(tmp_path, unchecked="its database is overwritten") as server:
        submit(server, "new")
        # `cp backup oris.db`: the name leads to the same file.
        shutil.copyfile(backup, server.database)
        assert server.wait_end() == 1
        (line,) = server.lines("database_lost")
        assert "was overwritten or cut off while the server was running" in line["detail"]
    assert server.database.read_bytes() == backup.read_bytes()
    log = beside(server.database, "-wal")
    assert f"({log}) is not its own" in refused(tmp_path)
    log.rename(tmp_path / "log-of-before")
    with serving(tmp_path) as again:
        assert known(again) == {"old"}


def test_a_database_that_is_overwritten_in_the_moment_of_a_stop_is_told_of(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        submit(server, "old")
        assert server.stop() == 0
    backup = tmp_path / "backup"
    shutil.copyfile(server.database, backup)
    with serving(tmp_path, unchecked="its database is overwritten") as server:
        submit(server, "new")
        shutil.copyfile(backup, server.database)
        assert server.stop() == 1
        assert any(line["level"] == "error" for line in server.lines())


def test_a_name_that_goes_up_from_behind_a_link_is_looked_for_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "real" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real" / "sub")
    with serving(tmp_path, ORIS_SQLITE_DB=str(tmp_path / "link" / ".." / "oris.db")) as server:
        submit(server, "before")
        assert (tmp_path / "real" / "oris.db").exists()
        assert server.stop() == 0


def test_a_link_that_leads_elsewhere_ends_the_server(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    link = tmp_path / "current"
    link.symlink_to(tmp_path / "one")
    name = str(link / "oris.db")
    with serving(tmp_path, unchecked="its name leads elsewhere", ORIS_SQLITE_DB=name) as server:
        submit(server, "before")
        link.unlink()
        link.symlink_to(tmp_path / "two")
        assert server.wait_end() == 1
        (line,) = server.lines("database_lost")
        assert name in line["detail"]
    link.unlink()
    link.symlink_to(tmp_path / "one")
    with serving(tmp_path, ORIS_SQLITE_DB=name) as again:
        assert known(again) == {"before"}


def test_what_was_committed_into_a_log_that_lost_its_name_is_saved_at_the_end(tmp_path: Path) -> None:
    strange = b"put here by somebody" * 100
    with serving(tmp_path) as server:
        submit(server, "before")
        log = beside(server.database, "-wal")
        log.unlink()
        log.write_bytes(strange)
        assert server.wait_end() == 1
    # Nobody's log was deleted, and it is not taken for the database's own.
    assert log.read_bytes() == strange
    assert "is not its own" in refused(tmp_path)
    assert log.read_bytes() == strange
    log.unlink()
    with serving(tmp_path) as again:
        assert known(again) == {"before"}
        assert warned(again) == []


def test_a_second_name_of_the_file_is_refused_also_while_a_server_has_it(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "oris.db").touch()
    with serving(tmp_path, ORIS_SQLITE_DB=str(tmp_path / "a" / "oris.db")) as server:
        os.link(server.database, tmp_path / "b" / "oris.db")
        assert "in use by another server" in refused(tmp_path / "b")
        submit(server, "t")
    for folder in ("a", "b"):
        said = refused(tmp_path / folder)
        assert "2 names (hard links)" in said
        assert "mount its folder" in said
    (tmp_path / "b" / "oris.db").unlink()
    with serving(tmp_path / "a") as again:
        assert known(again) == {"t"}


def test_a_second_server_finds_the_first_without_its_lock_file(tmp_path: Path) -> None:
    with serving(tmp_path) as first:
        beside(first.database, ".lock").unlink()
        other = tmp_path / "other"
        said = refused(other, ORIS_SQLITE_DB=str(first.database))
        assert "in use by another server" in said
        submit(first, "t")
        first.kill()
        with serving(tmp_path) as again:
            assert known(again) == {"t"}


@contextmanager
def mounted(source: Path, target: Path) -> Iterator[None]:
    """A bind mount, where that is allowed."""
    if shutil.which("mount") is None or subprocess.run(["mount", "--bind", source, target]).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", target], check=True)


def test_a_file_that_is_a_mount_of_its_own_is_refused_and_a_mounted_folder_is_not(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b c").mkdir()
    with serving(tmp_path / "a") as server:
        submit(server, "t")
    (tmp_path / "b c" / "oris.db").touch()
    with mounted(tmp_path / "a" / "oris.db", tmp_path / "b c" / "oris.db"):
        said = refused(tmp_path / "b c")
        assert "is mounted as a single file" in said
        assert "mount its folder instead" in said
    with (
        mounted(tmp_path / "a", tmp_path / "b c"),
        serving(tmp_path, ORIS_SQLITE_DB=str(tmp_path / "b c" / "oris.db")) as again,
    ):
        assert known(again) == {"t"}
        assert "in use by another server" in refused(tmp_path / "d", ORIS_SQLITE_DB=str(tmp_path / "a" / "oris.db"))


@pytest.mark.parametrize("ending", [".reserve", ".lock", ".mark", "-wal", "-journal"])
@pytest.mark.parametrize("link", [os.symlink, os.link], ids=["symlink", "hardlink"])
def test_a_link_in_place_of_a_side_file_is_refused_and_not_followed(
    tmp_path: Path, ending: str, link: Callable[[Path, Path], None]
) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"somebody's work")
    link(precious, beside(tmp_path / "oris.db", ending))
    said = refused(tmp_path)
    assert f"oris.db{ending}: " in said
    assert "this is a link or not a plain file" in said
    # Of a log nobody is told to remove it: there may be commits in it.
    assert ("remove it" in said) == ending.startswith(".")
    assert precious.read_bytes() == b"somebody's work"


def test_the_files_are_for_their_owner_alone_also_those_of_before(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        submit(server, "t")
        endings = ("", "-wal", "-shm", ".lock", ".reserve", ".mark")
        modes = {ending: stat.S_IMODE(beside(server.database, ending).stat().st_mode) for ending in endings}
        assert modes == dict.fromkeys(endings, 0o600)
    for ending in endings:
        beside(tmp_path / "oris.db", ending).chmod(0o644)
    with serving(tmp_path) as server:
        modes = {ending: stat.S_IMODE(beside(server.database, ending).stat().st_mode) for ending in endings}
        assert modes == dict.fromkeys(endings, 0o600)
        (said,) = warned(server)
        assert "could be read by others (mode 0644); it is 0600 now" in said


def killed_with(folder: Path, *threads: str) -> Path:
    """The database of a server that has accepted these and was killed: they stand in its log alone."""
    with serving(folder) as server:
        submit(server, *threads)
        server.kill()
        return server.database


def test_a_backup_put_over_a_database_whose_log_is_left_is_not_undone(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        submit(server, "old")
        assert server.stop() == 0
    backup = tmp_path / "backup"
    shutil.copyfile(server.database, backup)
    database = killed_with(tmp_path, "new")
    log = beside(database, "-wal")
    before = log.read_bytes()
    assert before
    shutil.copyfile(backup, database)
    for _ in range(2):
        said = refused(tmp_path)
        assert f"the log beside {database} ({log}) is not its own" in said
        assert "move the log away" in said
        assert log.read_bytes() == before
        assert database.read_bytes() == backup.read_bytes()
    log.rename(tmp_path / "log-of-before")
    with serving(tmp_path) as again:
        assert known(again) == {"old"}
        (warning,) = warned(again)
        assert "lacks the commits of the last" in warning
    with serving(tmp_path) as once_more:
        assert warned(once_more) == []


def test_a_log_whose_database_is_gone_is_not_deleted(tmp_path: Path) -> None:
    database = killed_with(tmp_path, "t")
    log = beside(database, "-wal")
    before = log.read_bytes()
    database.rename(tmp_path / "away")
    assert "is missing, empty or not a database" in refused(tmp_path)
    assert log.read_bytes() == before
    assert not database.exists()
    # SQLite would take the log for the whole, and write it over what was put there by mistake.
    other = b"\x1f\x8b a backup, packed" * 500
    database.write_bytes(other)
    assert "is missing, empty or not a database" in refused(tmp_path)
    assert (database.read_bytes(), log.read_bytes()) == (other, before)
    (tmp_path / "away").rename(database)
    with serving(tmp_path) as again:
        assert known(again) == {"t"}


def test_a_copy_of_a_live_database_without_its_log_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "both").mkdir()
    with serving(tmp_path) as server:
        submit(server, "t")
        shutil.copy(server.database, tmp_path / "copy")
        for ending in ("", "-wal"):
            shutil.copy(beside(server.database, ending), tmp_path / "both")
        with (
            closing(sqlite3.connect(server.database)) as source,
            closing(sqlite3.connect(tmp_path / "made.db")) as target,
        ):
            source.backup(target)
            source.execute("VACUUM INTO ?", (str(tmp_path / "vacuumed.db"),))
    said = refused(tmp_path / "copy")
    assert "without its log" in said
    assert "`oris adopt`" in said
    for whole in (tmp_path / "both" / "oris.db", tmp_path / "made.db", tmp_path / "vacuumed.db"):
        whole.chmod(0o600)
        with serving(tmp_path, ORIS_SQLITE_DB=str(whole)) as other:
            assert known(other) == {"t"}
            assert warned(other) == []
    adopted = oris(tmp_path, "adopt", ORIS_SQLITE_DB=str(tmp_path / "copy" / "oris.db"))
    assert adopted.returncode == 0, adopted.stderr
    with serving(tmp_path / "copy") as other:
        assert known(other) == set()


def oris(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """A command, in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "oris", *arguments],
        cwd=folder,
        env=clean_environment(**settings),
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("how", ["deleted", "cut"])
def test_a_log_that_was_deleted_or_cut_while_the_server_was_down_is_one_warning(tmp_path: Path, how: str) -> None:
    with serving(tmp_path) as server:
        submit(server, "kept")
        assert server.stop() == 0
    database = killed_with(tmp_path, "lost")
    log = beside(database, "-wal")
    if how == "deleted":
        log.unlink()
    else:
        os.truncate(log, log.stat().st_size // 2)
    with serving(tmp_path) as again:
        (warning,) = warned(again)
        assert re.search(r"lacks the commits of the last \d+\.\d{3} s, from 20\S+Z to 20\S+Z", warning)
        assert str(database) in warning
        assert "kept" in known(again)
    with serving(tmp_path) as once_more:
        assert warned(once_more) == []


def test_a_database_of_which_nothing_is_left_is_not_made_anew_in_silence(tmp_path: Path) -> None:
    database = killed_with(tmp_path, "t")
    database.unlink()
    beside(database, "-wal").unlink()
    with serving(tmp_path) as again:
        (warning,) = warned(again)
        assert "is empty, but the database that was here committed until 20" in warning


def test_a_kill_at_any_time_warns_of_nothing(tmp_path: Path) -> None:
    accepted: set[str] = set()
    for number in range(6):
        with serving(tmp_path) as server:
            assert warned(server) == []
            assert known(server) == accepted
            for thread in range(number):
                submit(server, f"t{number}-{thread}")
                accepted.add(f"t{number}-{thread}")
            server.kill()
