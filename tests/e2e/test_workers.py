"""What workers call, and what they get (docs/api.md, "Workers")."""

from __future__ import annotations

import json

import pytest
import trio

from .calls import TRACE, Caller, Data, has_fields, lease_of
from .server_process import ServerProcess, data_of, error_of

POLL = {"decision", "attempts", "control", "worker_active_leases", "worker_limit"}
POLL_MORE = {
    "reason",
    "tenant_id",
    "tenant_active_leases",
    "tenant_limit",
    "retry_after_ms",
    "attempt_id",
    "lease_id",
    "lease_expires_at",
    "trace",
}
ATTEMPT = {
    "attempt_id",
    "attempt_no",
    "run_id",
    "thread_id",
    "workflow",
    "tenant_id",
    "priority",
    "input",
    "lease_id",
    "fence",
    "lease_expires_at",
    "lease_remaining_ms",
    "steps",
    "steps_truncated",
    "resumes",
    "resumes_truncated",
    "metadata",
    "trace",
}
RETRY = {"strategy": "fixed", "backoff_ms": 0, "max_retries": 2}
NEVER = {"strategy": "fixed", "backoff_ms": 3_600_000, "max_retries": 2}
BOOM = {"type": "Boom", "message": "no"}


def lost(state: str | None = None) -> tuple[int, str, Data]:
    """The refusal of a write without a live lease."""
    return 409, "conflict", {"reason": "lease_lost"} | ({"state": state} if state else {})


def test_a_poll_hands_over_all_that_a_worker_needs(caller: Caller) -> None:
    policy = {"timeout_ms": 60_000, "on_timeout_status": "failed"}
    run = caller.submit(input={"k": [1]}, priority=7, metadata={"m": "1"}, timeout_policy=policy)
    polled = caller.poll(lease_ttl_seconds=20)
    has_fields(polled, POLL, POLL_MORE)
    (attempt,) = polled["attempts"]
    has_fields(attempt, ATTEMPT, {"deadline_ms", "checkpoint"})
    has_fields(attempt["trace"], TRACE)
    assert attempt["trace"]["trace_id"] == run["trace"]["trace_id"]
    assert attempt["trace"]["parent_span_id"] == run["trace"]["span_id"]
    assert (attempt["attempt_id"], attempt["attempt_no"], attempt["priority"]) == (run["attempt_id"], 1, 7)
    assert (attempt["input"], attempt["metadata"]) == ({"k": [1]}, {"m": "1"})
    assert (attempt["steps"], attempt["steps_truncated"]) == ([], False)
    assert (attempt["resumes"], attempt["resumes_truncated"]) == ([], False)
    assert 0 < attempt["lease_remaining_ms"] <= 20_000
    assert 0 < attempt["deadline_ms"] <= 60_000
    for field in ("attempt_id", "lease_id", "lease_expires_at", "trace"):
        assert polled[field] == attempt[field]
    assert (polled["worker_active_leases"], polled["worker_limit"], polled["tenant_id"]) == (1, 100, "")


def test_priority_goes_before_age_and_age_before_the_rest(caller: Caller) -> None:
    for thread, priority in (("a", 0), ("b", 5), ("c", 0), ("d", 5)):
        caller.submit(thread_id=f"{caller.thread}-{thread}", priority=priority)
    polled = caller.poll(limit=10)
    assert [attempt["thread_id"][-1] for attempt in polled["attempts"]] == ["b", "d", "a", "c"]


def test_a_poll_for_nothing_is_a_noop(caller: Caller) -> None:
    polled = caller.poll()
    assert (polled["decision"], polled["attempts"], polled["control"]) == ("noop", [], [])
    caller.submit()
    assert caller.poll(limit=0)["decision"] == "noop"
    assert caller.poll(workflows=["another"])["decision"] == "noop"


