"""Outages: time in which the server could not commit. It counts against no lease.

A lease that was live when an outage began has as much time left when it is over, at most its ttl or `LONGEST_GRACE_MS`:
time enough for its worker, which has been calling in vain, to get through. Live is what its worker has asked for, not
what an earlier outage has added: else a server that stalls again and again, and commits in between, would keep the
leases of dead workers for ever. The rule gives the same end however often it is applied, so nobody need note to which
leases it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from oris.core.model import Job

LONGEST_GRACE_MS = 30_000

Cause = Literal["start", "standstill", "trouble", "refused"]


class Outage(Struct, frozen=True):
    """From the last moment at which the server could commit to the first at which it could again. Engine ms."""

    from_ms: int
    to_ms: int
    cause: Cause = "trouble"


def after(outage: Outage, calm_ms: int) -> Outage:
    """What is left of one node's outage when another node has owed nothing until `calm_ms`: time in which none could
    commit."""
    from_ms = max(outage.from_ms, min(calm_ms, outage.to_ms))
    return outage if from_ms == outage.from_ms else Outage(from_ms, outage.to_ms, outage.cause)


def expiry(job: Job, outages: Iterable[Outage]) -> int:
    """When the job's lease ends, with the outages made up for; it is never more than the longest of them later."""
    end_ms, asked_ms = job.lease_expires_ms, job.lease_asked_ms
    for outage in outages:
        since_ms = max(outage.from_ms, job.lease_granted_ms)
        if since_ms <= outage.to_ms and asked_ms > since_ms:
            left_ms = min(asked_ms - since_ms, LONGEST_GRACE_MS, job.lease_ttl_ms or LONGEST_GRACE_MS)
            end_ms = max(end_ms, outage.to_ms + left_ms)
    return end_ms
