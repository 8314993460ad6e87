"""When anybody listens, and what cannot be followed."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from opentelemetry import trace

from oris.observability import otel
from oris.observability.otel import exporter_names, open_spans
from oris.observability.spans import Spans

from .listening import Listening

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


def opened(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]) -> tuple[Spans | None, list[str]]:
    """What comes of an environment, and the warnings."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    told: list[str] = []
    found = open_spans(environ, "1", told.append, monotonic_s=lambda: 0.0, wall_ns=lambda: 0)
    return found, told


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({}, []),
        ({"OTEL_TRACES_EXPORTER": "none"} | ENDPOINT, []),
        ({"OTEL_TRACES_EXPORTER": " "}, []),
        (ENDPOINT, ["otlp_proto_http"]),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, ["otlp_proto_http"]),
        ({"OTEL_TRACES_EXPORTER": "OTLP"}, ["otlp_proto_http"]),
        ({"OTEL_TRACES_EXPORTER": "console,otlp"}, ["console", "otlp_proto_http"]),
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ["otlp_proto_grpc"]),
        (
            ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"},
            ["otlp_proto_http"],
        ),
        (ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "pigeons"}, ["otlp with protocol pigeons"]),
    ],
)
def test_an_exporter_is_named_or_an_endpoint(environ: dict[str, str], names: list[str]) -> None:
    assert exporter_names(environ) == names


@pytest.mark.parametrize(
    "environ",
    [{}, {"OTEL_TRACES_EXPORTER": "none"}, ENDPOINT | {"OTEL_SDK_DISABLED": "True"}, {"OTEL_SERVICE_NAME": "oris"}],
)
def test_nobody_listens(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]) -> None:
    assert opened(monkeypatch, environ) == (None, [])


def test_without_the_sdk_there_is_a_warning_and_no_span(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    found, told = opened(monkeypatch, ENDPOINT)
    assert found is None
    assert told == ["the environment asks for traces, but oris-runtime[otel] is not installed"]


def test_an_exporter_that_is_not_there_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    found, told = opened(monkeypatch, {"OTEL_TRACES_EXPORTER": "pigeons"})
    assert found is None
    assert told == ["the trace exporter 'pigeons' is not installed"]


def _cannot_be_made() -> Any:
    raise ValueError("no such thing")


def test_an_exporter_that_cannot_be_made_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    here = EntryPoint("broken", f"{__name__}:_cannot_be_made", "opentelemetry_traces_exporter")
    monkeypatch.setattr(otel, "entry_points", lambda **_: [here])
    found, told = opened(monkeypatch, {"OTEL_TRACES_EXPORTER": "broken"})
    assert found is None
    assert told == ["the trace exporter 'broken' cannot be made: ValueError: no such thing"]


@pytest.mark.parametrize(
    ("environ", "name"),
    [({}, "oris"), ({"OTEL_SERVICE_NAME": "x"}, "x"), ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=y"}, "y")],
)
def test_spans_say_whose_they_are(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], name: str) -> None:
    found, told = opened(monkeypatch, ENDPOINT | environ)
    assert found is not None
    assert told == []
    assert found._provider.resource.attributes["service.name"] == name
    found.shutdown()


def test_a_provider_that_was_set_before_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    listening = Listening()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: listening.provider)
    found, told = opened(monkeypatch, {})
    assert found is not None
    assert told == []
    found.inner("commit", 0.0, {}, failed=False)
    assert len(listening.named("commit")) == 1
