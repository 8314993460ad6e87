"""How a child's loop meets the supervisor's wish to stop."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from oris.server.tasks import until_stopping
from oris.supervisor import Handle, TreeStatus


def handle() -> Handle:
    return Handle("child", lambda _: None, lambda: TreeStatus("ready", None, (), None))


async def test_a_loop_that_returns_by_itself_is_not_waited_on(autojump_clock: MockClock) -> None:
    async def returns() -> None:
        await trio.lowlevel.checkpoint()

    with trio.fail_after(1):
        await until_stopping(handle(), returns)


async def test_a_loop_is_cut_when_the_child_is_asked_to_stop(autojump_clock: MockClock) -> None:
    child = handle()
    child.stopping.set()
    with trio.fail_after(1):
        await until_stopping(child, trio.sleep_forever)