def test_a_worker_and_a_tenant_at_their_limits_get_backpressure(caller: Caller) -> None:
    for number in range(3):
        caller.submit(thread_id=f"{caller.thread}-{number}", tenant_id=caller.name)
    polled = caller.poll(limit=3, max_active_leases=1)
    assert (len(polled["attempts"]), polled["worker_limit"], polled["worker_active_leases"]) == (1, 1, 1)
    full = caller.poll(max_active_leases=1)
    assert (full["decision"], full["reason"], full["attempts"]) == ("backpressure", "worker_limit", [])
    assert full["retry_after_ms"] > 0
    tenant = caller.poll(tenant_max_active_leases=1)
    assert (tenant["decision"], tenant["reason"]) == ("backpressure", "tenant_limit")
    assert (tenant["tenant_id"], tenant["tenant_active_leases"], tenant["tenant_limit"]) == (caller.name, 1, 1)
    raised = caller.poll(max_active_leases=1_000_000)
    assert raised["worker_limit"] == 100


def test_a_poll_id_is_given_its_live_leases_again(caller: Caller) -> None:
    caller.submit()
    first = caller.take(poll_id="p-1")
    again = caller.take(poll_id="p-1")
    assert lease_of(again) == lease_of(first)
    assert again["fence"] == first["fence"]
    data_of(caller.ack(first))
    assert caller.poll(poll_id="p-1")["decision"] == "noop"


@pytest.mark.parametrize("call", ["heartbeat", "extend-lease"])
def test_a_heartbeat_moves_the_end_of_a_lease_forward_only(caller: Caller, call: str) -> None:
    caller.submit()
    attempt = caller.take(lease_ttl_seconds=60)
    beat = data_of(caller.of_worker(call, lease_id=attempt["lease_id"], lease_ttl_seconds=120))
    has_fields(beat, {"worker_id", "lease_id", "lease_expires_at", "leases", "trace"})
    (lease,) = beat["leases"]
    assert lease["lease_expires_at"] == beat["lease_expires_at"] > attempt["lease_expires_at"]
    assert (lease["lease_id"], lease["state"]) == (attempt["lease_id"], "held")
    assert 60_000 < lease["lease_remaining_ms"] <= 120_000
    shorter = data_of(caller.of_worker(call, lease_id=attempt["lease_id"], lease_ttl_seconds=1))
    assert shorter["lease_expires_at"] == beat["lease_expires_at"]


def test_a_heartbeat_says_whose_fault_it_is(caller: Caller) -> None:
    caller.submit()
    attempt = caller.take()
    other = Caller(caller.http, caller.name + "-2")
    foreign = other.of_worker("heartbeat", lease_id=attempt["lease_id"])
    assert error_of(foreign) == (
        409,
        "conflict",
        {
            "reason": "lease_owner_mismatch",
            "expected_worker_id": caller.worker,
            "actual_worker_id": other.worker,
        },
    )
    assert error_of(caller.of_worker("heartbeat", lease_id="lease_unknown"))[:2] == (404, "not_found")
    wrong: list[Data] = [{}, {"lease_id": "a", "lease_ids": ["b"]}, {"lease_ids": []}]
    for body in wrong:
        assert error_of(caller.of_worker("heartbeat", **body))[0] == 400
    listed = caller.of_worker("heartbeat", lease_ids=["lease_unknown", attempt["lease_id"]])
    assert [lease["state"] for lease in data_of(listed)["leases"]] == ["lost", "held"]
    assert data_of(other.of_worker("heartbeat", lease_ids=[attempt["lease_id"]]))["leases"][0]["state"] == "lost"
    data_of(caller.ack(attempt))
    assert error_of(caller.of_worker("heartbeat", lease_id=attempt["lease_id"])) == lost("closed")


def test_a_lost_lease_writes_nothing_and_the_next_worker_gets_the_job(caller: Caller) -> None:
    caller.submit()
    first = caller.take(lease_ttl_seconds=1)
    other = Caller(caller.http, caller.name + "-2")
    second = other.take(workflows=[caller.name], wait_ms=30_000)
    assert (second["attempt_id"], second["attempt_no"]) == (first["attempt_id"], 2)
    assert second["fence"] > first["fence"]
    for refused in (
        caller.ack(first, result=1),
        caller.report(first, "a"),
        caller.of_worker("heartbeat", lease_id=first["lease_id"]),
        caller.of_worker("release", lease_ids=[first["lease_id"]]),
    ):
        assert error_of(refused) == lost("expired")
    assert caller.of_thread()["status"] == "running"
    assert error_of(caller.ack(second, result=1)) == lost()
    assert data_of(other.ack(second, result=2))["status"] == "completed"
    assert caller.of_thread()["result"] == 2


