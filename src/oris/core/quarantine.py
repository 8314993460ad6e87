"""Quarantine: a worker that loses its leases again and again is granted nothing for a while, then one lease as a probe.

An incident is one misfortune of the worker, however many leases it cost: leases that were held when it happened do not
count again when they run out later. Anything that the worker closes normally clears its name.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from oris.core.model import Worker


class QuarantineRules(Struct, frozen=True):
    """When a worker comes into quarantine, and for how long."""

    after_incidents: int = 5
    """Incidents in a row."""
    first_window_ms: int = 30_000
    longest_window_ms: int = 600_000
    """Each incident more, a failed probe that is, doubles the window up to this."""


def with_incident(worker: Worker, granted_ms: int, now_ms: int, rules: QuarantineRules) -> Worker:
    """The worker after it has lost a lease granted at this time."""
    if granted_ms < worker.incident_ms:
        return worker
    incidents = worker.incidents + 1
    until_ms = 0
    if incidents >= rules.after_incidents:
        doublings = min(incidents - rules.after_incidents, 16)
        until_ms = now_ms + min(rules.longest_window_ms, rules.first_window_ms << doublings)
    return replace(worker, incidents=incidents, incident_ms=now_ms, quarantined_until_ms=until_ms)


def cleared(worker: Worker) -> Worker:
    """The worker after it has closed a lease normally, or an operator has spoken for it."""
    if not worker.incidents:
        return worker
    return replace(worker, incidents=0, quarantined_until_ms=0)


def is_quarantined(worker: Worker) -> bool:
    """True from the last incident too many until its name is cleared, probe included."""
    return worker.quarantined_until_ms > 0


def room_for(worker: Worker, limit: int, now_ms: int) -> int:
    """How many leases it may hold now, `limit` at most: none within the window, one as a probe after it."""
    if not is_quarantined(worker):
        return limit
    return 0 if now_ms < worker.quarantined_until_ms else min(1, limit)
