"""Upgrading as docs/api.md says it ("Mode"): drain, replace the server, smoke test, let workers in, let clients in."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from .raw_http import connected
from .server_process import PATIENCE_S, ServerProcess, data_of, error_of, metric, serving
from .test_drain import wait_status

CREDENTIALS = {
    "ORIS_API_AUTH_BEARER_TOKEN": "secret-of-admin",
    "ORIS_API_AUTH_API_KEY": "secret-of-client",
    "ORIS_API_AUTH_API_KEY_ROLE": "client",
}
ADMIN = {"authorization": "Bearer secret-of-admin"}
CLIENT = {"x-api-key": "secret-of-client"}
KNOWN = {"thread_id": "known", "input": 1, "idempotency_key": "k"}


def switch(admin: httpx.Client, **said: Any) -> Any:
    """Switch for the whole cluster."""
    return data_of(admin.post("/v1/admin/mode", json=said))


def poll(http: httpx.Client, **said: Any) -> Any:
    """Ask for work."""
    return data_of(http.post("/v1/workers/poll", json={"worker_id": "w", "lease_ttl_seconds": 3600, **said}))


def lease(polled: Any) -> Any:
    """What every write of a worker names."""
    return {"attempt_id": polled["attempt_id"], "lease_id": polled["lease_id"]}


def drain(admin: httpx.Client, client: httpx.Client) -> None:
    """Quiesce: what is under way ends well, and nothing new begins."""
    first = data_of(client.post("/v1/jobs", json=KNOWN))
    held = poll(admin)
    assert held["attempts"][0]["run_id"] == first["run_id"]
    data_of(client.post("/v1/jobs", json={"thread_id": "waiting"}))
    set_to = switch(admin, submit=False, dispatch=False, reason="upgrade to 9")
    assert set_to.pop("set_at")
    expected = {"node": None, "submit": False, "dispatch": False, "reason": "upgrade to 9", "set_by": "static"}
    assert set_to == expected

    refused = client.post("/v1/jobs", json={"thread_id": "new", "idempotency_key": "other"})
    assert error_of(refused) == (503, "unavailable", {"reason": "draining"})
    assert int(refused.headers["retry-after"]) > 0
    again = data_of(client.post("/v1/jobs", json=KNOWN))
    assert (again["run_id"], again["idempotent_replay"]) == (first["run_id"], True)
    drained = poll(admin, wait_ms=50_000)
    assert (drained["decision"], drained["attempts"]) == ("draining", [])
    assert drained["retry_after_ms"] > 0

    named = lease(held)
    assert data_of(admin.post("/v1/workers/w/heartbeat", json={"lease_id": named["lease_id"]}))["lease_id"]
    step = {"action_id": "s", "status": "succeeded", "dedupe_token": "1", "output": 1}
    data_of(admin.post("/v1/workers/w/report-step", json=named | step))
    acked = data_of(admin.post("/v1/workers/w/ack", json=named | {"terminal_status": "completed", "poll": {}}))
    assert (acked["status"], acked["next"]["decision"]) == ("completed", "draining")


def is_drained(admin: httpx.Client, client: httpx.Client) -> None:
    """Nobody has to switch anything off again, and everybody is told how it stands."""
    ready = admin.get("/readyz")
    assert (ready.status_code, data_of(ready)["mode"]) == (200, "drained")
    status = data_of(admin.get("/v1/admin/status"))
    (mode,) = status["modes"]
    assert (status["mode"], mode["reason"], mode["submit"], mode["dispatch"]) == (
        "drained",
        "upgrade to 9",
        False,
        False,
    )
    assert (status["admission_level"], status["active_leases"]) == (2, 0)
    assert [node["node"] for node in status["nodes"]] == [status["node_id"]]
    assert poll(admin, wait_ms=50_000)["decision"] == "draining"
    assert data_of(client.get("/v1/jobs/waiting/explain"))["reason"] == "dispatch_off"
    assert error_of(client.post("/v1/jobs", json={"thread_id": "new"}))[2] == {"reason": "draining"}
    assert metric(admin.get("/metrics").text, 'oris_runtime_backpressure_active{reason="dispatch_off"}') == 1


def smoke_test(admin: httpx.Client) -> None:
    """Run, inspect, poll, ack: an admin's, while everybody else has to wait."""
    job = {"thread_id": "smoke", "workflow": "default", "input": "hello"}
    submitted = data_of(admin.post("/v1/jobs/run", json=job))
    assert data_of(admin.get("/v1/jobs/smoke"))["status"] == "queued"
    taken = poll(admin, worker_id="smoke-worker", only_threads=["smoke"], limit=10)
    assert [attempt["run_id"] for attempt in taken["attempts"]] == [submitted["run_id"]]
    done = lease(taken) | {"terminal_status": "completed", "result": "hello"}
    assert data_of(admin.post("/v1/workers/smoke-worker/ack", json=done))["status"] == "completed"
    assert data_of(admin.get("/v1/jobs/smoke/result"))["result"] == "hello"


