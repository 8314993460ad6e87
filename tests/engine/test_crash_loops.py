"""Crash loops on a running engine: a fleet that dies at every start kills no job, and poison starves nobody."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from oris.core import commands as c
from oris.core.hold import HoldRules, is_held
from oris.core.model import Job, Lane
from oris.engine.sweeper import SIGN_OF_LIFE_MS
from oris.errors import DataDamaged
from oris.ids import NO_TENANT, WorkerId, worker_key

from ..stores import new_database
from .harness import World, ack, cancel, granted, running
from .test_tried_again import once

RULES = HoldRules()
LANE = Lane(NO_TENANT, "default")
TTL_MS = 1000
LIFE_S = TTL_MS / 1000


async def crash_loop(world: World, name: str, slots: int) -> None:
    """Pods of one replica, each with a name of its own: each takes what it gets and dies."""
    number = 0
    while True:
        number += 1
        if not granted(await world.poll(f"{name}-{number}", slots, wait_s=5, ttl_ms=TTL_MS)):
            await trio.sleep(0.1)
        await trio.sleep(0.2)


async def work(world: World, name: str, slots: int = 10, poison: str = "none") -> None:
    """A worker that does its jobs one after the other; poison kills it, and it comes again under its name."""
    while True:
        for job in granted(await world.poll(name, slots, wait_s=5, ttl_ms=TTL_MS)):
            if job.thread_id.startswith(poison):
                await trio.sleep(LIFE_S)
                break
            await world.ask(ack(job))


async def statuses(world: World) -> dict[str, str]:
    """How each thread's run stands."""
    return {job.thread_id: job.status for job in world.rows().jobs.values()}


async def hold_it(world: World, jobs: int = 10) -> None:
    """A workflow that has come to be held just now."""
    for number in range(jobs):
        await world.submitted(f"t{number}")
    while True:
        hold = await world.store.reads.hold(LANE)
        if is_held(hold):
            return
        await world.poll(f"pod{trio.current_time()}", jobs, ttl_ms=TTL_MS)
        await trio.sleep(LIFE_S + 0.001)


async def test_forty_jobs_survive_a_fleet_that_crashes_for_ten_minutes_and_run_once_it_is_mended(
    autojump_clock: MockClock,
) -> None:
    async with running(sweeper=True, patience_s=3600, check=False) as world:
        for number in range(40):
            await world.submitted(f"t{number}")
        with trio.move_on_after(600):
            async with trio.open_nursery() as fleet:
                for replica in range(3):
                    fleet.start_soon(crash_loop, world, f"pod{replica}", 10)
        assert set((await statuses(world)).values()) <= {"queued", "retry_backoff", "running"}
        assert not world.rows().dead_letters
        with trio.move_on_after(120):
            async with trio.open_nursery() as fleet:
                fleet.start_soon(work, world, "mended")
                while set((await statuses(world)).values()) != {"completed"}:
                    await trio.sleep(1)
                fleet.cancel_scope.cancel()
        assert set((await statuses(world)).values()) == {"completed"}
        assert await world.store.reads.hold(LANE) is None


async def test_a_healthy_job_behind_two_that_kill_their_worker_runs_within_a_minute(autojump_clock: MockClock) -> None:
    async with running(sweeper=True, check=False) as world:
        for thread in ("poison1", "poison2", "healthy"):
            await world.submitted(thread)
        began = trio.current_time()
        async with trio.open_nursery() as fleet:
            fleet.start_soon(lambda: work(world, "only", 1, poison="poison"))
            while (await world.job("healthy")).status != "completed":
                await trio.sleep(0.1)
            assert trio.current_time() - began < 60
            while (await world.job("poison2")).status != "failed" or (await world.job("poison1")).status != "failed":
                await trio.sleep(1)
            fleet.cancel_scope.cancel()
        reasons = {letter.reason for letter in world.rows().dead_letters.values()}
        assert (len(world.rows().dead_letters), reasons) == (2, {"lease_losses"})
        row = await world.store.reads.worker(worker_key(NO_TENANT, WorkerId("only")))
        assert row is not None
        assert row.incidents == 0, "the poison was to blame"


async def test_a_parked_poll_gets_the_probe_when_its_time_has_come_and_no_second_one(
    autojump_clock: MockClock,
) -> None:
    async with running(sweeper=True, check=False) as world:
        await hold_it(world)
        hold = await world.store.reads.hold(LANE)
        assert hold is not None
        parked = [world.soon(lambda n=n: world.poll(f"w{n}", 10, wait_s=20, ttl_ms=10_000)) for n in range(2)]  # type: ignore[misc]
        await trio.sleep((hold.next_ms - world.engine.clock.now_ms()) / 1000 - 0.005)
        assert not any(each.done.is_set() for each in parked)
        await trio.sleep(0.01)
        assert [len(granted(each.value)) for each in parked if each.done.is_set()] == [1]
        await trio.sleep(5)
        assert len([each for each in parked if each.done.is_set()]) == 1, "one at a time"


async def until_a_probe_may_go_out(world: World) -> None:
    """A held workflow's pause passes."""
    hold = await world.store.reads.hold(LANE)
    assert hold is not None
    await trio.sleep((hold.next_ms - world.engine.clock.now_ms()) / 1000 + 0.05)


