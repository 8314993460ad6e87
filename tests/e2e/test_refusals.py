"""What is wrong with a request, in the words of docs/api.md."""

from __future__ import annotations

import pytest

from oris.api.routes import route_table

from .calls import Caller, Data, lease_of
from .server_process import data_of, error_of

JSON = {"content-type": "application/json"}
PATHS = sorted({route.path for route in route_table(1024).routes})
POSTS = sorted({route.path for route in route_table(1024).routes if route.method == "POST"})


def real(path: str) -> str:
    """A path with names in it."""
    names = {"thread_id": "t", "run_id": "run_x", "worker_id": "w", "attempt_id": "att_x"}
    return path.format(**names, key_id="k", workflow="w", checkpoint_id="ckp_x", interrupt_id="int_x")


@pytest.mark.parametrize("path", PATHS)
def test_a_wrong_method_is_told_which_ones_there_are(caller: Caller, path: str) -> None:
    allowed = {route.method for route in route_table(1024).routes if route.path == path}
    response = caller.http.request("DELETE", real(path))
    assert error_of(response)[:2] == (405, "method_not_allowed")
    assert allowed <= set(response.headers["allow"].split(", "))
    assert "DELETE" not in response.headers["allow"]


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    ("headers", "content", "status", "code"),
    [
        (JSON, b"{", 400, "invalid_argument"),
        (JSON, b"[]", 400, "invalid_argument"),
        (JSON, b'{"nobody_knows_this":1}', 400, "invalid_argument"),
        (JSON, b'{"a":NaN}', 400, "invalid_argument"),
        ({"content-type": "text/plain"}, b"{}", 415, "unsupported_media_type"),
        (JSON | {"content-encoding": "gzip"}, b"{}", 415, "unsupported_media_type"),
    ],
)
def test_every_route_refuses_a_bad_body(
    caller: Caller, path: str, headers: dict[str, str], content: bytes, status: int, code: str
) -> None:
    response = caller.http.post(real(path), content=content, headers=headers)
    found_status, found_code, details = error_of(response)
    assert (found_status, found_code) == (status, code)
    assert status != 400 or details["field"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"thread_id": ""}, "thread_id"),
        ({"thread_id": "a b"}, "thread_id"),
        ({"thread_id": ".."}, "thread_id"),
        ({"thread_id": "x" * 257}, "thread_id"),
        ({"thread_id": 1}, "thread_id"),
        ({"workflow": "a/b"}, "workflow"),
        ({"tenant_id": "a@b"}, "tenant_id"),
        ({"priority": -1}, "priority"),
        ({"priority": 101}, "priority"),
        ({"priority": "1"}, "priority"),
        ({"priority": 1.5}, "priority"),
        ({"wait_ms": -1}, "wait_ms"),
        ({"wait_ms": 55_001}, "wait_ms"),
        ({"delay_ms": -1}, "delay_ms"),
        ({"run_at": "tomorrow"}, "run_at"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"timeout_policy": {"timeout_ms": 0}}, "timeout_policy.timeout_ms"),
        ({"timeout_policy": {"timeout_ms": 1, "on_timeout_status": "completed"}}, "timeout_policy.on_timeout_status"),
        ({"retry_policy": {"strategy": "linear", "backoff_ms": 1, "max_retries": 1}}, "retry_policy.strategy"),
        ({"retry_policy": {"strategy": "fixed", "backoff_ms": 1}}, "retry_policy.max_retries"),
        ({"retry_policy": {"strategy": "fixed", "backoff_ms": 1, "max_retries": 1, "x": 1}}, "retry_policy.x"),
        ({"idempotency_key": ""}, "idempotency_key"),
    ],
)
def test_a_submit_names_the_field_at_fault(caller: Caller, change: Data, field: str) -> None:
    refused = caller.post("/v1/jobs/run", **{"thread_id": caller.thread, **change})
    assert error_of(refused) == (400, "invalid_argument", {"field": field})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"worker_id": "a b"}, "worker_id"),
        ({"limit": 101}, "limit"),
        ({"limit": -1}, "limit"),
        ({"wait_ms": 55_001}, "wait_ms"),
        ({"lease_ttl_seconds": 0}, "lease_ttl_seconds"),
        ({"lease_ttl_seconds": 3601}, "lease_ttl_seconds"),
        ({"poll_id": "a b"}, "poll_id"),
        ({"workflows": ["a b"]}, "workflows[0]"),
        ({"max_active_leases": 0}, "max_active_leases"),
    ],
)
def test_a_poll_names_the_field_at_fault(caller: Caller, change: Data, field: str) -> None:
    refused = caller.post("/v1/workers/poll", **{"worker_id": "w", **change})
    assert error_of(refused) == (400, "invalid_argument", {"field": field})


