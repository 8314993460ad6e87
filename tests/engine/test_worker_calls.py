"""A worker that calls is alive: the dispatcher notes it, for every route that workers call."""

from __future__ import annotations

import json
from typing import Any

import pytest
from trio.testing import MockClock

from oris.api.http import Route
from oris.api.openapi.examples import EXAMPLES
from oris.api.routes import ROUTES
from oris.ids import WorkerKey

from .harness import World, running
from .heard import Api, Ear

NAMED = [route for route in ROUTES if route.of_worker and route.body is not None]
"""A worker says its name where it writes, or polls; not where it only reads."""


def listening(world: World, monkeypatch: pytest.MonkeyPatch) -> list[tuple[WorkerKey, str | None]]:
    """Who is noted, and as which session."""
    noted: list[tuple[WorkerKey, str | None]] = []
    monkeypatch.setattr(world.engine, "heard", lambda worker, session: noted.append((worker, session)))
    return noted


class NoEar(Ear):
    """The answers are nobody's business here."""

    def answer(self, method: str, path: str, status: int, body: bytes) -> None:
        pass


async def call(world: World, method: str, path: str, body: Any = None) -> int:
    api = Api(world, NoEar())
    answer = await api.ask(method, path, b"" if body is None else json.dumps(body).encode())
    assert api.faults == []
    return int(answer["status"])


def test_the_routes_that_workers_call_by_name_are_known() -> None:
    assert {route.path.rpartition("/")[2] for route in NAMED} == {
        *("poll", "heartbeat", "extend-lease", "report-step", "suspend", "interrupt", "ack", "release")
    }


@pytest.mark.parametrize("route", NAMED, ids=lambda route: route.path)
async def test_a_worker_that_calls_is_noted_whatever_it_is_answered(
    route: Route, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert route.body is not None
    async with running() as world:
        noted = listening(world, monkeypatch)
        for body in EXAMPLES[route.body].values():
            noted.clear()
            await call(world, "POST", route.path.replace("{worker_id}", "w1"), body)
            assert noted == [("/w1", body.get("session"))]


async def test_a_call_that_is_no_workers_notes_nobody(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as world:
        noted = listening(world, monkeypatch)
        assert await call(world, "POST", "/v1/workers/w1/clear-quarantine", {}) == 404
        assert await call(world, "GET", "/v1/workers/w1") == 404
        assert await call(world, "GET", "/v1/attempts/att_none/steps") == 404
        assert noted == []


async def test_a_name_that_no_worker_can_have_is_not_noted(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as world:
        noted = listening(world, monkeypatch)
        assert await call(world, "POST", "/v1/workers/a%2Fb/heartbeat", {"lease_id": "l"}) == 404
        assert await call(world, "POST", "/v1/workers/poll", {"worker_id": "a/b"}) == 400
        assert noted == []
