"""Every await of the engine's calls, cut (I19): all or nothing in the store, and nothing granted to nobody."""

from __future__ import annotations

from typing import Any

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from oris.core.replies import Submitted
from oris.engine.engine import Polled
from oris.engine.unit import Answered, Unit

from ..cancel_sweep import Cut, cancel_sweep
from .harness import Later, World, ack, cancel, granted, no_beat, running, submit, want


async def test_a_submit_is_made_once_or_not_at_all(autojump_clock: MockClock) -> None:
    async def trial(cut: Cut[Submitted]) -> None:
        async with running() as world:
            await cut.run(lambda: world.submitted("a", key="k"))
            await wait_all_tasks_blocked()
            made = world.rows().jobs
            assert len(made) <= 1
            assert made or not cut.finished
            again = await world.submitted("a", key="k")
            assert again.replay == bool(made)

    assert await cancel_sweep(trial, "Engine.ask, submit") >= 3


async def test_an_ack_with_a_fetch_leaves_no_lease_that_nobody_knows_of(autojump_clock: MockClock) -> None:
    async def trial(cut: Cut[Polled]) -> None:
        async with running() as world:
            job = await world.start("a", "w")
            await world.submitted("b")
            world.store.takes_s = 0.01
            await cut.run(lambda: world.finish(job, want("w")))
            await trio.sleep(0.1)
            done = (await world.job("a")).status == "completed"
            held = (await world.job("b")).status == "running"
            assert held == cut.finished
            assert done or not cut.finished

    assert await cancel_sweep(trial, "Engine.ask_and_poll") >= 3


async def test_an_ack_with_a_poll_id_is_answered_the_same_when_it_is_repeated(autojump_clock: MockClock) -> None:
    async def trial(cut: Cut[tuple[Answered, Polled]]) -> None:
        async with running() as world:
            job = await world.start("a", "w")
            await world.submitted("b")
            world.store.takes_s = 0.01

            async def call() -> tuple[Answered, Polled]:
                return await world.engine.ask_and_poll(Unit("write", [ack(job)]), want("w", poll_id="p"))

            await cut.run(call)
            answer, again = await call()
            assert again.granted is not None
            got = again.granted.jobs or again.granted.redelivered
            assert [job.thread_id for job in got] == ["b"]
            if cut.finished:
                assert answer == cut.value[0]

    assert await cancel_sweep(trial, "Engine.ask_and_poll with a poll id") >= 3


async def poll_while_work_comes(world: World, cut: Cut[Polled], poll_id: str | None) -> None:
    """A poll parks, a job comes, and the poll is cut somewhere."""

    async def produce() -> None:
        await world.submitted("a")

    async def poll() -> Polled:
        world.nursery.start_soon(produce)
        return await world.poll("w", wait_s=5, poll_id=poll_id)

    world.store.takes_s = 0.01
    await cut.run(poll)
    await trio.sleep(0.1)


async def test_a_poll_that_goes_away_takes_nothing(autojump_clock: MockClock) -> None:
    async def trial(cut: Cut[Polled]) -> None:
        async with running() as world:
            await poll_while_work_comes(world, cut, None)
            if cut.finished:
                assert [job.thread_id for job in granted(cut.value)] == ["a"]
            else:
                assert (await world.job("a")).status == "queued"
                assert (await world.grant("other")).thread_id == "a"

    assert await cancel_sweep(trial, "Engine.poll") >= 5


async def test_what_a_poll_with_an_id_was_granted_can_be_asked_for_again(autojump_clock: MockClock) -> None:
    async def trial(cut: Cut[Polled]) -> None:
        async with running() as world:
            await poll_while_work_comes(world, cut, "p")
            again = await world.poll("w", poll_id="p")
            assert again.decision == "dispatched"
            assert again.granted is not None
            assert [job.thread_id for job in again.granted.jobs or again.granted.redelivered] == ["a"]

    assert await cancel_sweep(trial, "Engine.poll with a poll id") >= 5


async def test_a_control_message_reaches_the_next_poll_when_the_first_is_cut(autojump_clock: MockClock) -> None:
    async def trial(cut: Cut[Polled]) -> None:
        async with running() as world:
            await world.start("a", "w")

            async def poll() -> Polled:
                world.nursery.start_soon(world.ask, cancel("a"))
                return await world.poll("w", 0, wait_s=5)

            await cut.run(poll)
            await wait_all_tasks_blocked()
            messages = cut.value.control if cut.finished else (await world.poll("w", 0)).control
            assert [message.type for message in messages] == ["cancel"]

    assert await cancel_sweep(trial, "Engine.poll for control") >= 3


async def test_a_sweep_that_is_cut_is_finished_by_the_next_one(autojump_clock: MockClock) -> None:
    async def trial(cut: Cut[None]) -> None:
        async with running() as world:
            await world.engine.ask(Unit("submit", [submit(f"t{n}") for n in range(3)]))
            await world.poll("w", 3, ttl_ms=100)
            await trio.sleep(0.2)

            async def sweep_for(seconds: float) -> None:
                with trio.move_on_after(seconds):
                    await world.engine.sweeper.run(no_beat)

            await cut.run(lambda: sweep_for(0.3))
            await sweep_for(0.1)
            rows = world.rows()
            assert {job.status for job in rows.jobs.values()} == {"queued"}
            events = [entry.event_type for entries in rows.entries.values() for entry in entries]
            assert events.count("lease_expired") == 3

    assert await cancel_sweep(trial, "the sweeper's pass") >= 5


async def test_a_committer_that_is_cancelled_answers_everyone(autojump_clock: MockClock) -> None:
    async def trial(cut: Cut[None]) -> None:
        async with running(committer=False, check=False) as world:
            calls: list[Later[Any]] = []

            async def serve() -> None:
                async with trio.open_nursery() as nursery:
                    await nursery.start(world.engine.committer.run, no_beat)
                    calls.extend([world.soon(lambda: world.submit("a")), world.soon(lambda: world.poll("w", wait_s=9))])
                    await wait_all_tasks_blocked()
                    world.engine.committer.stop()

            await cut.run(serve)
            for call in calls:
                await call.done.wait()
            submitted = calls and calls[0].error is None
            assert len(world.rows().jobs) == int(bool(submitted))

    assert await cancel_sweep(trial, "Committer.run") >= 10
