"""The hard exit: a real thread that ends the process when the event loop cannot."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import trio

from oris.supervisor import Child, StopPlan, Tree
from oris.supervisor.hard_exit import THREAD_NAME, HardExit

if TYPE_CHECKING:
    from tests.supervisor.conftest import Rig
    from trio.testing import MockClock

    from oris.supervisor import Handle

PATIENCE_S = 30.0
"""For real threads: far more than is ever needed; reached only when the test fails."""


def armed() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD_NAME and thread.is_alive()]


def joined() -> bool:
    """Wait for cancelled timers to be gone."""
    for thread in armed():
        thread.join(PATIENCE_S)
    return not armed()


def test_it_fires_by_itself_on_a_daemon_thread_with_the_code_of_that_moment() -> None:
    fired, codes, code = threading.Event(), [], 0

    def end_process(exit_code: int) -> None:
        codes.append((exit_code, threading.current_thread().name, threading.current_thread().daemon))
        fired.set()

    hard_exit = HardExit(end_process, lambda: code)
    code = 1
    hard_exit.arm(0.001)
    assert fired.wait(PATIENCE_S)
    assert codes == [(1, THREAD_NAME, True)]
    hard_exit.fire()
    hard_exit.arm(0.001)
    assert joined()
    assert len(codes) == 1


def test_once_disarmed_it_never_fires() -> None:
    codes: list[int] = []
    hard_exit = HardExit(codes.append, lambda: 1)
    hard_exit.arm(3600)
    assert len(armed()) == 1
    hard_exit.disarm()
    assert joined()
    hard_exit.fire()
    assert codes == []


def test_arming_again_replaces_the_timer() -> None:
    fired = threading.Event()
    hard_exit = HardExit(lambda _: fired.set(), lambda: 1)
    hard_exit.arm(3600)
    hard_exit.arm(0.001)
    assert fired.wait(PATIENCE_S)
    assert joined()


async def test_it_is_armed_when_the_stop_is_asked_for_and_disarmed_at_the_end(rig: Rig) -> None:
    tree = rig.tree(rig.steady("store"))
    async with trio.open_nursery() as nursery:
        outcome = await rig.run_until_ready(nursery, tree)
        assert armed() == []
        tree.stop("SIGTERM")
        assert len(armed()) == 1
        await outcome()
    assert joined()
    assert rig.exits == []


async def test_a_failure_arms_it_too(rig: Rig, autojump_clock: MockClock) -> None:
    seen: list[int] = []

    async def run(handle: Handle, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await handle.stopping.wait()
        seen.append(len(armed()))

    rig.fail_now.set()
    await rig.tree(Child("store", run, "critical"), rig.failing("work", "raises", on_failure="critical")).run()
    assert seen == [1]
    assert joined()


async def test_a_blocked_event_loop_is_ended_by_the_thread_with_exit_1() -> None:
    fired, codes = threading.Event(), []

    def hard_exit(code: int) -> None:
        codes.append(code)
        fired.set()

    async def run(handle: Handle, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        handle.ask_stop("SIGTERM")
        await handle.stopping.wait()
        assert fired.wait(PATIENCE_S)  # blocks the loop on purpose

    tree = Tree(
        [Child("work", run, "critical")],
        StopPlan(limit_s=0.02, margin_s=0.02),
        draw=lambda: 0.5,
        hard_exit=hard_exit,
    )
    await tree.run()
    assert codes == [1]


async def test_a_stop_asked_for_now_brings_the_hard_exit_nearer(rig: Rig) -> None:
    fired = threading.Event()

    async def run(handle: Handle, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        handle.ask_stop("SIGTERM")
        handle.ask_stop("SIGTERM")
        assert fired.wait(PATIENCE_S)

    tree = Tree(
        [Child("work", run, "critical")],
        StopPlan(limit_s=3600, margin_s=0.02),
        draw=lambda: 0.5,
        hard_exit=lambda _: fired.set(),
    )
    await tree.run()
    assert fired.is_set()
