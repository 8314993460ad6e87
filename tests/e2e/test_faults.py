"""A child of the task tree that raises, returns or hangs: restarted, or the server stops with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from .server_process import ServerProcess, data_of, metric, serving, until

SCRIPT = str(Path(__file__).with_name("planted.py"))
CRITICAL = ("store", "committer", "http", "signals")
RESTARTED = ("sweeper", "backpressure", "metrics")
KINDS = ("raise", "return", "hang")
ALWAYS = 1000
REASONS = {"raise": "planted", "return": "returned without being asked to stop", "hang": "no progress for"}


@contextmanager
def planted(folder: Path, child: str, kind: str, times: int) -> Iterator[tuple[ServerProcess, Path]]:
    """A server that serves, with a fault that waits for its trigger."""
    trigger = folder / "trigger"
    fault = f"{child}:{kind}:{times}"
    with serving(
        folder, program=(SCRIPT,), ORIS_TEST_FAULT=fault, ORIS_TEST_TRIGGER=str(trigger), ORIS_DRAIN_LIMIT_MS="2000"
    ) as server:
        yield server, trigger


@pytest.mark.parametrize("child", CRITICAL)
@pytest.mark.parametrize("kind", KINDS)
def test_a_critical_child_that_fails_stops_the_server_with_the_reason(tmp_path: Path, child: str, kind: str) -> None:
    with planted(tmp_path, child, kind, ALWAYS) as (server, trigger):
        trigger.touch()
        assert server.wait_end() == 1
        stopped = server.line("server_stopped")
        assert stopped is not None
        assert stopped["exit_code"] == 1
        assert stopped["reason"].startswith(f"{child}: ")
        assert REASONS[kind] in stopped["reason"]
        server.check_rows()


@pytest.mark.parametrize("child", RESTARTED)
@pytest.mark.parametrize("kind", KINDS)
def test_a_background_child_that_fails_is_restarted_and_seen(tmp_path: Path, child: str, kind: str) -> None:
    with planted(tmp_path, child, kind, 1) as (server, trigger), server.client() as http:
        restarts = f'oris_runtime_task_restarts_total{{task="{child}"}}'
        assert metric(http.get("/metrics").text, restarts) == 0
        trigger.touch()

        def restarted() -> bool:
            return metric(http.get("/metrics").text, restarts) == 1 and state(http, child)["state"] == "running"

        until(restarted, f"{child} is restarted")
        seen = state(http, child)
        assert seen["restarts"] == 1
        assert REASONS[kind] in str(seen["last_error"])
        assert data_of(http.get("/readyz"))["status"] == "ready"
        assert data_of(http.post("/v1/jobs", json={"thread_id": "t"}))["status"] == "queued"
        assert server.stop() == 0


def test_a_background_child_that_always_fails_uses_its_budget_up(tmp_path: Path) -> None:
    child = "sweeper"
    with planted(tmp_path, child, "raise", ALWAYS) as (server, trigger):
        trigger.touch()
        assert server.wait_end() == 1
        stopped = server.line("server_stopped")
        assert stopped is not None
        assert stopped["reason"].startswith(f"{child}: ")
        assert "5 restarts within 60 s are used up" in stopped["reason"]


def test_a_signal_while_the_store_is_being_opened_ends_the_start(tmp_path: Path) -> None:
    trigger = tmp_path / "trigger"
    fault = {"ORIS_TEST_FAULT": "store:start:1", "ORIS_TEST_TRIGGER": str(trigger)}
    server = ServerProcess(tmp_path, program=(SCRIPT,), **fault)
    try:
        until(trigger.exists, "the store is being opened")
        assert server.stop() == 0
        stopped = server.line("server_stopped")
        assert stopped is not None
        assert stopped["reason"] == "SIGTERM"
        assert server.line("server_ready") is None
    finally:
        server.kill()


def state(http: httpx.Client, child: str) -> dict[str, object]:
    """A child on the status page."""
    tasks = data_of(http.get("/v1/admin/status"))["tasks"]
    (found,) = [task for task in tasks if task["name"] == child]
    assert isinstance(found, dict)
    return found
