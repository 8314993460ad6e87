"""The ordered start, and start failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from oris.errors import ConfigError
from oris.supervisor import Child, Outcome, Step, StopPlan

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.supervisor.conftest import Rig
    from trio.testing import MockClock

    from oris.supervisor import Handle


async def refused(rig: Rig) -> None:
    raise ConfigError("port 8080 is taken")


async def group(rig: Rig) -> None:
    raise ExceptionGroup("two", [OSError("one"), OSError("two")])


async def returns(rig: Rig) -> None:
    return


async def hangs(rig: Rig) -> None:
    await trio.Event().wait()


async def hangs_shielded(rig: Rig) -> None:
    with trio.CancelScope(shield=True):
        await rig.release.wait()


CASES = [
    (refused, "port 8080 is taken"),
    (group, "OSError: one; OSError: two"),
    (returns, "returned without being asked to stop"),
    (hangs, "not ready within 9 s"),
]


def child_that(rig: Rig, do: Callable[[Rig], Awaitable[None]], on_failure: str) -> Child:
    async def run(handle: Handle, task_status: trio.TaskStatus[None]) -> None:
        await do(rig)

    return Child("http", run, on_failure, start_timeout_s=9, unwind_s=2)  # type: ignore[arg-type]


async def test_each_child_is_opened_when_the_one_before_is_ready_and_its_value_is_kept(rig: Rig) -> None:
    ready = trio.Event()

    async def slow(handle: Handle, task_status: trio.TaskStatus[int]) -> None:
        rig.log.append("slow opened")
        await ready.wait()
        task_status.started(8080)
        await handle.stopping.wait()

    tree = rig.tree(rig.steady("store"), Child("slow", slow, "critical"), rig.steady("http"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tree.run)
        await trio.testing.wait_all_tasks_blocked()
        assert rig.log == ["store opened", "slow opened"]
        assert [child.state for child in tree.status().children] == ["running", "starting", "starting"]
        assert tree.status().state == "starting"
        with pytest.raises(KeyError):
            tree.value_of("slow")
        ready.set()
        assert await tree.wait_ready()
        assert rig.log[-1] == "http opened"
        assert tree.value_of("slow") == 8080
        tree.stop("asked")
    assert rig.kinds("server") == ["starting", "ready", "stopping", "stopped"]


@pytest.mark.parametrize("on_failure", ["critical", "restart"])
@pytest.mark.parametrize(("do", "line"), CASES)
async def test_a_child_that_fails_before_it_is_ready_ends_the_start_with_exit_2_and_one_line(
    rig: Rig,
    autojump_clock: MockClock,
    do: Callable[[Rig], Awaitable[None]],
    line: str,
    on_failure: str,
) -> None:
    tree = rig.tree(rig.steady("store"), child_that(rig, do, on_failure), rig.steady("signals"))
    assert await tree.run() == Outcome(2, f"http did not start: {line}")
    assert rig.log == ["store opened", "store asked", "store ended"]
    assert not await tree.wait_ready()
    assert [child.state for child in tree.status().children] == ["stopped", "failed", "stopped"]
    assert rig.exits == []


async def test_a_child_hanging_in_a_shield_while_it_starts_is_left_behind_with_exit_2(
    rig: Rig, autojump_clock: MockClock
) -> None:
    tree = rig.tree(rig.steady("store"), child_that(rig, hangs_shielded, "critical"))
    outcome = await tree.run()
    assert outcome.exit_code == 2
    assert "not ready within 9 s, and does not end within 2 s of being cancelled" in outcome.reason
    assert rig.log[-1] == "store ended"
    assert rig.exits == [2]


async def test_a_stop_asked_for_during_the_start_opens_nothing_more_and_cancels_what_is_not_ready(
    rig: Rig, autojump_clock: MockClock
) -> None:
    tree = rig.tree(rig.steady("store"), child_that(rig, hangs, "critical"), rig.steady("signals"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tree.run)
        await trio.testing.wait_all_tasks_blocked()
        tree.stop("SIGTERM")
        assert not await tree.wait_ready()
    assert tree.status().reason == "SIGTERM"
    assert rig.log == ["store opened", "store asked", "store ended"]
    assert [child.state for child in tree.status().children] == ["stopped", "stopped", "stopped"]
    assert trio.current_time() == 0


async def test_a_stop_asked_for_before_the_start_opens_nothing(rig: Rig) -> None:
    tree = rig.tree(rig.steady("store"))
    tree.stop("changed my mind")
    assert await tree.run() == Outcome(0, "changed my mind")
    assert rig.log == []


async def test_a_stop_step_is_skipped_with_its_action_if_none_of_its_children_was_opened(rig: Rig) -> None:
    async def action(name: str) -> None:
        rig.log.append(f"action of {name}")

    steps = (
        Step("http", 5, lambda: action("http"), children=("late",)),
        Step("store", 5, lambda: action("store"), children=("store",)),
    )
    tree = rig.tree(rig.steady("store"), child_that(rig, refused, "critical"), rig.steady("late"), plan=StopPlan(steps))
    assert (await tree.run()).exit_code == 2
    assert rig.log == ["store opened", "action of store", "store asked", "store ended"]


async def test_started_may_be_called_only_once(rig: Rig) -> None:
    async def run(handle: Handle, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        task_status.started()

    outcome = await rig.tree(Child("work", run, "critical")).run()
    assert outcome == Outcome(1, "work: RuntimeError: child 'work' called started() twice")


async def test_a_tree_runs_once(rig: Rig) -> None:
    tree = rig.tree(rig.steady("store"))
    tree.stop("asked")
    await tree.run()
    with pytest.raises(RuntimeError, match="once"):
        await tree.run()


def test_names_must_be_unique_and_steps_must_name_known_children_once(rig: Rig) -> None:
    one = rig.steady("one")
    with pytest.raises(ValueError, match="name of its own"):
        rig.tree(one, one)
    with pytest.raises(ValueError, match="name of its own"):
        rig.tree()
    for names in (("two",), ("one", "one")):
        with pytest.raises(ValueError, match="unknown or named twice"):
            rig.tree(one, plan=StopPlan((Step("end", 1, children=names),)))


@pytest.mark.parametrize("wrong", [{"start_timeout_s": 0}, {"stall_after_s": 0}, {"grace_s": -1}, {"unwind_s": -1}])
def test_times_that_mean_nothing_are_refused(rig: Rig, wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        rig.steady("one", **wrong)


async def test_a_child_that_says_ready_only_while_it_is_cut_was_never_ready(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async def run(handle: Handle, task_status: trio.TaskStatus[None]) -> None:
        try:
            await trio.Event().wait()
        finally:
            task_status.started()

    tree = rig.tree(Child("http", run, "restart", start_timeout_s=9))
    assert await tree.run() == Outcome(2, "http did not start: not ready within 9 s")


async def test_a_status_kept_from_an_earlier_life_does_not_make_the_new_one_ready(
    rig: Rig, autojump_clock: MockClock
) -> None:
    kept: list[trio.TaskStatus[None]] = []
    third = trio.Event()

    async def run(handle: Handle, task_status: trio.TaskStatus[None]) -> None:
        kept.append(task_status)
        if len(kept) == 1:
            task_status.started()
        elif len(kept) == 3:
            kept[1].started()
            third.set()
            await handle.stopping.wait()

    tree = rig.tree(Child("work", run, "restart"))
    async with trio.open_nursery() as nursery:
        outcome = await rig.run_until_ready(nursery, tree)
        await third.wait()
        assert tree.status().children[0].state == "starting"
        tree.stop("asked")
        assert await outcome() == Outcome(0, "asked")
