"""Found in the review of issue 3: each of these fails."""

from __future__ import annotations

from oris.core.outage import Outage, expiry

from .world import World


def test_a_lease_is_extended_by_the_gaps_and_no_more() -> None:
    """Stalls of 0.6 s each second: 40 % of the time commits are made, and a worker could have been heard."""
    world = World()
    job = world.start("t", "w1", ttl_ms=5_000)
    start = job.lease_granted_ms
    outages = [Outage(start + 1_000 * n, start + 1_000 * n + 600) for n in range(600)]
    assert expiry(job, outages) <= start + 60_000, "ten minutes, and for ever if the stalls go on"
