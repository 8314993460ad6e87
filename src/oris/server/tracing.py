"""Where spans are made: once per answered request, once per commit. Only built when somebody listens."""

from __future__ import annotations

from collections.abc import Callable

import trio

from oris.api.dispatch import Observe, Seen
from oris.engine.batch import Batch, Outcome
from oris.observability.logs import Logs
from oris.observability.metrics import Metrics
from oris.observability.spans import Spans
from oris.server.meter import Meter

FLUSH_S = 3.0
"""How long the last spans may take to be sent when the server stops."""


class RequestSpans:
    """A server span for each request, named by its route; nothing of what the client has sent but its ids."""

    def __init__(self, spans: Spans, told: Observe) -> None:
        self._spans = spans
        self._told = told

    def __call__(self, seen: Seen, /) -> None:
        """A request was answered; not yet sent."""
        self._told(seen)
        route = None if seen.route is None else seen.route.path
        method = "_OTHER" if seen.method == "OTHER" else seen.method
        attributes: dict[str, str | int] = {
            "http.request.method": method,
            "http.response.status_code": seen.status,
            "oris.request_id": seen.request_id,
        }
        if route is not None:
            attributes["http.route"] = route
        failed = seen.status >= 500
        if failed:
            attributes["error.type"] = str(seen.status)
        name = method if route is None else f"{method} {route}"
        self._spans.request(name, seen.trace, seen.elapsed_s, attributes, failed=failed)


class TracingMeter(Meter):
    """The engine's observer, with a span for each commit beside its metrics."""

    def __init__(self, spans: Spans, metrics: Metrics, logs: Logs, now_ms: Callable[[], int]) -> None:
        super().__init__(metrics, logs, now_ms)
        self._spans = spans

    def committed(self, outcome: Outcome, batch: Batch, took_ms: float) -> None:
        """A batch is durable and published."""
        super().committed(outcome, batch, took_ms)
        self._commit(batch, took_ms, "committed", failed=False)

    def commit_failed(self, error: Exception, batch: Batch | None = None, took_ms: float = 0.0) -> None:
        """A batch was rolled back, or nobody knows."""
        super().commit_failed(error, batch, took_ms)
        if batch is not None:
            self._commit(batch, took_ms, type(error).__name__, failed=True)

    def _commit(self, batch: Batch, took_ms: float, outcome: str, *, failed: bool) -> None:
        attributes: dict[str, str | int] = {
            "oris.commit.commands": sum(len(unit.commands) for unit in batch.units),
            "oris.commit.units": len(batch.units),
            "oris.commit.polls": len(batch.polls()),
            "oris.commit.outcome": outcome,
        }
        if failed:
            attributes["error.type"] = outcome
        self._spans.inner("commit", took_ms / 1000.0, attributes, failed=failed)


async def flush_spans(spans: Spans | None, logs: Logs) -> None:
    """Send the last spans. A collector that does not answer is left after a bound, its thread with it."""
    await trio.lowlevel.checkpoint()
    if spans is None:
        return
    with trio.move_on_after(FLUSH_S) as scope:
        await trio.to_thread.run_sync(spans.shutdown, abandon_on_cancel=True)
    if scope.cancelled_caught:
        logs.get("oris.server").warning("spans_lost", detail=f"the last spans could not be sent within {FLUSH_S:g} s")
