"""Rows that the disk has damaged: nobody is shown them for what was written, and what is whole goes on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from .calls import Caller, lease_of
from .server_process import ServerProcess, data_of, error_of, serving, until

NO_TEXT = b"\xff\xfe not what was written"


def damage(server: ServerProcess, statement: str, *values: object) -> None:
    """Do it to the rows while no server has them."""
    assert server.stop() == 0
    with closing(sqlite3.connect(server.database)) as connection, connection:
        assert connection.execute(statement, values).rowcount == 1


PAYLOAD = """
UPDATE runtime_payloads SET body = ?
WHERE seq = ? AND job_id = (SELECT id FROM runtime_jobs WHERE thread_id = ?)
"""


def is_told(server: ServerProcess, thread: str, seq: int) -> None:
    """The log says so, and of no other damage."""
    lines = until(lambda: server.lines("data_damaged"), "a line in the log")
    assert {(line["thread_id"], line["seq"]) for line in lines} == {(thread, seq)}


def test_a_damaged_input_is_shown_and_granted_to_nobody_and_the_job_behind_it_is(tmp_path: Path) -> None:
    with serving(tmp_path, unchecked="it is damaged on purpose") as server, server.client() as http:
        for thread in ("first", "second"):
            data_of(http.post("/v1/jobs", json={"thread_id": thread, "input": {"of": thread}}))
        damage(server, PAYLOAD, NO_TEXT, 1, "first")
    with serving(tmp_path, unchecked="it is damaged on purpose") as server, server.client() as http:
        refused = (500, "internal", {"reason": "data_damaged", "thread_id": "first", "seq": 1})
        for path in ("/v1/jobs/first", "/v1/jobs/first/detail"):
            assert error_of(http.get(path)) == refused
        assert data_of(http.get("/v1/jobs/second"))["input"] == {"of": "second"}
        assert len(data_of(http.get("/v1/jobs"))["jobs"]) == 2
        for worker in ("w1", "w2"):
            polled = data_of(http.post("/v1/workers/poll", json={"worker_id": worker, "limit": 10}))
            threads = [attempt["thread_id"] for attempt in polled["attempts"]]
            assert threads == (["second"] if worker == "w1" else [])
        assert data_of(http.get("/v1/jobs/first/explain"))["reason"] == "set_aside"
        data_of(http.post("/v1/jobs/first/cancel", json={}))
        data_of(http.post("/v1/jobs", json={"thread_id": "first", "input": "whole"}))
        polled = data_of(http.post("/v1/workers/poll", json={"worker_id": "w3"}))
        assert [attempt["input"] for attempt in polled["attempts"]] == ["whole"], "the next run is another matter"
        line = data_of(http.get("/v1/jobs/first/timeline", params={"payloads": "true"}))["timeline"][0]
        assert line["damaged"] is True
        assert "payload" not in line
        exported = data_of(http.get("/v1/jobs/first/timeline/export?payloads=true"))["timeline"][0]
        assert exported["damaged"] is True
        assert data_of(http.get("/v1/jobs/first/verify"))["first_bad_seq"] == 1
        is_told(server, "first", 1)


def test_a_poll_whose_lease_has_a_damaged_input_gets_the_next_job(tmp_path: Path) -> None:
    asked = {"worker_id": "w", "poll_id": "p", "lease_ttl_seconds": 3600}
    with serving(tmp_path, unchecked="it is damaged on purpose") as server, server.client() as http:
        for thread in ("first", "second"):
            data_of(http.post("/v1/jobs", json={"thread_id": thread, "input": {"of": thread}}))
        assert data_of(http.post("/v1/workers/poll", json=asked))["attempts"][0]["thread_id"] == "first"
        damage(server, PAYLOAD, NO_TEXT, 1, "first")
    with serving(tmp_path, unchecked="it is damaged on purpose") as server, server.client() as http:
        for _ in range(2):
            attempts = data_of(http.post("/v1/workers/poll", json=asked))["attempts"]
            assert [attempt["thread_id"] for attempt in attempts] == ["second"]
        is_told(server, "first", 1)


@pytest.fixture
def worked(tmp_path: Path) -> Iterator[tuple[ServerProcess, dict[str, int]]]:
    """A server that has ended, and where the payloads of its one thread `t-x` are: by what brought them."""
    with serving(tmp_path, unchecked="it is damaged on purpose") as server, server.client() as http:
        caller = Caller(http, "x")
        caller.submit(input=1)
        attempt = caller.take()
        data_of(caller.report(attempt, "a", output={"o": 1}, checkpoint={"values": {"c": 1}}))
        waits = [{"kind": "interrupt", "key": "k", "value": {"ask": 1}}]
        data_of(caller.of_worker("suspend", **lease_of(attempt), waits=waits))
        data_of(caller.post(f"/v1/jobs/{caller.thread}/resume", value={"answer": 1}))
        data_of(caller.ack(caller.take(), "failed", error={"type": "e", "message": "m"}))
        events = caller.of_thread("/timeline")["timeline"]
        yield server, {event["event_type"]: event["seq"] for event in events}


@pytest.mark.parametrize(
    ("brought_by", "path"),
    [
        ("step_recorded", "/v1/attempts/{attempt_id}/steps"),
        ("checkpoint_saved", "/v1/jobs/t-x"),
        ("checkpoint_saved", "/v1/jobs/t-x/checkpoints/{checkpoint_id}"),
        ("suspended", "/v1/interrupts/{interrupt_id}"),
        ("wait_settled", "/v1/interrupts/{interrupt_id}"),
        ("failed", "/v1/jobs/t-x/result"),
        ("failed", "/v1/dlq/{attempt_id}"),
    ],
)
def test_whatever_reads_a_damaged_payload_says_so(
    worked: tuple[ServerProcess, dict[str, int]], brought_by: str, path: str
) -> None:
    server, seqs = worked
    with server.client() as http:
        named = ids(http)
    damage(server, PAYLOAD, NO_TEXT, seqs[brought_by], "t-x")
    with serving(server.folder, unchecked="it is damaged on purpose") as again, again.client() as http:
        found = error_of(http.get(path.format(**named)))
        assert found == (500, "internal", {"reason": "data_damaged", "thread_id": "t-x", "seq": seqs[brought_by]})
        is_told(again, "t-x", seqs[brought_by])


def ids(http: httpx.Client) -> dict[str, str]:
    """Of the one attempt, checkpoint and interrupt."""
    return {
        "attempt_id": data_of(http.get("/v1/jobs/t-x"))["attempt_id"],
        "checkpoint_id": data_of(http.get("/v1/jobs/t-x/history"))["checkpoints"][0]["checkpoint_id"],
        "interrupt_id": data_of(http.get("/v1/interrupts"))["interrupts"][0]["interrupt_id"],
    }


@pytest.mark.parametrize(
    ("brought_by", "path", "listed", "value"),
    [("suspended", "/v1/interrupts", "interrupts", "value"), ("failed", "/v1/dlq", "entries", "error")],
)
def test_the_other_items_of_a_list_go_on(
    worked: tuple[ServerProcess, dict[str, int]], brought_by: str, path: str, listed: str, value: str
) -> None:
    server, seqs = worked
    with server.client() as http:
        caller = Caller(http, "y")
        caller.submit()
        attempt = caller.take()
        if brought_by == "suspended":
            interrupts = [{"key": "k", "value": {"whole": 1}}]
            data_of(caller.of_worker("interrupt", **lease_of(attempt), interrupts=interrupts))
        else:
            data_of(caller.ack(attempt, "failed", error={"type": "e", "message": "whole"}))
    damage(server, PAYLOAD, NO_TEXT, seqs[brought_by], "t-x")
    with serving(server.folder, unchecked="it is damaged on purpose") as again, again.client() as http:
        whole, damaged = data_of(http.get(path))[listed]
        assert "whole" in str(whole[value])
        assert "damaged" not in whole
        assert (damaged["damaged"], damaged[value]) == (True, None)
        is_told(again, "t-x", seqs[brought_by])


@pytest.mark.parametrize("data", [b'{"\xff": 1}', b'{"type":"run_cre'], ids=["no text", "cut"])
def test_a_damaged_event_is_told_of_and_the_others_are_shown(
    worked: tuple[ServerProcess, dict[str, int]], data: bytes
) -> None:
    server, seqs = worked
    damage(server, "UPDATE runtime_events SET data = ? WHERE seq = 1", data)
    with serving(server.folder, unchecked="it is damaged on purpose") as again, again.client() as http:
        for path in ("timeline", "timeline?payloads=true", "timeline/export", "detail"):
            damaged, *others = data_of(http.get(f"/v1/jobs/t-x/{path}"))["timeline"]
            assert (damaged["seq"], damaged["damaged"], damaged["data"]) == (1, True, {})
            assert len(others) == max(seqs.values()) - 1
            assert not any("damaged" in line for line in others)
        events = http.get("/v1/jobs/t-x/events?after_seq=0").text.split("\n\n")
        assert any('"seq":1,' in event and '"damaged":true' in event for event in events)
        assert data_of(http.get("/v1/jobs/t-x/verify"))["first_bad_seq"] == 1
        is_told(again, "t-x", 1)


def test_a_damaged_retry_is_a_clear_refusal(tmp_path: Path) -> None:
    policy = {"max_retries": 1, "strategy": "fixed", "backoff_ms": 0}
    with serving(tmp_path, unchecked="it is damaged on purpose") as server, server.client() as http:
        caller = Caller(http, "x")
        caller.submit(retry_policy=policy)
        attempt = caller.take()
        data_of(caller.ack(attempt, "failed", error={"type": "e", "message": "m"}))
        attempt_id = attempt["attempt_id"]
        (seq,) = (e["seq"] for e in caller.of_thread("/timeline")["timeline"] if e["event_type"] == "retry_scheduled")
        damage(server, "UPDATE runtime_events SET data = ? WHERE event_type = 'retry_scheduled'", NO_TEXT)
    with serving(server.folder, unchecked="it is damaged on purpose") as again, again.client() as http:
        found = error_of(http.get(f"/v1/attempts/{attempt_id}/retries"))
        assert found == (500, "internal", {"reason": "data_damaged", "thread_id": "t-x", "seq": seq})
        is_told(again, "t-x", seq)
