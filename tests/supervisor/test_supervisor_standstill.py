"""A process that was stopped and goes on: nobody is to blame for the time in which nothing could run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from tests.supervisor.conftest import Rig
    from trio.testing import MockClock

from oris.supervisor import Child, Handle

STALL_AFTER_S = 30.0


def beating(name: str, every_s: float) -> Child:
    """A child that shows its progress at intervals."""

    async def run(handle: Handle, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        while not handle.stopping.is_set():
            with trio.move_on_after(every_s):
                await handle.stopping.wait()
            handle.beat()

    return Child(name, run, "critical", stall_after_s=STALL_AFTER_S)


async def test_a_standstill_of_the_process_is_no_hang_of_its_children(rig: Rig, mock_clock: MockClock) -> None:
    tree = rig.tree(beating("work", 5.0))
    async with trio.open_nursery() as nursery:
        outcome = await rig.run_until_ready(nursery, tree)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(3):
            mock_clock.jump(60.0)
            await trio.testing.wait_all_tasks_blocked()
        assert tree.status().state == "ready"
        tree.stop("asked")
        assert (await outcome()).exit_code == 0
    assert rig.kinds("work").count("stalled") == 0


async def test_a_child_that_hangs_is_still_found_after_a_standstill(rig: Rig, mock_clock: MockClock) -> None:
    tree = rig.tree(beating("work", 1000.0))
    async with trio.open_nursery() as nursery:
        outcome = await rig.run_until_ready(nursery, tree)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(60.0)
        await trio.testing.wait_all_tasks_blocked()
        assert rig.kinds("work").count("stalled") == 0
        mock_clock.autojump_threshold = 0.0
        assert (await outcome()).exit_code == 1
    assert rig.kinds("work").count("stalled") == 1