def test_a_step_is_recorded_once_and_handed_to_the_next_attempt(caller: Caller) -> None:
    caller.submit(retry_policy=RETRY)
    attempt = caller.take()
    reported = data_of(caller.report(attempt, "charge", output={"n": 1}, checkpoint={"values": {"at": 1}}))
    has_fields(reported, {"attempt_id", "status", "checkpoint_id", "trace"})
    assert reported["status"] == "reported"
    again = data_of(caller.report(attempt, "charge", output={"n": 1}, checkpoint={"values": {"at": 1}}))
    assert (again["status"], again["checkpoint_id"]) == ("reported_idempotent", reported["checkpoint_id"])
    mismatch = (409, "conflict", {"reason": "dedupe_mismatch"})
    assert error_of(caller.report(attempt, "charge", output={"n": 2})) == mismatch
    assert error_of(caller.report(attempt, "charge", "started", dedupe_token="2")) == mismatch
    data_of(caller.report(attempt, "mail", "failed", error="no"))
    seen = caller.of_thread()
    assert (seen["values"], seen["checkpoint_id"]) == ({"at": 1}, reported["checkpoint_id"])
    acked = data_of(caller.ack(attempt, "failed", error=BOOM))
    has_fields(acked, {"attempt_id", "status", "next_retry_at", "next_attempt_no", "trace"})
    assert (acked["status"], acked["next_attempt_no"]) == ("retry_scheduled", 2)
    second = caller.take(wait_ms=30_000)
    assert second["steps"] == [
        {"action_id": "charge", "status": "succeeded", "output": {"n": 1}},
        {"action_id": "mail", "status": "failed", "error": "no"},
    ]
    assert second["checkpoint"] == {"checkpoint_id": reported["checkpoint_id"], "values": {"at": 1}}


def test_a_list_of_steps_is_answered_one_by_one(caller: Caller) -> None:
    caller.submit()
    attempt = caller.take()
    steps: list[Data] = [
        {"action_id": "a", "status": "started", "dedupe_token": "1"},
        {"action_id": "a", "status": "succeeded", "dedupe_token": "1", "output": 1},
        {"action_id": "a", "status": "succeeded", "dedupe_token": "2", "output": 2},
    ]
    answer = data_of(caller.of_worker("report-step", **lease_of(attempt), steps=steps))
    started, succeeded, refused = answer["results"]
    assert (started["ok"]["status"], succeeded["ok"]["status"]) == ("reported", "reported")
    assert refused["error"]["details"]["reason"] == "dedupe_mismatch"
    for wrong, field in (
        ([steps[0] | {"status": "done"}], "steps[0].status"),
        ([steps[0] | {"error": 1}], "steps[0].error"),
        ([steps[0]] * 101, "steps"),
    ):
        refused = caller.of_worker("report-step", **lease_of(attempt), steps=wrong)
        assert error_of(refused) == (400, "invalid_argument", {"field": field})
    refused = caller.of_worker("report-step", **(lease_of(attempt) | {"attempt_id": "att_other"}), steps=steps)
    assert {result["error"]["code"] for result in data_of(refused)["results"]} == {"invalid_argument"}


def test_a_closing_write_is_answered_again_and_another_one_refused(caller: Caller) -> None:
    caller.submit()
    attempt = caller.take()
    first = data_of(caller.ack(attempt, result={"n": 1}))
    has_fields(first, {"attempt_id", "status", "next_attempt_no", "trace"})
    caller.submit()
    again = data_of(caller.ack(attempt, result={"n": 1}))
    assert {**again, "trace": None} == {**first, "trace": None}
    assert error_of(caller.ack(attempt, result={"n": 2})) == lost("closed")
    assert error_of(caller.ack(attempt, "failed", error=BOOM)) == lost("closed")


