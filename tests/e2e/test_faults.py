"""A child of the task tree that raises, returns or hangs: restarted, or the server stops with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from .server_process import ServerProcess, data_of, metric, until

SCRIPT = str(Path(__file__).with_name("planted.py"))
CRITICAL = ("store", "committer", "http", "signals")
RESTARTED = ("sweeper", "backpressure", "keys", "disk", "metrics")
KINDS = ("raise", "return", "hang")
ALWAYS = 1000
ADDRESSES = {"ORIS_METRICS_ADDR": "127.0.0.1:0"}
REASONS = {"raise": "planted", "return": "returned without being asked to stop", "hang": "no progress for"}


@contextmanager
def planted(folder: Path, children: Sequence[str], kind: str, times: int) -> Iterator[dict[str, ServerProcess]]:
    """A server for each child, all at once, with a fault in it that waits for `trigger`."""
    servers: dict[str, ServerProcess] = {}
    with ExitStack() as stack:
        for child in children:
            place = folder / child
            place.mkdir()
            # With an address of its own for metrics: a restarted task has to get it back.
            fault = {"ORIS_TEST_FAULT": f"{child}:{kind}:{times}", "ORIS_TEST_TRIGGER": str(place / "trigger")}
            servers[child] = ServerProcess(place, program=(SCRIPT,), ORIS_DRAIN_LIMIT_MS="2000", **ADDRESSES, **fault)
            stack.callback(servers[child].kill)
        for server in servers.values():
            server.wait_ready()
        yield servers


def trigger(servers: dict[str, ServerProcess]) -> None:
    """The faults happen now."""
    for server in servers.values():
        (server.folder / "trigger").touch()


@pytest.mark.parametrize("kind", KINDS)
def test_a_critical_child_that_fails_stops_the_server_with_the_reason(tmp_path: Path, kind: str) -> None:
    with planted(tmp_path, CRITICAL, kind, ALWAYS) as servers:
        trigger(servers)
        for child, server in servers.items():
            assert server.wait_end() == 1, child
            stopped = server.line("server_stopped")
            assert stopped is not None
            assert stopped["exit_code"] == 1
            assert stopped["reason"].startswith(f"{child}: ")
            assert REASONS[kind] in stopped["reason"]
            server.check_rows()


@pytest.mark.parametrize("kind", KINDS)
def test_a_background_child_that_fails_is_restarted_and_seen(tmp_path: Path, kind: str) -> None:
    with planted(tmp_path, RESTARTED, kind, 1) as servers:
        for child, server in servers.items():
            with server.client() as http:
                assert restarts(http, child) == 0
        trigger(servers)
        for child, server in servers.items():
            with server.client() as http:
                was_restarted = partial(is_restarted, http, child)
                until(was_restarted, f"{child} is restarted")
                seen = state(http, child)
                assert seen["restarts"] == 1
                assert REASONS[kind] in str(seen["last_error"])
                assert data_of(http.get("/readyz"))["status"] == "ready"
                ready = server.line("server_ready")
                assert ready is not None
                assert "oris_build_info" in httpx.get(f"http://{ready['metrics_address']}/metrics").text
                assert data_of(http.post("/v1/jobs", json={"thread_id": "t"}))["status"] == "queued"
            assert server.stop() == 0


def test_a_background_child_that_always_fails_uses_its_budget_up(tmp_path: Path) -> None:
    with planted(tmp_path, ["sweeper"], "raise", ALWAYS) as servers:
        trigger(servers)
        server = servers["sweeper"]
        assert server.wait_end() == 1
        stopped = server.line("server_stopped")
        assert stopped is not None
        assert stopped["reason"].startswith("sweeper: ")
        assert "5 restarts within 60 s are used up" in stopped["reason"]


def test_a_signal_while_the_store_is_being_opened_ends_the_start(tmp_path: Path) -> None:
    opening = tmp_path / "opening"
    fault = {"ORIS_TEST_FAULT": "store:start:1", "ORIS_TEST_TRIGGER": str(opening)}
    server = ServerProcess(tmp_path, program=(SCRIPT,), **fault)
    try:
        until(opening.exists, "the store is being opened")
        assert server.stop() == 0
        stopped = server.line("server_stopped")
        assert stopped is not None
        assert stopped["reason"] == "SIGTERM"
        assert server.line("server_ready") is None
    finally:
        server.kill()


def restarts(http: httpx.Client, child: str) -> float:
    """How often a child was restarted, by the metrics."""
    return metric(http.get("/metrics").text, f'oris_runtime_task_restarts_total{{task="{child}"}}')


def is_restarted(http: httpx.Client, child: str) -> bool:
    """Whether it was, and runs."""
    return restarts(http, child) == 1 and state(http, child)["state"] == "running"


def state(http: httpx.Client, child: str) -> dict[str, object]:
    """A child on the status page."""
    tasks = data_of(http.get("/v1/admin/status"))["tasks"]
    (found,) = [task for task in tasks if task["name"] == child]
    assert isinstance(found, dict)
    return found
