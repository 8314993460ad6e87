"""Every audited action there is (docs/api.md): done on a real server, and found in the trail with who did it and how it
ended, in the commit of the change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, get_args

import httpx
import pytest

from oris.api.routes import route_table
from oris.audit_actions import OPENING, AuditAction

from .server_process import ServerProcess, data_of, error_of, serving

TOKEN = "secret-of-admin"
Act = Callable[[httpx.Client, str], httpx.Response]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with one admin."""
    with serving(tmp_path_factory.mktemp("audited"), ORIS_API_AUTH_BEARER_TOKEN=TOKEN) as running:
        yield running
        assert running.stop() == 0
        running.check_rows()


@pytest.fixture
def http(server: ServerProcess) -> Iterator[httpx.Client]:
    """That admin."""
    with server.client(headers={"authorization": f"Bearer {TOKEN}"}) as client:
        yield client


def submit(http: httpx.Client, thread: str) -> Any:
    """A job of its own workflow."""
    return data_of(http.post("/v1/jobs", json={"thread_id": thread, "workflow": thread}))


def interrupted(http: httpx.Client, thread: str) -> str:
    """A job that waits for somebody; the id of what it asks."""
    submit(http, thread)
    held = data_of(http.post("/v1/workers/poll", json={"worker_id": "w", "workflows": [thread]}))
    asked = {"attempt_id": held["attempt_id"], "lease_id": held["lease_id"], "interrupts": [{"key": "q", "value": 1}]}
    (interrupt,) = data_of(http.post("/v1/workers/w/interrupt", json=asked))["interrupts"]
    return str(interrupt["interrupt_id"])


def run(http: httpx.Client, name: str) -> httpx.Response:
    return http.post("/v1/jobs/run", json={"thread_id": name}, headers={"x-request-id": name})


def batch(http: httpx.Client, name: str) -> httpx.Response:
    jobs = [{"thread_id": f"{name}-1"}, {"thread_id": f"{name}-2"}, {"thread_id": f"{name}-1"}]
    return http.post("/v1/jobs/batch", json={"jobs": jobs}, headers={"x-request-id": name})


def cancel(http: httpx.Client, name: str) -> httpx.Response:
    submit(http, name)
    return http.post(f"/v1/jobs/{name}/cancel", json={"reason": "secret"}, headers={"x-request-id": name})


def resume_thread(http: httpx.Client, name: str) -> httpx.Response:
    interrupted(http, name)
    return http.post(f"/v1/jobs/{name}/resume", json={"value": "secret"}, headers={"x-request-id": name})


def resume(http: httpx.Client, name: str) -> httpx.Response:
    path = f"/v1/interrupts/{interrupted(http, name)}/resume"
    return http.post(path, json={"value": "secret"}, headers={"x-request-id": name})


def reject(http: httpx.Client, name: str) -> httpx.Response:
    path = f"/v1/interrupts/{interrupted(http, name)}/reject"
    return http.post(path, json={"reason": "secret"}, headers={"x-request-id": name})


def clear(http: httpx.Client, name: str) -> httpx.Response:
    submit(http, name)
    data_of(http.post("/v1/workers/poll", json={"worker_id": "w", "workflows": [name]}))
    return http.post("/v1/workers/w/clear-quarantine", json={}, headers={"x-request-id": name})


def clear_hold(http: httpx.Client, name: str) -> httpx.Response:
    return http.post("/v1/workflows/default/clear-hold", json={}, headers={"x-request-id": name})


def mode(http: httpx.Client, name: str) -> httpx.Response:
    return http.post("/v1/admin/mode", json={"submit": True, "dispatch": True}, headers={"x-request-id": name})


def failed(http: httpx.Client, thread: str) -> str:
    """A job whose run has failed; its attempt."""
    submit(http, thread)
    held = data_of(http.post("/v1/workers/poll", json={"worker_id": "w", "workflows": [thread]}))
    (attempt,) = held["attempts"]
    lease = {name: attempt[name] for name in ("attempt_id", "lease_id")}
    data_of(http.post("/v1/workers/w/ack", json=lease | {"terminal_status": "failed"}))
    return str(attempt["attempt_id"])


def replay(http: httpx.Client, name: str) -> httpx.Response:
    failed(http, name)
    return http.post(f"/v1/jobs/{name}/replay", json={}, headers={"x-request-id": name})


def replay_dead_letter(http: httpx.Client, name: str) -> httpx.Response:
    return http.post(f"/v1/dlq/{failed(http, name)}/replay", json={}, headers={"x-request-id": name})


def create_key(http: httpx.Client, name: str) -> httpx.Response:
    return http.post("/v1/api-keys", json={"role": "client"}, headers={"x-request-id": name})


