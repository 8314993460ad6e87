"""Waits for a run's end: registered before the commit, handed the value by it."""

from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from oris.ids import RunId

from .harness import ack, cancel, running, submit


async def test_a_waiter_is_handed_the_end_in_the_commit(autojump_clock: MockClock) -> None:
    async with running() as world:
        with world.engine.waiters.register(submit("a").job_key) as waiter:
            job = await world.start("a", "w")
            waiting = world.soon(lambda: waiter.ended(job.run_id))
            await wait_all_tasks_blocked()
            await world.ask(ack(job, body=b"1"))
            ended = await waiting.get()
            assert ended is not None
            assert (ended.status, ended.result_seq > 0) == ("completed", True)
            assert trio.current_time() == 0


async def test_an_end_that_came_before_the_wait_is_not_missed(autojump_clock: MockClock) -> None:
    async with running() as world:
        with world.engine.waiters.register(submit("a").job_key) as waiter:
            run = await world.submitted("a")
            await world.ask(cancel("a"))
            ended = await waiter.ended(run.run_id)
            assert ended is not None
            assert ended.status == "cancelled"


async def test_the_end_of_another_run_of_the_thread_is_not_taken_for_it(autojump_clock: MockClock) -> None:
    async with running() as world:
        with world.engine.waiters.register(submit("a").job_key) as waiter:
            job = await world.start("a", "w")
            waiting = world.soon(lambda: waiter.ended(RunId("run_other")))
            await world.ask(ack(job))
            await wait_all_tasks_blocked()
            assert not waiting.done.is_set()
            waiting.scope.cancel()
            await waiting.done.wait()


async def test_a_run_that_a_deadline_ends_within_the_next_submit_reaches_its_waiter(
    autojump_clock: MockClock,
) -> None:
    async with running() as world:
        with world.engine.waiters.register(submit("a").job_key) as waiter:
            await world.submitted("a", timeout_ms=1000)
            first = await world.grant("w")
            waiting = world.soon(lambda: waiter.ended(first.run_id))
            await trio.sleep(2)
            await world.submitted("a")
            ended = await waiting.get()
            assert ended is not None
            assert ended.status == "failed"


async def test_waiters_of_one_thread_are_all_told_and_leave_nothing(autojump_clock: MockClock) -> None:
    async with running() as world:
        job = await world.start("a", "w")

        async def wait() -> bool:
            with world.engine.waiters.register(job.job_key) as waiter:
                return await waiter.ended(job.run_id) is not None

        waits = [world.soon(wait) for _ in range(20)]
        await wait_all_tasks_blocked()
        assert len(world.engine.waiters) == 20
        await world.ask(ack(job))
        assert [await wait.get() for wait in waits] == [True] * 20
