"""The sweep itself: it finds what is wrong, and does not find what is right."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from .cancel_sweep import Cut, Swallowed, cancel_sweep


async def steps(count: int) -> int:
    for _ in range(count):
        await trio.sleep(1)
    return count


async def test_each_wait_is_cut_once_in_each_mode(autojump_clock: MockClock) -> None:
    ends: list[bool] = []

    async def trial(cut: Cut[int]) -> None:
        await cut.run(lambda: steps(3))
        ends.append(cut.finished)

    assert await cancel_sweep(trial, "three waits", ("inside",)) == 3
    assert ends == [False, False, False, True]


async def test_a_subject_whose_last_wait_has_succeeded_may_come_to_its_end(autojump_clock: MockClock) -> None:
    ends: list[bool] = []

    async def trial(cut: Cut[None]) -> None:
        first, second = trio.Event(), trio.Event()

        async def subject() -> None:
            await first.wait()
            await second.wait()

        async def beside() -> None:
            for event in (first, second):
                await wait_all_tasks_blocked()
                event.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(beside)
            await cut.run(subject)
        ends.append(cut.finished)

    assert await cancel_sweep(trial, "two waits", ("pending",)) == 2
    assert ends == [False, True, True]


async def test_a_subject_that_swallows_its_cancellation_is_found(autojump_clock: MockClock) -> None:
    async def swallows() -> None:
        try:
            await trio.sleep(1)
        except BaseException:
            return

    async def trial(cut: Cut[None]) -> None:
        await cut.run(swallows)

    with pytest.raises(Swallowed):
        await cancel_sweep(trial, "a swallower")


async def test_a_subject_that_replaces_its_cancellation_is_found(autojump_clock: MockClock) -> None:
    async def replaces() -> None:
        try:
            await trio.sleep(1)
        except trio.Cancelled as error:
            raise ValueError("planted") from error

    async def trial(cut: Cut[None]) -> None:
        await cut.run(replaces)

    with pytest.RaisesGroup(ValueError):
        await cancel_sweep(trial, "a replacer")


async def test_a_write_that_is_torn_is_found(autojump_clock: MockClock) -> None:
    async def trial(cut: Cut[None]) -> None:
        written: list[str] = []

        async def tears() -> None:
            written.append("first")
            await trio.lowlevel.checkpoint()
            written.append("second")

        await cut.run(tears)
        assert len(written) in (0, 2)

    with pytest.raises(AssertionError):
        await cancel_sweep(trial, "a torn write")


async def test_a_subject_is_cut_in_every_state_of_the_task_it_works_with(autojump_clock: MockClock) -> None:
    seen: set[int] = set()

    async def trial(cut: Cut[None]) -> None:
        state: list[int] = []
        over = trio.Event()

        async def beside() -> None:
            for number in range(10):
                state.append(number)
                await trio.lowlevel.checkpoint()
            over.set()

        async def subject() -> None:
            try:
                await over.wait()
            finally:
                seen.add(len(state))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(beside)
            await cut.run(subject)

    # Trio shuffles the tasks of a turn, so one sweep alone may find the task beside a step further than it was cut at.
    for _ in range(30):
        await cancel_sweep(trial, "a task beside", ("between",))
    assert seen >= set(range(2, 11))
