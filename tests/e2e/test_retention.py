"""Retention on a real server, over a database that has grown old."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx

from .calls import Caller, Data
from .server_process import ServerProcess, clean_environment, data_of, error_of, metric, serving, until

DAY_MS = 86_400_000
KEY = "an anchor key of forty characters or so".replace(" ", "-")
ADMIN = {"authorization": "Bearer admin-token"}


LATER = (
    "-c",
    f"""
import sys
from oris.clock import SystemClock
from oris.cli import main

real = SystemClock.wall_ms
SystemClock.wall_ms = lambda self: real(self) + {31 * DAY_MS}
sys.exit(main())
""",
)
"""The program on a machine whose clock is 31 days on."""


def grow_old(database: Path, days: int = 31) -> None:
    """As if a server had been at work on it all the time: there is no gap before the next one."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE runtime_nodes SET now_ms = now_ms + ?", (days * DAY_MS,))
        connection.commit()


def one_run(caller: Caller, status: str = "completed", steps: int = 2, **said: object) -> Data:
    """A run with steps and a checkpoint that is over."""
    submitted = caller.submit(input={"n": 1}, metadata={"name": "ann"}, **said)
    attempt = caller.take(session="s1")
    for first in range(0, steps, 100):
        lines = [
            {"action_id": f"s{n}", "status": "succeeded", "dedupe_token": "1", "output": n}
            for n in range(first, min(steps, first + 100))
        ]
        data_of(caller.of_worker("report-step", **{**_lease(attempt), "steps": lines}))
    data_of(caller.report(attempt, "last", checkpoint={"values": {"at": "end"}}))
    more = {"result": "done"} if status == "completed" else {"error": {"type": "E", "message": "m", "retryable": False}}
    data_of(caller.ack(attempt, status, **more))
    return submitted


def _lease(attempt: Data) -> Data:
    return {"attempt_id": attempt["attempt_id"], "lease_id": attempt["lease_id"]}


def pruned(http: httpx.Client) -> float:
    return metric(http.get("/metrics").text, "oris_runtime_pruned_runs_total")


def is_erased(server: ServerProcess) -> bool:
    """Nothing is left of what was pruned."""
    with closing(sqlite3.connect(server.database)) as connection:
        (left,) = connection.execute("SELECT count(*) FROM runtime_pruned_runs").fetchone()
    return bool(left == 0)


def seqs(events: list[Data]) -> list[int]:
    return [event["seq"] for event in events]


