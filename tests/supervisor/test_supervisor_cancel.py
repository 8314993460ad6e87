"""Cancellation of the whole tree from outside: passed on, but never before the ordered stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from oris.supervisor import Child, Step, StopPlan

if TYPE_CHECKING:
    from tests.supervisor.conftest import Rig
    from trio.testing import MockClock

    from oris.supervisor import Handle, Tree


async def cancel_when_ready(tree: Tree, scope: trio.CancelScope) -> None:
    """Raises Cancelled out of `tree.run()`, which the scope then catches."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_in, tree, scope)
        await tree.wait_ready()
        scope.cancel(reason="planted")


async def run_in(tree: Tree, scope: trio.CancelScope) -> None:
    with scope:
        await tree.run()
        pytest.fail("the cancellation was swallowed")


@pytest.mark.parametrize("on_failure", ["critical", "restart"])
async def test_children_of_both_kinds_clean_up_in_order_and_the_cancellation_is_passed_on(
    rig: Rig, autojump_clock: MockClock, on_failure: str
) -> None:
    def child(name: str) -> Child:
        async def run(handle: Handle, task_status: trio.TaskStatus[None]) -> None:
            task_status.started()
            try:
                await trio.Event().wait()
            finally:
                rig.log.append(f"{name} cleans up")
                with trio.CancelScope(shield=True, deadline=trio.current_time() + 2):
                    await trio.Event().wait()
                rig.log.append(f"{name} is clean")

        return Child(name, run, on_failure)  # type: ignore[arg-type]

    tree, scope = rig.tree(child("store"), child("http")), trio.CancelScope()
    await cancel_when_ready(tree, scope)
    assert scope.cancelled_caught
    assert rig.log == ["http cleans up", "http is clean", "store cleans up", "store is clean"]
    assert (tree.status().state, tree.status().reason) == ("stopped", "cancelled from outside")
    assert trio.current_time() == 4
    assert rig.exits == []


async def test_graces_and_actions_are_skipped_when_the_tree_is_cancelled(rig: Rig, autojump_clock: MockClock) -> None:
    async def act() -> None:
        rig.log.append("action")

    tree = rig.tree(rig.deaf("http", grace_s=60), plan=StopPlan((Step("polls", 60, act),)))
    scope = trio.CancelScope()
    await cancel_when_ready(tree, scope)
    assert scope.cancelled_caught
    assert rig.log == ["http ended"]
    assert trio.current_time() == 0


async def test_a_stuck_child_holds_a_cancelled_tree_only_until_the_hard_exit(
    rig: Rig, autojump_clock: MockClock
) -> None:
    tree = rig.tree(rig.steady("store"), rig.deaf("http", shielded=True, unwind_s=3))
    scope = trio.CancelScope()
    await cancel_when_ready(tree, scope)
    assert scope.cancelled_caught
    assert rig.log[1:] == ["store asked", "store ended", "http ended"]
    assert rig.exits == [1]
    assert trio.current_time() == 3


async def test_a_tree_cancelled_during_an_ordered_stop_goes_on_without_graces(
    rig: Rig, autojump_clock: MockClock
) -> None:
    tree, scope = rig.tree(rig.deaf("http", grace_s=20)), trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_in, tree, scope)
        await tree.wait_ready()
        tree.stop("SIGTERM")
        while tree.status().children[0].state != "stopping":
            await trio.lowlevel.checkpoint()
        scope.cancel(reason="planted")
    assert scope.cancelled_caught
    assert tree.status().reason == "SIGTERM; then cancelled from outside"
    assert trio.current_time() == 0


async def test_a_tree_cancelled_before_it_starts_opens_nothing(rig: Rig) -> None:
    tree = rig.tree(rig.steady("store"))
    with trio.CancelScope() as scope:
        scope.cancel(reason="planted")
        await tree.run()
    assert scope.cancelled_caught
    assert rig.log == []
    assert rig.events == []


async def test_a_deadline_around_the_tree_is_a_cancellation_too(rig: Rig, autojump_clock: MockClock) -> None:
    tree = rig.tree(rig.steady("store"))
    with trio.move_on_after(30) as scope:
        await tree.run()
    assert scope.cancelled_caught
    assert rig.log == ["store opened", "store asked", "store ended"]
