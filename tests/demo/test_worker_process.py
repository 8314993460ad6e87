"""The demo's worker in a process of its own, against a server that goes away, cancels, and loses answers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from oris.demo.heartbeat import BEATS_A_TTL
from oris.demo.http_client import POLL_WAIT_MS, RETRY_S
from oris.demo.steps import STEPS
from oris.demo.worker import Journal, Worker
from tests.e2e.server_process import ServerProcess, clean_environment, data_of, serving, until

from .line_breaker import LineBreaker

NAMES = [name for name, _ in STEPS]
TTL_S = 4
LONG_TTL_S = 600
"""So long that no heartbeat is due during the test: what is heard then, the control poll has brought."""


class Work:
    """A worker's process, its journal and its log."""

    def __init__(self, folder: Path, address: str, ttl_s: int, pause_ms: int) -> None:
        self._journal = folder / "effects.jsonl"
        self._log = folder / "worker.log"
        flags = ["--server", address, "--worker-id", "w1", "--journal", str(self._journal)]
        limits = ["--lease-ttl-seconds", str(ttl_s), "--pause-ms", str(pause_ms)]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "oris.demo.worker", *flags, *limits],
                env=clean_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def effects(self, thread_id: str) -> list[str]:
        """The steps of a job whose effects are in the journal."""
        text = self._journal.read_text() if self._journal.exists() else ""
        lines = [json.loads(line) for line in text.split("\n")[:-1]]
        return [line["step"] for line in lines if line["thread_id"] == thread_id]

    def log(self) -> str:
        """All that it has said."""
        return self._log.read_text()

    def heartbeats_in_vain(self) -> int:
        """How many were not answered."""
        return self.log().count("oris.demo.heartbeat: the heartbeat failed")


@contextmanager
def ended(folder: Path, address: str, *, pause_ms: int = 0) -> Iterator[Work]:
    """A worker that ends in the test."""
    work = Work(folder, address, LONG_TTL_S, pause_ms)
    try:
        yield work
        assert work.process.poll() is not None
    finally:
        work.process.kill()
        work.process.wait()


@contextmanager
def working(folder: Path, address: str, *, ttl_s: int = LONG_TTL_S, pause_ms: int = 0) -> Iterator[Work]:
    """A worker that has to be alive at the end, and is killed then."""
    work = Work(folder, address, ttl_s, pause_ms)
    try:
        yield work
        assert work.process.poll() is None, work.log()
    finally:
        work.process.kill()
        work.process.wait()


def address_of(server: ServerProcess) -> str:
    return "{}:{}".format(*server.address)


def submit(http: httpx.Client, folder: Path, thread_id: str) -> None:
    document = folder / "document.txt"
    document.write_text("a lease is renewed while a lease is held")
    job = {"thread_id": thread_id, "input": {"path": str(document)}}
    data_of(http.post("/v1/jobs/run", json=job))


