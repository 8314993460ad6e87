"""What each fault of a ready child means, for both kinds of child (L5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from oris.supervisor import Child, ChildFault, Outcome, RestartBudget

if TYPE_CHECKING:
    from tests.supervisor.conftest import Rig
    from trio.testing import MockClock

    from oris.supervisor import Handle

LINES = {
    "raises": "ValueError: planted",
    "raises a group": "ValueError: planted; OSError: and another",
    "returns": "returned without being asked to stop",
    "cancels itself": "returned without being asked to stop",
    "hangs": "no progress for 5 s",
    "hangs and fails to clean up": "no progress for 5 s",
}
FAULTS = pytest.mark.parametrize("fault", LINES)


@FAULTS
async def test_a_critical_child_that_fails_stops_the_others_in_order_with_exit_1(
    rig: Rig, autojump_clock: MockClock, fault: str
) -> None:
    tree = rig.tree(rig.steady("store"), rig.failing("work", fault, on_failure="critical"), rig.steady("http"))
    rig.fail_now.set()
    outcome = await tree.run()
    assert (outcome.exit_code, outcome.reason) == (1, f"work: {LINES[fault]}")
    assert [line for line in rig.log if not line.endswith("opened")][-2:] == ["store asked", "store ended"]
    assert [child.state for child in tree.status().children] == ["stopped", "failed", "stopped"]
    assert tree.status().children[1].last_error == LINES[fault]
    assert [name for name, _ in rig.errors] == ["work"]
    assert rig.lives == {"work": 1}
    assert rig.exits == []


@FAULTS
async def test_a_restart_child_that_fails_is_restarted_and_the_others_notice_nothing(
    rig: Rig, autojump_clock: MockClock, fault: str
) -> None:
    tree = rig.tree(rig.steady("store"), rig.failing("work", fault, on_failure="restart"))
    async with trio.open_nursery() as nursery:
        outcome = await rig.run_until_ready(nursery, tree)
        rig.fail_now.set()
        await rig.seen("work", "ready", 2)
        assert tree.status().state == "ready"
        work = tree.status().children[1]
        assert (work.restarts, work.last_error) == (1, LINES[fault])
        assert rig.log == ["store opened", "work opened"]
        tree.stop("asked")
        assert await outcome() == Outcome(0, "asked")
    assert rig.kinds("work").count("restarting") == 1


@pytest.mark.parametrize("on_failure", ["critical", "restart"])
async def test_a_child_hanging_in_a_shield_stops_the_tree_and_cannot_keep_it_from_ending(
    rig: Rig, autojump_clock: MockClock, on_failure: str
) -> None:
    work = rig.failing("work", "hangs shielded", on_failure=on_failure, unwind_s=3)
    tree = rig.tree(rig.steady("store"), work, rig.steady("http"))
    rig.fail_now.set()
    started = trio.current_time()
    outcome = await tree.run()
    line = "no progress for 5 s, and does not end within 3 s of being cancelled"
    assert (outcome.exit_code, outcome.reason) == (1, f"work: {line}")
    assert trio.current_time() - started == 5 + 3
    assert rig.log[-2:] == ["store asked", "store ended"]
    assert rig.exits == [1]
    assert ("server", "abandoned", "work") in rig.events
    assert rig.lives == {"work": 1}


@pytest.mark.parametrize("on_failure", ["critical", "restart"])
async def test_system_exit_in_a_child_never_passes_the_ordered_stop(
    rig: Rig, autojump_clock: MockClock, on_failure: str
) -> None:
    tree = rig.tree(rig.steady("store"), rig.failing("work", "exits", on_failure=on_failure))
    rig.fail_now.set()
    assert await tree.run() == Outcome(1, "work: SystemExit: 7")
    assert rig.log == ["store opened", "store asked", "store ended"]


async def test_a_spent_budget_stops_the_tree_with_exit_1_and_says_so(rig: Rig, autojump_clock: MockClock) -> None:
    budget = RestartBudget(restarts=2, window_s=60, backoff_s=1, backoff_max_s=10)
    tree = rig.tree(rig.failing("work", "raises", lives=99, on_failure="restart", budget=budget))
    rig.fail_now.set()
    started = trio.current_time()
    outcome = await tree.run()
    assert outcome.exit_code == 1
    assert outcome.reason == "work: ValueError: planted (2 restarts within 60 s are used up)"
    assert rig.lives == {"work": 3}
    assert tree.status().children[0].restarts == 2
    assert trio.current_time() - started == 0.5 * 1 + 0.5 * 2


async def test_a_restart_that_fails_before_it_is_ready_uses_the_budget_up_and_is_no_start_failure(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async def run(handle: Handle, task_status: trio.TaskStatus[None]) -> None:
        rig.lives["work"] = rig.lives.get("work", 0) + 1
        if rig.lives["work"] > 1:
            raise OSError("still broken")
        task_status.started()

    budget = RestartBudget(restarts=3, window_s=60)
    outcome = await rig.tree(Child("work", run, "restart", budget)).run()
    assert outcome.exit_code == 1
    assert "OSError: still broken (3 restarts" in outcome.reason
    assert rig.lives == {"work": 4}


async def test_a_restart_that_never_becomes_ready_is_a_failure_of_its_own(rig: Rig, autojump_clock: MockClock) -> None:
    async def run(handle: Handle, task_status: trio.TaskStatus[None]) -> None:
        rig.lives["work"] = rig.lives.get("work", 0) + 1
        if rig.lives["work"] == 2:
            await trio.Event().wait()
        task_status.started()
        if rig.lives["work"] == 3:
            await handle.stopping.wait()

    tree = rig.tree(Child("work", run, "restart", start_timeout_s=7))
    async with trio.open_nursery() as nursery:
        outcome = await rig.run_until_ready(nursery, tree)
        await rig.seen("work", "ready", 2)
        assert tree.status().children[0].last_error == "not ready within 7 s"
        tree.stop("asked")
        assert (await outcome()).exit_code == 0


async def test_a_child_that_beats_or_is_idle_is_not_taken_for_hanging(rig: Rig, autojump_clock: MockClock) -> None:
    async def run(handle: Handle, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        for _ in range(10):
            with trio.move_on_after(4.9):
                await handle.stopping.wait()
            handle.beat()
        with handle.idle(), trio.move_on_after(1000):
            await handle.stopping.wait()
        handle.ask_stop("done")
        await handle.stopping.wait()

    outcome = await rig.tree(Child("work", run, "critical", stall_after_s=5)).run()
    assert (outcome.exit_code, outcome.reason) == (0, "done")
    assert "stalled" not in rig.kinds("work")


async def test_a_hang_is_seen_exactly_when_its_time_is_over_even_after_a_long_idle_wait(
    rig: Rig, autojump_clock: MockClock
) -> None:
    seen: list[float] = []

    async def run(handle: Handle, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        with handle.idle(), trio.move_on_after(12.5):
            await handle.stopping.wait()
        began = trio.current_time()
        try:
            await trio.Event().wait()
        finally:
            seen.append(trio.current_time() - began)

    outcome = await rig.tree(Child("work", run, "critical", stall_after_s=5)).run()
    assert outcome.reason == "work: no progress for 5 s"
    assert seen == [5.0]


async def test_the_error_of_a_failed_cleanup_is_kept_as_the_cause_of_the_hang(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.fail_now.set()
    await rig.tree(rig.failing("work", "hangs and fails to clean up", on_failure="critical")).run()
    ((name, error),) = rig.errors
    assert name == "work"
    assert isinstance(error, ChildFault)
    assert isinstance(error.__cause__, OSError)


async def test_a_child_given_up_is_not_restarted_when_it_ends_after_all(rig: Rig, autojump_clock: MockClock) -> None:
    async def run(handle: Handle, task_status: trio.TaskStatus[None]) -> None:
        rig.lives["work"] = rig.lives.get("work", 0) + 1
        task_status.started()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 15):
            await trio.Event().wait()

    work = Child("work", run, "restart", stall_after_s=5, unwind_s=3)
    tree = rig.tree(work, rig.deaf("http", grace_s=20))
    assert (await tree.run()).exit_code == 1
    assert trio.current_time() == 5 + 3 + 20
    assert rig.lives == {"work": 1}
    assert tree.status().children[0].state == "failed"
    assert rig.exits == []
