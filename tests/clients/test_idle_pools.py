"""Clients that keep connections in a pool: none meets a closed one, however long it was idle within the usual times.

Here time has to pass for real, all clients wait at once.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import requests
import trio

from ..e2e.server_process import ServerProcess

GAPS_S = (4.9, 4.95, 4.98, 4.99, 5.0, 5.01, 5.05, 5.1, 7.5, 12.0)
"""httpx's own pool keeps an idle connection for 5 s, as the server did once."""
CLIENTS = 4
"""For each gap."""

JobIds = dict[str, Any]


async def job_with_httpx(url: str, name: str, gap_s: float) -> str:
    """Submit, poll, wait, and acknowledge on the connection of the poll."""
    kept = httpx.Limits(keepalive_expiry=60.0)
    async with httpx.AsyncClient(base_url=url, limits=kept, timeout=30) as http:

        async def post(path: str, **body: Any) -> Any:
            response = await http.post(path, json=body)
            assert response.status_code == 200, response.text
            return response.json()["data"]

        await post("/v1/jobs/run", thread_id=name, workflow=name)
        polled = await post("/v1/workers/poll", worker_id=name, workflows=[name])
        await trio.sleep(gap_s)
        acked = await post(f"/v1/workers/{name}/ack", **held(polled), terminal_status="completed")
        connections = http._transport._pool.connections  # type: ignore[attr-defined]
        assert len(connections) == 1, "all went over one connection"
        return str(acked["status"])


async def job_with_httpx_as_it_comes(url: str, name: str, gap_s: float) -> str:
    """The same with the pool as it comes: its own limit is 5 s, just about when the next request comes."""
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        submitted = await http.post("/v1/jobs/run", json={"thread_id": name, "workflow": name})
        polled = await http.post("/v1/workers/poll", json={"worker_id": name, "workflows": [name]})
        await trio.sleep(gap_s)
        body = held(polled.json()["data"]) | {"terminal_status": "completed"}
        acked = await http.post(f"/v1/workers/{name}/ack", json=body)
        assert {submitted.status_code, polled.status_code, acked.status_code} == {200}
        return str(acked.json()["data"]["status"])


async def job_with_requests(url: str, name: str, gap_s: float) -> str:
    """The same with a session of requests, whose pool knows no limit; each call in a thread."""
    with requests.Session() as session:

        async def post(path: str, **body: Any) -> Any:
            response = await trio.to_thread.run_sync(lambda: session.post(url + path, json=body, timeout=30))
            assert response.status_code == 200, response.text
            return response.json()["data"]

        await post("/v1/jobs/run", thread_id=name, workflow=name)
        polled = await post("/v1/workers/poll", worker_id=name, workflows=[name])
        await trio.sleep(gap_s)
        acked = await post(f"/v1/workers/{name}/ack", **held(polled), terminal_status="completed")
        return str(acked["status"])


def held(polled: JobIds) -> JobIds:
    """What each write of the worker carries."""
    return {"attempt_id": polled["attempt_id"], "lease_id": polled["lease_id"]}


@pytest.fixture(scope="module")
def outcomes(server: ServerProcess) -> dict[str, list[str]]:
    """What each client has met, by kind: all of them at once."""
    kinds = (job_with_httpx, job_with_httpx_as_it_comes, job_with_requests)
    found: dict[str, list[str]] = {kind.__name__: [] for kind in kinds}

    async def one(kind: Any, name: str, gap_s: float) -> None:
        try:
            outcome = await kind(server.url, name, gap_s)
        except (httpx.HTTPError, requests.RequestException) as error:
            outcome = repr(error)
        found[kind.__name__].append(outcome)

    async def everyone() -> None:
        async with trio.open_nursery() as nursery:
            for kind in kinds:
                for gap_s in GAPS_S:
                    for number in range(CLIENTS):
                        name = f"{kind.__name__}-{gap_s}-{number}"
                        nursery.start_soon(one, kind, name, gap_s + number / 400)

    trio.run(everyone)
    return found


@pytest.mark.parametrize("kind", ["job_with_httpx", "job_with_httpx_as_it_comes", "job_with_requests"])
def test_an_ack_on_a_connection_that_was_idle_is_answered(outcomes: dict[str, list[str]], kind: str) -> None:
    assert outcomes[kind] == ["completed"] * len(GAPS_S) * CLIENTS