def events(http: httpx.Client, thread_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = data_of(http.get(f"/v1/jobs/{thread_id}/timeline"))["timeline"]
    return found


def types(http: httpx.Client, thread_id: str) -> list[str]:
    return [event["event_type"] for event in events(http, thread_id)]


def result(http: httpx.Client, thread_id: str) -> dict[str, Any]:
    found: dict[str, Any] = data_of(http.get(f"/v1/jobs/{thread_id}/result", params={"wait_ms": 25_000}))
    return found


def is_granted(http: httpx.Client, thread_id: str) -> None:
    until(lambda: "lease_granted" in types(http, thread_id), f"{thread_id} to be granted")


def check_done_once(http: httpx.Client, work: Work, thread_id: str) -> None:
    """One attempt has done it all, each step once."""
    assert result(http, thread_id)["status"] == "completed"
    expected = ["run_created", "attempt_queued", "lease_granted", *["step_recorded"] * len(NAMES), "completed"]
    assert types(http, thread_id) == expected
    assert work.effects(thread_id) == NAMES


@pytest.mark.parametrize("outage", ["killed", "frozen"])
def test_an_outage_longer_than_the_lease_costs_no_lease(tmp_path: Path, outage: str) -> None:
    """Twice the lease's life, as a minute would be to one of 30 s."""
    with (
        serving(tmp_path) as server,
        server.client() as http,
        working(tmp_path, address_of(server), ttl_s=TTL_S, pause_ms=500) as work,
    ):
        submit(http, tmp_path, "t1")
        until(lambda: work.effects("t1"), "the first step")
        if outage == "frozen":
            server.signal(signal.SIGSTOP)
            each_s = RETRY_S + TTL_S / BEATS_A_TTL
            until(lambda: work.heartbeats_in_vain() * each_s > 2 * TTL_S, "heartbeats to a server that stands still")
            server.signal(signal.SIGCONT)
            check_done_once(http, work, "t1")
            return
        server.kill()
        until(lambda: work.heartbeats_in_vain() * RETRY_S > 2 * TTL_S, "heartbeats to a server that is down")
        with serving(tmp_path, ORIS_SERVER_ADDR=address_of(server)) as again, again.client() as later:
            check_done_once(later, work, "t1")


def test_a_cancel_is_heard_in_mid_step_and_the_worker_takes_the_next_job(tmp_path: Path) -> None:
    with (
        serving(tmp_path) as server,
        server.client() as http,
        working(tmp_path, address_of(server), pause_ms=600_000) as work,
    ):
        submit(http, tmp_path, "t1")
        is_granted(http, "t1")
        assert data_of(http.post("/v1/jobs/t1/cancel", json={}))["status"] == "cancelled"
        submit(http, tmp_path, "t2")
        is_granted(http, "t2")
        assert work.effects("t1") == []
        data_of(http.post("/v1/jobs/t2/cancel", json={}))


def test_a_graceful_cancel_ends_the_job_behind_the_step_at_hand(tmp_path: Path) -> None:
    with (
        serving(tmp_path) as server,
        server.client() as http,
        working(tmp_path, address_of(server), pause_ms=5000) as work,
    ):
        submit(http, tmp_path, "t1")
        is_granted(http, "t1")
        asked = data_of(http.post("/v1/jobs/t1/cancel", json={"mode": "graceful", "grace_ms": 60_000}))
        assert asked["status"] == "cancelling"
        ended = result(http, "t1")
        assert (ended["status"], ended["result"]) == ("cancelled", {"steps_done": ["read"]})
        assert work.effects("t1") == ["read"]
        expected = ["run_created", "attempt_queued", "lease_granted", "cancel_requested", "step_recorded", "cancelled"]
        assert types(http, "t1") == expected
        submit(http, tmp_path, "t2")
        is_granted(http, "t2")
        data_of(http.post("/v1/jobs/t2/cancel", json={}))


def test_a_call_whose_answer_was_lost_is_sent_again_and_counts_once(tmp_path: Path) -> None:
    """The first poll that brings work, the first report, the first ack: each carried out, none answered."""
    lost = ("/poll", "/report-step", "/ack")

    def swallow(first: str, nth: int) -> bool:
        return nth == 1 and first.split(" ")[1].endswith(lost)

    with serving(tmp_path) as server, server.client() as http:
        for thread_id in ("t1", "t2"):
            submit(http, tmp_path, thread_id)
        with LineBreaker(server.address, swallow) as line, working(tmp_path, line.address) as work:
            for thread_id in ("t1", "t2"):
                check_done_once(http, work, thread_id)
            bodies = {ending: line.of(ending) for ending in lost}
    for ending, sent in bodies.items():
        work_calls = [body for body in sent if b'"limit": 0' not in body]
        assert work_calls[0] == work_calls[1], ending
    assert len(bodies["/ack"]) == 3
    assert len(bodies["/report-step"]) == 2 * len(NAMES) + 1


def test_a_job_that_cannot_be_done_fails_and_the_worker_goes_on_with_others(tmp_path: Path) -> None:
    large = tmp_path / "large.txt"
    large.write_text("a lease " * 200_000)  # more than a step may have as its output
    no_text = tmp_path / "no_text"
    no_text.write_bytes(b"\xff" * 400_000)  # the error quotes them all
    inputs: dict[str, Any] = {"folder": {"path": str(tmp_path)}, "nothing": None, "number": {"path": 7}}
    inputs |= {"large": {"path": str(large)}, "no-text": {"path": str(no_text)}}
    with serving(tmp_path) as server, server.client() as http, working(tmp_path, address_of(server)) as work:
        for thread_id, given in inputs.items():
            data_of(http.post("/v1/jobs/run", json={"thread_id": thread_id, "input": given}))
        for thread_id in inputs:
            ended = result(http, thread_id)
            assert ended["status"] == "failed", thread_id
            assert ended["error"]["retryable"] is False
        submit(http, tmp_path, "t1")
        check_done_once(http, work, "t1")


def test_a_worker_that_is_ended_at_work_records_its_step_and_gives_the_job_back(tmp_path: Path) -> None:
    with serving(tmp_path) as server, server.client() as http:
        with ended(tmp_path, address_of(server), pause_ms=3000) as work:
            submit(http, tmp_path, "t1")
            until(lambda: work.effects("t1"), "the first step")
            work.process.send_signal(signal.SIGTERM)
            assert work.process.wait(60) == 0
        assert types(http, "t1")[-3:] == ["step_recorded", "lease_released", "attempt_queued"]
        with working(tmp_path, address_of(server)) as heir:
            assert result(http, "t1")["status"] == "completed"
            assert heir.effects("t1") == NAMES


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_ended_while_it_waits_ends_at_once(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path) as server, ended(tmp_path, address_of(server)) as work, server.client() as http:
        submit(http, tmp_path, "t1")
        check_done_once(http, work, "t1")
        work.process.send_signal(number)
        assert work.process.wait(POLL_WAIT_MS / 2000) == 0, "its poll was still parked"


def test_what_a_poll_was_granted_that_nobody_has_read_is_given_back(tmp_path: Path) -> None:
    with serving(tmp_path) as server, server.client() as http:
        for thread_id in ("t1", "t2"):
            submit(http, tmp_path, thread_id)
        worker = Worker(address_of(server), "w1", Journal(tmp_path / "journal"), LONG_TTL_S, 0.0)
        worker._poll()
        worker._api.close()
        assert types(http, "t1")[-1] == "lease_granted"
        worker._give_back_unread()
        assert types(http, "t1")[-2:] == ["lease_released", "attempt_queued"]
        assert types(http, "t2")[-1] == "attempt_queued", "nothing else was taken"


def test_a_second_process_of_one_name_takes_the_place_of_the_first(tmp_path: Path) -> None:
    with serving(tmp_path) as server, server.client() as http:
        with ended(tmp_path, address_of(server), pause_ms=600_000) as first:
            submit(http, tmp_path, "t1")
            is_granted(http, "t1")
            with working(tmp_path, address_of(server)) as second:
                assert result(http, "t1")["status"] == "completed"
                assert first.process.wait(60) == 1
                assert "session" in first.log()
                assert second.effects("t1") == NAMES
        assert types(http, "t1").count("lease_granted") == 2


def test_a_worker_that_is_ended_waits_for_no_server(tmp_path: Path) -> None:
    with (
        serving(tmp_path) as server,
        server.client() as http,
        ended(tmp_path, address_of(server), pause_ms=500) as work,
    ):
        submit(http, tmp_path, "t1")
        until(lambda: work.effects("t1"), "the first step")
        server.kill()
        until(lambda: "the control poll failed" in work.log(), "the worker to see that nobody is there")
        work.process.send_signal(signal.SIGTERM)
        assert work.process.wait(60) in (0, 1)
