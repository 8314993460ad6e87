"""The ordered stop: order, graces, deadlines, stuck steps, the second ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from oris.supervisor import Child, Outcome, Step, StopPlan

if TYPE_CHECKING:
    from tests.supervisor.conftest import Rig
    from trio.testing import MockClock

    from oris.supervisor import Handle, Tree


async def stopped(rig: Rig, tree: Tree, *, asks: int = 1) -> tuple[Outcome, float]:
    """Run until ready, ask for the stop, and give the outcome and how long the stop took in seconds."""
    async with trio.open_nursery() as nursery:
        outcome = await rig.run_until_ready(nursery, tree)
        began = trio.current_time()
        for _ in range(asks):
            tree.stop("SIGTERM")
        result = await outcome()
        return result, trio.current_time() - began


async def test_without_steps_children_opened_first_close_last(rig: Rig) -> None:
    outcome, _ = await stopped(rig, rig.tree(rig.steady("a"), rig.steady("b"), rig.steady("c")))
    assert outcome == Outcome(0, "SIGTERM")
    assert rig.log[3:] == ["c asked", "c ended", "b asked", "b ended", "a asked", "a ended"]


async def test_steps_run_in_their_order_action_before_children_and_the_unnamed_after_them(rig: Rig) -> None:
    async def act(text: str) -> None:
        rig.log.append(text)

    steps = (
        Step("polls", 5, lambda: act("polls answered")),
        Step("http", 5, lambda: act("listener closed"), children=("http",)),
        Step("store", 5, children=("store",)),
    )
    tree = rig.tree(rig.steady("store"), rig.steady("http"), rig.steady("signals"), plan=StopPlan(steps))
    outcome, _ = await stopped(rig, tree)
    assert outcome.exit_code == 0
    assert rig.log[3:] == [
        "polls answered",
        "listener closed",
        "http asked",
        "http ended",
        "store asked",
        "store ended",
        "signals asked",
        "signals ended",
    ]
    assert [name for name, kind, _ in rig.events if kind == "step"] == ["polls", "http", "store"]


async def test_the_tree_is_not_ready_from_the_moment_the_stop_is_asked_for(rig: Rig) -> None:
    tree = rig.tree(rig.steady("store"))
    async with trio.open_nursery() as nursery:
        outcome = await rig.run_until_ready(nursery, tree)
        assert tree.status().state == "ready"
        tree.stop("SIGTERM")
        assert (tree.status().state, tree.status().reason) == ("stopping", "SIGTERM")
        await outcome()
        assert tree.status().state == "stopped"


async def test_the_children_of_one_step_are_stopped_at_once_each_with_its_own_grace(
    rig: Rig, autojump_clock: MockClock
) -> None:
    plan = StopPlan((Step("background", 20, children=("a", "b", "c")),))
    tree = rig.tree(rig.deaf("a", grace_s=3), rig.deaf("b", grace_s=7), rig.deaf("c", grace_s=99), plan=plan)
    outcome, took_s = await stopped(rig, tree)
    assert outcome.exit_code == 0
    assert rig.log == ["a ended", "b ended", "c ended"]
    assert took_s == 20


async def test_an_action_past_its_deadline_is_cut_the_stop_goes_on_and_the_exit_is_1(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async def slow() -> None:
        try:
            await trio.Event().wait()
        finally:
            rig.log.append("action cut")

    tree = rig.tree(rig.steady("store"), plan=StopPlan((Step("inbox", 4, slow, children=("store",)),)))
    outcome, took_s = await stopped(rig, tree)
    assert outcome == Outcome(1, "SIGTERM; then stop step 'inbox' missed its deadline")
    assert rig.log[1:] == ["action cut", "store asked", "store ended"]
    assert took_s == 4
    assert rig.kinds("inbox") == ["step", "step_timeout"]


async def test_an_action_stuck_in_a_shield_is_left_behind_and_the_process_ended_after_the_last_step(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async def stuck() -> None:
        with trio.CancelScope(shield=True):
            await rig.release.wait()

    tree = rig.tree(rig.steady("store"), plan=StopPlan((Step("inbox", 4, stuck, unwind_s=1),)))
    outcome, took_s = await stopped(rig, tree)
    assert outcome.exit_code == 1
    assert rig.log[1:] == ["store asked", "store ended"]
    assert rig.exits == [1]
    assert took_s == 4 + 1
    assert ("server", "abandoned", "inbox") in rig.events


@pytest.mark.parametrize("error", [ValueError("planted"), ExceptionGroup("several", [ValueError("planted")])])
async def test_an_action_that_raises_does_not_keep_the_next_step_from_running(rig: Rig, error: Exception) -> None:
    async def broken() -> None:
        raise error

    tree = rig.tree(rig.steady("store"), plan=StopPlan((Step("inbox", 4, broken),)))
    outcome, _ = await stopped(rig, tree)
    assert outcome == Outcome(1, "SIGTERM; then stop step 'inbox': ValueError: planted")
    assert rig.log[1:] == ["store asked", "store ended"]
    assert rig.errors == [("inbox", error)]
    assert rig.kinds("inbox") == ["step", "step_failed"]


async def test_a_child_stuck_in_a_shield_does_not_keep_the_store_from_closing(
    rig: Rig, autojump_clock: MockClock
) -> None:
    tree = rig.tree(rig.steady("store"), rig.deaf("http", shielded=True, grace_s=6, unwind_s=2))
    outcome, took_s = await stopped(rig, tree)
    assert outcome == Outcome(1, "SIGTERM; then http: does not end within 2 s of being cancelled")
    assert rig.log == ["store opened", "store asked", "store ended", "http ended"]
    assert rig.exits == [1]
    assert took_s == 6 + 2
    assert tree.status().children[1].state == "failed"


async def test_a_second_ask_skips_actions_and_graces_but_keeps_the_order(rig: Rig, autojump_clock: MockClock) -> None:
    async def act() -> None:
        rig.log.append("action")

    plan = StopPlan((Step("polls", 50, act),), limit_s=100)
    tree = rig.tree(rig.steady("store"), rig.deaf("b", grace_s=50), rig.deaf("c", grace_s=50), plan=plan)
    outcome, took_s = await stopped(rig, tree, asks=2)
    assert outcome == Outcome(0, "SIGTERM")
    assert rig.log[1:] == ["c ended", "b ended", "store asked", "store ended"]
    assert took_s == 0
    assert ("server", "stop_now", "SIGTERM") in rig.events


async def test_a_second_ask_cuts_short_a_grace_and_an_action_that_are_running(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async def slow() -> None:
        rig.log.append("action began")
        await trio.Event().wait()

    tree = rig.tree(rig.deaf("b", grace_s=50), plan=StopPlan((Step("polls", 50, slow),), limit_s=100))
    async with trio.open_nursery() as nursery:
        outcome = await rig.run_until_ready(nursery, tree)
        tree.stop("SIGTERM")
        while not rig.log:
            await trio.lowlevel.checkpoint()
        tree.stop("SIGINT")
        assert await outcome() == Outcome(0, "SIGTERM")
    assert rig.log == ["action began", "b ended"]
    assert trio.current_time() == 0


async def test_when_the_limit_is_over_the_rest_goes_without_actions_and_graces(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async def never() -> None:
        rig.log.append("action")

    plan = StopPlan((Step("http", 50, children=("http",)), Step("inbox", 50, never)), limit_s=10)
    tree = rig.tree(rig.deaf("store", grace_s=50), rig.deaf("http", grace_s=50), plan=plan)
    outcome, took_s = await stopped(rig, tree)
    assert outcome == Outcome(0, "SIGTERM")
    assert rig.log == ["http ended", "store ended"]
    assert took_s == 10
    assert ("server", "stop_now", "the limit of 10 s is over") in rig.events


async def test_a_child_that_fails_while_it_is_asked_to_stop_turns_exit_0_into_1(rig: Rig) -> None:
    async def run(handle: Handle, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await handle.stopping.wait()
        raise OSError("cannot flush")

    outcome, _ = await stopped(rig, rig.tree(rig.steady("store"), Child("work", run, "restart")))
    assert outcome == Outcome(1, "SIGTERM; then work: OSError: cannot flush")
    assert rig.log[-1] == "store ended"


async def test_a_restart_child_is_kept_alive_during_the_stop_until_its_own_turn(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async def fail_the_sweeper() -> None:
        rig.fail_now.set()
        await rig.seen("sweeper", "ready", 2)

    plan = StopPlan((Step("http", 50, fail_the_sweeper),))
    tree = rig.tree(rig.failing("sweeper", "raises", on_failure="restart"), plan=plan)
    outcome, _ = await stopped(rig, tree)
    assert outcome == Outcome(0, "SIGTERM")
    assert rig.log == ["sweeper opened", "sweeper asked", "sweeper ended"]


async def test_a_child_in_backoff_is_stopped_at_once(rig: Rig, autojump_clock: MockClock) -> None:
    tree = rig.tree(rig.failing("work", "raises", on_failure="restart", lives=9))
    async with trio.open_nursery() as nursery:
        outcome = await rig.run_until_ready(nursery, tree)
        rig.fail_now.set()
        while tree.status().children[0].state != "backoff":
            await trio.lowlevel.checkpoint()
        tree.stop("SIGTERM")
        assert await outcome() == Outcome(0, "SIGTERM")
    assert rig.lives == {"work": 1}
    assert tree.status().children[0].state == "stopped"
    assert trio.current_time() == 0


async def test_asking_after_the_end_changes_nothing(rig: Rig) -> None:
    tree = rig.tree(rig.steady("store"))
    outcome, _ = await stopped(rig, tree)
    tree.stop("too late")
    assert tree.status().reason == outcome.reason == "SIGTERM"
    assert tree.status().state == "stopped"


async def test_a_child_in_its_grace_is_not_watched_for_progress(rig: Rig, autojump_clock: MockClock) -> None:
    async def run(handle: Handle, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        with handle.idle():
            await handle.stopping.wait()
        with trio.move_on_after(12):
            await trio.Event().wait()
        rig.log.append("drained")

    child = Child("work", run, "critical", stall_after_s=5, grace_s=20)
    outcome, took_s = await stopped(rig, rig.tree(child))
    assert outcome == Outcome(0, "SIGTERM")
    assert rig.log == ["drained"]
    assert took_s == 12
