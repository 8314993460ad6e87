"""Outages: time in which the server could not commit. It counts against no lease.

A lease that was live when an outage began lives on after it for at least as long as the outage was, but for no more
than its own ttl or `LONGEST_GRACE_MS`: time enough for its worker, which has been calling in vain, to get through.
The rule gives the same end however often it is applied, so nobody need note to which leases it was.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from oris.core.model import Job

LONGEST_GRACE_MS = 30_000


class Outage(Struct, frozen=True):
    """From the last moment at which the server could commit to the first at which it could again. Engine ms."""

    from_ms: int
    to_ms: int


def expiry(job: Job, outages: Iterable[Outage]) -> int:
    """When the job's lease ends, with the outages (in time order) made up for."""
    end_ms = job.lease_expires_ms
    for outage in outages:
        if job.lease_granted_ms <= outage.to_ms and end_ms > outage.from_ms:
            ttl_ms = job.lease_ttl_ms or LONGEST_GRACE_MS
            grace_ms = min(outage.to_ms - outage.from_ms, LONGEST_GRACE_MS, ttl_ms)
            end_ms = max(end_ms, outage.to_ms + grace_ms)
    return end_ms
