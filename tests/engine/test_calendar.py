"""Clocks that are wrong, and set right: what the engine does about dates, and what it tells."""

from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from oris.core.outage import Outage

from ..stores import new_database
from .harness import START_MS, VirtualClock, ack, heartbeat, running, submits

DAY_MS = 86_400_000


async def test_a_server_that_once_started_with_its_clock_far_ahead_keeps_dates_by_the_right_one(
    autojump_clock: MockClock,
) -> None:
    database, wall = new_database(), VirtualClock()
    wall.off_ms = 400 * DAY_MS
    async with running(database=database, wall=wall) as world:
        await world.submitted("before")
    wall.off_ms = 0
    async with running(database=database, wall=wall, sweeper=True, monitor=True, check=False) as world:
        await world.submitted("dated", run_at_ms=wall.wall_ms() + 3_600_000)
        await world.submitted("delayed", delay_ms=5_000)
        assert (await world.job("dated")).status == "scheduled"
        assert abs((await world.job("dated")).created_ms - wall.wall_ms()) <= 1_000
        await trio.sleep(4.4)
        assert (await world.job("delayed")).status == "scheduled"
        await trio.sleep(1.2)
        assert (await world.job("delayed")).status == "queued"
        assert (await world.job("dated")).status == "scheduled"
        (told_ms,) = world.observer.skews
        assert abs(told_ms + 400 * DAY_MS) <= 1_000


async def test_a_machine_that_has_slept_does_at_once_what_was_due_meanwhile(autojump_clock: MockClock) -> None:
    wall = VirtualClock()
    async with running(wall=wall, sweeper=True, monitor=True, check=False) as world:
        await world.submitted("t", delay_ms=7_000_000)
        await trio.sleep(1)
        wall.off_ms += 7_200_000
        await trio.sleep(0.3)
        assert (await world.job("t")).status == "queued"
        assert world.observer.jumps == [7_200_000]
        (told_ms,) = world.observer.skews
        assert abs(told_ms - 7_200_000) <= 1_000


async def test_it_is_told_when_the_clocks_agree_again(autojump_clock: MockClock) -> None:
    wall = VirtualClock()
    async with running(wall=wall, monitor=True, check=False) as world:
        await trio.sleep(1)
        wall.off_ms += 55_000
        await trio.sleep(1)
        assert (world.observer.jumps, world.observer.skews) == ([55_000], []), "a jump of less than a minute is no more"
        wall.off_ms -= 5_000
        await trio.sleep(580)
        assert world.observer.skews == []
    wall = VirtualClock()
    async with running(wall=wall, monitor=True, check=False) as world:
        await trio.sleep(1)
        wall.off_ms += 61_000
        await trio.sleep(1)
        wall.off_ms -= 30_000
        await trio.sleep(400)
        assert len(world.observer.skews) == 2
        assert world.observer.skews[1] == 0


async def test_no_lease_is_lost_and_none_is_lengthened_when_the_clock_is_set(autojump_clock: MockClock) -> None:
    for off_ms in (400 * DAY_MS, -400 * DAY_MS):
        wall = VirtualClock()
        async with running(wall=wall, sweeper=True, monitor=True, check=False) as world:
            job = await world.start("t", "w", ttl_ms=10_000)
            wall.off_ms = off_ms
            await trio.sleep(8.5)
            assert (await world.job("t")).lease_id == job.lease_id
            await world.ask(heartbeat(job, 10_000))
            await trio.sleep(12)
            assert (await world.job("t")).lease_id is None


async def test_a_restart_after_an_idle_while_is_no_longer_outage_than_it_took(autojump_clock: MockClock) -> None:
    database, wall = new_database(), VirtualClock()
    async with running(database=database, wall=wall, sweeper=True, monitor=True, check=False) as world:
        await world.ask(ack(await world.start("t", "w")))
        await trio.sleep(30)
        stopped_ms = world.engine.clock.now_ms()
        world.engine.committer.stop()
        await wait_all_tasks_blocked()
    await trio.sleep(1)
    async with running(database=database, wall=wall) as world:
        (outage,) = world.observer.outages
        assert outage == Outage(outage.from_ms, outage.to_ms, "start")
        assert outage.to_ms - stopped_ms <= 1_001
        assert 0 <= outage.from_ms - stopped_ms <= 1


async def test_a_server_that_died_is_missed_since_its_last_sign_of_life(autojump_clock: MockClock) -> None:
    database, wall = new_database(), VirtualClock()
    async with running(database=database, wall=wall, sweeper=True, monitor=True, check=False) as world:
        await world.start("t", "w", ttl_ms=120_000)
        await trio.sleep(60)
        copy, died_ms = database.copy(), world.engine.clock.now_ms()
    async with running(database=copy, wall=wall, check=False) as world:
        (outage,) = world.observer.outages
        assert died_ms - outage.from_ms <= 3_300


async def test_places_in_the_queue_go_by_when_runs_became_available(autojump_clock: MockClock) -> None:
    wall = VirtualClock()
    async with running(wall=wall, sweeper=True, check=False) as world:
        await world.engine.ask(submits("a", delay_ms=1_000))
        await trio.sleep(0.5)
        await world.engine.ask(submits("b"))
        await trio.sleep(1)
        wall.off_ms = -DAY_MS
        await world.engine.ask(submits("c"))
        polled = await world.poll("w", 3)
        assert polled.granted is not None
        assert [job.thread_id for job in polled.granted.jobs] == ["b", "a", "c"]
        assert (await world.job("c")).created_ms < START_MS
