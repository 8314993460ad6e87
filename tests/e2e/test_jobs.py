"""Submitting and reading jobs (docs/api.md, "Jobs")."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
import trio

from .calls import SUBMITTED, TRACE, Caller, has_fields
from .server_process import PATIENCE_S, ServerProcess, data_of, error_of

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ROW = {
    "thread_id",
    "run_id",
    "workflow",
    "status",
    "attempt_no",
    "priority",
    "tenant_id",
    "created_at",
    "updated_at",
}
STATE = (ROW - {"thread_id"}) | {"thread_id", "checkpoint_id", "values", "input", "result", "error", "attempt_id"}
STATE_MORE = {"lease", "reason", "metadata", "idempotency_key", "due_at", "trace"}


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/run"])
def test_a_submit_answers_with_its_run_and_its_trace(caller: Caller, path: str) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    response = caller.http.post(
        path, json=caller.job(input=[1]), headers={"traceparent": parent, "x-request-id": "r-1"}
    )
    run = data_of(response)
    has_fields(run, SUBMITTED)
    has_fields(run["trace"], TRACE)
    assert response.headers["x-request-id"] == "r-1"
    assert run["trace"]["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert run["trace"]["parent_span_id"] == "b7ad6b7169203331"
    assert (run["status"], run["interrupts"], run["idempotency_key"], run["idempotent_replay"]) == (
        "queued",
        [],
        None,
        False,
    )


def test_a_job_is_read_back_with_the_clients_own_bytes(caller: Caller) -> None:
    body = '{"thread_id":"%s","workflow":"%s","input":{"b":1.0, "a": 10000000000000000000001}}'
    submitted = caller.http.post(
        "/v1/jobs", content=body % (caller.thread, caller.name), headers={"content-type": "application/json"}
    )
    run = data_of(submitted)
    response = caller.get(f"/v1/jobs/{caller.thread}")
    assert b'{"b":1.0, "a": 10000000000000000000001}' in response.content
    seen = data_of(response)
    has_fields(seen, STATE, STATE_MORE)
    assert seen["run_id"] == run["run_id"]
    assert (seen["values"], seen["checkpoint_id"], seen["result"], seen["error"]) == (None, None, None, None)
    assert TIME.fullmatch(seen["created_at"])
    assert TIME.fullmatch(seen["updated_at"])
    assert data_of(caller.get(f"/v1/runs/{run['run_id']}")) == seen

    attempt = caller.take()
    assert attempt["input"] == {"b": 1.0, "a": 10000000000000000000001}
    lease = caller.of_thread()["lease"]
    assert lease == {"worker_id": caller.worker, "expires_at": attempt["lease_expires_at"]}


def test_a_repeat_with_the_same_key_is_the_same_run_whatever_wait_ms_it_has(caller: Caller) -> None:
    first = caller.submit(idempotency_key=caller.name, input={"a": 1}, priority=3)
    again = caller.submit(idempotency_key=caller.name, input={"a": 1}, priority=3, wait_ms=1)
    assert again["idempotent_replay"] is True
    assert (again["run_id"], again["attempt_id"]) == (first["run_id"], first["attempt_id"])
    for other in (
        {"input": {"a": 2}, "priority": 3},
        {"input": {"a": 1}},
        {"input": {"a": 1}, "priority": 3, "delay_ms": 5},
    ):
        refused = caller.post("/v1/jobs", **caller.job(idempotency_key=caller.name, **other))
        assert error_of(refused) == (
            409,
            "conflict",
            {"reason": "idempotency_mismatch", "run_id": first["run_id"]},
        )


def test_a_repeat_after_the_end_and_after_the_next_run_shows_its_own_end(caller: Caller) -> None:
    first = caller.submit(idempotency_key=caller.name)
    data_of(caller.ack(caller.take(), result={"n": 1}))
    second = caller.submit()
    assert second["run_id"] != first["run_id"]
    again = caller.submit(idempotency_key=caller.name)
    assert (again["run_id"], again["status"], again["result"]) == (first["run_id"], "completed", {"n": 1})
    assert again["trace"]["trace_id"] == first["trace"]["trace_id"]


def test_a_thread_has_one_active_run(caller: Caller) -> None:
    run = caller.submit()
    refused = caller.post("/v1/jobs", **caller.job())
    assert error_of(refused) == (409, "conflict", {"reason": "run_active", "run_id": run["run_id"]})
    data_of(caller.ack(caller.take()))
    second = caller.submit()
    runs = caller.of_thread("/runs")
    has_fields(runs, {"runs", "next_cursor"})
    assert [row["run_id"] for row in runs["runs"]] == [second["run_id"], run["run_id"]]
    assert all(set(row) == ROW for row in runs["runs"])
    first_page = caller.of_thread("/runs", limit=1)
    second_page = caller.of_thread("/runs", limit=1, cursor=first_page["next_cursor"])
    assert [row["run_id"] for row in second_page["runs"]] == [run["run_id"]]
    assert second_page["next_cursor"] is None
    assert data_of(caller.get(f"/v1/runs/{run['run_id']}"))["status"] == "completed"


def test_a_delayed_job_waits_for_its_time(caller: Caller) -> None:
    run = caller.submit(delay_ms=300)
    assert run["status"] == "scheduled"
    assert caller.poll()["decision"] == "noop"
    attempt = caller.take(wait_ms=int(PATIENCE_S * 1000))
    assert attempt["run_id"] == run["run_id"]
    created, queued = caller.of_thread("/timeline")["timeline"][:2]
    assert queued["event_type"] == "attempt_queued"
    waited = datetime.fromisoformat(queued["created_at"]) - datetime.fromisoformat(created["created_at"])
    assert waited >= timedelta(milliseconds=300)


def test_run_at_is_a_time_or_refused(caller: Caller) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert caller.submit(run_at=later)["status"] == "scheduled"
    assert caller.of_thread()["due_at"] == later
    past = caller.submit(thread_id=caller.thread + "-2", run_at="2020-01-01T00:00:00Z")
    assert past["status"] == "queued"
    both = caller.post("/v1/jobs", **caller.job(run_at=later, delay_ms=1))
    assert error_of(both) == (400, "invalid_argument", {"field": "run_at"})
    naive = caller.post("/v1/jobs", **caller.job(run_at="2030-01-01T00:00:00"))
    assert error_of(naive) == (400, "invalid_argument", {"field": "run_at"})


async def test_run_with_wait_ms_and_result_wake_with_the_ack(server: ServerProcess, caller: Caller) -> None:
    answers: dict[str, dict[str, object]] = {}
    async with server.async_client() as http, trio.open_nursery() as nursery:

        async def run() -> None:
            answers["run"] = data_of(await http.post("/v1/jobs/run", json=caller.job(wait_ms=30_000)))

        async def result() -> None:
            path = f"/v1/jobs/{caller.thread}/result"
            answers["result"] = data_of(await http.get(path, params={"wait_ms": 30_000}))

        nursery.start_soon(run)
        attempt = await trio.to_thread.run_sync(lambda: caller.take(wait_ms=30_000))
        nursery.start_soon(result)
        await server.async_until(http, lambda status: status["waiters"] == 2, "both wait")
        data_of(await trio.to_thread.run_sync(lambda: caller.ack(attempt, result="done")))
    assert (answers["run"]["status"], answers["run"]["result"]) == ("completed", "done")
    assert answers["result"] == {"run_id": attempt["run_id"], "status": "completed", "result": "done"}


def test_a_wait_that_ends_first_tells_the_status_then(caller: Caller) -> None:
    run = caller.submit(wait_ms=1)
    assert run["status"] == "queued"
    assert caller.of_thread("/result", wait_ms=1) == {"run_id": run["run_id"], "status": "queued"}
    refused = caller.get(f"/v1/jobs/{caller.thread}/result", wait_ms=55_001)
    assert error_of(refused) == (400, "invalid_argument", {"field": "wait_ms"})


def test_the_result_of_a_failed_run_is_its_error(caller: Caller) -> None:
    caller.submit()
    error = {"type": "Boom", "message": "no", "data": {"k": [1]}}
    data_of(caller.ack(caller.take(), "failed", error=error))
    seen = caller.of_thread("/result")
    assert (seen["status"], seen["error"]) == ("failed", error)
    assert "result" not in seen


def test_a_timeline_is_gapless_and_read_in_pages(caller: Caller) -> None:
    caller.submit()
    attempt = caller.take()
    for number in range(3):
        data_of(caller.report(attempt, f"a{number}", output=number))
    data_of(caller.ack(attempt))
    whole = caller.of_thread("/timeline")["timeline"]
    assert [event["seq"] for event in whole] == list(range(1, 8))
    assert [event["event_type"] for event in whole] == [
        "run_created",
        "attempt_queued",
        "lease_granted",
        "step_recorded",
        "step_recorded",
        "step_recorded",
        "completed",
    ]
    required = {"seq", "event_type", "run_id", "attempt_no", "created_at"}
    for event in whole:
        has_fields(event, required, {"worker_id", "data"})
    assert whole[2]["worker_id"] == caller.worker
    pages = [caller.of_thread("/timeline", after_seq=after, limit=3)["timeline"] for after in (0, 3, 6, 9)]
    assert [event for page in pages for event in page] == whole


def test_a_run_id_is_a_precondition_of_every_call_on_a_thread(caller: Caller) -> None:
    run = caller.submit()
    wrong = {"run_id": "run_" + "0" * 32}
    expected = (409, "conflict", {"reason": "run_mismatch", "run_id": run["run_id"]})
    for what in ("", "/runs", "/result", "/timeline"):
        assert error_of(caller.get(f"/v1/jobs/{caller.thread}{what}", **wrong)) == expected, what
        assert caller.get(f"/v1/jobs/{caller.thread}{what}", run_id=run["run_id"]).status_code == 200
    assert error_of(caller.post(f"/v1/jobs/{caller.thread}/cancel", **wrong)) == expected
    cancelled = caller.post(f"/v1/jobs/{caller.thread}/cancel", run_id=run["run_id"])
    assert data_of(cancelled)["status"] == "cancelled"


def test_a_cancel_is_durable_and_its_repeat_harmless(caller: Caller) -> None:
    run = caller.submit()
    cancelled = data_of(caller.post(f"/v1/jobs/{caller.thread}/cancel", reason="not needed"))
    assert cancelled == {
        "thread_id": caller.thread,
        "run_id": run["run_id"],
        "status": "cancelled",
        "reason": "not needed",
    }
    assert data_of(caller.post(f"/v1/jobs/{caller.thread}/cancel")) == cancelled
    assert caller.poll()["decision"] == "noop"
    caller.submit()
    data_of(caller.ack(caller.take()))
    over = caller.post(f"/v1/jobs/{caller.thread}/cancel")
    status, code, details = error_of(over)
    assert (status, code, details["reason"]) == (409, "conflict", "run_terminal")


def test_a_batch_answers_each_job_on_its_own_and_in_order(caller: Caller) -> None:
    run = caller.submit()
    jobs = [
        caller.job(thread_id="batch-1", input=1, idempotency_key="batch-key"),
        caller.job(),
        caller.job(thread_id="batch-1", input=1, idempotency_key="batch-key"),
        caller.job(thread_id="batch-1", input=2, idempotency_key="batch-key"),
        caller.job(thread_id="batch-2", delay_ms=60_000),
    ]
    answer = data_of(caller.post("/v1/jobs/batch", jobs=jobs))
    first, active, repeated, mismatch, delayed = answer["results"]
    has_fields(first["ok"], SUBMITTED)
    assert (first["ok"]["status"], first["ok"]["idempotent_replay"]) == ("queued", False)
    assert active["error"]["code"] == "conflict"
    assert active["error"]["details"] == {"reason": "run_active", "run_id": run["run_id"]}
    assert (repeated["ok"]["run_id"], repeated["ok"]["idempotent_replay"]) == (first["ok"]["run_id"], True)
    assert mismatch["error"]["details"]["reason"] == "idempotency_mismatch"
    assert delayed["ok"]["status"] == "scheduled"
    (record,) = data_of(caller.get("/v1/audit/logs", action="job.batch", limit=1))["logs"]
    assert record["details"] == {"accepted": 3, "refused": 2}


def test_a_job_that_is_too_large_refuses_no_other_of_its_batch(caller: Caller) -> None:
    jobs = [caller.job(input="x" * 2**20), caller.job()]
    large, small = data_of(caller.post("/v1/jobs/batch", jobs=jobs))["results"]
    assert (large["error"]["code"], large["error"]["details"]["field"]) == ("payload_too_large", "jobs[0].input")
    assert small["ok"]["status"] == "queued"
    (record,) = data_of(caller.get("/v1/audit/logs", action="job.batch", limit=1))["logs"]
    assert record["details"] == {"accepted": 1, "refused": 1}


def test_a_batch_has_bounds_and_no_waits(caller: Caller) -> None:
    many = [{"thread_id": f"m{n}"} for n in range(1001)]
    assert error_of(caller.post("/v1/jobs/batch", jobs=many)) == (400, "invalid_argument", {"field": "jobs"})
    assert error_of(caller.post("/v1/jobs/batch", jobs=[]))[2] == {"field": "jobs"}
    waiting = caller.post("/v1/jobs/batch", jobs=[caller.job(), caller.job(wait_ms=1)])
    assert error_of(waiting) == (400, "invalid_argument", {"field": "jobs[1].wait_ms"})


def test_lists_of_jobs_are_filtered_and_paged_newest_first(caller: Caller) -> None:
    threads = [f"{caller.thread}-{number}" for number in range(5)]
    for thread in threads:
        caller.submit(thread_id=thread)
    data_of(caller.ack(caller.take()))
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = data_of(caller.get("/v1/jobs", workflow=caller.name, limit=2, **cursor))
        has_fields(page, {"jobs", "next_cursor"})
        assert all(set(row) == ROW for row in page["jobs"])
        found += [row["thread_id"] for row in page["jobs"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert found == threads[::-1]
    done = data_of(caller.get("/v1/jobs", workflow=caller.name, status="completed"))["jobs"]
    assert [row["thread_id"] for row in done] == threads[:1]
    for wrong, field in (({"cursor": "x"}, "cursor"), ({"limit": 201}, "limit"), ({"status": "nope"}, "status")):
        assert error_of(caller.get("/v1/jobs", **wrong)) == (400, "invalid_argument", {"field": field})


@pytest.mark.parametrize("status", ["suspended", "interrupted", "cancelling"])
def test_a_list_may_ask_for_every_status_of_the_contract(caller: Caller, status: str) -> None:
    assert data_of(caller.get("/v1/jobs", status=status))["jobs"] == []


def test_threads_of_one_name_in_several_tenants_are_kept_apart(caller: Caller) -> None:
    blue = caller.submit(tenant_id="blue", idempotency_key="k")
    assert caller.of_thread()["tenant_id"] == "blue"
    red = caller.submit(tenant_id="red", idempotency_key="k")
    assert red["idempotent_replay"] is False
    ambiguous = (409, "conflict", {"reason": "ambiguous_thread"})
    for what in ("", "/runs", "/result", "/timeline"):
        assert error_of(caller.get(f"/v1/jobs/{caller.thread}{what}")) == ambiguous
        answer = caller.get(f"/v1/jobs/{caller.thread}{what}", tenant_id="red")
        assert answer.status_code == 200
    assert error_of(caller.post(f"/v1/jobs/{caller.thread}/cancel")) == ambiguous
    data_of(caller.post(f"/v1/jobs/{caller.thread}/cancel", tenant_id="red"))
    assert data_of(caller.get(f"/v1/jobs/{caller.thread}", tenant_id="blue"))["run_id"] == blue["run_id"]
    rows = data_of(caller.get("/v1/jobs", tenant_id="blue", workflow=caller.name))["jobs"]
    assert [row["run_id"] for row in rows] == [blue["run_id"]]
    assert error_of(caller.get(f"/v1/jobs/{caller.thread}", tenant_id="green"))[:2] == (404, "not_found")


def test_what_is_unknown_is_not_found(caller: Caller) -> None:
    for path in (
        "/v1/jobs/nobody",
        "/v1/jobs/nobody/runs",
        "/v1/jobs/nobody/result",
        "/v1/jobs/nobody/timeline",
        "/v1/jobs/%20",
        "/v1/runs/nothing",
        "/v1/attempts/nothing",
        "/v1/attempts/nothing/steps",
        "/v1/attempts/nothing/retries",
        "/v1/dlq/nothing",
        "/v1/nothing",
        "/",
    ):
        assert error_of(caller.get(path))[:2] == (404, "not_found"), path
    assert error_of(caller.post("/v1/jobs/nobody/cancel"))[:2] == (404, "not_found")