def revoke_key(http: httpx.Client, name: str) -> httpx.Response:
    key_id = data_of(http.post("/v1/api-keys", json={"role": "client"}))["key_id"]
    return http.post(f"/v1/api-keys/{key_id}/revoke", json={}, headers={"x-request-id": name})


ACTIONS: dict[str, tuple[Act, str]] = {
    "job.run": (run, "thread"),
    "job.batch": (batch, "batch"),
    "job.cancel": (cancel, "thread"),
    "job.resume": (resume_thread, "thread"),
    "interrupt.resume": (resume, "interrupt"),
    "interrupt.reject": (reject, "interrupt"),
    "worker.clear_quarantine": (clear, "worker"),
    "workflow.clear_hold": (clear_hold, "workflow"),
    "admin.mode": (mode, "cluster"),
    "job.replay": (replay, "thread"),
    "dlq.replay": (replay_dead_letter, "dead_letter"),
    "apikey.create": (create_key, "api_key"),
    "apikey.revoke": (revoke_key, "api_key"),
}
"""How each is done, and what it is done to."""


def record_of(http: httpx.Client, request_id: str) -> Any:
    """The one record of a request."""
    (record,) = data_of(http.get("/v1/audit/logs", params={"request_id": request_id}))["logs"]
    return record


def test_every_action_of_the_route_table_is_done_here() -> None:
    assert {route.audit_action for route in route_table(1024).routes} - {None} == set(ACTIONS)


def test_every_action_can_be_asked_for_and_no_other(http: httpx.Client) -> None:
    assert set(get_args(AuditAction)) == {*ACTIONS, OPENING}
    for action in get_args(AuditAction):
        data_of(http.get("/v1/audit/logs", params={"action": action}))
    for action in ("job.runn", "job", "", "JOB.RUN"):
        refused = error_of(http.get("/v1/audit/logs", params={"action": action}))
        assert refused == (400, "invalid_argument", {"field": "action"})


@pytest.mark.parametrize("action", ACTIONS)
def test_what_was_done_is_in_the_trail_with_who_did_it_once(http: httpx.Client, action: str) -> None:
    act, resource_type = ACTIONS[action]
    name = f"of-{action}"
    data_of(act(http, name))
    record = record_of(http, name)
    assert (record["action"], record["resource_type"], record["result"]) == (action, resource_type, "ok")
    assert (record["actor_type"], record["actor_role"], record["source"]) == ("bearer", "admin", "http")
    assert "secret" not in str(record)


def test_a_batch_is_one_record_with_counts(http: httpx.Client) -> None:
    data_of(batch(http, "counted"))
    assert record_of(http, "counted")["details"] == {"accepted": 2, "refused": 1}


@pytest.mark.parametrize(
    ("action", "path", "body", "result"),
    [
        ("job.run", "/v1/jobs", {"thread_id": "busy"}, "run_active"),
        ("job.cancel", "/v1/jobs/nobody/cancel", {}, "not_found"),
        ("job.resume", "/v1/jobs/busy/resume", {"value": 1}, "nothing_pending"),
        ("interrupt.resume", "/v1/interrupts/wai_none/resume", {"value": 1}, "not_found"),
        ("interrupt.reject", "/v1/interrupts/wai_none/reject", {}, "not_found"),
        ("worker.clear_quarantine", "/v1/workers/nobody/clear-quarantine", {}, "not_found"),
        ("admin.mode", "/v1/admin/mode", {"submit": True, "dispatch": True, "node": "nobody"}, "not_found"),
        ("job.replay", "/v1/jobs/busy/replay", {}, "run_active"),
        ("dlq.replay", f"/v1/dlq/att_{'0' * 32}/replay", {}, "not_found"),
        ("apikey.revoke", f"/v1/api-keys/key_{'0' * 32}/revoke", {}, "not_found"),
    ],
)
def test_what_was_refused_is_in_the_trail_with_its_reason(
    http: httpx.Client, action: str, path: str, body: dict[str, Any], result: str
) -> None:
    http.post("/v1/jobs", json={"thread_id": "busy"})
    request_id = f"refused-{action}"
    assert http.post(path, json=body, headers={"x-request-id": request_id}).status_code in (404, 409)
    record = record_of(http, request_id)
    assert (record["action"], record["result"], record["actor_role"]) == (action, result, "admin")


@pytest.mark.parametrize(
    ("path", "body"), [("/v1/jobs", {}), ("/v1/admin/mode", {"submit": True}), ("/v1/jobs/t/cancel", {"mode": "no"})]
)
def test_what_was_not_understood_is_no_decision_and_is_not_in_the_trail(
    http: httpx.Client, path: str, body: dict[str, Any]
) -> None:
    request_id = f"wrong-{path.replace('/', '.')}"
    assert http.post(path, json=body, headers={"x-request-id": request_id}).status_code == 400
    assert data_of(http.get("/v1/audit/logs", params={"request_id": request_id}))["logs"] == []
