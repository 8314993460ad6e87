"""What a thread has been through: checkpoints, the detail page, pages that stop at a size, tampering that is found."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from .calls import TRACE, Caller, Data, has_fields, lease_of
from .server_process import ServerProcess, data_of, error_of, serving

ABOUT_A_MEGABYTE = "x" * 1_000_000


def one_run(caller: Caller) -> Data:
    """A run with two checkpoints, that is done."""
    caller.submit(input={"n": 1})
    attempt = caller.take()
    data_of(caller.report(attempt, "a", "started"))
    data_of(caller.report(attempt, "a", output=[1], checkpoint={"values": {"at": "a"}}))
    data_of(caller.report(attempt, "b", "started"))
    data_of(caller.report(attempt, "b", "failed", error="no"))
    data_of(caller.report(attempt, "c", output=2, checkpoint={"values": {"at": "c"}}))
    data_of(caller.ack(attempt, result="done"))
    return attempt


def test_checkpoints_of_all_runs_are_listed_newest_first_and_each_is_shown(caller: Caller) -> None:
    runs = [one_run(caller)["run_id"] for _ in range(2)]
    whole = caller.of_thread("/history")
    has_fields(whole, {"checkpoints", "next_cursor"})
    listed = whole["checkpoints"]
    assert [row["run_id"] for row in listed] == [runs[1]] * 2 + [runs[0]] * 2
    assert whole["next_cursor"] is None
    paged: list[Data] = []
    more: dict[str, str] = {}
    while True:
        page = caller.of_thread("/history", limit=3, **more)
        paged += page["checkpoints"]
        if page["next_cursor"] is None:
            break
        more = {"cursor": page["next_cursor"]}
    assert paged == listed
    values = []
    for row in listed:
        has_fields(row, {"checkpoint_id", "run_id", "seq", "created_at"})
        shown = caller.of_thread(f"/checkpoints/{row['checkpoint_id']}")
        has_fields(shown, {"thread_id", "run_id", "checkpoint_id", "values", "created_at"})
        assert {key: row[key] for key in ("checkpoint_id", "run_id", "created_at")}.items() <= shown.items()
        values.append(shown["values"])
    assert values == [{"at": "c"}, {"at": "a"}] * 2
    assert caller.of_thread()["checkpoint_id"] == listed[0]["checkpoint_id"]


def test_a_checkpoint_that_is_none_is_not_found(caller: Caller) -> None:
    run = one_run(caller)["run_id"]
    other_run = "f" * 32
    (real, *_) = caller.of_thread("/history")["checkpoints"]
    digits, seq = run[4:], real["seq"]
    for wrong in (f"ckp_{digits}_{seq + 1}", f"ckp_{digits}_0", f"ckp_{digits}_999", f"ckp_{other_run}_{seq}", "ckp_1"):
        assert error_of(caller.get(f"/v1/jobs/{caller.thread}/checkpoints/{wrong}"))[:2] == (404, "not_found"), wrong
    assert error_of(caller.get(f"/v1/jobs/nobody/checkpoints/{real['checkpoint_id']}"))[:2] == (404, "not_found")


@pytest.mark.parametrize("what", ["history", "detail", "verify", "timeline/export", "events", "checkpoints/ckp_1"])
def test_another_run_than_the_named_one_is_a_mismatch(caller: Caller, what: str) -> None:
    run = one_run(caller)["run_id"]
    status, _, details = error_of(caller.get(f"/v1/jobs/{caller.thread}/{what}", run_id="run_other"))
    assert (status, details["reason"], details["run_id"]) == (409, "run_mismatch", run)


def test_the_detail_of_a_run_holds_its_state_its_past_and_what_was_observed(caller: Caller) -> None:
    attempt = one_run(caller)
    detail, state = caller.of_thread("/detail"), caller.of_thread()
    added = {"history", "timeline", "pending_interrupts", "observability"}
    has_fields(detail, {*state, *added})
    assert {key: detail[key] for key in state if key != "trace"} == {
        key: value for key, value in state.items() if key != "trace"
    }
    assert set(detail["trace"]) == TRACE
    assert detail["history"] == caller.of_thread("/history")["checkpoints"]
    assert detail["timeline"] == caller.of_thread("/timeline", limit=200)["timeline"]
    assert detail["pending_interrupts"] == []
    seen = detail["observability"]
    has_fields(seen, {"reasoning_timeline", "lease_graph", "replay_cost", "interrupt_latency_ms", "after_seq"})
    steps = [(step["action_id"], step["status"], step["attempt_no"]) for step in seen["reasoning_timeline"]]
    assert steps == [("a", "succeeded", 1), ("b", "failed", 1), ("c", "succeeded", 1)]
    assert [step["duration_ms"] is None for step in seen["reasoning_timeline"]] == [False, False, True]
    (lease,) = seen["lease_graph"]
    assert (lease["lease_id"], lease["worker_id"], lease["fence"]) == (
        attempt["lease_id"],
        caller.worker,
        attempt["fence"],
    )
    assert (lease["ended_by"], lease["attempt_no"]) == ("completed", 1)
    assert (seen["replay_cost"]["steps_kept"], seen["replay_cost"]["steps_repeated"]) == (2, 1)
    assert seen["replay_cost"]["leased_ms"] == lease["held_ms"]
    assert (seen["interrupt_latency_ms"], seen["after_seq"]) == (None, 0)


def test_the_detail_of_a_running_thread_shows_a_lease_without_its_end(caller: Caller) -> None:
    caller.submit()
    attempt = caller.take()
    data_of(caller.report(attempt, "a", "started"))
    seen = caller.of_thread("/detail")["observability"]
    (lease,), (step,) = seen["lease_graph"], seen["reasoning_timeline"]
    assert (lease["ended_at"], lease["ended_by"]) == (None, None)
    assert (step["status"], step["ended_at"], step["duration_ms"]) == ("started", None, None)
    assert seen["replay_cost"]["leased_ms"] <= lease["held_ms"] + 1000
    data_of(caller.ack(attempt))


def test_a_timeline_shows_the_clients_values_when_asked(caller: Caller) -> None:
    one_run(caller)
    plain = caller.of_thread("/timeline")["timeline"]
    full = caller.of_thread("/timeline", payloads="true")["timeline"]
    assert not any("payload" in event for event in plain)
    assert [{key: value for key, value in event.items() if key != "payload"} for event in full] == plain
    values = [event.get("payload") for event in full if event["event_type"] != "lease_granted"]
    assert values == [{"n": 1}, None, None, [1], {"at": "a"}, None, "no", 2, {"at": "c"}, "done"]


def test_pages_of_steps_and_events_stop_at_four_mebibytes(caller: Caller) -> None:
    caller.submit()
    attempt = caller.take()
    for number in range(6):
        data_of(caller.report(attempt, f"s{number}", output=ABOUT_A_MEGABYTE))
    found: list[str] = []
    after, pages = 0, []
    while True:
        page = data_of(caller.get(f"/v1/attempts/{attempt['attempt_id']}/steps", after=after))
        pages.append(len(page["steps"]))
        found += [step["action_id"] for step in page["steps"]]
        if page["next_after"] is None:
            break
        after = page["next_after"]
    assert (pages, found) == ([4, 2], [f"s{number}" for number in range(6)])
    events = caller.of_thread("/timeline", payloads="true")["timeline"]
    assert len([event for event in events if "payload" in event]) == 4
    data_of(caller.ack(attempt))


def test_pages_of_dead_letters_stop_at_four_mebibytes_and_go_on_behind(caller: Caller) -> None:
    for number in range(6):
        data_of(caller.post("/v1/jobs", **caller.job() | {"thread_id": f"{caller.thread}-{number}"}))
        error = {"type": "Huge", "message": "no", "data": ABOUT_A_MEGABYTE, "retryable": False}
        data_of(caller.ack(caller.take(), "failed", error=error))
    pages, threads = [], []
    more: dict[str, str] = {}
    while True:
        page = data_of(caller.get("/v1/dlq", workflow=caller.name, **more))
        pages.append(len(page["entries"]))
        threads += [entry["thread_id"] for entry in page["entries"]]
        if page["next_cursor"] is None:
            break
        more = {"cursor": page["next_cursor"]}
    assert pages == [4, 2]
    assert threads == [f"{caller.thread}-{number}" for number in range(5, -1, -1)]


def test_a_tenant_sees_only_its_own_threads_past(tmp_path: Path) -> None:
    with serving(tmp_path) as server, server.client() as http:
        for tenant in ("a", "b"):
            data_of(http.post("/v1/jobs", json={"thread_id": "t", "tenant_id": tenant, "input": tenant}))
        for what in ("history", "detail", "verify", "timeline/export", "events"):
            assert error_of(http.get(f"/v1/jobs/t/{what}"))[2] == {"reason": "ambiguous_thread"}
            assert error_of(http.get(f"/v1/jobs/t/{what}?tenant_id=c"))[0] == 404
        assert data_of(http.get("/v1/jobs/t/detail?tenant_id=b"))["input"] == "b"
        exported = data_of(http.get("/v1/jobs/t/timeline/export?tenant_id=a&payloads=true"))
        assert (exported["tenant_id"], exported["timeline"][0]["payload"]) == ("a", "a")


# --- tampering: each does it to one thread, and says which seq is the first that differs from what was written


Tamper = Callable[[sqlite3.Connection, int], Any]


def flip(column: str, seq: int) -> Tamper:
    """Change one bit of a column of one event."""

    def tamper(connection: sqlite3.Connection, job_id: int) -> None:
        where = (job_id, seq)
        (value,) = connection.execute(
            f"SELECT {column} FROM runtime_events WHERE job_id = ? AND seq = ?", where
        ).fetchone()
        raw = bytearray(value.encode() if isinstance(value, str) else value)
        raw[len(raw) // 2] ^= 1
        changed = raw.decode() if isinstance(value, str) else bytes(raw)
        connection.execute(f"UPDATE runtime_events SET {column} = ? WHERE job_id = ? AND seq = ?", (changed, *where))

    return tamper


def run(*statements: str) -> Tamper:
    """Run statements on the thread's rows."""

    def tamper(connection: sqlite3.Connection, job_id: int) -> None:
        for statement in statements:
            connection.execute(statement, {"job_id": job_id})

    return tamper


