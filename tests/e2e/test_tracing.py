"""Spans of a real server, as a collector gets them over OTLP."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from .collector import Collector
from .server_process import data_of, serving

SECRET = "a-bearer-token-that-nobody-may-see"
PAYLOAD = "a-payload-that-nobody-may-see"
OFTEN = {"OTEL_BSP_SCHEDULE_DELAY": "100000"}
"""Nothing is sent before the end, unless it is flushed."""


def test_the_last_spans_are_sent_when_the_server_stops(tmp_path: Path) -> None:
    with Collector().collecting() as collector:
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_SERVICE_NAME": "jobs",
            "ORIS_API_AUTH_BEARER_TOKEN": SECRET,
            **OFTEN,
        }
        with serving(tmp_path, **settings) as server, server.client() as http:
            http.headers["authorization"] = f"Bearer {SECRET}"
            job = {"thread_id": "t", "input": PAYLOAD}
            submitted = data_of(http.post("/v1/jobs", json=job))
            polled = data_of(http.post("/v1/workers/poll", json={"worker_id": "w"}))
            assert server.stop() == 0
            assert server.lines("spans_lost") == []
        spans = collector.spans()
        assert {service for service, _ in spans} == {"jobs"}
        by_name = {span.name: span for _, span in spans}
        assert {"POST /v1/jobs", "POST /v1/workers/poll", "grant", "commit"} <= set(by_name)
        run, grant = submitted["trace"], polled["attempts"][0]["trace"]
        assert by_name["POST /v1/jobs"].span_id.hex() == run["span_id"]
        assert by_name["grant"].trace_id.hex() == run["trace_id"]
        assert by_name["grant"].parent_span_id.hex() == run["span_id"]
        assert by_name["grant"].span_id.hex() == grant["span_id"]
        everything = b"".join(collector.raw)
        assert SECRET.encode() not in everything
        assert PAYLOAD.encode() not in everything


def test_a_collector_that_never_answers_does_not_hold_the_stop_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        endpoint = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with serving(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **OFTEN) as server, server.client() as http:
            data_of(http.post("/v1/jobs", json={"thread_id": "t"}))
            assert server.stop() == 0
            assert len(server.lines("spans_lost")) == 1
            assert server.lines("hard_exit") == []


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, []),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}, []),
        ({"OTEL_TRACES_EXPORTER": "pigeons"}, ["the trace exporter 'pigeons' is not installed"]),
    ],
)
def test_without_a_listener_the_server_serves_all_the_same(
    tmp_path: Path, settings: dict[str, str], told: list[str]
) -> None:
    with serving(tmp_path, **settings) as server, server.client() as http:
        run = data_of(http.post("/v1/jobs", json={"thread_id": "t"}))["trace"]
        attempt = data_of(http.post("/v1/workers/poll", json={"worker_id": "w"}))["attempts"][0]
        assert attempt["trace"]["parent_span_id"] == run["span_id"]
        assert server.stop() == 0
        assert [line["detail"] for line in server.lines("tracing_off")] == told
