"""A reload: what is taken over, what is told, and when."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from oris.api.auth import Authenticator
from oris.api.tls import ServerTls, TlsFiles, load_credentials
from oris.config.load import load
from oris.config.reread import Reread, Sources
from oris.config.settings import Settings
from oris.errors import ApiError
from oris.observability.log_format import render_json
from oris.observability.logs import Logs
from oris.server import reload
from oris.server.front import authenticator
from oris.server.reload import Reloader, tls_files
from oris.supervisor import Handle, TreeStatus

from ..certificates import Authority

AUTHORITY = Authority()
LIMIT_S = 20.0
IN_2033_MS = 2_000_000_000_000


@dataclass
class Lines:
    """A sink that keeps what is logged."""

    all: list[dict[str, Any]] = field(default_factory=list)
    dropped: int = 0

    def put(self, line: str) -> None:
        self.all.append(json.loads(line))

    def close(self, timeout_s: float) -> int:
        return 0

    @property
    def events(self) -> list[str]:
        return [line["event"] for line in self.all]


@dataclass
class Rig:
    """A reloader over a config file, and what it changes."""

    file: Path
    lines: Lines
    logs: Logs
    callers: Authenticator
    tls: ServerTls | None
    reloader: Reloader
    kept: list[Settings] = field(default_factory=list)
    """What it was told of how long things are kept."""

    def write(self, **settings: str) -> None:
        self.file.write_text("".join(f"{name} = {value!r}\n" for name, value in settings.items()))

    def is_let_in(self, key: str) -> bool:
        try:
            self.callers.authenticate({b"x-api-key": key.encode()})
        except ApiError:
            return False
        return True


def make(folder: Path, **given: str) -> Rig:
    """As the server makes it from this config file."""
    file, lines = folder / "oris.toml", Lines()
    rig = Rig(file, lines, Logs(Settings().log, render_json, lines, lambda: 0), Authenticator(()), None, None)  # type: ignore[arg-type]
    rig.write(**given)
    settings = load({}, {}, file).settings
    rig.logs.set_levels(settings.log)
    files = tls_files(settings)
    rig.tls = None if files is None else ServerTls(load_credentials(files), lambda peer, reason: None)
    rig.callers = authenticator(settings)
    sources = Sources.of({}, {}, file)
    parts = (settings, sources, rig.logs, rig.logs.set_levels, rig.callers, rig.tls)
    rig.reloader = Reloader(*parts, lambda: IN_2033_MS, rig.kept.append)
    return rig


async def test_nothing_new_is_said_to_be_nothing(tmp_path: Path) -> None:
    rig = make(tmp_path, api_auth_api_key="one", **names(AUTHORITY.write(tmp_path)))
    assert rig.tls is not None
    context = rig.tls.context
    await rig.reloader.reload()
    (line,) = rig.lines.all
    assert (line["event"], line["changed"]) == ("reloaded", [])
    assert rig.tls.context is context


def names(files: TlsFiles) -> dict[str, str]:
    """The keys of a config file that name these."""
    return {"tls_cert": str(files.cert), "tls_key": str(files.key)}


async def test_the_files_may_get_other_names(tmp_path: Path) -> None:
    rig = make(tmp_path, **names(AUTHORITY.write(tmp_path)))
    assert rig.tls is not None
    other = AUTHORITY.write(tmp_path, "other")
    rig.write(**names(other))
    await rig.reloader.reload()
    assert rig.lines.all[-1]["changed"] == ["tls"]
    assert rig.lines.all[-1]["certificate_sha256"] == rig.tls.credentials.certificate.sha256
    # A bad file under another new name: the old ones stay, and stand when the name is taken back.
    rig.write(**names(TlsFiles(tmp_path / "nowhere", other.key)))
    await rig.reloader.reload()
    assert rig.lines.events[-2:] == ["reload_failed", "reloaded"]
    assert rig.tls.credentials.files == other
    rig.write(**names(other))
    await rig.reloader.reload()
    assert rig.lines.all[-1]["changed"] == []


async def test_an_expired_certificate_is_taken_over_with_a_warning(tmp_path: Path) -> None:
    rig = make(tmp_path, **names(AUTHORITY.write(tmp_path)))
    assert rig.tls is not None
    old = rig.tls.context
    AUTHORITY.write(tmp_path, not_after=datetime(2020, 1, 1, tzinfo=UTC))
    await rig.reloader.reload()
    assert rig.tls.context is not old
    assert [(line["level"], line["event"]) for line in rig.lines.all] == [
        ("warning", "certificate_not_valid"),
        ("info", "reloaded"),
    ]


async def test_each_thing_that_is_wrong_is_a_line_and_the_rest_is_taken_over(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t1")
    files = AUTHORITY.write(tmp_path)
    given = {"api_auth_bearer_token_file": str(token), "log": "info", **names(files)}
    rig = make(tmp_path, api_auth_api_key="one", **given)
    token.unlink()
    files.key.unlink()
    rig.write(api_auth_api_key="two", fairness="many", **(given | {"log": "debug"}))
    await rig.reloader.reload()
    failed = [line["detail"] for line in rig.lines.all if line["event"] == "reload_failed"]
    assert len(failed) == 3
    for name in ("api_auth_bearer_token_file", "fairness", "ORIS_TLS_KEY"):
        assert name in " ".join(failed)
    assert rig.lines.all[-1]["changed"] == ["api_auth_api_key", "log"]
    assert (rig.is_let_in("one"), rig.is_let_in("two")) == (False, True)


async def test_a_config_file_that_is_broken_counts_as_unchanged(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("one")
    rig = make(tmp_path, api_auth_api_key_file=str(key), log="debug")
    key.write_text("two")
    rig.file.write_text("no such setting = 1")
    await rig.reloader.reload()
    assert rig.lines.events == ["reload_failed", "reloaded"]
    assert rig.lines.all[-1]["changed"] == ["api_auth_api_key"]
    assert rig.is_let_in("two")
    assert str(rig.logs.levels) == "debug"


@pytest.mark.parametrize(("before", "after"), [("info", "error"), ("error", "info")])
async def test_the_change_of_levels_is_told_while_it_can_be(tmp_path: Path, before: str, after: str) -> None:
    rig = make(tmp_path, log=before)
    rig.write(log=after)
    await rig.reloader.reload()
    (line,) = rig.lines.all
    assert (line["event"], line["log"]) == ("reloaded", after)
    assert str(rig.logs.levels) == after


@asynccontextmanager
async def serving(rig: Rig) -> AsyncIterator[Handle]:
    handle = Handle("reload", lambda _: None, lambda: TreeStatus("ready", None, (), None))
    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(rig.reloader.run, handle)
            yield handle
            handle.stopping.set()


async def test_asked_while_it_reloads_it_reloads_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = make(tmp_path, log="info,x=info")
    read, gate, reads = Sources.read_again, threading.Event(), list[str]()

    def slowly(sources: Sources, before: Settings) -> Reread:
        reads.append("began")
        found = read(sources, before)
        gate.wait(LIMIT_S)
        return found

    monkeypatch.setattr(Sources, "read_again", slowly)
    async with serving(rig) as handle:
        rig.reloader.ask()
        while not reads:
            await trio.sleep(0.001)
        # What it has read already is old by now.
        rig.write(log="info,x=debug")
        for _ in range(5):
            rig.reloader.ask()
        gate.set()
        while len(rig.lines.all) < 2:
            await trio.sleep(0.001)
        await wait_all_tasks_blocked()
        assert handle.is_idle
        assert [line["changed"] for line in rig.lines.all] == [[], ["log"]]


async def test_asked_before_it_runs_it_reloads_when_it_does(tmp_path: Path) -> None:
    rig = make(tmp_path)
    rig.reloader.ask()
    async with serving(rig):
        while not rig.lines.all:
            await trio.sleep(0.001)
    assert rig.lines.events == ["reloaded"]


async def test_a_disk_that_does_not_answer_fails_the_reload_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make(tmp_path, log="info")
    read, gate, hanging = Sources.read_again, threading.Event(), list[str]()

    def hang(sources: Sources, before: Settings) -> Reread:
        hanging.append("a thread")
        gate.wait(LIMIT_S)
        return read(sources, before)

    monkeypatch.setattr(Sources, "read_again", hang)
    monkeypatch.setattr(reload, "READ_S", 0.01)
    for _ in range(3):
        await rig.reloader.reload()
    assert rig.lines.events == ["reload_failed"] * 3
    assert len(hanging) == 1
    assert "could not be read within" in rig.lines.all[-1]["detail"]
    # The disk is back.
    monkeypatch.setattr(reload, "READ_S", LIMIT_S)
    gate.set()
    rig.write(log="debug")
    await rig.reloader.reload()
    assert rig.lines.all[-1]["changed"] == ["log"]


async def test_asked_to_stop_it_stops_in_the_middle_of_a_reload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig, gate, began = make(tmp_path), threading.Event(), threading.Event()
    read = Sources.read_again

    def hang(sources: Sources, before: Settings) -> Reread:
        began.set()
        gate.wait(LIMIT_S)
        return read(sources, before)

    monkeypatch.setattr(Sources, "read_again", hang)
    async with serving(rig):
        rig.reloader.ask()
        await trio.to_thread.run_sync(began.wait, LIMIT_S)
    gate.set()
    assert rig.lines.all == []


async def test_a_key_is_changed_without_a_gap_through_a_second_one(tmp_path: Path) -> None:
    rig = make(tmp_path, api_auth_api_key="old")
    said: list[dict[str, str]] = [
        {"api_auth_api_key": "old", "api_auth_api_key_next": "new"},
        {"api_auth_api_key": "new", "api_auth_api_key_next": "new"},
        {"api_auth_api_key": "new"},
    ]
    seen = []
    for settings in said:
        rig.write(**settings)
        await rig.reloader.reload()
        seen.append((rig.lines.all[-1]["changed"], rig.is_let_in("old"), rig.is_let_in("new")))
    assert seen == [
        (["api_auth_api_key_next"], True, True),
        (["api_auth_api_key"], False, True),
        (["api_auth_api_key_next"], False, True),
    ]
    assert "old" not in json.dumps(rig.lines.all)


async def test_the_second_token_does_not_come_without_the_first(tmp_path: Path) -> None:
    """It would close the server to all who call it now."""
    rig = make(tmp_path, api_auth_api_key="one")
    rig.write(api_auth_api_key="one", api_auth_bearer_token_next="two")
    await rig.reloader.reload()
    assert rig.lines.all[-2]["settings"] == ["api_auth_bearer_token_next"]
    with pytest.raises(ApiError):
        rig.callers.authenticate({b"authorization": b"Bearer two"})


async def test_how_long_things_are_kept_may_change(tmp_path: Path) -> None:
    rig = make(tmp_path)
    rig.file.write_text("retention_days = 7\nretention_hold = true\n")
    await rig.reloader.reload()
    assert rig.lines.all[-1]["changed"] == ["retention_days", "retention_hold"]
    (settings,) = rig.kept
    assert (settings.retention_days, settings.retention_hold) == (7, True)
    await rig.reloader.reload()
    assert rig.lines.all[-1]["changed"] == []
    assert len(rig.kept) == 1


async def test_audit_records_are_not_deleted_without_a_key_after_a_reload_either(tmp_path: Path) -> None:
    rig = make(tmp_path)
    rig.file.write_text("audit_retention_days = 30\nretention_days = 7\n")
    await rig.reloader.reload()
    assert rig.lines.events == ["reload_failed", "reloaded"]
    assert "set ORIS_AUDIT_ANCHOR_KEY too" in rig.lines.all[0]["detail"]
    assert (rig.lines.all[-1]["changed"], rig.kept) == ([], [])
    secret = "k" * 32
    rig.file.write_text(f"audit_retention_days = 30\nretention_days = 7\naudit_anchor_key = '{secret}'\n")
    await rig.reloader.reload()
    assert rig.lines.all[-1]["changed"] == ["retention_days", "audit_retention_days", "audit_anchor_key"]
    assert secret not in str(rig.lines.all)
    assert secret not in str(rig.kept)