def let_in(admin: httpx.Client, client: httpx.Client) -> None:
    """Workers first, then clients."""
    switch(admin, submit=False, dispatch=True)
    assert data_of(admin.get("/readyz"))["mode"] == "submit_off"
    assert [attempt["thread_id"] for attempt in poll(admin)["attempts"]] == ["waiting"]
    assert error_of(client.post("/v1/jobs", json={"thread_id": "new"}))[:2] == (503, "unavailable")
    switch(admin, submit=True, dispatch=True)
    assert data_of(client.post("/v1/jobs", json={"thread_id": "new"}))["status"] == "queued"
    assert [attempt["thread_id"] for attempt in poll(admin)["attempts"]] == ["new"]
    assert data_of(admin.get("/readyz"))["mode"] == "serving"


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_drained_restarted_still_drained_smoke_test_then_workers_then_clients(tmp_path: Path, kill: bool) -> None:
    with serving(tmp_path, **CREDENTIALS) as server, server.client(headers=ADMIN) as admin:
        with server.client(headers=CLIENT) as client:
            drain(admin, client)
        if kill:
            server.kill()
        else:
            assert server.stop() == 0
    with serving(tmp_path, **CREDENTIALS) as server, server.client(headers=ADMIN) as admin:
        told = server.line("mode_changed")
        assert told is not None
        assert (told["mode"], told["reason"]) == ("drained", "upgrade to 9")
        with server.client(headers=CLIENT) as client:
            is_drained(admin, client)
            smoke_test(admin)
            let_in(admin, client)
        logs = data_of(admin.get("/v1/audit/logs", params={"action": "admin.mode"}))["logs"]
        assert [(log["resource_type"], log["resource_id"], log["result"]) for log in logs] == [
            ("cluster", "", "ok")
        ] * 3
        assert [log["details"] for log in logs] == [
            {"submit": True, "dispatch": True, "reason": None},
            {"submit": False, "dispatch": True, "reason": None},
            {"submit": False, "dispatch": False, "reason": "upgrade to 9"},
        ]
        assert server.stop() == 0
        server.check_rows()


async def test_polls_parked_on_real_connections_are_answered_when_dispatch_is_switched_off(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        async with connected(server.address) as parked, connected(server.address) as operator:
            await parked.send("POST", "/v1/workers/poll", {"worker_id": "w", "wait_ms": 50_000})
            await wait_status(server.address, "parked_polls", 1)
            await operator.post("/v1/admin/mode", {"submit": True, "dispatch": False})
            with trio.fail_after(PATIENCE_S):
                assert (await parked.read()).data["decision"] == "draining"
        assert server.stop() == 0


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server without credentials."""
    with serving(tmp_path_factory.mktemp("open")) as server:
        yield server
        assert server.stop() == 0
        server.check_rows()


def test_one_node_is_named_as_the_status_names_it_and_no_other(open_server: ServerProcess) -> None:
    with open_server.client() as http:
        node = data_of(http.get("/v1/admin/status"))["node_id"]
        assert switch(http, submit=False, dispatch=False, node=node)["node"] == node
        assert data_of(http.get("/readyz"))["mode"] == "drained"
        unknown = http.post("/v1/admin/mode", json={"submit": True, "dispatch": True, "node": "nobody:1"})
        assert error_of(unknown)[:2] == (404, "not_found")
        switch(http, submit=True, dispatch=True)
        assert data_of(http.get("/readyz"))["mode"] == "drained"
        switch(http, submit=True, dispatch=True, node=node)
        assert data_of(http.get("/readyz"))["mode"] == "serving"
        logs = data_of(http.get("/v1/audit/logs", params={"action": "admin.mode"}))["logs"]
        assert [(log["resource_type"], log["resource_id"], log["result"]) for log in logs] == [
            ("node", node, "ok"),
            ("cluster", "", "ok"),
            ("node", "nobody:1", "not_found"),
            ("node", node, "ok"),
        ]


def test_on_an_open_server_nobody_has_shown_to_be_an_admin(open_server: ServerProcess) -> None:
    with open_server.client() as http:
        switch(http, submit=False, dispatch=False)
        assert error_of(http.post("/v1/jobs", json={"thread_id": "smoke"}))[2] == {"reason": "draining"}
        switch(http, submit=True, dispatch=False)
        data_of(http.post("/v1/jobs", json={"thread_id": "smoke"}))
        taken = poll(http, only_threads=["smoke"])
        assert taken["decision"] == "dispatched"
        data_of(http.post("/v1/workers/w/ack", json=lease(taken) | {"terminal_status": "completed"}))
        switch(http, submit=True, dispatch=True)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "submit"),
        ({"submit": True}, "dispatch"),
        ({"submit": 1, "dispatch": True}, "submit"),
        ({"submit": True, "dispatch": None}, "dispatch"),
        ({"submit": True, "dispatch": True, "drain": True}, "drain"),
        ({"submit": True, "dispatch": True, "node": "a b"}, "node"),
        ({"submit": True, "dispatch": True, "reason": "x" * 1001}, "reason"),
    ],
)
def test_a_mode_that_is_not_said_whole_is_refused(open_server: ServerProcess, body: dict[str, Any], field: str) -> None:
    with open_server.client() as http:
        status, code, details = error_of(http.post("/v1/admin/mode", json=body))
        assert (status, code, details["field"]) == (400, "invalid_argument", field)
        assert data_of(http.get("/readyz"))["mode"] == "serving"


def test_a_stop_after_a_drain_is_told_as_draining_and_ends_well(tmp_path: Path) -> None:
    with serving(tmp_path) as server, server.client() as http:
        switch(http, submit=False, dispatch=False)
        server.signal(signal.SIGTERM)
        assert server.wait_end() == 0
        (row,) = server.check_rows().modes
        assert (row.submit, row.dispatch) == (False, False)
