"""A first boot with curl: health, metrics, a job from submit to ack, and the page of metrics."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .server_process import ServerProcess, metric, serving, until

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="its commands are curl's")

HEALTH = "curl -s http://127.0.0.1:8080/healthz"
METRICS = "curl -s http://127.0.0.1:8080/metrics"
RUN = """curl -s -X POST http://127.0.0.1:8080/v1/jobs/run \\
  -H 'content-type: application/json' \\
  -d '{"thread_id":"ops-smoke-1","input":"hello","idempotency_key":"ops-smoke-key-1"}'"""
INSPECT = "curl -s http://127.0.0.1:8080/v1/jobs/ops-smoke-1"
POLL = """curl -s -X POST http://127.0.0.1:8080/v1/workers/poll \\
  -H 'content-type: application/json' -d '{"worker_id":"ops-worker-1"}'"""


def shell(server: ServerProcess, command: str) -> str:
    """What a command prints, sent to this server's port."""
    host, port = server.address
    ours = command.replace("127.0.0.1:8080", f"{host}:{port}")
    return subprocess.run(ours, shell=True, capture_output=True, text=True, timeout=30, check=True).stdout


def answer(server: ServerProcess, command: str) -> Any:
    """The data a command gets."""
    body = json.loads(shell(server, command))
    assert body["meta"]["status"] == "ok", body
    return body["data"]


def ack(first: dict[str, Any]) -> str:
    """The command that completes an attempt."""
    body = {
        "attempt_id": first["attempt_id"],
        "lease_id": first["lease_id"],
        "terminal_status": "completed",
        "result": {"said": "hello"},
    }
    return f"""curl -s -X POST http://127.0.0.1:8080/v1/workers/ops-worker-1/ack \\
  -H 'content-type: application/json' -d '{json.dumps(body)}'"""


def test_a_first_job_goes_from_submit_to_ack_by_curl(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert answer(server, HEALTH) == {"status": "ok"}
        assert "oris_runtime_queue_depth" in shell(server, METRICS)

        submitted = json.loads(shell(server, RUN))
        run = submitted["data"]
        assert (run["thread_id"], run["status"], run["idempotent_replay"]) == ("ops-smoke-1", "queued", False)
        seen = answer(server, INSPECT)
        assert (seen["run_id"], seen["status"], seen["input"]) == (run["run_id"], "queued", "hello")

        polled = answer(server, POLL)
        assert polled["decision"] == "dispatched"
        assert polled["attempts"][0]["input"] == "hello"
        assert polled["attempt_id"] == polled["attempts"][0]["attempt_id"] == run["attempt_id"]
        acked = answer(server, ack(polled))
        assert (acked["attempt_id"], acked["status"]) == (run["attempt_id"], "completed")

        again = answer(server, RUN)
        assert again["idempotent_replay"] is True
        assert (again["run_id"], again["status"]) == (run["run_id"], "completed")
        assert again["result"] == {"said": "hello"}
        assert answer(server, INSPECT)["result"] == {"said": "hello"}

        logs = answer(server, f"curl -s 'http://127.0.0.1:8080/v1/audit/logs?request_id={submitted['request_id']}'")
        assert [(log["action"], log["resource_id"], log["result"]) for log in logs["logs"]] == [
            ("job.run", "ops-smoke-1", "ok")
        ]
        page = shell(server, METRICS)
        assert metric(page, 'oris_runtime_submits_total{keyed="true"}') == 2
        assert metric(page, "oris_runtime_idempotent_replays_total") == 1
        assert metric(page, 'oris_runtime_terminal_acks_total{status="completed"}') == 1
        assert 'keyed="yes"' not in page

        until(lambda: len(server.lines("request")) == 2, "the log lines of both submits")
        assert server.lines("request")[0]["request_id"] == submitted["request_id"]
        assert server.stop() == 0
        server.check_rows()


def test_the_metrics_page_is_well_formed(tmp_path: Path) -> None:
    sample = re.compile(r'[a-z_]+(\{([a-z]+="[^"]*",?)+\})? (NaN|[-+]?[0-9.e+-]+|[+-]?Inf)')
    with serving(tmp_path) as server:
        lines = shell(server, METRICS).splitlines()
    assert [line for line in lines if not line.startswith("# ") and not sample.fullmatch(line)] == []
