"""Whether anybody listens to spans, as the standard `OTEL_*` variables say, and the SDK set up for it.

The variables may be meant for all programs of a machine, so what cannot be followed is a warning and no reason not to
start. The SDK reads most of them itself: sampler, batches, limits, resource, endpoint and headers of the exporter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any

from opentelemetry import trace

from oris.observability.spans import Spans

_EXPORTERS = "opentelemetry_traces_exporter"
_PROTOCOLS = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def open_spans(
    environ: Mapping[str, str],
    version: str,
    warn: Callable[[str], None],
    *,
    monotonic_s: Callable[[], float],
    wall_ns: Callable[[], int],
) -> Spans | None:
    """The spans, or None when nobody listens: no exporter is named, or the SDK is disabled or not installed.

    A provider that was set before, by a program around this one, is used as it is.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    provider = _provider_of_others()
    if provider is None:
        names = exporter_names(environ)
        provider = _provider(environ, names, version, warn) if names else None
    return None if provider is None else Spans(provider, version, monotonic_s=monotonic_s, wall_ns=wall_ns)


def exporter_names(environ: Mapping[str, str]) -> list[str]:
    """The exporters that are asked for, as their packages register them. An endpoint alone asks for OTLP."""
    named = [name.strip().lower() for name in environ.get("OTEL_TRACES_EXPORTER", "").split(",") if name.strip()]
    if not named and any(environ.get(name) for name in _ENDPOINTS):
        named = ["otlp"]
    if "none" in named:
        return []
    protocol = environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    otlp = _PROTOCOLS.get((protocol or "http/protobuf").strip().lower(), f"otlp with protocol {protocol}")
    return [otlp if name == "otlp" else name for name in named]


def _provider_of_others() -> Any:
    provider = trace.get_tracer_provider()
    # The API's own stand-ins have neither.
    return provider if hasattr(provider, "id_generator") and hasattr(provider, "sampler") else None


def _provider(environ: Mapping[str, str], names: list[str], version: str, warn: Callable[[str], None]) -> Any:
    try:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        warn("the environment asks for traces, but oris-runtime[otel] is not installed")
        return None
    exporters = [exporter for name in names if (exporter := _exporter(name, warn)) is not None]
    if not exporters:
        return None
    described = {"service.version": version}
    if not environ.get("OTEL_SERVICE_NAME") and "service.name=" not in environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        described["service.name"] = "oris"
    # The server's stop sends what is left, within a bound; the SDK's own hook at the exit has none.
    provider = TracerProvider(resource=Resource.create(described), shutdown_on_exit=False)
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _exporter(name: str, warn: Callable[[str], None]) -> Any:
    found = next(iter(entry_points(group=_EXPORTERS, name=name)), None)
    if found is None:
        warn(f"the trace exporter {name!r} is not installed")
        return None
    try:
        return found.load()()
    except Exception as error:  # a stranger's package, configured by variables of its own
        warn(f"the trace exporter {name!r} cannot be made: {type(error).__name__}: {error}")
        return None