async def test_a_damaged_run_that_would_be_probed_next_leaves_it_to_the_others(autojump_clock: MockClock) -> None:
    async with running(sweeper=True, check=False, unchecked="nothing is damaged, the store only says so") as world:
        await hold_it(world)
        await world.submitted("damaged")
        damaged = await world.job("damaged")
        assert (damaged.losses, damaged.status) == (0, "queued"), "it has lost least"
        await until_a_probe_may_go_out(world)
        world.store.before = once(DataDamaged(damaged.job_key, 1, damaged.run_id))
        assert [job.thread_id for job in granted(await world.poll("w", 3, wait_s=5))] == ["t0"]


@pytest.mark.parametrize("left", [0, 1, 2, 3])
async def test_a_held_workflow_of_which_all_is_set_aside_is_not_looked_at_again_and_again(
    left: int, autojump_clock: MockClock
) -> None:
    async with running(sweeper=True, check=False, unchecked="nothing is damaged, it only seems so") as world:
        await hold_it(world)
        for number in range(left, 10):
            await world.ask(cancel(f"t{number}"))
        for number in range(left):
            world.engine.committer.set_aside.put((await world.job(f"t{number}")).run_id)
        await until_a_probe_may_go_out(world)
        assert granted(await world.poll("w", 1, wait_s=5)) == ()
        parked = world.soon(lambda: world.poll("w", 1, wait_s=5))
        await world.submitted("healthy")
        assert [job.thread_id for job in granted(await parked.get())] == ["healthy"]


async def test_a_held_workflow_delays_nobody_and_costs_no_commits(autojump_clock: MockClock) -> None:
    async with running(sweeper=True, check=False) as world:
        await hold_it(world)
        await world.poll("probe", 10, wait_s=10, ttl_ms=60_000)
        parked = world.soon(lambda: world.poll("w", 10, wait_s=50))
        await trio.sleep(5)
        before = len(world.store.commits)
        await trio.sleep(20)
        assert len(world.store.commits) - before <= 20_000 // SIGN_OF_LIFE_MS + 1, "no more than signs of life"
        await world.submitted("other", workflow="other")
        await world.submitted("more of it")
        await wait_all_tasks_blocked()
        assert [job.thread_id for job in granted(parked.value)] == ["other"]


async def test_one_normal_close_gives_the_rest_to_the_polls_that_wait(autojump_clock: MockClock) -> None:
    async with running(sweeper=True, check=False) as world:
        await hold_it(world)
        (probe,) = granted(await world.poll("probe", 10, wait_s=10, ttl_ms=60_000))
        parked = world.soon(lambda: world.poll("w", 100, wait_s=50))
        await trio.sleep(10)
        assert not parked.done.is_set()
        await world.ask(ack(probe))
        await wait_all_tasks_blocked()
        assert len(granted(parked.value)) == 9


async def test_an_operator_who_clears_it_is_heard_at_once(autojump_clock: MockClock) -> None:
    async with running(sweeper=True, check=False) as world:
        await hold_it(world)
        await world.poll("probe", 10, wait_s=10, ttl_ms=60_000)
        parked = world.soon(lambda: world.poll("w", 100, wait_s=50))
        await trio.sleep(10)
        await world.ask(c.ClearHold(NO_TENANT, "default"))
        await wait_all_tasks_blocked()
        assert len(granted(parked.value)) == 9


async def test_a_restart_forgets_nothing_of_it(autojump_clock: MockClock) -> None:
    database = new_database()
    async with running(sweeper=True, database=database, check=False) as world:
        await hold_it(world)
        hold = await world.store.reads.hold(LANE)
        (probe,) = granted(await world.poll("probe", 10, wait_s=10, ttl_ms=5000))
    async with running(sweeper=True, database=database, check=False) as world:
        held = await world.store.reads.hold(LANE)
        assert hold is not None
        assert held is not None
        assert (held.held_ms, held.probe) == (hold.held_ms, probe.lease_id)
        parked = world.soon(lambda: world.poll("w", 100, wait_s=50, ttl_ms=60_000))
        await trio.sleep(4)
        assert not parked.done.is_set()
        assert len(granted(await parked.get())) == 1, "the next probe, once the first one is lost"


async def test_a_worker_is_served_again_when_the_job_to_blame_is_a_dead_letter(autojump_clock: MockClock) -> None:
    async with running(sweeper=True, check=False) as world:

        async def lose(thread: str, worker: str) -> Job:
            await world.submitted(thread)
            return await lose_again(thread, worker)

        async def lose_again(thread: str, worker: str) -> Job:
            while (await world.job(thread)).status != "queued":
                await trio.sleep(0.5)
            await world.poll(worker, threads=[thread], ttl_ms=TTL_MS)
            await trio.sleep(LIFE_S + 0.01)
            return await world.job(thread)

        for number in range(4):
            await lose(f"t{number}", "w")
        await lose("poison", "w")
        for number in range(3):
            await lose_again("poison", f"other{number}")
        await world.poll("w")  # it is told of what it has lost
        parked = world.soon(lambda: world.poll("w", wait_s=50))
        await trio.sleep(1)
        assert not parked.done.is_set()
        assert (await lose_again("poison", "last")).status == "failed"
        await wait_all_tasks_blocked()
        assert len(granted(parked.value)) == 1
