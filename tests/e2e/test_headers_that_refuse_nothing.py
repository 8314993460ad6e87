"""Fields that cannot be read, or mean nothing to a request, refuse nothing; unreadable traces and ids begin anew."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from .server_process import ServerProcess, data_of, error_of

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
GOOD = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
UNREADABLE: dict[str, list[tuple[str, str]]] = {
    "nonsense": [("traceparent", "00-nonsense")],
    "empty": [("traceparent", "")],
    "in capitals": [("traceparent", GOOD.upper())],
    "version ff": [("traceparent", "ff" + GOOD[2:])],
    "too long for its version": [("traceparent", GOOD + "-01")],
    "of zeros": [("traceparent", f"00-{'0' * 32}-00f067aa0ba902b7-01")],
    "not ASCII": [("traceparent", "00-caf\xe9")],
    "twice": [("traceparent", GOOD), ("traceparent", GOOD)],
    "two of them": [("traceparent", GOOD), ("traceparent", GOOD.replace("b7", "b8"))],
    "with a state": [("traceparent", "x"), ("tracestate", "a=1"), ("tracestate", "=,=,")],
    "with request ids": [("traceparent", "x"), ("x-request-id", "a"), ("x-request-id", "b")],
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_cannot_be_read_starts_a_new_trace_and_refuses_nothing(
    server: ServerProcess, http: httpx.Client, kind: str
) -> None:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in UNREADABLE[kind]]
    name = kind.replace(" ", "-")

    def served(method: str, path: str, body: Any = None) -> httpx.Response:
        response = http.request(method, path, json=body, headers=headers)
        assert response.status_code == 200, response.text
        assert TRACE_ID not in response.headers["traceparent"]
        assert len(response.headers["traceparent"]) == len(GOOD)
        assert response.headers["x-request-id"].startswith("req_")
        return response

    submitted = data_of(served("POST", "/v1/jobs/run", {"thread_id": name, "workflow": name}))
    assert submitted["trace"]["trace_id"] != TRACE_ID
    polled = data_of(served("POST", "/v1/workers/poll", {"worker_id": name, "workflows": [name]}))
    held = {"attempt_id": polled["attempt_id"], "lease_id": polled["lease_id"]}
    assert polled["trace"]["trace_id"] == submitted["trace"]["trace_id"]
    served("POST", f"/v1/workers/{name}/heartbeat", {"lease_id": held["lease_id"]})
    step = {"action_id": "a", "status": "succeeded", "dedupe_token": "1"}
    served("POST", f"/v1/workers/{name}/report-step", held | step)
    served("POST", f"/v1/workers/{name}/ack", held | {"terminal_status": "completed"})
    for public in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
        served("GET", public)


MEANS_NOTHING: list[list[tuple[str, str]]] = [
    [("accept", "text/html")],
    [("accept", "nonsense;;;q")],
    [("accept-encoding", "identity;q=0")],
    [("if-none-match", "*")],
    [("if-match", '"a"')],
    [("if-unmodified-since", "Thu, 01 Jan 1970 00:00:00 GMT")],
    [("range", "bytes=999-")],
    [("expect", "nonsense")],
    [("upgrade", "websocket")],
    [("tracestate", "=,="), ("tracestate", "=,=")],
    [("baggage", "%%%")],
    [("last-event-id", "nonsense")],
    [("last-event-id", "1"), ("last-event-id", "2")],
    [("x-request-id", "no id")],
]


@pytest.mark.parametrize("fields", MEANS_NOTHING, ids=lambda fields: " and ".join(": ".join(each) for each in fields))
def test_a_field_that_means_nothing_to_a_request_refuses_nothing(
    http: httpx.Client, fields: list[tuple[str, str]]
) -> None:
    name = f"means-nothing-{MEANS_NOTHING.index(fields)}"
    for method, path, body in (
        ("GET", "/healthz", None),
        ("GET", "/metrics", None),
        ("POST", "/v1/jobs/run", {"thread_id": name, "workflow": name}),
        ("POST", "/v1/workers/poll", {"worker_id": name, "workflows": [name]}),
    ):
        response = http.request(method, path, json=body, headers=fields)
        assert response.status_code == 200, response.text


def test_two_places_in_a_stream_of_events_are_none(http: httpx.Client) -> None:
    data_of(http.post("/v1/jobs/run", json={"thread_id": "streamed"}))
    refused = http.get("/v1/jobs/streamed/events", headers=[("last-event-id", "1"), ("last-event-id", "2")])
    assert error_of(refused) == (400, "invalid_argument", {"field": "last-event-id"})
