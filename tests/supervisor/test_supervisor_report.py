"""What a tree tells: status, hooks, and errors as one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from oris.errors import ConfigError
from oris.supervisor import Child, ChildStatus, Outcome, StopPlan, Tree, TreeStatus, one_line

if TYPE_CHECKING:
    from tests.supervisor.conftest import Rig
    from trio.testing import MockClock

    from oris.supervisor import Handle


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("a\nb\tc"), "ValueError: a b c"),
        (ValueError(), "ValueError"),
        (ValueError("\x1b[31mred\x00"), "ValueError: ?[31mred?"),
        (ConfigError("port 8080 is taken"), "port 8080 is taken"),
        (Unprintable(), "Unprintable: (its text raised RuntimeError)"),
        (ExceptionGroup("g", [OSError(str(n)) for n in range(5)]), "OSError: 0; OSError: 1; OSError: 2; and 2 more"),
        (ExceptionGroup("g", [ExceptionGroup("h", [KeyError("k")])]), "KeyError: 'k'"),
    ],
)
def test_an_error_is_told_on_one_printable_line(error: Exception, line: str) -> None:
    assert one_line(error) == line


def test_a_long_error_is_cut() -> None:
    assert len(one_line(ValueError("x" * 10_000))) == 1000


async def test_the_status_follows_a_child_through_failure_backoff_and_restart(
    rig: Rig, autojump_clock: MockClock
) -> None:
    tree = rig.tree(rig.failing("work", "raises", on_failure="restart"))

    def work() -> ChildStatus:
        return tree.status().children[0]

    async with trio.open_nursery() as nursery:
        assert work() == ChildStatus("work", "starting", 0, None, None)
        outcome = await rig.run_until_ready(nursery, tree)
        assert work() == ChildStatus("work", "running", 0, None, 0.0)
        rig.fail_now.set()
        while work().state == "running":
            await trio.lowlevel.checkpoint()
        assert work() == ChildStatus("work", "backoff", 0, "ValueError: planted", None)
        await rig.seen("work", "ready", 2)
        assert work() == ChildStatus("work", "running", 1, "ValueError: planted", 0.0)
        tree.stop("asked")
        await outcome()
    assert tree.status() == TreeStatus(
        "stopped", "asked", (ChildStatus("work", "stopped", 1, "ValueError: planted", None),), None
    )


async def test_the_status_tells_the_seconds_since_the_last_beat(rig: Rig, autojump_clock: MockClock) -> None:
    ages: list[float | None] = []

    async def run(handle: Handle, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        for beats in (False, True):
            with trio.move_on_after(3):
                await handle.stopping.wait()
            if beats:
                handle.beat()
            ages.append(handle.tree_status().children[0].since_beat_s)
        handle.ask_stop("done")
        await handle.stopping.wait()

    assert await rig.tree(Child("work", run, "critical")).run() == Outcome(0, "done")
    assert ages == [3.0, 0.0]


async def test_the_events_of_a_life_are_told_in_order(rig: Rig, autojump_clock: MockClock) -> None:
    rig.fail_now.set()
    tree = rig.tree(rig.failing("work", "hangs", on_failure="restart"))
    async with trio.open_nursery() as nursery:
        outcome = await rig.run_until_ready(nursery, tree)
        await rig.seen("work", "ready", 2)
        tree.stop("asked")
        await outcome()
    life = ["starting", "ready"]
    ends = ["stopping", "stopped"]
    assert rig.kinds("work") == [*life, "stalled", "failed", "restarting", *life, *ends]
    assert ("work", "restarting", "restart 1 after 0.050 s") in rig.events
    assert ("work", "ready", "value of work") in rig.events


async def test_a_broken_hook_harms_nothing_and_is_seen_in_the_status(rig: Rig, autojump_clock: MockClock) -> None:
    def broken(*_: object) -> None:
        raise LookupError("no such metric")

    rig.fail_now.set()
    tree = Tree(
        [rig.steady("store"), rig.failing("work", "raises", on_failure="critical")],
        StopPlan(),
        draw=lambda: 0.5,
        on_event=broken,
        on_error=broken,
        hard_exit=rig.exits.append,
    )
    assert await tree.run() == Outcome(1, "work: ValueError: planted")
    assert tree.status().hook_error == "LookupError: no such metric"
    assert rig.log[-1] == "store ended"
