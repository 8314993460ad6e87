"""How the metrics of `metric_table.py` are counted and shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prometheus_client import generate_latest

from oris.observability.metric_table import MetricTable
from oris.observability.window import SlidingShare

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics(MetricTable):
    """The metrics of one server, and how they are counted. Nothing here waits or fails; latencies are in ms."""

    def __init__(self, version: str, monotonic_s: Callable[[], float]) -> None:
        """`version` goes into `oris_build_info`; `monotonic_s` moves the ten-minute windows."""
        super().__init__(version)
        self._conflicts = SlidingShare(monotonic_s)
        self._errors = SlidingShare(monotonic_s)
        self.lease_conflict_rate.set_function(self._conflicts.share)
        self.terminal_error_rate.set_function(self._errors.share)
        self._log_drops_seen = 0
        self._no_room_seen: dict[str, int] = {}
        for status in ("completed", "failed", "cancelled"):
            self.terminal_acks(status)  # there from the start, so that the first one is seen as a rise
        for keyed in ("true", "false"):
            self.submits(keyed)

    def render(self) -> bytes:
        """The whole in Prometheus' text format; its type is `CONTENT_TYPE`."""
        return generate_latest(self.registry)

    def count_lease_operation(self, operation: str, result: str, count: int = 1) -> None:
        """Count calls that name or take a lease, such as `("renew", "ok")`; result `conflict` is a lost race."""
        self.lease_operations(operation, result).inc(count)
        lost = count if result == "conflict" else 0
        if lost:
            self.lease_conflicts.inc(lost)
        self._conflicts.add(lost, count)

    def count_terminal_ack(self, status: str, count: int = 1) -> None:
        """Count runs that have come to `completed`, `failed` or `cancelled`; failed ones make the error rate."""
        self.terminal_acks(status).inc(count)
        self._errors.add(count if status == "failed" else 0, count)

    def observe_request(self, route: str, method: str, status: int, duration_ms: float, *, waits: bool) -> None:
        """Observe an answered request. `route` is the route's pattern; `waits`: it was parked, which is not work."""
        family = self.http_wait_ms if waits else self.http_request_ms
        family(route, method if method in _METHODS else "other", str(status)).observe(duration_ms)

    def update_log_drops(self, total: int) -> None:
        """Take over the count of lines the log has dropped so far."""
        self.log_drops.inc(max(0, total - self._log_drops_seen))
        self._log_drops_seen = max(self._log_drops_seen, total)

    def update_no_room(self, what: str, total: int) -> None:
        """Take over how often there was no room so far for `what`."""
        seen = self._no_room_seen.get(what, 0)
        self.http_no_room(what).inc(max(0, total - seen))
        self._no_room_seen[what] = max(seen, total)