def test_old_runs_go_and_their_threads_go_on(tmp_path: Path) -> None:
    with serving(tmp_path) as server, server.client() as http:
        alone, dead, twice = Caller(http, "alone"), Caller(http, "dead"), Caller(http, "twice")
        gone = one_run(alone, idempotency_key="k1")
        one_run(dead, "failed")
        one_run(twice)
        end = int(twice.of_thread("/timeline")["timeline"][-1]["seq"])
        last = seqs(alone.of_thread("/timeline")["timeline"])[-1]
        assert server.stop() == 0
    grow_old(server.database)
    with serving(tmp_path, program=LATER, ORIS_RETENTION_HOLD="true") as server, server.client() as http:
        # By now it is old, and held; what is added now is young.
        young = one_run(Caller(http, "twice"))
        assert Caller(http, "alone").of_thread()["run_id"] == gone["run_id"]
        assert server.stop() == 0
    with serving(tmp_path, program=LATER) as server, server.client() as http:
        until(lambda: pruned(http) == 2, "two runs are pruned")
        until(lambda: is_erased(server), "and erased")
        parts = ("timeline", "timeline/export", "verify", "events", "detail", "explain", "result", "runs", "history")
        for path in ("", *(f"/{part}" for part in parts)):
            assert error_of(http.get(f"/v1/jobs/t-alone{path}"))[0] == 404, path
        assert error_of(http.get(f"/v1/runs/{gone['run_id']}"))[0] == 404
        assert error_of(http.get(f"/v1/attempts/{gone['attempt_id']}"))[0] == 404
        assert error_of(http.post("/v1/jobs/t-alone/cancel", json={}))[0] == 404
        assert error_of(http.post("/v1/jobs/t-alone/replay", json={}))[0] == 404
        listed = data_of(http.get("/v1/jobs"))["jobs"]
        assert {job["thread_id"] for job in listed} == {"t-dead", "t-twice"}
        # The dead letter waits still, with its run.
        (letter,) = data_of(http.get("/v1/dlq"))["entries"]
        assert letter["thread_id"] == "t-dead"
        assert seqs(Caller(http, "dead").of_thread("/timeline")["timeline"])[0] == 1
        # Of the thread that was used again its latest run is left.
        twice = Caller(http, "twice")
        assert [run["run_id"] for run in twice.of_thread("/runs")["runs"]] == [young["run_id"]]
        assert [saved["run_id"] for saved in twice.of_thread("/history")["checkpoints"]] == [young["run_id"]]
        kept = seqs(twice.of_thread("/timeline")["timeline"])
        assert kept == list(range(end + 1, kept[-1] + 1))
        assert seqs(twice.of_thread("/timeline", after_seq=3)["timeline"]) == kept
        exported = twice.of_thread("/timeline/export", payloads=True)
        assert (seqs(exported["timeline"]), exported["events"]) == (kept, len(kept))
        checked = twice.of_thread("/verify")
        assert (checked["valid"], checked["events"]) == (True, len(kept))
        stream = http.get("/v1/jobs/t-twice/events", headers={"last-event-id": "2"})
        told = [int(line[4:]) for line in stream.text.splitlines() if line.startswith("id: ")]
        assert told == kept
        # The thread goes on where it was, and the key is free.
        again = one_run(Caller(http, "alone"), idempotency_key="k1")
        assert again["run_id"] != gone["run_id"]
        assert not again["idempotent_replay"]
        assert seqs(Caller(http, "alone").of_thread("/timeline")["timeline"])[0] == last + 1
        assert Caller(http, "alone").of_thread("/verify")["valid"]
        (line,) = [line for line in server.lines("retention_passed") if line["runs"]]
        assert (line["runs"], line["audit_records"]) == (2, 0)
        assert server.stop() == 0
    rows = server.check_rows()
    assert b"ann" not in b"".join(job.metadata or b"" for job in rows.jobs.values() if job.is_pruned)


def test_a_long_run_is_erased_beside_the_work_and_a_kill_does_not_stop_that(tmp_path: Path) -> None:
    with serving(tmp_path) as server, server.client() as http:
        one_run(Caller(http, "long"), steps=6000)
        assert server.stop() == 0
    grow_old(server.database)
    with serving(tmp_path, program=LATER) as server, server.client() as http:
        until(lambda: pruned(http) == 1, "the run is pruned")
        one_run(Caller(http, "other"))
        server.kill()
    server.check_rows()
    with serving(tmp_path, program=LATER) as server, server.client() as http:
        until(lambda: is_erased(server), "the rest is erased")
        assert data_of(http.get("/v1/jobs/t-other"))["status"] == "completed"
        assert server.stop() == 0
    rows = server.check_rows()
    assert {key.partition("/")[2] for key in rows.entries} == {"t-other"}


def test_a_hold_is_lifted_without_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "oris.toml"
    file.write_text("retention_hold = true\n")
    with serving(tmp_path) as server, server.client() as http:
        one_run(Caller(http, "one"))
        assert server.stop() == 0
    grow_old(server.database)
    with serving(tmp_path, "--config", str(file), program=LATER) as server, server.client() as http:
        one_run(Caller(http, "two"))
        assert data_of(http.get("/v1/jobs/t-one"))["status"] == "completed"
        assert data_of(http.get("/v1/admin/status"))["retention"] == {"days": 30, "audit_days": 0, "hold": True}
        file.write_text("retention_hold = false\n")
        server.signal(signal.SIGHUP)
        until(lambda: pruned(http) == 1, "the run is pruned")
        (line,) = server.lines("reloaded")
        assert line["changed"] == ["retention_hold"]
        assert not data_of(http.get("/v1/admin/status"))["retention"]["hold"]
        assert error_of(http.get("/v1/jobs/t-one"))[0] == 404
        assert server.stop() == 0
    server.check_rows()


