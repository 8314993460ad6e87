"""The checks after every test find what is wrong: a check that finds nothing proves nothing."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from .calls import Caller
from .left_behind import check_left_behind
from .server_process import ServerProcess, check_ended, data_of, serving
from .timelines import check_timelines

DAMAGE = {
    "an event is another one": "UPDATE runtime_events SET worker_id = 'mallory' WHERE seq = 3",
    "an event is gone": "DELETE FROM runtime_events WHERE seq = 4",
    "the row is not what its events tell": "UPDATE runtime_jobs SET status = 'cancelled'",
    "a payload is another one": "UPDATE runtime_payloads SET body = CAST('2' AS BLOB) WHERE seq = 1",
}


def damage(database: Path, statement: str) -> None:
    """Do it to the rows."""
    with closing(sqlite3.connect(database)) as connection, connection:
        assert connection.execute(statement).rowcount > 0


def one_job(server: ServerProcess) -> None:
    """One that is done."""
    with server.client() as http:
        caller = Caller(http, "t")
        caller.submit(input=1)
        data_of(caller.ack(caller.take()))


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a server that was killed, its write-ahead log still beside it."""
    server = ServerProcess(tmp_path_factory.mktemp("killed"))
    try:
        server.wait_ready()
        one_job(server)
    finally:
        server.kill()
    return server.database


@pytest.mark.parametrize("what", DAMAGE)
def test_damaged_rows_are_found(killed: Path, tmp_path: Path, what: str) -> None:
    for file in killed.parent.glob(f"{killed.name}*"):
        shutil.copy(file, tmp_path)
    database = tmp_path / killed.name
    check_left_behind(database)
    damage(database, DAMAGE[what])
    with pytest.raises(AssertionError):
        check_left_behind(database)


def test_the_rows_of_a_server_are_looked_at_once_it_has_ended(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    try:
        server.wait_ready()
        one_job(server)
        damage(server.database, DAMAGE["an event is gone"])
        check_ended()
    finally:
        server.kill()
    with pytest.raises(AssertionError):
        check_ended()
    check_ended()


def test_rows_are_left_alone_when_a_test_says_why_and_an_auditor_finds_them_all_the_same(tmp_path: Path) -> None:
    with serving(tmp_path, unchecked="it is damaged on purpose") as server:
        one_job(server)
        damage(server.database, DAMAGE["an event is another one"])
        with server.client() as http, pytest.raises(AssertionError):
            check_timelines(http)


def test_all_threads_of_all_tenants_are_audited_over_http(tmp_path: Path) -> None:
    with serving(tmp_path) as server, server.client() as http:
        jobs = [{"thread_id": f"t{n}", "tenant_id": tenant} for n in range(120) for tenant in ("a", "b")]
        data_of(http.post("/v1/jobs/batch", json={"jobs": jobs}))
        data_of(http.post("/v1/jobs", json={"thread_id": "t0"}))
        assert check_timelines(http) == 241
