"""Which route a request goes to."""

from __future__ import annotations

from typing import Any

import pytest

from oris.api.http import (
    SMALL_BODY_BYTES,
    Answer,
    AnswerForm,
    Match,
    MethodNotAllowed,
    NotFound,
    Role,
    Route,
    RouteTable,
)
from oris.api.routes import ROUTES

SIZES = (1024, 1 << 20)


async def _handler(context: Any, body: Any) -> Answer:
    raise AssertionError("not called here")


def _table(*rows: tuple[str, str]) -> RouteTable:
    return RouteTable([Route(method, path, _handler, None, AnswerForm(Any)) for method, path in rows])


TABLE = _table(
    ("GET", "/v1/jobs"),
    ("POST", "/v1/jobs"),
    ("POST", "/v1/jobs/batch"),
    ("GET", "/v1/jobs/{thread_id}"),
    ("POST", "/v1/jobs/{thread_id}/cancel"),
    ("GET", "/v1/jobs/{thread_id}/checkpoints/{checkpoint_id}"),
    ("POST", "/v1/workers/poll"),
    ("POST", "/v1/workers/{worker_id}/ack"),
)


@pytest.mark.parametrize(
    ("method", "path", "pattern", "params"),
    [
        ("GET", "/v1/jobs", "/v1/jobs", {}),
        ("HEAD", "/v1/jobs", "/v1/jobs", {}),
        ("POST", "/v1/jobs/batch", "/v1/jobs/batch", {}),
        ("POST", "/v1/jobs/b%61tch", "/v1/jobs/batch", {}),
        ("GET", "/v1/jobs/batch", "/v1/jobs/{thread_id}", {"thread_id": "batch"}),
        ("GET", "/v1/jobs/a@b=c+d~", "/v1/jobs/{thread_id}", {"thread_id": "a@b=c+d~"}),
        ("GET", "/v1/jobs/a%40b%2Fc%20d", "/v1/jobs/{thread_id}", {"thread_id": "a@b/c d"}),
        ("GET", "/v1/jobs/%C3%A9", "/v1/jobs/{thread_id}", {"thread_id": "é"}),
        (
            "GET",
            "/v1/jobs/t/checkpoints/c",
            "/v1/jobs/{thread_id}/checkpoints/{checkpoint_id}",
            {"thread_id": "t", "checkpoint_id": "c"},
        ),
        ("POST", "/v1/workers/poll/ack", "/v1/workers/{worker_id}/ack", {"worker_id": "poll"}),
    ],
)
def test_a_request_finds_its_route(method: str, path: str, pattern: str, params: dict[str, str]) -> None:
    found = TABLE.match(method, path)
    assert isinstance(found, Match)
    assert (found.route.path, found.path_params) == (pattern, params)


@pytest.mark.parametrize(
    "path",
    ["", "/", "*", "/v1", "/v1/jobs/", "/v1/jobs//runs", "/v1/jobs/a/b", "/V1/jobs", "//v1/jobs", "/v1/jobs/%ff"],
)
def test_a_path_that_nobody_has_is_not_found(path: str) -> None:
    assert TABLE.match("GET", path) == NotFound()


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v1/jobs", ("GET", "POST")),
        ("DELETE", "/v1/jobs/batch", ("GET", "POST")),
        ("POST", "/v1/jobs/a", ("GET",)),
        ("HEAD", "/v1/workers/poll", ("POST",)),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(method: str, path: str, allowed: tuple[str, ...]) -> None:
    found = TABLE.match(method, path)
    assert isinstance(found, MethodNotAllowed)
    assert found.allowed == allowed


def test_two_routes_for_the_same_requests_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="two routes"):
        _table(("GET", "/v1/a/{x}"), ("GET", "/v1/a/{y}"))


def test_a_body_may_be_as_large_as_its_row_and_the_operator_allow() -> None:
    small = Route("POST", "/v1/small", _handler, None, AnswerForm(Any))
    large = Route("POST", "/v1/large", _handler, None, AnswerForm(Any), large_body=True)
    limits = [[RouteTable([small, large], limit).body_max_bytes(route) for route in (small, large)] for limit in SIZES]
    assert limits == [[1024, 1024], [SMALL_BODY_BYTES, 1 << 20]]


def test_room_is_kept_for_workers_where_workers_may_call_and_for_probes_where_anybody_may() -> None:
    assert all(route.roles is not None and Role.WORKER in route.roles for route in ROUTES if route.of_worker)
    assert all(route.roles is None for route in ROUTES if route.of_probe)
