"""The tree: opens its children in order, keeps them, and stops them in order, whatever ends it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import trio

from oris.supervisor.checker import check_progress
from oris.supervisor.hard_exit import HardExit
from oris.supervisor.hooks import Hooks, ignore
from oris.supervisor.keeper import Keeper
from oris.supervisor.report import Outcome, TreeState, TreeStatus
from oris.supervisor.request import StopRequest
from oris.supervisor.stopper import Stopper
from oris.supervisor.task import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from oris.supervisor.child import Child
    from oris.supervisor.hooks import OnError, OnEvent
    from oris.supervisor.plan import StopPlan


class Tree:
    """Children run in the given order, each opened when the one before is ready. Runs once.

    `draw` gives a number in [0, 1) for the jitter of backoffs. `on_event(name, kind, detail)` and
    `on_error(name, exception)` observe; a kind `restarting` is one restart. `hard_exit(code)` must not return
    in production. All methods are for the thread of the event loop.
    """

    def __init__(
        self,
        children: Sequence[Child],
        plan: StopPlan,
        *,
        draw: Callable[[], float],
        name: str = "server",
        on_event: OnEvent = ignore,
        on_error: OnError = ignore,
        hard_exit: Callable[[int], object] = os._exit,
    ) -> None:
        names = tuple(child.name for child in children)
        if not names or len(set(names)) != len(names):
            raise ValueError("a tree needs children, each with a name of its own")
        plan.check(names)
        self._name = name
        self._plan = plan
        self._draw = draw
        self._tasks = tuple(Task(child) for child in children)
        self._hooks = Hooks(on_event, on_error)
        self._hard_exit = HardExit(hard_exit, lambda: self._request.exit_code or 1)
        self._request = StopRequest(plan, self._hard_exit)
        self._asked_from_outside = False
        self._state: TreeState = "starting"
        self._has_run = False
        self._settled = trio.Event()
        self._finished = trio.Event()

    async def run(self) -> Outcome:
        """Start, keep and stop everything; returns how it ended, and raises nothing of a child's.

        A cancellation from outside stops everything now, in order, behind a shield that the deadlines of the
        plan bound, and is then passed on. Raises RuntimeError if the tree ran before.
        """
        if self._has_run:
            raise RuntimeError("a tree runs once")
        await trio.lowlevel.checkpoint_if_cancelled()
        self._has_run = True
        async with trio.open_nursery() as outside:
            outside.start_soon(self._shielded)
            try:
                await self._finished.wait()
            except BaseException:
                # Cancelled or KeyboardInterrupt: leaving the block waits for the shielded stop.
                self._request.ask(1, "cancelled from outside")
                self._hurry("cancelled from outside")
                raise
        return Outcome(self._request.exit_code, self._request.reason or "")

    def stop(self, reason: str) -> None:
        """Ask for the ordered stop; asked again: no more actions and graces. Does nothing after the end."""
        if self._state == "stopped":
            return
        if self._asked_from_outside:
            self._hurry(reason)
            return
        self._asked_from_outside = True
        self._request.ask(0, reason)

    async def wait_ready(self) -> bool:
        """Wait until every child is ready (True) or the stop was asked for before that (False)."""
        await self._settled.wait()
        return self._state == "ready"

    def value_of(self, name: str) -> object:
        """What the child gave to `started()`, the last time. Raises KeyError if it never was ready."""
        for task in self._tasks:
            if task.child.name == name and task.was_ready:
                return task.value
        raise KeyError(name)

    def status(self) -> TreeStatus:
        """A snapshot."""
        children = tuple(task.status() for task in self._tasks)
        return TreeStatus(self._state, self._request.reason, children, self._hooks.error)

    def _hurry(self, why: str) -> None:
        if not self._request.hurried:
            self._hooks.event(self._name, "stop_now", why)
        self._request.hurry()

    async def _shielded(self) -> None:
        """The life of the tree, out of reach of outer cancellation: the stop list ends it, nothing else."""
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                checker_scope = trio.CancelScope()
                nursery.start_soon(self._check, checker_scope)
                await self._open_all(nursery)
                await self._request.asked.wait()
                await self._stop_all(nursery)
                checker_scope.cancel(reason="the tree has stopped")
            self._hard_exit.disarm()
            self._state = "stopped"
            self._hooks.event(self._name, "stopped", self._request.reason or "")
            self._finished.set()

    async def _check(self, scope: trio.CancelScope) -> None:
        with scope:
            await check_progress(self._tasks, self._hooks, self._request)

    async def _open_all(self, nursery: trio.Nursery) -> None:
        """Open one after the other; a stop asked for meanwhile leaves the rest unopened."""
        self._hooks.event(self._name, "starting")
        with trio.CancelScope() as opening:
            self._request.when_asked(lambda: self._stop_is_asked(opening))
            for task in self._tasks:
                if self._request.asked.is_set():
                    return
                task.opened = True
                nursery.start_soon(self._keeper(task).keep, name=task.child.name)
                await task.settled.wait()
            if not self._request.asked.is_set():
                self._state = "ready"
                self._settled.set()
                self._hooks.event(self._name, "ready")

    def _stop_is_asked(self, opening: trio.CancelScope) -> None:
        self._state = "stopping"
        self._settled.set()
        self._hooks.event(self._name, "stopping", self._request.reason or "")
        opening.cancel(reason="the stop was asked for")

    def _keeper(self, task: Task) -> Keeper:
        return Keeper(
            task,
            hooks=self._hooks,
            request=self._request,
            draw=self._draw,
            ask_stop=self.stop,
            tree_status=self.status,
        )

    async def _stop_all(self, nursery: trio.Nursery) -> None:
        """Work the list off; what cannot be ended is left behind, and the process ended at once."""
        stopper = Stopper(nursery, self._tasks, self._plan, self._request, self._hooks, self._hurry)
        left = await stopper.run()
        for task in self._tasks:
            if not task.opened:
                task.state = "stopped"
        if left:
            self._hooks.event(self._name, "abandoned", ", ".join(left))
            self._hard_exit.fire()
