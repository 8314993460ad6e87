"""The committer's end, however it comes: everybody who waits is answered, and who comes later is refused at once."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from oris.core.replies import Submitted
from oris.engine.unit import Answered, Unit
from oris.errors import OutcomeUnknown, StoreError, Unavailable

from .harness import Later, World, no_beat, running, submit


class Crash(BaseException):
    """No error that anybody handles."""


async def doomed(world: World) -> BaseException:
    """Run the committer until it dies; what it dies of."""
    try:
        await world.engine.committer.run(no_beat)
    except (Crash, ZeroDivisionError) as error:
        return error
    raise AssertionError("it lives")


async def errors(*calls: Later[Submitted]) -> list[type[Exception] | None]:
    """What each call came to."""
    for call in calls:
        await call.done.wait()
    return [None if call.error is None else type(call.error) for call in calls]


@pytest.mark.parametrize("place", ["before", "after"])
async def test_a_store_that_breaks_the_committer_leaves_nobody_waiting(autojump_clock: MockClock, place: str) -> None:
    async with running(committer=False, check=False) as world:
        death = world.soon(lambda: doomed(world))
        await wait_all_tasks_blocked()
        key = submit("a").job_key
        setattr(world.store, place, lambda needs: Crash() if key in needs.jobs else None)
        gate = world.store.hold()
        struck = world.soon(lambda: world.submitted("a"))
        await world.store.entered.wait()
        queued = world.soon(lambda: world.submitted("b"))
        poll = world.soon(lambda: world.poll("w", wait_s=50))
        await wait_all_tasks_blocked()
        gate.set()
        assert isinstance(await death.get(), Crash)
        # Of what was being committed nobody knows; what was queued was not written.
        assert await errors(struck, queued) == [OutcomeUnknown, Unavailable]
        assert (await poll.get()).decision == "draining"
        with pytest.raises(Unavailable):
            await world.submit("late")
        with pytest.raises(Unavailable):
            await world.poll("late", wait_s=50)
        assert trio.current_time() == 0


async def test_a_bug_while_publishing_takes_no_answer_back(autojump_clock: MockClock) -> None:
    async with running(committer=False, check=False) as world:
        death = world.soon(lambda: doomed(world))
        await wait_all_tasks_blocked()
        gate = world.store.hold()
        world.engine.committer.post(Unit("write", []))
        await world.store.entered.wait()
        first = world.soon(lambda: world.submitted("first"))
        await wait_all_tasks_blocked()
        unlucky = Unit("submit", [submit("second")])
        second = world.soon(lambda: world.engine.ask(unlucky))
        await wait_all_tasks_blocked()

        class Unlucky(Unit):
            __slots__ = ()

            def finish(self, answer: Answered) -> None:
                raise ZeroDivisionError("planted")

        unlucky.__class__ = Unlucky
        world.store.gate = None
        gate.set()
        assert isinstance(await death.get(), ZeroDivisionError)
        assert isinstance(await first.get(), Submitted)
        with pytest.raises(OutcomeUnknown):
            await second.get()
        assert len(world.rows().jobs) == 2


async def test_one_error_for_thousands_gathers_no_traceback(autojump_clock: MockClock) -> None:
    async with running(committer=False) as world:
        for _ in range(3):
            with pytest.raises(StoreError) as caught:
                await world.submit("a")
        depth, frame = 0, caught.value.__traceback__
        while frame is not None:
            depth, frame = depth + 1, frame.tb_next
        assert depth < 8


async def test_a_committer_under_load_can_be_cancelled(autojump_clock: MockClock) -> None:
    async with running(committer=False) as world, trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def commit(task_status: trio.TaskStatus[None]) -> None:
            with scope:
                await world.engine.committer.run(no_beat, task_status)

        await nursery.start(commit)

        async def flood() -> None:
            for number in range(10_000):
                if scope.cancelled_caught:
                    return
                try:
                    world.engine.committer.post(Unit("submit", [submit(f"t{number}")]))
                except Unavailable:
                    return
                await trio.lowlevel.checkpoint()

        for _ in range(3):
            nursery.start_soon(flood)
        for _ in range(50):
            await trio.lowlevel.checkpoint()
        scope.cancel()
        for _ in range(50):
            await trio.lowlevel.checkpoint()
        assert scope.cancelled_caught


async def test_a_commit_under_way_is_finished_and_answered_when_its_committer_is_cancelled(
    autojump_clock: MockClock,
) -> None:
    async with running(committer=False, check=False) as world:
        committing = world.soon(lambda: world.engine.committer.run(no_beat))
        await wait_all_tasks_blocked()
        gate = world.store.hold()
        call = world.soon(lambda: world.submitted("a"))
        await world.store.entered.wait()
        committing.scope.cancel()
        await wait_all_tasks_blocked()
        gate.set()
        assert isinstance(await call.get(), Submitted)
        await committing.done.wait()
        with pytest.raises(Unavailable):
            await world.submit("late")


async def test_withdrawn_units_of_a_failing_store_come_to_an_end(autojump_clock: MockClock) -> None:
    async with running() as world:
        world.store.before = lambda needs: ValueError("planted")
        gate = world.store.hold()
        calls = [world.soon(lambda n=n: world.submit(f"t{n}")) for n in range(3)]  # type: ignore[misc]
        await world.store.entered.wait()
        for call in calls:
            call.scope.cancel()
        gate.set()
        await wait_all_tasks_blocked()
        world.store.before = lambda needs: None
        await world.submitted("after")