def test_a_list_of_acks_is_answered_one_by_one(caller: Caller) -> None:
    for number in range(2):
        caller.submit(thread_id=f"{caller.thread}-{number}")
    first, second = caller.poll(limit=2)["attempts"]
    acks = [
        lease_of(first) | {"terminal_status": "completed"},
        {"attempt_id": "att_x", "lease_id": "lease_x", "terminal_status": "completed"},
        lease_of(second) | {"terminal_status": "cancelled", "result": 1},
    ]
    results = data_of(caller.of_worker("ack", acks=acks))["results"]
    assert [result.get("ok", {}).get("status") for result in results] == ["completed", None, "cancelled"]
    assert results[1]["error"]["details"]["reason"] == "lease_lost"
    wrong = [acks[0] | {"error": BOOM}]
    assert error_of(caller.of_worker("ack", acks=wrong))[2] == {"field": "acks[0].error"}


def test_an_ack_brings_the_next_attempt_in_one_commit(caller: Caller) -> None:
    for number in range(2):
        caller.submit(thread_id=f"{caller.thread}-{number}")
    first = caller.take()
    fetch = {"limit": 1, "workflows": [caller.name]}
    following = data_of(caller.ack(first, poll=fetch))["next"]
    has_fields(following, POLL, POLL_MORE)
    (second,) = following["attempts"]
    assert second["thread_id"] == f"{caller.thread}-1"
    repeated = data_of(caller.ack(first, poll=fetch))["next"]
    assert [lease_of(attempt) for attempt in repeated["attempts"]] == [lease_of(second)]
    caller.submit(thread_id=f"{caller.thread}-2")
    stale = second | {"lease_id": "lease_unknown"}
    assert error_of(caller.ack(stale, poll=fetch)) == lost()
    assert caller.take()["thread_id"] == f"{caller.thread}-2"


def test_retries_are_counted_told_and_end_in_the_dead_letters(caller: Caller) -> None:
    run = caller.submit(retry_policy=RETRY)
    attempt_path = f"/v1/attempts/{run['attempt_id']}"
    for number in (1, 2, 3):
        attempt = caller.take(wait_ms=30_000)
        assert attempt["attempt_no"] == number
        acked = data_of(caller.ack(attempt, "failed", error=BOOM))
    assert acked["status"] == "failed"
    retries = data_of(caller.get(f"{attempt_path}/retries"))
    has_fields(retries, {"attempt_id", "current_attempt_no", "current_status", "history", "next_after"})
    first = data_of(caller.get(f"{attempt_path}/retries", limit=1))
    rest = data_of(caller.get(f"{attempt_path}/retries", limit=1, after=first["next_after"]))
    assert (first["history"] + rest["history"], rest["next_after"]) == (retries["history"], None)
    assert (retries["current_attempt_no"], retries["current_status"]) == (3, "failed")
    assert [entry["retry_no"] for entry in retries["history"]] == [1, 2]
    for entry in retries["history"]:
        has_fields(entry, {"retry_no", "attempt_no", "strategy", "backoff_ms", "max_retries", "scheduled_at"})
    entry = data_of(caller.get(f"/v1/dlq/{run['attempt_id']}"))
    has_fields(
        entry,
        {
            "attempt_id",
            "run_id",
            "thread_id",
            "tenant_id",
            "workflow",
            "attempt_no",
            "terminal_status",
            "reason",
            "error",
            "dead_at",
            "replay_status",
            "replay_count",
            "last_replayed_at",
        },
        {"replay_run_id"},
    )
    assert (entry["terminal_status"], entry["reason"], entry["error"]) == ("failed", "retries_exhausted", BOOM)
    listed = data_of(caller.get("/v1/dlq", workflow=caller.name, status="pending"))
    assert listed == {"entries": [entry], "next_cursor": None}
    assert data_of(caller.get("/v1/dlq", workflow=caller.name, status="replayed"))["entries"] == []
    shown = data_of(caller.get(attempt_path))
    assert (shown["attempt_no"], shown["status"], shown["run_id"]) == (3, "failed", run["run_id"])


