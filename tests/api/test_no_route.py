"""What is said of a path that no route has, or not with this method."""

from __future__ import annotations

import json

import pytest

from oris.api.dispatch import RawRequest
from oris.api.http import Match, MethodNotAllowed, NotFound
from oris.api.no_route import no_route
from oris.api.routes import route_table
from oris.errors import ApiError

from .front import make_front

TABLE = route_table(1024)


@pytest.mark.parametrize(
    ("method", "path", "hint"),
    [
        ("POST", "/jobs", "did you mean POST /v1/jobs?"),
        ("GET", "/jobs", "did you mean GET /v1/jobs?"),
        ("POST", "/v1/jobs/", "did you mean POST /v1/jobs?"),
        ("POST", "//v1//jobs", "did you mean POST /v1/jobs?"),
        ("GET", "/v1/Jobs/t", "did you mean GET /v1/jobs/{thread_id}?"),
        ("GET", "/v1/job/t", "did you mean GET /v1/jobs/{thread_id}?"),
        ("POST", "/v1/workers/w/report_step", "did you mean POST /v1/workers/{worker_id}/report-step?"),
        ("POST", "/v1/workers/w/hartbeat", "did you mean POST /v1/workers/{worker_id}/heartbeat?"),
        ("POST", "/v1/interrupts/i/reject/", "did you mean POST /v1/interrupts/{interrupt_id}/reject?"),
        ("GET", "/health", "did you mean GET /healthz?"),
        ("GET", "/openapi", "GET /openapi.json lists all routes"),
        ("GET", "/v1/threads/t", "GET /openapi.json lists all routes"),
        ("GET", "/v1/jobs/%ff", "a percent-encoded part of the path is not UTF-8"),
        ("GET", "/", "GET /openapi.json lists all routes"),
        ("GET", "/" + "x" * 10_000, "GET /openapi.json lists all routes"),
        ("GET", "/a" * 5_000, "GET /openapi.json lists all routes"),
    ],
)
def test_an_unknown_route_is_told_with_the_one_that_is_near(method: str, path: str, hint: str) -> None:
    error = told(method, path)
    assert error.message == f"no such route; {hint}"
    assert error.details == {"method": method, "path": path}


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("PUT", "/v1/jobs", "this route takes GET and POST, not PUT"),
        ("GET", "/v1/workers/w/ack", "this is /v1/workers/{worker_id}/ack, which takes POST, not GET"),
        ("POST", "/v1/jobs/submit", "this is /v1/jobs/{thread_id}, which takes GET, not POST"),
        ("DELETE", "/v1/jobs/batch", "this route takes GET and POST, not DELETE"),
        ("X" * 5000, "/healthz", f"this route takes GET, not {'X' * 32}"),
    ],
)
def test_a_wrong_method_is_told_with_the_right_ones(method: str, path: str, message: str) -> None:
    assert told(method, path).message == message


async def test_it_is_what_a_caller_gets() -> None:
    answer = await make_front().dispatcher.dispatch(RawRequest("GET", "/v1/thing", b"", ()))
    found = json.loads(answer.body)["error"]
    assert (answer.status, found["message"]) == (404, "no such route; did you mean GET /v1/things?")


def told(method: str, path: str) -> ApiError:
    """The error for a request that has no route."""
    found = TABLE.match(method, path)
    assert isinstance(found, NotFound | MethodNotAllowed), found
    assert not isinstance(found, Match)
    return no_route(found, TABLE, method, path)
