"""A server that is stopped, or down: the leases of its workers live on, and nothing is counted or executed twice."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import httpx
import pytest

from .calls import Data, lease_of
from .server_process import data_of, serving, until

TTL_S = 1
GAP_S = 2.5


def let_pass(seconds: float) -> None:
    """Returns when so much time has passed for everybody."""
    start = time.monotonic()
    until(lambda: time.monotonic() - start > seconds, "time passes")


def take(http: httpx.Client, thread: str) -> Data:
    """A job that runs under a short lease."""
    data_of(http.post("/v1/jobs", json={"thread_id": thread}))
    asked = {"worker_id": "w", "lease_ttl_seconds": TTL_S, "wait_ms": 10_000}
    (attempt,) = data_of(http.post("/v1/workers/poll", json=asked))["attempts"]
    taken: Data = attempt
    return taken


def goes_on(http: httpx.Client, attempt: Data) -> None:
    """The worker holds its lease still, and finishes; nothing was counted."""
    beat = http.post("/v1/workers/w/heartbeat", json={"lease_id": attempt["lease_id"], "lease_ttl_seconds": 30})
    assert data_of(beat)["leases"][0]["state"] == "held"
    done = {**lease_of(attempt), "terminal_status": "completed"}
    assert data_of(http.post("/v1/workers/w/ack", json=done))["status"] == "completed"
    state = data_of(http.get(f"/v1/attempts/{attempt['attempt_id']}"))
    assert (state["attempt_no"], state["lease_losses"]) == (1, 0)
    timeline = data_of(http.get(f"/v1/jobs/{attempt['thread_id']}/timeline"))["timeline"]
    assert [e["event_type"] for e in timeline if e["event_type"] in ("lease_granted", "lease_expired")] == [
        "lease_granted"
    ]


def test_a_server_that_was_stopped_takes_no_lease_for_it(tmp_path: Path) -> None:
    with serving(tmp_path) as server, server.client() as http:
        attempt = take(http, "a")
        server.signal(signal.SIGSTOP)
        let_pass(GAP_S)
        server.signal(signal.SIGCONT)
        goes_on(http, attempt)
        # The log is written by a thread of its own.
        (told,) = until(lambda: server.lines("outage_over"), "the log tells of the outage")
        assert told["took_ms"] >= 1000 * (GAP_S - 1)
        assert server.stop() == 0
        server.check_rows()


@pytest.mark.parametrize("ended_by", ["SIGKILL", "SIGTERM"])
def test_a_server_that_was_down_takes_no_lease_for_it(tmp_path: Path, ended_by: str) -> None:
    with serving(tmp_path) as server, server.client() as http:
        attempt = take(http, "a")
        server.signal(signal.Signals[ended_by])
        server.wait_end()
        server.check_rows()
    let_pass(GAP_S)
    with serving(tmp_path) as server, server.client() as http:
        goes_on(http, attempt)
        assert server.stop() == 0
        server.check_rows()


def test_a_worker_that_does_not_come_back_loses_its_lease_all_the_same(tmp_path: Path) -> None:
    with serving(tmp_path) as server, server.client() as http:
        take(http, "a")
        server.kill()
    with serving(tmp_path) as server, server.client() as http:
        asked = {"worker_id": "heir", "wait_ms": 20_000}
        (attempt,) = data_of(http.post("/v1/workers/poll", json=asked))["attempts"]
        assert attempt["attempt_no"] == 2