def test_an_error_that_is_not_retryable_ends_the_run_at_once(caller: Caller) -> None:
    caller.submit(retry_policy=RETRY)
    acked = data_of(caller.ack(caller.take(), "failed", error=BOOM | {"retryable": False}))
    assert (acked["status"], acked["next_attempt_no"]) == ("failed", 1)
    assert "next_retry_at" not in acked


def test_the_policy_of_an_ack_goes_before_that_of_the_run(caller: Caller) -> None:
    caller.submit(retry_policy=RETRY)
    attempt = caller.take()
    acked = data_of(caller.ack(attempt, "failed", error=BOOM, retry_policy=NEVER))
    assert acked["status"] == "retry_scheduled"
    seen = caller.of_thread()
    assert (seen["status"], seen["due_at"]) == ("retry_backoff", acked["next_retry_at"])
    wrong = caller.ack(attempt, "failed", error={"type": "Boom"})
    assert error_of(wrong) == (400, "invalid_argument", {"field": "error.message"})


def test_a_released_job_goes_to_the_next_poll_and_nothing_is_counted(caller: Caller) -> None:
    caller.submit()
    attempt = caller.take()
    released = caller.of_worker("release", lease_ids=[attempt["lease_id"], "lease_unknown"])
    assert data_of(released) == {"released": [attempt["lease_id"]]}
    again = caller.take()
    assert again["attempt_no"] == 1
    later = caller.of_worker("release", lease_ids=[again["lease_id"]], delay_ms=3_600_000)
    assert data_of(later) == {"released": [again["lease_id"]]}
    assert caller.poll()["decision"] == "noop"


async def test_a_cancel_reaches_the_parked_poll_of_its_worker(server: ServerProcess, caller: Caller) -> None:
    caller.submit()
    attempt = caller.take()
    polled: list[Data] = []
    async with server.async_client() as http, trio.open_nursery() as nursery:

        async def park() -> None:
            body = {"worker_id": caller.worker, "limit": 0, "wait_ms": 55_000}
            polled.append(data_of(await http.post("/v1/workers/poll", json=body)))

        nursery.start_soon(park)
        await server.async_until(http, lambda status: status["parked_polls"] == 1, "the poll is parked")
        data_of(await http.post(f"/v1/jobs/{caller.thread}/cancel", json={"reason": "stop"}))
    (control,) = polled[0]["control"]
    assert control == {"type": "cancel", **lease_of(attempt), "reason": "stop"}
    assert error_of(caller.ack(attempt)) == lost("cancelled")
    assert error_of(caller.of_worker("heartbeat", lease_id=attempt["lease_id"])) == lost("cancelled")
    beat = data_of(caller.of_worker("heartbeat", lease_ids=[attempt["lease_id"]]))
    assert beat["leases"][0]["state"] == "cancelled"


def test_a_run_that_uses_up_its_time_is_told_so(caller: Caller) -> None:
    caller.submit(timeout_policy={"timeout_ms": 100, "on_timeout_status": "cancelled"})
    attempt = caller.take()
    polled = caller.poll(limit=0, wait_ms=30_000)
    assert polled["control"][0]["type"] == "timed_out"
    assert caller.of_thread()["status"] == "cancelled"
    assert error_of(caller.ack(attempt)) == lost("timed_out")


def test_more_steps_than_an_answer_holds_are_read_in_pages(caller: Caller) -> None:
    caller.submit(retry_policy=RETRY)
    attempt = caller.take()
    big = "x" * 900_000
    for number in range(6):
        data_of(caller.report(attempt, f"big-{number}", output=big))
    data_of(caller.ack(attempt, "failed", error=BOOM))
    second = caller.take(wait_ms=30_000)
    assert second["steps_truncated"] is True
    names = [step["action_id"] for step in second["steps"]]
    assert names == [f"big-{number}" for number in range(len(names))]
    assert 0 < len(names) < 6
    path = f"/v1/attempts/{second['attempt_id']}/steps"
    read = list(names)
    after: int | None = second["steps_next_after"]
    while after is not None:
        page = data_of(caller.get(path, lease_id=second["lease_id"], after=after, limit=2))
        read += [step["action_id"] for step in page["steps"]]
        after = page["next_after"]
    assert read == [f"big-{number}" for number in range(6)]
    assert error_of(caller.get(path, lease_id="lease_unknown")) == lost()
    first = data_of(caller.get(path))  # without a limit in number a page stops at 4 MiB
    assert [step["action_id"] for step in first["steps"]] == read[:4]
    assert first["next_after"] is not None


