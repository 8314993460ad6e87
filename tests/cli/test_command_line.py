"""The command line: what it prints, and its exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from oris.cli import main
from oris.config import FIELDS, Address, Settings
from oris.config.printing import as_markdown
from oris.config.reread import Sources

Run = subprocess.CompletedProcess[str]


@pytest.fixture(autouse=True)
def _a_clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("ORIS_") or name == "RUST_LOG":
            monkeypatch.delenv(name)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """A server that only notes with what it was started, and ends with 7."""
    settings: list[Settings] = []

    def run(given: Settings, _sources: Sources) -> int:
        settings.append(given)
        return 7

    module = types.ModuleType("oris.server")
    module.__dict__["run"] = run
    monkeypatch.setitem(sys.modules, "oris.server", module)
    return settings


def python_m_oris(*arguments: str, **environ: str) -> Run:
    """The real program, in a process of its own."""
    command = [sys.executable, "-m", "oris", *arguments]
    return subprocess.run(
        command, env=dict(os.environ) | environ, capture_output=True, text=True, timeout=60, check=False
    )


def test_without_a_command_it_runs_the_server_and_ends_as_it_does(started: list[Settings]) -> None:
    assert main([]) == 7
    assert started == [Settings()]


VALUES = {
    "server_addr": "[::1]:1",
    "metrics_addr": "localhost:2",
    "sqlite_db": "my.db",
    "disk_reserve_bytes": "1048576",
    "trusted_proxies": "10.0.0.0/8",
    "http_bodies_max_bytes": "4194304",
    "http_answers_max_bytes": "4194304",
    "audit_anchor_key": "k" * 32,
    "max_tenant_queue_depth": "50000",
    "max_delayed_jobs": "1000000",
    "max_tenant_delayed_jobs": "500000",
}
"""Values of settings that have no default, or one that is not for here."""


def test_every_setting_is_a_flag(started: list[Settings]) -> None:
    arguments = []
    for field in FIELDS:
        value = VALUES.get(field.name)
        value = value or field.default or "s3cret"
        arguments += ["--no-allow-insecure"] if field.kind.in_file is bool else [field.flag, value]
    assert main(arguments) == 7
    assert started[0].server_addr == Address("::1", 1)
    assert started[0].metrics_addr == Address("localhost", 2)
    assert started[0].sqlite_db == Path("my.db")
    assert str(started[0].trusted_proxies) == "10.0.0.0/8"
    assert started[0].has_credentials
    assert started[0].payload_max_bytes == Settings().payload_max_bytes


def test_flags_win_over_the_environment_and_it_over_the_file(
    started: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("o.toml").write_text("batch_max = 1\nwait_max_ms = 1\njson_max_depth = 10\nallow_insecure = true\n")
    monkeypatch.setenv("ORIS_BATCH_MAX", "2")
    monkeypatch.setenv("ORIS_WAIT_MAX_MS", "2")
    assert main(["--config", "o.toml", "--batch-max", "3", "--no-allow-insecure"]) == 7
    (settings,) = started
    assert (settings.batch_max, settings.wait_max_ms, settings.json_max_depth) == (3, 2, 10)
    assert not settings.allow_insecure


def test_flags_may_stand_before_or_after_a_command_and_the_later_ones_win(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--batch-max", "5", "--wait-max-ms", "5", "config", "--json", "--batch-max", "6"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ORIS_BATCH_MAX"]["value"] == 6
    assert document["ORIS_WAIT_MAX_MS"]["value"] == 5


@pytest.mark.parametrize(
    "arguments",
    [
        ["--batch-max", "0"],
        ["config", "--batch-max", "0"],
        ["--config", "none.toml"],
        ["--server-addr", "0.0.0.0:80"],
        ["--no-such-flag"],
        ["no-such-command"],
        ["--batch-max"],
        ["version", "--batch-max", "1"],
    ],
)
def test_a_mistake_is_one_line_on_stderr_and_exit_2_before_anything_starts(
    arguments: list[str], started: list[Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("oris: ")
    assert printed.err.count("\n") == 1
    assert started == []


def test_warnings_are_lines_on_stderr_and_the_server_runs(
    started: list[Settings], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ORIS_PORT", "tcp://10.0.0.7:8080")
    monkeypatch.setenv("RUST_LOG", "debug")
    assert main([]) == 7
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("oris: warning: unknown environment variables, ignored: ORIS_PORT (")
    assert second.startswith("oris: warning: RUST_LOG is set but not read")
    assert main(["--strict-config"]) == 2
    assert len(started) == 1


def test_config_prints_without_secrets(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("ORIS_API_AUTH_BEARER_TOKEN", "hunter2")
    for arguments in (["config"], ["config", "--json"], ["config", "--markdown"]):
        assert main(arguments) == 0
        printed = capsys.readouterr()
        assert "ORIS_API_AUTH_BEARER_TOKEN" in printed.out
        assert "hunter2" not in printed.out + printed.err


def test_the_reference_page_needs_no_valid_environment() -> None:
    done = python_m_oris("config", "--markdown", ORIS_BATCH_MAX="nonsense")
    assert (done.returncode, done.stdout, done.stderr) == (0, as_markdown(), "")


def test_the_program_itself_tells_a_mistake_and_exits_with_2() -> None:
    done = python_m_oris("config", ORIS_FAIRNESS="luck")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == ('oris: environment ORIS_FAIRNESS: "luck" is not allowed; it must be round_robin or fifo\n')


def test_version_tells_the_versions_and_loads_nothing_heavy() -> None:
    heavy = ["trio", "hypercorn", "quart", "quart_trio", "prometheus_client", "structlog", "rich", "msgspec"]
    code = (
        "import sys; from oris.cli import main; code = main(['version']); "
        f"loaded = [name for name in {heavy} if name in sys.modules]; sys.exit(code or ' '.join(loaded) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["oris", "python", "sqlite"]


def test_help_lists_commands_and_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert "--strict-config" in text
    assert all(f"  {command} " in text for command in ("config", "version"))
    assert all(field.flag in text for field in FIELDS)


def test_a_reader_that_leaves_early_costs_no_traceback() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as nobody:
        done = subprocess.run(
            [sys.executable, "-m", "oris", "config"], stdout=nobody, stderr=subprocess.PIPE, timeout=60, check=False
        )
    assert (done.returncode, done.stderr) == (1, b"")


def test_ctrl_c_is_exit_130(monkeypatch: pytest.MonkeyPatch, started: list[Settings]) -> None:
    def run(_settings: Settings, _sources: Sources) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["oris.server"], "run", run)
    assert main([]) == 130
    assert started == []