OF = "WHERE job_id = :job_id AND seq ="
SWAP = [f"UPDATE runtime_events SET seq = {new} {OF} {old}" for old, new in ((4, 99), (5, 4), (99, 5))]
HEAD = "UPDATE runtime_jobs SET {} WHERE id = :job_id"
COPY = (
    "INSERT INTO runtime_events SELECT job_id, 12, event_type, run_id, attempt_no, worker_id, at_ms, data,"
    f" payload_digest, hash, skew_ms FROM runtime_events {OF} 11"
)
TAMPERED: dict[str, tuple[Tamper, int]] = {
    "a bit of the first event": (flip("data", 1), 1),
    "a bit of an event in the middle": (flip("data", 6), 6),
    "a bit of the last hash": (flip("hash", 11), 11),
    "a letter of a type": (flip("event_type", 3), 3),
    "a letter of a worker's name": (flip("worker_id", 5), 5),
    "a payload's digest": (flip("payload_digest", 6), 6),
    "the time": (run(f"UPDATE runtime_events SET at_ms = at_ms + 1 {OF} 9"), 9),
    "one event gone": (run(f"DELETE FROM runtime_events {OF} 7"), 7),
    "the first event gone": (run(f"DELETE FROM runtime_events {OF} 1"), 1),
    "the last event gone": (run(f"DELETE FROM runtime_events {OF} 11"), 11),
    "all events gone": (run("DELETE FROM runtime_events WHERE job_id = :job_id"), 1),
    "two swapped": (run(*SWAP), 4),
    "an event too many": (run(COPY), 12),
    "the row's head": (run(HEAD.format("head_hash = zeroblob(32)")), 11),
    "the row's seq too high": (run(HEAD.format("seq = 20")), 12),
    "the row's seq too low": (run(HEAD.format("seq = 9")), 10),
    "a payload": (run(f"UPDATE runtime_payloads SET body = CAST('[2]' AS BLOB) {OF} 6"), 6),
    "a payload for an event without one": (
        run("INSERT INTO runtime_payloads VALUES (:job_id, 2, CAST('1' AS BLOB))"),
        2,
    ),
}


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server whose rows are tampered with."""
    folder, why = tmp_path_factory.mktemp("victim"), "they are tampered with"
    with serving(folder, unchecked=why) as running, running.client() as client:
        yield running, client


@pytest.mark.parametrize("what", TAMPERED)
def test_a_tampered_timeline_is_told_with_its_first_bad_event(
    victim: tuple[ServerProcess, httpx.Client], what: str
) -> None:
    server, http = victim
    caller = Caller(http, f"x{list(TAMPERED).index(what)}")
    one_run(caller)
    sound = caller.of_thread("/verify")
    last = caller.of_thread("/timeline/export")["timeline"][-1]
    assert sound == {"events": 11, "head_hash": last["hash"], "valid": True}
    tamper, seq = TAMPERED[what]
    with closing(sqlite3.connect(server.database)) as connection, connection:
        (job_id,) = connection.execute("SELECT id FROM runtime_jobs WHERE thread_id = ?", (caller.thread,)).fetchone()
        tamper(connection, job_id)
    found = caller.of_thread("/verify")
    has_fields(found, {"events", "head_hash", "valid", "first_bad_seq"})
    assert (found["valid"], found["first_bad_seq"]) == (False, seq)


def test_an_erased_payload_breaks_no_chain(victim: tuple[ServerProcess, httpx.Client]) -> None:
    server, http = victim
    caller = Caller(http, "erased")
    one_run(caller)
    (newest, *_) = caller.of_thread("/history")["checkpoints"]
    with closing(sqlite3.connect(server.database)) as connection, connection:
        connection.execute(
            "DELETE FROM runtime_payloads WHERE job_id = (SELECT id FROM runtime_jobs WHERE thread_id = ?)",
            (caller.thread,),
        )
    assert caller.of_thread("/verify")["valid"] is True
    assert caller.of_thread(f"/checkpoints/{newest['checkpoint_id']}")["values"] is None
    exported = caller.of_thread("/timeline/export", payloads="true")["timeline"]
    assert not any("payload" in event for event in exported)
    assert exported[0]["payload_digest"] == sha256(b'{"n":1}').hexdigest()


def test_a_timeline_that_grows_is_verified_as_it_stands(caller: Caller) -> None:
    caller.submit()
    attempt = caller.take()
    for number in range(30):
        data_of(caller.report(attempt, f"s{number}"))
        found = caller.of_thread("/verify")
        assert (found["events"], found["valid"]) == (4 + number, True)
    data_of(caller.of_worker("release", lease_ids=[lease_of(attempt)["lease_id"]]))