def audit(told: list[str], *arguments: str) -> int:
    """The command's exit code; what it prints is put into the list."""
    command = [sys.executable, "-m", "oris", "audit", *arguments]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False)
    told[:] = done.stdout.splitlines()
    return done.returncode


def test_old_audit_records_leave_a_signed_anchor_that_the_check_knows(tmp_path: Path) -> None:
    auth = {"ORIS_API_AUTH_BEARER_TOKEN": "admin-token"}
    key = {"ORIS_AUDIT_ANCHOR_KEY": KEY, "ORIS_AUDIT_RETENTION_DAYS": "30"}
    for _ in range(2):
        with serving(tmp_path, **auth) as server, server.client(headers=ADMIN) as http:
            one_run(Caller(http, "one"))
            assert server.stop() == 0
    said: list[str] = []
    heads = tmp_path / "heads"
    assert audit(said, "heads", "--sqlite-db", str(server.database)) == 0
    heads.write_text("\n".join(said))
    grow_old(server.database)
    with serving(tmp_path, program=LATER, **auth, **key) as server, server.client(headers=ADMIN) as http:
        until(
            lambda: metric(http.get("/metrics").text, "oris_runtime_pruned_audit_records_total") == 4,
            "both chains have gone",
        )
        data_of(http.post("/v1/jobs", json={"thread_id": "new"}))
        shown = data_of(http.get("/v1/audit/logs?category=all"))["logs"]
        assert [line["action"] for line in shown] == ["job.run", "chain.open"]
        assert server.stop() == 0
        assert KEY not in server.stderr.read_text()
    server.check_rows()
    verify = ("verify", "--heads", str(heads), "--sqlite-db", str(server.database))
    assert audit(said, *verify, "--audit-anchor-key", KEY) == 0
    assert said == ["2 records in 3 chains: all unchanged, and all 2 heads of the file were found"]
    assert audit(said, *verify, "--audit-anchor-key", KEY[::-1]) == 1
    assert all("not signed with this key" in line for line in said[:2])
    told = json.loads(heads.read_text().splitlines()[0])
    heads.write_text(json.dumps(told | {"hash": "00" * 32}))
    assert audit(said, *verify, "--audit-anchor-key", KEY) == 1
    assert "differs from its head in the file" in said[0]


def test_audit_records_are_not_deleted_without_a_key(tmp_path: Path) -> None:
    for settings, told in (
        ({"ORIS_AUDIT_RETENTION_DAYS": "30"}, "set ORIS_AUDIT_ANCHOR_KEY too"),
        ({"ORIS_AUDIT_RETENTION_DAYS": "30", "ORIS_AUDIT_ANCHOR_KEY": "short"}, "too short"),
    ):
        server = ServerProcess(tmp_path, **settings)
        assert server.wait_end() == 2
        said = server.stderr.read_text()
        assert told in said
        assert "short\n" not in said.replace("too short; ", "")


def test_a_clock_that_is_far_ahead_at_the_start_deletes_nothing_and_is_told_of(tmp_path: Path) -> None:
    with serving(tmp_path) as server, server.client() as http:
        run = one_run(Caller(http, "kept"), idempotency_key="k1")
        assert server.stop() == 0
    with serving(tmp_path, program=LATER) as server, server.client() as http:
        (told,) = until(lambda: server.lines("retention_waits"), "the log tells of the gap")
        assert (told["gap_ms"] // DAY_MS, told["wait_ms"]) == (31, 3_600_000)
        again = data_of(
            http.post(
                "/v1/jobs",
                json=Caller(http, "kept").job(input={"n": 1}, metadata={"name": "ann"}, idempotency_key="k1"),
            )
        )
        assert (again["run_id"], again["idempotent_replay"]) == (run["run_id"], True)
