"""A batch that could not be committed and is tried again, whole or in parts: as if it were decided now."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from oris.core import commands as c
from oris.core.needs import Needs
from oris.core.replies import Beaten
from oris.engine.unit import Unit
from oris.errors import DataDamaged, OutcomeUnknown, Unavailable
from oris.ids import RunId

from . import harness
from .harness import World, cancel, granted, heartbeat, running, submit, the
from .test_answers_room import Answers
from .test_commit import batch_of


def once(error: Exception) -> Callable[[Needs], Exception | None]:
    """The next commit fails so."""
    left = [error]
    return lambda needs: left.pop() if left else None


async def behind_a_held_commit(world: World) -> trio.Event:
    """Have what is asked now wait for a commit that is held until the event is set."""
    gate = world.store.hold()
    world.soon(lambda: world.submit("in-front", workflow="in-front"))
    await world.store.entered.wait()
    return gate


def hold_the_next(world: World, gate: trio.Event) -> trio.Event:
    """Let that commit go, and hold the one behind it. The answer: what lets that one go."""
    world.store.entered = trio.Event()
    gate.set()
    return world.store.hold()


@pytest.mark.parametrize(
    "error",
    [
        ValueError("planted"),
        DataDamaged(submit("else").job_key, 1, RunId("run_of_else")),
        Unavailable("planted", cause="disk_full"),
    ],
    ids=["its own fault", "damaged", "no room for new runs"],
)
async def test_the_time_that_a_failed_commit_took_counts_against_no_lease(
    autojump_clock: MockClock, error: Exception
) -> None:
    async with running(monitor=True, sweeper=True) as world:
        job = await world.start("a", "w", ttl_ms=10_000)
        await trio.sleep(5)
        world.store.takes_s = 20.0
        failing = once(error)

        def before(needs: Needs) -> Exception | None:
            world.store.takes_s = 0.0
            return failing(needs)

        world.store.before = before
        units = [Unit("submit", [submit("young")]), Unit("renew", [heartbeat(job)])]
        _, renewal = [world.soon(lambda unit=unit: world.engine.ask(unit)) for unit in units]  # type: ignore[misc]
        the(Beaten, (await renewal.get()).replies[0])
        (outage,) = world.observer.outages
        assert (outage.cause, outage.to_ms - outage.from_ms) == ("trouble", 20_000)


async def test_idle_time_after_a_commit_that_failed_alone_is_no_outage(autojump_clock: MockClock) -> None:
    async with running() as world:
        world.store.before = lambda needs: ValueError("planted")
        await world.submit("a")
        world.store.before = lambda needs: None
        await trio.sleep(20)
        await world.submit("b")
        assert world.observer.outages == []


async def test_a_new_run_of_a_thread_whose_old_run_was_damaged_is_granted(autojump_clock: MockClock) -> None:
    async with running() as world:
        old = await world.submitted("a")
        world.store.before = once(DataDamaged(submit("a").job_key, 1, old.run_id))
        assert granted(await world.poll("w")) == ()
        assert granted(await world.poll("w")) == (), "nor later"
        await world.ask(cancel("a"))
        await world.submitted("a")
        await world.submitted("b")
        assert [job.thread_id for job in granted(await world.poll("w", limit=5))] == ["a", "b"]


@pytest.mark.parametrize("poll_id", [None, "p"])
async def test_a_poll_whose_caller_has_gone_before_it_is_decided_takes_nothing(
    autojump_clock: MockClock, poll_id: str | None
) -> None:
    """In the batch it was taken into, and in a half of it."""
    async with running() as world:
        poll = world.soon(lambda: world.poll("w", wait_s=50, poll_id=poll_id))
        await wait_all_tasks_blocked()
        gate = world.store.hold()
        calls = [world.soon(lambda: world.submit("a")), world.soon(lambda: world.submit("b"))]
        await world.store.entered.wait()
        world.store.before = once(ValueError("planted"))
        gate = hold_the_next(world, gate)
        await world.store.entered.wait()
        poll.scope.cancel()
        await wait_all_tasks_blocked()
        world.store.let_go()
        for call in calls:
            await call.get()
        await wait_all_tasks_blocked()
        jobs = [await world.job(thread) for thread in ("a", "b")]
        assert [(job.status, job.seq) for job in jobs] == [("queued", 2)] * 2


async def test_a_batch_in_many_parts_shows_that_it_goes_on(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats: list[float] = []
    monkeypatch.setattr(harness, "no_beat", lambda: beats.append(trio.current_time()))
    async with running() as world:
        guilty = submit("t3").job_key
        world.store.before = lambda needs: ValueError("planted") if guilty in needs.jobs else None
        gate = await behind_a_held_commit(world)
        calls = [world.soon(lambda n=n: world.submit(f"t{n}")) for n in range(64)]  # type: ignore[misc]
        await wait_all_tasks_blocked()
        world.store.takes_s = 2.0
        world.store.gate = None
        gate.set()
        for call in calls:
            await call.get()
        assert len(world.store.commits) > 10
        assert max(later - sooner for sooner, later in pairwise(beats)) <= 2.0


@pytest.mark.parametrize("read", ["statistics", "lanes"])
async def test_a_batch_that_was_taken_before_the_store_was_learnt_again_passes_nothing_over(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, read: str
) -> None:
    async with running() as world:
        await world.submitted("old", workflow="mail")
        reads = world.store.inner.reads
        known, failing = getattr(reads, read), once(Unavailable("planted"))

        async def fails_once(*args: object) -> object:
            error = failing(Needs())
            if error is not None:
                await trio.lowlevel.checkpoint()
                raise error
            return await known(*args)

        monkeypatch.setattr(reads, read, fails_once)
        gate = world.store.hold()
        lost = world.soon(lambda: world.submit("lost", workflow="else"))
        await world.store.entered.wait()
        young = world.soon(lambda: world.submit("young", workflow="pay"))
        poll = world.soon(lambda: world.poll("w", wait_s=5, workflows=["pay", "mail"]))
        await wait_all_tasks_blocked()
        lose = once(OutcomeUnknown("planted"))
        world.store.after = lose
        world.store.gate = None
        gate.set()
        with pytest.raises(OutcomeUnknown):
            await lost.get()
        assert [job.thread_id for job in granted(await poll.get())] == ["old"]
        await young.get()


async def test_room_for_answers_that_comes_up_before_a_batch_is_tried_again_lets_nothing_pass_older_work(
    autojump_clock: MockClock,
) -> None:
    async with running() as world:
        answers = Answers(world, 1000)
        await world.submitted("old", workflow="mail")
        await world.submitted("hurt", workflow="hurt")
        hurt = await world.grant("v", poll_id="p", workflows=["hurt"])
        answers.fill()
        gate = await behind_a_held_commit(world)
        young = world.soon(lambda: world.submit("young", workflow="pay"))
        again = world.soon(lambda: world.poll("v", poll_id="p", wait_s=5, workflows=["hurt"]))
        poll = world.soon(lambda: world.poll("w", wait_s=5, workflows=["pay", "mail"]))
        await wait_all_tasks_blocked()
        gate = hold_the_next(world, gate)
        await world.store.entered.wait()
        answers.read()
        world.store.before = once(DataDamaged(hurt.job_key, 1, hurt.run_id))
        world.store.let_go()
        assert [job.thread_id for job in granted(await poll.get())] == ["old"]
        await young.get()
        await again.get()


async def test_half_of_a_failed_batch_gives_out_what_the_other_half_has_queued_first(
    autojump_clock: MockClock,
) -> None:
    """Which lanes to read is chosen again: a lease that was given back has come into a lane that was empty before."""
    async with running() as world:
        await world.submitted("old", workflow="mail", tenant="t")
        old = await world.grant("gone")
        poll = world.soon(lambda: world.poll("w", limit=2, wait_s=50, tenant="t"))
        await wait_all_tasks_blocked()
        young = submit("young", workflow="pay", tenant="t")
        assert old.lease_id is not None
        back = Unit("write", [c.Release(None, old.lease_id)])
        world.store.before = lambda needs: ValueError("planted") if len(world.store.commits) == 1 else None
        calls = await batch_of(world, [back, Unit("submit", [young])])
        for call in calls:
            await call.get()
        assert [job.thread_id for job in granted(await poll.get())] == ["old", "young"]
