"""A rig around a tree: children that are steady or fail on demand, and records of all that was observed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import trio

from oris.supervisor import Child, Handle, Outcome, StopPlan, Tree

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

STALL_AFTER_S = 5.0


@dataclass
class Rig:
    """What happened, and the switches of the failing children."""

    log: list[str] = field(default_factory=list)
    """`NAME opened`, `NAME asked`, `NAME ended` as the children saw it."""
    events: list[tuple[str, str, str]] = field(default_factory=list)
    errors: list[tuple[str, BaseException]] = field(default_factory=list)
    exits: list[int] = field(default_factory=list)
    """Codes of hard exits."""
    fail_now: trio.Event = field(default_factory=trio.Event)
    """Set by a test when the failing child shall do what it does."""
    release: trio.Event = field(default_factory=trio.Event)
    """Ends shielded hangs; a hard exit sets it, because this process goes on."""
    changed: trio.Event = field(default_factory=trio.Event)
    """Set, and replaced, at each event."""
    lives: dict[str, int] = field(default_factory=dict)
    """How often each child was run."""

    def tree(self, *children: Child, plan: StopPlan | None = None, **more: Any) -> Tree:
        """A tree that reports to this rig. The jitter is always half the ceiling."""
        return Tree(
            children,
            plan or StopPlan(),
            draw=more.pop("draw", lambda: 0.5),
            on_event=self._on_event,
            on_error=lambda name, error: self.errors.append((name, error)),
            hard_exit=self._hard_exit,
            **more,
        )

    def _on_event(self, *event: str) -> None:
        name, kind, detail = event
        self.events.append((name, kind, detail))
        self.changed.set()
        self.changed = trio.Event()

    async def seen(self, name: str, kind: str, times: int = 1) -> None:
        """Wait until that event has been told so often."""
        while self.kinds(name).count(kind) < times:
            await self.changed.wait()

    def _hard_exit(self, code: int) -> None:
        self.exits.append(code)
        self.release.set()

    def kinds(self, name: str) -> list[str]:
        """The kinds of the events of `name`, in order."""
        return [kind for who, kind, _ in self.events if who == name]

    def steady(self, name: str, **more: Any) -> Child:
        """Ready at once, ends when asked to."""

        async def run(handle: Handle, task_status: trio.TaskStatus[str]) -> None:
            self.log.append(f"{name} opened")
            task_status.started(f"value of {name}")
            try:
                with handle.idle():
                    await handle.stopping.wait()
                self.log.append(f"{name} asked")
            finally:
                self.log.append(f"{name} ended")

        return Child(name, run, more.pop("on_failure", "critical"), **more)

    def deaf(self, name: str, *, shielded: bool = False, **more: Any) -> Child:
        """Ready at once, ends only by cancellation; shielded, not even then."""

        async def run(handle: Handle, task_status: trio.TaskStatus[None]) -> None:
            task_status.started()
            try:
                with trio.CancelScope(shield=shielded):
                    await self.release.wait()
            finally:
                self.log.append(f"{name} ended")

        return Child(name, run, more.pop("on_failure", "critical"), **more)

    def failing(self, name: str, fault: str, *, lives: int = 1, **more: Any) -> Child:
        """Does `fault` when `fail_now` is set, in its first `lives` lives; later it is steady."""
        steady = self.steady(name).run
        do = _FAULTS[fault]

        async def run(handle: Handle, task_status: trio.TaskStatus[object]) -> None:
            self.lives[name] = self.lives.get(name, 0) + 1
            if self.lives[name] > lives:
                await steady(handle, task_status=task_status)
                return
            task_status.started("about to fail")
            with handle.idle():
                await self.fail_now.wait()
            await do(self)

        more.setdefault("stall_after_s", STALL_AFTER_S if fault.startswith("hangs") else None)
        return Child(name, run, **more)

    async def run_until_ready(self, nursery: trio.Nursery, tree: Tree) -> Callable[[], Awaitable[Outcome]]:
        """Run it in the background; gives a function that waits for its outcome."""
        outcome: list[Outcome] = []
        over = trio.Event()

        async def run() -> None:
            outcome.append(await tree.run())
            over.set()

        async def result() -> Outcome:
            await over.wait()
            return outcome[0]

        nursery.start_soon(run)
        await tree.wait_ready()
        return result


async def _raises(_: Rig) -> None:
    raise ValueError("planted")


async def _raises_group(_: Rig) -> None:
    raise ExceptionGroup("several", [ValueError("planted"), OSError("and another")])


async def _returns(_: Rig) -> None:
    return


async def _cancels_itself(_: Rig) -> None:
    with trio.CancelScope() as scope:
        scope.cancel(reason="planted")
        await trio.lowlevel.checkpoint()


async def _hangs(_: Rig) -> None:
    await trio.Event().wait()


async def _hangs_shielded(rig: Rig) -> None:
    with trio.CancelScope(shield=True):
        await rig.release.wait()


async def _hangs_and_fails_to_clean_up(_: Rig) -> None:
    try:
        await trio.Event().wait()
    finally:
        raise OSError("no cleanup")


async def _exits(_: Rig) -> None:
    raise SystemExit(7)


_FAULTS = {
    "raises": _raises,
    "raises a group": _raises_group,
    "returns": _returns,
    "cancels itself": _cancels_itself,
    "hangs": _hangs,
    "hangs shielded": _hangs_shielded,
    "hangs and fails to clean up": _hangs_and_fails_to_clean_up,
    "exits": _exits,
}


@pytest.fixture
def rig() -> Rig:
    return Rig()