@pytest.mark.parametrize(
    ("call", "body", "field"),
    [
        ("ack", {}, "attempt_id"),
        ("ack", {"attempt_id": "a", "lease_id": "l"}, "terminal_status"),
        ("ack", {"attempt_id": "a", "lease_id": "l", "terminal_status": "done"}, "terminal_status"),
        ("ack", {"attempt_id": "a", "lease_id": "l", "terminal_status": "failed", "result": 1}, "result"),
        ("ack", {"attempt_id": "a", "lease_id": "l", "terminal_status": "failed", "error": 1}, "error"),
        ("ack", {"acks": []}, "acks"),
        ("ack", {"acks": [{"attempt_id": "a"}]}, "acks[0].lease_id"),
        (
            "ack",
            {"attempt_id": "a", "lease_id": "l", "terminal_status": "completed", "poll": {"wait_ms": 1}},
            "poll.wait_ms",
        ),
        ("report-step", {"attempt_id": "a"}, "lease_id"),
        ("report-step", {"attempt_id": "a", "lease_id": "l"}, "action_id"),
        ("release", {}, "lease_ids"),
        ("release", {"lease_ids": []}, "lease_ids"),
        ("release", {"lease_ids": ["a"], "delay_ms": -1}, "delay_ms"),
        ("heartbeat", {"lease_id": "a", "lease_ttl_seconds": 3601}, "lease_ttl_seconds"),
    ],
)
def test_a_workers_call_names_the_field_at_fault(caller: Caller, call: str, body: Data, field: str) -> None:
    assert error_of(caller.of_worker(call, **body)) == (400, "invalid_argument", {"field": field})


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("/v1/jobs", {"limit": "x"}, "limit"),
        ("/v1/jobs", {"limit": "0"}, "limit"),
        ("/v1/jobs", {"nothing": "1"}, "nothing"),
        ("/v1/jobs/t/timeline", {"after_seq": "-1"}, "after_seq"),
        ("/v1/dlq", {"status": "lost"}, "status"),
        ("/v1/dlq", {"cursor": "x"}, "cursor"),
        ("/v1/audit/logs", {"category": "none"}, "category"),
        ("/v1/audit/logs", {"from_ms": "x"}, "from_ms"),
        ("/healthz", {"verbose": "1"}, "verbose"),
    ],
)
def test_a_query_names_the_field_at_fault(caller: Caller, path: str, query: dict[str, str], field: str) -> None:
    assert error_of(caller.get(path, **query)) == (400, "invalid_argument", {"field": field})


def test_a_request_id_is_kept_when_it_is_one(caller: Caller) -> None:
    for sent, kept in (("a-Z_0.9:x", True), ("x" * 128, True), ("x" * 129, False), ("a b", False), ("a\tb", False)):
        response = caller.http.get("/v1/capabilities", headers={"x-request-id": sent})
        data_of(response)
        assert (response.headers["x-request-id"] == sent) is kept


def test_audit_records_are_filtered_paged_and_chained(caller: Caller) -> None:
    ids = [f"{caller.name}-{number}"[-100:] for number in range(3)]
    for number, request_id in enumerate(ids):
        body = caller.job(thread_id=f"{caller.thread}-{number}")
        data_of(caller.http.post("/v1/jobs/run", json=body, headers={"x-request-id": request_id}))
    page = data_of(caller.get("/v1/audit/logs", action="job.run", limit=2))
    assert [log["request_id"] for log in page["logs"]] == [ids[2], ids[1]]
    following = data_of(caller.get("/v1/audit/logs", action="job.run", limit=1, cursor=page["next_cursor"]))
    (record,) = following["logs"]
    assert set(record) == {
        "audit_id",
        "chain_id",
        "seq",
        "actor_type",
        "actor_id",
        "actor_role",
        "tenant_id",
        "source",
        "action",
        "resource_type",
        "resource_id",
        "result",
        "request_id",
        "details",
        "created_at",
        "hash",
    }
    assert record["request_id"] == ids[0]
    assert [log["seq"] for log in page["logs"]] == [record["seq"] + 2, record["seq"] + 1]
    control = data_of(caller.get("/v1/audit/logs", limit=200))["logs"]
    everything = data_of(caller.get("/v1/audit/logs", category="all", limit=200))["logs"]
    assert {log["action"] for log in everything} - {log["action"] for log in control} == {"chain.open"}


