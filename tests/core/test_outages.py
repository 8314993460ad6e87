"""Outages: time in which the server could not commit counts against no lease."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oris.core.events import LeaseExpired
from oris.core.outage import LONGEST_GRACE_MS, Outage, expiry
from oris.core.replies import Beaten

from .world import World, reason, the


def down_for(world: World, ms: int) -> None:
    """The server could not commit for so long, until now."""
    since = world.now_ms
    world.later(ms)
    world.outages = (*world.outages, Outage(since, world.now_ms))


@pytest.mark.parametrize("first", ["heartbeat", "ack", "sweep"])
def test_a_lease_that_ran_out_while_the_server_was_down_is_live_after_it(first: str) -> None:
    world = World()
    job = world.start("a", ttl_ms=30_000)
    world.later(10_000)
    down_for(world, 60_000)
    match first:
        case "heartbeat":
            assert the(Beaten, world.beat(job)).state == "held"
        case "ack":
            assert world.acked(job).status == "completed"
        case _:
            world.sweep("a")
    row = world.job("a")
    assert (row.attempt_no, row.losses) == (1, 0)
    assert world.bodies("a", LeaseExpired) == []
    if first == "sweep":
        assert row.lease_expires_ms == world.now_ms + 30_000
        assert row.wake_ms == row.lease_expires_ms


def test_it_lives_on_for_as_long_as_the_outage_was_but_not_beyond_its_ttl() -> None:
    for outage_ms, left_ms in ((300, 300), (2_000, 2_000), (50_000, 5_000)):
        world = World()
        world.start("a", ttl_ms=5_000)
        world.later(4_999)
        down_for(world, outage_ms)
        world.sweep("a")
        assert world.job("a").lease_expires_ms == world.now_ms + left_ms


def test_a_lease_that_was_over_before_the_outage_stays_over() -> None:
    world = World()
    job = world.start("a", ttl_ms=1_000)
    world.later(1_000)
    down_for(world, 60_000)
    assert reason(world.ack(job)) == "lease_lost"
    assert world.job("a").attempt_no == 2


def test_a_lease_that_outlives_the_outage_by_far_keeps_its_end() -> None:
    world = World()
    job = world.start("a", ttl_ms=600_000)
    down_for(world, 10_000)
    world.sweep("a")
    assert world.job("a").lease_expires_ms == job.lease_expires_ms


def test_its_worker_may_still_lose_it_afterwards_and_then_it_counts() -> None:
    world = World()
    world.start("a", ttl_ms=5_000)
    down_for(world, 60_000)
    world.sweep("a")
    world.later(5_000)
    world.sweep("a")
    assert (world.job("a").attempt_no, world.job("a").losses) == (2, 1)


def test_a_redelivered_poll_finds_its_leases_after_an_outage() -> None:
    world = World()
    world.submit("a")
    world.grant("a", "w", poll_id="p", ttl_ms=1_000)
    down_for(world, 20_000)
    assert [job.thread_id for job in world.poll("w", poll_id="p").redelivered] == ["a"]


times = st.integers(0, 100_000)


@given(granted=times, ttl=st.integers(1, 60_000), gaps=st.lists(st.tuples(times, st.integers(1, 90_000)), max_size=3))
def test_applied_twice_it_is_the_same_and_never_earlier(granted: int, ttl: int, gaps: list[tuple[int, int]]) -> None:
    from msgspec.structs import replace

    world = World()
    start = world.now_ms
    since = start + granted
    job = replace(world.start("a", ttl_ms=ttl), lease_granted_ms=since, lease_expires_ms=since + ttl)
    outages = []
    end = start
    for offset, length in sorted(gaps):
        begin = max(end, start + offset)
        end = begin + length
        outages.append(Outage(begin, end))
    once = expiry(job, outages)
    assert once >= job.lease_expires_ms
    assert expiry(replace(job, lease_expires_ms=once), outages) == once
    assert once <= max([job.lease_expires_ms, *(o.to_ms + min(ttl, LONGEST_GRACE_MS) for o in outages)])
