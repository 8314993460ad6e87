"""A commit that finds the disk full refuses new runs alone; everybody else is committed without them."""

from __future__ import annotations

import pytest
from trio.testing import MockClock, wait_all_tasks_blocked

from oris.core.needs import Needs
from oris.core.replies import Acked
from oris.engine.unit import Unit
from oris.errors import Unavailable

from .harness import World, ack, cancel, granted, heartbeat, running, the

FULL = Unavailable("full", cause="disk_full")


def full_for_new_runs(world: World) -> None:
    """From now on what makes new runs finds no room."""

    def before(needs: Needs) -> BaseException | None:
        return FULL if any(key.startswith("/new") for key in needs.jobs) else None

    world.store.before = before


async def test_whoever_ends_work_is_committed_without_the_new_runs_of_its_batch(autojump_clock: MockClock) -> None:
    async with running() as world:
        first, second = await world.start("a", "w"), await world.start("b", "w")
        await world.submitted("c")
        full_for_new_runs(world)
        gate = world.store.hold()
        held = world.soon(lambda: world.engine.ask(Unit("renew", [heartbeat(first)])))
        await world.store.entered.wait()
        new = [world.soon(lambda n=n: world.submit(f"new-{n}", key=f"k{n}")) for n in range(3)]  # type: ignore[misc]
        acked = world.soon(lambda: world.ask(ack(first)))
        renewed = world.soon(lambda: world.engine.ask(Unit("renew", [heartbeat(second)])))
        cancelled = world.soon(lambda: world.ask(cancel("b")))
        poll = world.soon(lambda: world.poll("other", wait_s=5))
        await wait_all_tasks_blocked()
        commits = len(world.store.commits)
        gate.set()
        await held.get()
        the(Acked, (await acked.get()).replies[0])
        await renewed.get()
        await cancelled.get()
        assert [job.thread_id for job in granted(await poll.get())] == ["c"]
        for submit in new:
            with pytest.raises(Unavailable, match="full"):
                await submit.get()
        assert len(world.store.commits) == commits + 2
        assert world.engine.committer.failed_at_s is None
        world.store.before = lambda needs: None
        assert not (await world.submitted("new-0", key="k0")).replay


async def test_new_runs_alone_that_find_no_room_say_nothing_against_the_store(autojump_clock: MockClock) -> None:
    async with running() as world:
        full_for_new_runs(world)
        with pytest.raises(Unavailable):
            await world.submit("new")
        assert len(world.store.commits) == 1
        assert world.engine.committer.failed_at_s is None


async def test_what_finds_no_room_is_tried_again_as_long_as_some_is_made(autojump_clock: MockClock) -> None:
    async with running() as world:
        job = await world.start("a", "w")
        errors = [Unavailable("full", cause="disk_full", again=True) for _ in range(3)]
        world.store.before = lambda needs: errors.pop() if errors else None
        the(Acked, (await world.ask(ack(job))).replies[0])
        assert errors == []
        assert len(world.observer.failed) == 3
        assert world.engine.committer.failed_at_s is None


async def test_without_any_room_everybody_is_refused_and_the_store_is_known_to_be_away(
    autojump_clock: MockClock,
) -> None:
    async with running() as world:
        job = await world.start("a", "w")
        world.store.before = lambda needs: FULL
        with pytest.raises(Unavailable):
            await world.ask(ack(job))
        assert world.engine.committer.failed_at_s is not None
        world.store.before = lambda needs: None
        the(Acked, (await world.ask(ack(job))).replies[0])


async def test_another_trouble_refuses_the_whole_batch_once(autojump_clock: MockClock) -> None:
    async with running() as world:
        job = await world.start("a", "w")
        world.store.before = lambda needs: Unavailable("busy", cause="busy")
        commits = len(world.store.commits)
        with pytest.raises(Unavailable):
            await world.ask(ack(job))
        assert len(world.store.commits) == commits + 1
        world.store.before = lambda needs: None
