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
        assert row.lease_expires_ms == world.now_ms + 20_000
        assert row.wake_ms == row.lease_expires_ms


@pytest.mark.parametrize("outage_ms", [300, 2_000, 50_000])
def test_it_has_as_much_time_left_after_the_outage_as_before_it(outage_ms: int) -> None:
    world = World()
    world.start("a", ttl_ms=5_000)
    world.later(3_000)
    down_for(world, outage_ms)
    world.sweep("a")
    assert world.job("a").lease_expires_ms == world.now_ms + 2_000


def test_however_much_time_was_left_it_outlives_the_outage_by_no_more_than_half_a_minute() -> None:
    world = World()
    job = world.start("a", ttl_ms=100_000)
    world.later(10_000)
    down_for(world, 80_000)
    world.sweep("a")
    assert world.job("a").lease_expires_ms == world.now_ms + LONGEST_GRACE_MS
    assert world.job("a").lease_expires_ms > job.lease_expires_ms


@pytest.mark.parametrize("stall_ms", [600, 999])
def test_stalls_that_do_not_end_keep_no_dead_workers_lease(stall_ms: int) -> None:
    world = World()
    job = world.start("a", ttl_ms=5_000)
    start = job.lease_granted_ms
    stalls = [Outage(start + 1_000 * n, start + 1_000 * n + stall_ms) for n in range(600)]
    assert expiry(job, stalls) == start + 5_000 + stall_ms
    for stall in stalls[:10]:
        world.now_ms = stall.to_ms
        world.outages = (*world.outages, stall)
        world.sweep("a")
    assert (world.job("a").attempt_no, world.job("a").losses) == (2, 1)


@pytest.mark.parametrize("stall_ms", [600, 6_000])
def test_a_worker_that_is_heard_between_two_stalls_keeps_its_lease(stall_ms: int) -> None:
    world = World()
    job = world.start("a", ttl_ms=5_000)
    for _ in range(20):
        down_for(world, stall_ms)
        assert the(Beaten, world.beat(job, 5_000)).state == "held"
    assert world.job("a").attempt_no == 1


def test_what_a_worker_has_asked_for_counts_and_not_what_an_outage_has_added() -> None:
    world = World()
    job = world.start("a", ttl_ms=5_000)
    world.later(1_000)
    down_for(world, 10_000)
    world.sweep("a")
    row = world.job("a")
    assert (row.lease_expires_ms, row.lease_asked_ms) == (world.now_ms + 4_000, job.lease_expires_ms)
    world.beat(job, 1_000)
    row = world.job("a")
    assert (row.lease_expires_ms, row.lease_asked_ms) == (world.now_ms + 4_000, world.now_ms + 1_000)
    world.later(2_000)
    down_for(world, 10_000)
    assert reason(world.ack(job)) == "lease_lost"


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
    job = world.start("a", ttl_ms=ttl)
    job = replace(job, lease_granted_ms=since, lease_expires_ms=since + ttl, lease_asked_ms=since + ttl)
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
    assert once - job.lease_asked_ms <= sum(o.to_ms - o.from_ms for o in outages)