def test_steps_are_read_under_the_live_lease_of_a_session_that_is_not_over(caller: Caller) -> None:
    caller.submit()
    attempt = caller.take(session="s1")
    path = f"/v1/attempts/{attempt['attempt_id']}/steps"
    assert data_of(caller.get(path, lease_id=attempt["lease_id"]))["steps"] == []
    caller.poll(session="s2", limit=0)
    assert error_of(caller.get(path, lease_id=attempt["lease_id"])) == lost("superseded")
    heir = caller.take(session="s2", wait_ms=30_000)
    assert data_of(caller.get(path, lease_id=heir["lease_id"]))["steps"] == []
    assert error_of(caller.get(path, lease_id=attempt["lease_id"])) == lost("superseded")
    data_of(caller.ack(heir))
    assert error_of(caller.get(path, lease_id=heir["lease_id"])) == lost("closed")


@pytest.mark.parametrize(
    ("call", "body", "field"),
    [
        ("report-step", {"output": "x" * 1_048_577}, "output"),
        ("report-step", {"checkpoint": {"values": "x" * 1_048_577}}, "checkpoint.values"),
        ("ack", {"result": "x" * 1_048_577}, "result"),
    ],
)
def test_a_payload_over_its_limit_is_refused(caller: Caller, call: str, body: Data, field: str) -> None:
    caller.submit()
    attempt = caller.take()
    refused = caller.report(attempt, "a", **body) if call == "report-step" else caller.ack(attempt, **body)
    assert error_of(refused) == (413, "payload_too_large", {"field": field, "limit_bytes": 1_048_576})
    assert caller.of_thread()["status"] == "running"


def test_a_payload_at_its_limit_is_kept(caller: Caller) -> None:
    given = "x" * (1_048_576 - 2)
    caller.submit(input=given)
    assert caller.take()["input"] == given
    over = caller.post("/v1/jobs", **caller.job(thread_id="over", input=given + "x"))
    assert error_of(over)[0] == 413
    body = json.dumps(caller.job(input=[given] * 4 + ["x" * 100])).encode()
    assert len(body) > 4_194_304
    huge = caller.http.post("/v1/jobs", content=body, headers={"content-type": "application/json"})
    assert error_of(huge) == (413, "payload_too_large", {"limit_bytes": 4_194_304})


def test_operators_see_the_workers_newest_first(caller: Caller) -> None:
    names = [f"{caller.worker}-{number}" for number in range(3)]
    for number, name in enumerate(names):
        caller.submit(thread_id=f"{caller.thread}-{number}")
        caller.take(worker_id=name)
    page = data_of(caller.get("/v1/workers", limit=2))
    assert [worker["worker_id"] for worker in page["workers"]] == [names[2], names[1]]
    following = data_of(caller.get("/v1/workers", limit=1, cursor=page["next_cursor"]))
    assert [worker["worker_id"] for worker in following["workers"]] == [names[0]]
    shown = data_of(caller.get(f"/v1/workers/{names[0]}"))
    assert shown == following["workers"][0]
    seen = {"first_seen_at", "last_seen_at", "last_poll_at", "deaf"}
    has_fields(
        shown,
        {"worker_id", "tenant_id", "session", "active_leases", "incidents", "quarantined", "quarantined_until", *seen},
    )
    assert (shown["tenant_id"], shown["active_leases"]) == ("", 1)
    assert data_of(caller.get("/v1/workers", tenant_id="nobody"))["workers"] == []
    assert error_of(caller.get("/v1/workers", cursor="x")) == (400, "invalid_argument", {"field": "cursor"})
    assert error_of(caller.get(f"/v1/workers/{caller.name}"))[:2] == (404, "not_found")
