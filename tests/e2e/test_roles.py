"""Who may call what (docs/api.md): every route, with every role, over real credentials."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path

import httpx
import pytest

from oris.api.routes import route_table

from .server_process import data_of, error_of, serving, until

EVERYBODY = frozenset({"admin", "operator", "client", "worker"})
PUBLIC = {"GET /healthz", "GET /openapi.json", "GET /readyz", "GET /metrics"}
JOBS = frozenset({"admin", "operator", "client"})
WORKERS = frozenset({"admin", "worker"})
OPERATORS = frozenset({"admin", "operator"})

MAY = {
    "GET /v1/capabilities": EVERYBODY,
    "GET /v1/admin/status": frozenset({"admin"}),
    "POST /v1/admin/mode": OPERATORS,
    "POST /v1/jobs": JOBS,
    "POST /v1/jobs/run": JOBS,
    "POST /v1/jobs/batch": JOBS,
    "GET /v1/jobs": JOBS,
    "GET /v1/jobs/{thread_id}": JOBS,
    "GET /v1/jobs/{thread_id}/runs": JOBS,
    "GET /v1/jobs/{thread_id}/result": JOBS,
    "GET /v1/jobs/{thread_id}/explain": JOBS,
    "GET /v1/jobs/{thread_id}/timeline": JOBS,
    "GET /v1/jobs/{thread_id}/timeline/export": JOBS,
    "GET /v1/jobs/{thread_id}/verify": JOBS,
    "GET /v1/jobs/{thread_id}/events": JOBS,
    "GET /v1/jobs/{thread_id}/detail": JOBS,
    "GET /v1/jobs/{thread_id}/history": JOBS,
    "GET /v1/jobs/{thread_id}/checkpoints/{checkpoint_id}": JOBS,
    "POST /v1/jobs/{thread_id}/cancel": JOBS,
    "POST /v1/jobs/{thread_id}/resume": JOBS,
    "POST /v1/jobs/{thread_id}/replay": OPERATORS,
    "GET /v1/interrupts": JOBS,
    "GET /v1/interrupts/{interrupt_id}": JOBS,
    "POST /v1/interrupts/{interrupt_id}/resume": JOBS,
    "POST /v1/interrupts/{interrupt_id}/reject": JOBS,
    "GET /v1/runs/{run_id}": JOBS,
    "POST /v1/workers/poll": WORKERS,
    "POST /v1/workers/{worker_id}/heartbeat": WORKERS,
    "POST /v1/workers/{worker_id}/extend-lease": WORKERS,
    "POST /v1/workers/{worker_id}/report-step": WORKERS,
    "POST /v1/workers/{worker_id}/suspend": WORKERS,
    "POST /v1/workers/{worker_id}/interrupt": WORKERS,
    "POST /v1/workers/{worker_id}/ack": WORKERS,
    "POST /v1/workers/{worker_id}/release": WORKERS,
    "GET /v1/workers": OPERATORS,
    "GET /v1/workers/{worker_id}": OPERATORS,
    "POST /v1/workers/{worker_id}/clear-quarantine": OPERATORS,
    "POST /v1/workflows/{workflow}/clear-hold": OPERATORS,
    "GET /v1/attempts/{attempt_id}": OPERATORS,
    "GET /v1/attempts/{attempt_id}/steps": OPERATORS | {"worker"},
    "GET /v1/attempts/{attempt_id}/retries": OPERATORS,
    "GET /v1/dlq": OPERATORS,
    "GET /v1/dlq/{attempt_id}": OPERATORS,
    "POST /v1/dlq/{attempt_id}/replay": OPERATORS,
    "GET /v1/audit/logs": OPERATORS,
    "GET /v1/api-keys": frozenset({"admin"}),
    "POST /v1/api-keys": frozenset({"admin"}),
    "POST /v1/api-keys/{key_id}/revoke": frozenset({"admin"}),
}
CREDENTIALS = {
    "admin": {"authorization": "Bearer secret-of-admin"},
    "operator": {"x-api-key": "secret-of-operator"},
    "worker": {"x-api-key": "secret-of-worker"},
}


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, httpx.Client]]:
    """A client for each role, with a stored key; the server has two static credentials too."""
    folder = tmp_path_factory.mktemp("roles")
    settings = {
        "ORIS_API_AUTH_BEARER_TOKEN": "secret-of-admin",
        "ORIS_API_AUTH_API_KEY": "secret-of-operator",
        "ORIS_API_AUTH_API_KEY_ROLE": "operator",
        "ORIS_TRUSTED_PROXIES": "127.0.0.1",
    }
    with ExitStack() as stack:
        server = stack.enter_context(serving(folder, **settings))
        admin = stack.enter_context(server.client(headers=CREDENTIALS["admin"]))
        made = {role: data_of(admin.post("/v1/api-keys", json={"role": role})) for role in sorted(EVERYBODY)}
        yield {
            role: stack.enter_context(
                server.client(headers={"x-api-key-id": key["key_id"], "x-api-key": key["secret"]})
            )
            for role, key in made.items()
        }
        log = server.stderr.read_text()
        assert not any(secret in log for secret in ("secret-of-", *(key["secret"] for key in made.values())))


def call(client: httpx.Client, route: str, **more: dict[str, str]) -> httpx.Response:
    """A call with nothing in it: who may not, is told so before that matters."""
    method, _, pattern = route.partition(" ")
    names = {"thread_id": "nobody", "run_id": "run_x", "worker_id": "w", "attempt_id": "att_x", "workflow": "none"}
    path = pattern.format(**names, interrupt_id="int_x", checkpoint_id="ckp_x", key_id="k")
    return client.request(method, path, json={} if method == "POST" else None, **more)  # type: ignore[arg-type]


def test_the_table_of_roles_names_every_route() -> None:
    assert {f"{route.method} {route.path}" for route in route_table(1024).routes} == {*MAY, *PUBLIC}


@pytest.mark.parametrize(("route", "role"), list(product(MAY, sorted(EVERYBODY))))
def test_a_route_answers_its_roles_and_no_others(clients: dict[str, httpx.Client], route: str, role: str) -> None:
    response = call(clients[role], route)
    if role in MAY[route]:
        assert response.status_code in (200, 400, 404, 409), response.text
        return
    method, _, pattern = route.partition(" ")
    status, code, details = error_of(response)
    assert (status, code, details["role"], details["method"]) == (403, "forbidden", role, method)
    assert details["path"].startswith(pattern.partition("{")[0])


@pytest.mark.parametrize(
    ("place", "sent"),
    list(
        enumerate(
            [
                {},
                {"authorization": "Bearer wrong"},
                {"authorization": "Basic secret-of-admin"},
                {"authorization": "Bearer secret-of-operator"},
                {"x-api-key": "secret-of-admin"},
                {"authorization": "Bearer wrong", "x-api-key": "wrong"},
                {"x-api-key": "secret-of-admin", "x-api-key-id": "key_1"},
            ]
        ),
    ),
)
def test_without_the_right_credential_nothing_is_answered(
    clients: dict[str, httpx.Client], place: int, sent: dict[str, str]
) -> None:
    """Each time from somewhere else: who fails often is told to wait."""
    expected = (401, "unauthorized", {"supported_auth": ["api_key", "bearer"]})
    with httpx.Client(base_url=clients["admin"].base_url, verify=False) as stranger:
        for number, route in enumerate(MAY):
            headers = sent | {"x-forwarded-for": f"203.0.{place}.{number}"}
            if "x-api-key-id" in sent:
                headers["x-api-key-id"] = f"key_{number}"
            response = call(stranger, route, headers=headers)
            assert error_of(response) == expected, route
            assert "www-authenticate" in response.headers


@pytest.mark.parametrize("route", sorted(PUBLIC))
def test_health_and_metrics_are_public(clients: dict[str, httpx.Client], route: str) -> None:
    with httpx.Client(base_url=clients["admin"].base_url, verify=False) as stranger:
        assert call(stranger, route).status_code == 200


def test_what_a_role_tried_in_vain_is_audited(tmp_path: Path) -> None:
    settings = {
        "ORIS_API_AUTH_BEARER_TOKEN": "secret-of-admin",
        "ORIS_API_AUTH_API_KEY": "secret-of-worker",
        "ORIS_API_AUTH_API_KEY_ROLE": "worker",
    }
    with serving(tmp_path, **settings) as server, server.client() as http:
        as_worker = CREDENTIALS["worker"] | {"x-request-id": "tried"}
        refused = http.post("/v1/jobs/run", json={"thread_id": "t"}, headers=as_worker)
        assert refused.status_code == 403
        as_admin = CREDENTIALS["admin"] | {"x-request-id": "done"}
        assert http.post("/v1/jobs/run", json={"thread_id": "t"}, headers=as_admin).status_code == 200

        def records(request_id: str) -> list[dict[str, str]]:
            found = http.get("/v1/audit/logs", params={"request_id": request_id}, headers=CREDENTIALS["admin"])
            logs: list[dict[str, str]] = data_of(found)["logs"]
            return logs

        (tried,) = until(lambda: records("tried"), "the refusal is audited")
        (done,) = records("done")
        assert [
            (record["action"], record["actor_type"], record["actor_role"], record["result"]) for record in (tried, done)
        ] == [("job.run", "api_key", "worker", "forbidden"), ("job.run", "bearer", "admin", "ok")]
        assert server.stop() == 0
        server.check_rows()


def test_an_open_server_refuses_proxies_and_foreign_hosts(tmp_path: Path) -> None:
    with serving(tmp_path) as server, server.client() as client:
        for sent in ({"x-forwarded-for": "1.2.3.4"}, {"forwarded": "for=1.2.3.4"}, {"host": "evil.example"}):
            assert error_of(client.get("/v1/jobs", headers=sent))[:2] == (403, "forbidden")
        assert client.get("/v1/jobs").status_code == 200
