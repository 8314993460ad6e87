"""The metrics task: refreshes the gauges that only the store can tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import trio

from oris.clock import EngineClock
from oris.errors import StoreError
from oris.observability.logs import Logs
from oris.observability.metrics import Metrics
from oris.storage.reads.cluster import ClusterReads

REFRESH_S = 5.0


_HELD = ("bodies", "answers")
_UNDER_WAY = ("clients", "polls", "waiting")
_REFUSED = ("refused_requests", "refused_waits", "refused_bodies", "refused_answers", "turned_away", "closed_idle")


def front_gauges(metrics: Metrics, found: Mapping[str, int]) -> None:
    """Show what the status page tells of the API's address."""
    if not found:
        return
    for what in _HELD:
        metrics.http_held_bytes(what).set(found[f"{what}_bytes"])
    for what in _UNDER_WAY:
        metrics.http_under_way(what).set(found[what])
    for what in _REFUSED:
        metrics.update_no_room(what.removeprefix("refused_"), found[what])


async def refresh_gauges(
    metrics: Metrics, logs: Logs, reads: ClusterReads, clock: EngineClock, beat: Callable[[], None]
) -> None:
    """Refresh until cancelled. A store that cannot be read leaves the gauges as they were."""
    log = logs.get("oris.server.gauges")
    while True:
        beat()
        metrics.update_log_drops(logs.dropped)
        try:
            found = await reads.statistics()
        except StoreError as error:
            log.warning("statistics_unavailable", error=str(error))
        else:
            metrics.queue_depth.set(found.due)
            metrics.delayed_jobs.set(found.delayed)
            metrics.active_leases.set(found.leased)
            metrics.dead_letters.set(found.dead_letters)
            metrics.pending_interrupts.set(found.pending_interrupts)
            metrics.workflows_held.set(found.workflows_held)
            oldest = found.oldest_queued_ms
            metrics.oldest_queued_age_ms.set(0 if oldest is None else max(0, clock.now_ms() - oldest))
        await trio.sleep(REFRESH_S)