@pytest.mark.parametrize("ambiguous", [False, True])
def test_a_cancel_that_finds_no_thread_is_audited_too(caller: Caller, ambiguous: bool) -> None:
    if ambiguous:
        caller.submit(tenant_id="one")
        caller.submit(tenant_id="two")
    response = caller.post(f"/v1/jobs/{caller.thread}/cancel")
    status, code, _ = error_of(response)
    assert (status, code) == ((409, "conflict") if ambiguous else (404, "not_found"))
    (record,) = data_of(caller.get("/v1/audit/logs", request_id=response.headers["x-request-id"]))["logs"]
    assert (record["action"], record["resource_id"]) == ("job.cancel", caller.thread)
    assert record["result"] == ("ambiguous_thread" if ambiguous else "not_found")


def test_refused_submits_are_audited_with_the_reason(caller: Caller) -> None:
    caller.submit()
    response = caller.post("/v1/jobs", **caller.job())
    assert response.status_code == 409
    (record,) = data_of(caller.get("/v1/audit/logs", request_id=response.headers["x-request-id"]))["logs"]
    assert (record["action"], record["result"]) == ("job.run", "run_active")


def test_the_pages_about_the_server_have_their_documented_fields(caller: Caller) -> None:
    assert data_of(caller.get("/healthz")) == {"status": "ok"}
    ready = data_of(caller.get("/readyz"))
    assert set(ready) == {"status", "mode", "store", "migrations", "tasks"}
    tasks = {"store", "committer", "sweeper", "backpressure", "keys", "disk", "metrics", "http", "signals", "reload"}
    assert ready["tasks"] == dict.fromkeys(tasks, "running")
    capabilities = data_of(caller.get("/v1/capabilities"))
    assert capabilities["version"]
    assert "jobs.submit" in capabilities["features"]
    status = data_of(caller.get("/v1/admin/status"))
    assert {task["name"] for task in status["tasks"]} == tasks
    assert {"mode", "limits", "queue_depth", "versions"} <= set(status)
    head = caller.http.head("/healthz")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize(
    ("path", "field"),
    [("/v1/jobs/numbers/timeline", "after_seq"), ("/v1/audit/logs", "to_ms"), ("/v1/audit/logs", "from_ms")],
)
@pytest.mark.parametrize("number", [2**63, 10**20])
def test_a_number_beyond_what_a_database_holds_is_bad_input(caller: Caller, path: str, field: str, number: int) -> None:
    caller.post("/v1/jobs", thread_id="numbers")
    status, _, details = error_of(caller.get(path, **{field: number}))
    assert (status, details["field"]) == (400, field)


def test_a_time_that_cannot_be_written_down_is_refused(caller: Caller) -> None:
    status, _, details = error_of(caller.post("/v1/jobs", thread_id="late", run_at="9999-12-31T23:59:59-12:00"))
    assert (status, details["field"]) == (400, "run_at")
    caller.submit()
    wait = {"kind": "time", "key": "late", "at": "9999-12-31T23:59:59.999-14:00"}
    refused = caller.of_worker("suspend", **lease_of(caller.take()), waits=[wait])
    assert (refused.status_code, error_of(refused)[2]["field"]) == (400, "waits[0].at")
    assert caller.of_thread()["status"] == "running"


def test_the_same_moment_in_another_zone_is_the_same_request(caller: Caller) -> None:
    body = {"thread_id": "zone", "idempotency_key": "zone"}
    first = data_of(caller.post("/v1/jobs", run_at="2030-01-01T00:00:00Z", **body))
    again = data_of(caller.post("/v1/jobs", run_at="2030-01-01T01:00:00+01:00", **body))
    assert (again["run_id"], again["idempotent_replay"]) == (first["run_id"], True)


def test_a_thread_without_a_tenant_can_be_named_beside_one_that_has_one(caller: Caller) -> None:
    mine = data_of(caller.post("/v1/jobs", thread_id="shadow"))
    data_of(caller.post("/v1/jobs", thread_id="shadow", tenant_id="other"))
    shown = data_of(caller.get("/v1/jobs/shadow", tenant_id=""))
    assert shown["run_id"] == mine["run_id"]
    ended = data_of(caller.post("/v1/jobs/shadow/cancel", tenant_id=""))
    assert (ended["run_id"], ended["status"]) == (mine["run_id"], "cancelled")
