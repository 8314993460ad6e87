"""OpenTelemetry spans of what has happened already.

A span is made when its work is over, in one call, with the ids that answers have shown: the caller's trace, this
request's span, a run's child spans. So nothing is carried along while a request is under way, and where nobody listens
there is no `Spans` and nothing to do. An SDK asks its id generator for every id; ours hands out the one that is meant.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from oris.observability.trace import Trace

Attributes = Mapping[str, str | int]
NS = 1_000_000_000


class GivenIds:
    """An SDK's id generator: the ids that were laid out, else the one's it stands before."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        # Others may start spans of the same provider in other threads.
        self._given = threading.local()

    def give(self, trace: Trace | None) -> None:
        """The next span of this thread is this one; None: any."""
        self._given.trace = trace

    def generate_trace_id(self) -> int:
        """As the SDK asks for it."""
        given: Trace | None = getattr(self._given, "trace", None)
        return int(self._inner.generate_trace_id()) if given is None else int(given.trace_id, 16)

    def generate_span_id(self) -> int:
        """As the SDK asks for it."""
        given: Trace | None = getattr(self._given, "trace", None)
        return int(self._inner.generate_span_id()) if given is None else int(given.span_id, 16)

    def is_trace_id_random(self) -> bool:
        """Answers have no such flag, so neither have spans."""
        return False


class Spans:
    """Emits finished spans through an SDK's tracer provider, and samples as it does.

    `monotonic_s` is the clock of the times that are handed in, `wall_ns` Unix time.
    """

    def __init__(
        self, provider: Any, version: str, *, monotonic_s: Callable[[], float], wall_ns: Callable[[], int]
    ) -> None:
        self._provider = provider
        self._sampler = provider.sampler
        self._ids = GivenIds(provider.id_generator)
        provider.id_generator = self._ids
        self._tracer = provider.get_tracer("oris", version)
        self._monotonic_s = monotonic_s
        self._wall_ns = wall_ns

    def sampled(self, trace: Trace) -> Trace:
        """A request's place in its trace, with the flag that the sampler gives it: what is told onwards is true."""
        found = self._sampler.should_sample(_parent(trace), int(trace.trace_id, 16), "request", SpanKind.SERVER)
        flags = int(found.decision.is_sampled())
        return trace if flags == trace.flags else replace(trace, flags=flags)

    def request(self, name: str, trace: Trace | None, took_s: float, attributes: Attributes, *, failed: bool) -> None:
        """A request that was answered just now. `trace` None: it was refused before it had a place in one."""
        self._emit(name, SpanKind.SERVER, trace, took_s, attributes, failed=failed)

    def of_run(
        self,
        name: str,
        trace: Trace,
        began_at_s: float,
        attributes: Attributes,
        cause: Trace,
        took_ms: int | None = None,
    ) -> None:
        """What a request, `cause`, has done for a run, in its trace: since the request began, or for `took_ms`."""
        links = [Link(_context(cause.trace_id, cause.span_id, cause.flags))]
        took_s = max(0.0, self._monotonic_s() - began_at_s) if took_ms is None else took_ms / 1000.0
        self._emit(name, SpanKind.INTERNAL, trace, took_s, attributes, links=links)

    def inner(self, name: str, took_s: float, attributes: Attributes, *, failed: bool) -> None:
        """Work of the server's own, in a trace of its own."""
        self._emit(name, SpanKind.INTERNAL, None, took_s, attributes, failed=failed)

    def shutdown(self) -> None:
        """Send what there is, and end. Blocks for as long as the exporter takes: for a thread."""
        self._provider.shutdown()

    def _emit(
        self,
        name: str,
        kind: SpanKind,
        trace: Trace | None,
        took_s: float,
        attributes: Attributes,
        *,
        failed: bool = False,
        links: list[Link] | None = None,
    ) -> None:
        if trace is not None and not trace.flags:
            return
        end_ns = self._wall_ns()
        self._ids.give(trace)
        try:
            span = self._tracer.start_span(
                name,
                context=Context() if trace is None else _parent(trace),
                kind=kind,
                attributes=dict(attributes),
                links=links,
                start_time=end_ns - int(took_s * NS),
            )
        finally:
            self._ids.give(None)
        if failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end_ns)


def _context(trace_id: str, span_id: str, flags: int) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(flags))


def _parent(trace: Trace) -> Context:
    """The context that a span with this place is started in: its parent's, or that of a root."""
    if trace.parent_span_id is None:
        return Context()
    return set_span_in_context(NonRecordingSpan(_context(trace.trace_id, trace.parent_span_id, trace.flags)), Context())
