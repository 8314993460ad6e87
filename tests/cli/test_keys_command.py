"""`oris keys`: the first key, before there is a server to ask for one."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from oris.api.key_ring import digest_of
from oris.cli import main
from oris.core.invariants import Snapshot, check_all
from oris.storage.sqlite.lock import FileLock
from oris.storage.sqlite.snapshot import read_snapshot


@pytest.fixture(autouse=True)
def _a_database_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORIS_SQLITE_DB", str(tmp_path / "oris.db"))


def rows(folder: Path) -> Snapshot:
    with closing(sqlite3.connect(folder / "oris.db")) as connection:
        found = read_snapshot(connection)
    assert check_all(found) == []
    return found


def fields(shown: str) -> dict[str, str]:
    return {name: value for name, value in (line.split(maxsplit=1) for line in shown.splitlines())}


def create(capsys: pytest.CaptureFixture[str], *arguments: str, warned: bool = False) -> dict[str, str]:
    assert main(["keys", "create", "--create", *arguments]) == 0
    shown = capsys.readouterr()
    assert ("make one with --role admin" in shown.err) == warned
    assert shown.err.count("\n") == warned
    return fields(shown.out)


def test_a_key_is_made_with_its_audit_record_and_its_secret_is_nowhere_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a server will be started that others can reach: without a key it would not.
    monkeypatch.setenv("ORIS_SERVER_ADDR", "0.0.0.0:0")
    made = create(capsys, "--role", "operator", "--tenant", "acme", "--expires-in", "90d", warned=True)
    assert made.keys() == {"key_id", "secret", "header", "role", "tenant", "expires", "stored"}
    assert made["header"] == f"Authorization: Bearer {made['key_id']}.{made['secret']}"
    assert made["stored"] == str(tmp_path / "oris.db")
    assert (made["role"], made["tenant"]) == ("operator", "acme")
    found = rows(tmp_path)
    (key,) = found.api_keys
    assert (key.key_id, key.role, key.tenant_id) == (made["key_id"], "operator", "acme")
    assert key.digest == digest_of(made["secret"].encode())
    assert key.expires_ms is not None
    assert 0 <= key.created_ms + 90 * 86_400_000 - key.expires_ms < 60_000
    record = found.audit[-1]
    assert (record.action, record.resource_type, record.resource_id) == ("apikey.create", "api_key", key.key_id)
    assert (record.source, record.actor_type, record.tenant_id, record.result) == ("cli", "local", "acme", "ok")
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert key.key_id.encode() in written
    assert made["secret"].encode() not in written


def test_keys_are_listed_newest_first_and_revoked_for_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = create(capsys, "--role", "admin", "--expires-at", "2999-01-31T00:00:00Z")
    second = create(capsys, "--role", "worker")
    for _ in range(2):
        assert main(["keys", "revoke", second["key_id"]]) == 0
        assert capsys.readouterr().out == f"revoked {second['key_id']}\n"
    assert main(["keys", "list"]) == 0
    newest, oldest = capsys.readouterr().out.splitlines()
    assert re.match(rf"{second['key_id']}  worker +tenant -  created \S+  used never  revoked \S+Z$", newest)
    assert re.match(rf"{first['key_id']}  admin .* expires 2999-01-31T00:00:00.000Z$", oldest)
    actions = [record.action for record in rows(tmp_path).audit if record.action != "chain.open"]
    assert actions == ["apikey.create", "apikey.create", "apikey.revoke", "apikey.revoke"]


@pytest.mark.parametrize(
    ("arguments", "admin"),
    [
        (["--role", "admin"], True),
        (["--role", "admin", "--tenant", "acme"], False),
        (["--role", "operator"], False),
    ],
)
@pytest.mark.parametrize("revoked", [False, True])
def test_whoever_would_be_left_without_an_admin_is_warned(
    capsys: pytest.CaptureFixture[str], arguments: list[str], admin: bool, revoked: bool
) -> None:
    first = create(capsys, *arguments, warned=not admin)
    if revoked:
        assert main(["keys", "revoke", first["key_id"]]) == 0
        capsys.readouterr()
    create(capsys, "--role", "client", warned=not admin or revoked)


@pytest.mark.parametrize(("role", "warned"), [("admin", False), ("operator", True)])
def test_a_static_credential_of_an_admin_is_one_who_can_make_keys(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, role: str, warned: bool
) -> None:
    monkeypatch.setenv("ORIS_API_AUTH_API_KEY", "a-static-key")
    monkeypatch.setenv("ORIS_API_AUTH_API_KEY_ROLE", role)
    create(capsys, "--role", "worker", warned=warned)


def test_the_last_moment_that_can_be_written_is_a_keys_last_end(capsys: pytest.CaptureFixture[str]) -> None:
    made = create(capsys, "--role", "admin", "--expires-at", "9999-12-31T23:59:59Z")
    assert made["expires"] == "9999-12-31T23:59:59.000Z"
    assert main(["keys", "list"]) == 0
    assert "expires 9999-12-31T23:59:59.000Z" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["create", "--role", "admin"], ["list"], ["revoke", "key_" + "0" * 32]])
def test_while_a_server_has_the_database_the_http_route_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    (tmp_path / "oris.db").touch()
    lock = FileLock(tmp_path / "oris.db")
    try:
        assert main(["keys", *arguments]) == 2
    finally:
        lock.release()
    told = capsys.readouterr()
    assert told.out == ""
    assert "in use by another server" in told.err
    assert "POST /v1/api-keys" in told.err
    assert (tmp_path / "oris.db").read_bytes() == b""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["create"], "Missing option '--role'"),
        (["create", "--role", "root"], "'root' is not one of"),
        (["create", "--role", "admin", "--tenant", "a/b"], "--tenant: must be 1 to 128 characters of"),
        (["create", "--role", "admin", "--tenant", ""], "--tenant: must be 1 to 128 characters of"),
        (["create", "--role", "admin", "--expires-in", "3"], "--expires-in: must be like 90d"),
        (["create", "--role", "admin", "--expires-in", "0d"], "--expires-in: must be like 90d"),
        (["create", "--role", "admin", "--expires-at", "tomorrow"], "--expires-at: must be like 2031"),
        (["create", "--role", "admin", "--expires-at", "2031-01-31T00:00:00"], "--expires-at: must be like 2031"),
        (["create", "--role", "admin", "--expires-at", "9999-12-31T23:59:59-14:00"], "must be at most the end"),
        (["create", "--role", "admin", "--expires-in", "1d", "--expires-at", "2031-01-31T00:00:00Z"], "not both"),
        (["revoke"], "Missing argument 'KEY_ID'"),
        (["create", "--role", "admin"], "oris.db: this database does not exist; --create makes it"),
        (["list"], "this database does not exist"),
        (["revoke", "key_" + "0" * 32], "this database does not exist"),
    ],
)
def test_a_mistake_is_one_line_and_makes_no_database(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert main(["keys", *arguments]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert len(said.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_what_is_refused_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "create", "--create", "--role", "admin", "--expires-at", "2001-01-31T00:00:00Z"]) == 1
    assert capsys.readouterr().err == "oris: expires_at: must be in the future\n"
    assert main(["keys", "revoke", "key_" + "0" * 32]) == 1
    assert capsys.readouterr().err == "oris: no such key\n"
    assert main(["keys", "revoke", "oris_a-secret-by-mistake"]) == 2
    assert "a-secret" not in capsys.readouterr().err
    assert rows(tmp_path).api_keys == []
