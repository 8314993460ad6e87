"""Who may call what (API 1): every route, with every role, over real credentials."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path

import httpx
import pytest

from oris.api.routes import route_table

from .server_process import data_of, error_of, serving

EVERYBODY = frozenset({"admin", "operator", "client", "worker"})
PUBLIC = {"GET /healthz", "GET /readyz", "GET /metrics"}
JOBS = frozenset({"admin", "operator", "client"})
WORKERS = frozenset({"admin", "worker"})
OPERATORS = frozenset({"admin", "operator"})

MAY = {
    "GET /v1/capabilities": EVERYBODY,
    "GET /v1/admin/status": frozenset({"admin"}),
    "POST /v1/jobs": JOBS,
    "POST /v1/jobs/run": JOBS,
    "POST /v1/jobs/batch": JOBS,
    "GET /v1/jobs": JOBS,
    "GET /v1/jobs/{thread_id}": JOBS,
    "GET /v1/jobs/{thread_id}/runs": JOBS,
    "GET /v1/jobs/{thread_id}/result": JOBS,
    "GET /v1/jobs/{thread_id}/timeline": JOBS,
    "POST /v1/jobs/{thread_id}/cancel": JOBS,
    "GET /v1/runs/{run_id}": JOBS,
    "POST /v1/workers/poll": WORKERS,
    "POST /v1/workers/{worker_id}/heartbeat": WORKERS,
    "POST /v1/workers/{worker_id}/extend-lease": WORKERS,
    "POST /v1/workers/{worker_id}/report-step": WORKERS,
    "POST /v1/workers/{worker_id}/ack": WORKERS,
    "POST /v1/workers/{worker_id}/release": WORKERS,
    "GET /v1/workers": OPERATORS,
    "GET /v1/workers/{worker_id}": OPERATORS,
    "GET /v1/attempts/{attempt_id}": OPERATORS,
    "GET /v1/attempts/{attempt_id}/steps": OPERATORS | {"worker"},
    "GET /v1/attempts/{attempt_id}/retries": OPERATORS,
    "GET /v1/dlq": OPERATORS,
    "GET /v1/dlq/{attempt_id}": OPERATORS,
    "GET /v1/audit/logs": OPERATORS,
}
CREDENTIALS = {
    "admin": {"authorization": "Bearer secret-of-admin"},
    "operator": {"x-api-key": "secret-of-operator"},
    "client": {"authorization": "Bearer secret-of-client"},
    "worker": {"x-api-key": "secret-of-worker"},
}


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, httpx.Client]]:
    """A client for each role: two servers, with two static credentials each."""
    with ExitStack() as stack:
        found: dict[str, httpx.Client] = {}
        for bearer, key in (("admin", "operator"), ("client", "worker")):
            server = stack.enter_context(
                serving(
                    tmp_path_factory.mktemp(bearer),
                    ORIS_API_AUTH_BEARER_TOKEN=f"secret-of-{bearer}",
                    ORIS_API_AUTH_BEARER_ROLE=bearer,
                    ORIS_API_AUTH_API_KEY=f"secret-of-{key}",
                    ORIS_API_AUTH_API_KEY_ROLE=key,
                )
            )
            for role in (bearer, key):
                found[role] = stack.enter_context(server.client(headers=CREDENTIALS[role]))
        yield found
        log = (tmp_path_factory.getbasetemp()).rglob("stderr.log")
        assert not any("secret-of-" in path.read_text() for path in log)


def call(client: httpx.Client, route: str, **more: dict[str, str]) -> httpx.Response:
    """A call with nothing in it: who may not, is told so before that matters."""
    method, _, pattern = route.partition(" ")
    path = pattern.format(thread_id="nobody", run_id="run_x", worker_id="w", attempt_id="att_x")
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


@pytest.mark.parametrize("route", sorted(MAY))
@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Basic secret-of-admin"},
        {"authorization": "Bearer secret-of-operator"},
        {"x-api-key": "secret-of-admin"},
        {"authorization": "Bearer secret-of-admin", "x-api-key": "wrong"},
        {"x-api-key": "secret-of-operator", "x-api-key-id": "key_1"},
    ],
)
def test_without_the_right_credential_nothing_is_answered(
    clients: dict[str, httpx.Client], route: str, sent: dict[str, str]
) -> None:
    with httpx.Client(base_url=clients["admin"].base_url) as stranger:
        response = call(stranger, route, headers=sent)
    status, code, details = error_of(response)
    assert (status, code, details) == (401, "unauthorized", {"supported_auth": ["api_key", "bearer"]})
    assert "www-authenticate" in response.headers


@pytest.mark.parametrize("route", sorted(PUBLIC))
def test_health_and_metrics_are_public(clients: dict[str, httpx.Client], route: str) -> None:
    with httpx.Client(base_url=clients["admin"].base_url) as stranger:
        assert call(stranger, route).status_code == 200


def test_what_a_role_tried_in_vain_is_audited(clients: dict[str, httpx.Client]) -> None:
    refused = clients["worker"].post("/v1/jobs/run", json={"thread_id": "t"}, headers={"x-request-id": "tried"})
    assert refused.status_code == 403
    with httpx.Client(base_url=clients["client"].base_url, headers=CREDENTIALS["client"]) as client:
        assert error_of(client.get("/v1/audit/logs"))[0] == 403
    done = clients["admin"].post("/v1/jobs/run", json={"thread_id": "t"})
    (record,) = data_of(clients["operator"].get("/v1/audit/logs", params={"action": "job.run", "limit": 1}))["logs"]
    assert (record["request_id"], record["actor_type"], record["actor_role"], record["result"]) == (
        done.json()["request_id"],
        "bearer",
        "admin",
        "ok",
    )


@pytest.mark.parametrize("sent", [{"x-forwarded-for": "1.2.3.4"}, {"forwarded": "for=1.2.3.4"}, {"host": "evil.example"}])
def test_an_open_server_refuses_proxies_and_foreign_hosts(tmp_path: Path, sent: dict[str, str]) -> None:
    with serving(tmp_path) as server, server.client() as client:
        assert error_of(client.get("/v1/jobs", headers=sent))[:2] == (403, "forbidden")
        assert client.get("/v1/jobs").status_code == 200
