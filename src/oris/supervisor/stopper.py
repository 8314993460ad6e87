"""Works the stop list off, in order, waiting for nothing that is stuck."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from oris.supervisor.keeper import CAUGHT
from oris.supervisor.report import one_line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from oris.supervisor.hooks import Hooks
    from oris.supervisor.plan import Step, StopPlan
    from oris.supervisor.request import StopRequest
    from oris.supervisor.task import Task


class Stopper:
    """One ordered stop. Actions run in the tree's nursery, so that a stuck one can be left behind."""

    def __init__(
        self,
        nursery: trio.Nursery,
        tasks: Sequence[Task],
        plan: StopPlan,
        request: StopRequest,
        hooks: Hooks,
        hurry: Callable[[str], None],
    ) -> None:
        self._nursery = nursery
        self._tasks = tasks
        self._plan = plan
        self._request = request
        self._hooks = hooks
        self._hurry = hurry
        self._limit_at = trio.current_time() + plan.limit_s
        self._running_actions: list[str] = []

    async def run(self) -> list[str]:
        """All steps, then the children no step named. Returns the names of what could not be ended."""
        for step in self._plan.steps:
            await self._step(step)
        for task in reversed(self._tasks):
            self._watch_limit()
            await self._end(task, self._limit_at)
        stuck = [task.child.name for task in self._tasks if task.opened and not task.ended.is_set()]
        return stuck + self._running_actions

    def _watch_limit(self) -> None:
        if trio.current_time() >= self._limit_at:
            self._hurry(f"the limit of {self._plan.limit_s:g} s is over")

    async def _step(self, step: Step) -> None:
        self._watch_limit()
        by_name = {task.child.name: task for task in self._tasks if task.opened}
        opened = [by_name[name] for name in step.children if name in by_name]
        if step.children and not opened:
            return
        self._hooks.event(step.name, "step")
        until = min(trio.current_time() + step.deadline_s, self._limit_at)
        if step.action is not None and not self._request.hurried:
            await self._act(step, step.action, until)
        async with trio.open_nursery() as nursery:
            for task in opened:
                nursery.start_soon(self._end, task, until)

    async def _act(self, step: Step, action: Callable[[], Awaitable[object]], until: float) -> None:
        scope, ended = trio.CancelScope(), trio.Event()
        self._nursery.start_soon(self._perform, step, action, scope, ended)
        with self._request.patience(until):
            await ended.wait()
        if ended.is_set():
            return
        if not self._request.hurried:
            text = f"stop step {step.name!r} missed its deadline"
            self._hooks.event(step.name, "step_timeout", text)
            self._request.ask(1, text)
        scope.cancel(reason=f"stop step {step.name!r} is over")
        with trio.move_on_after(step.unwind_s):
            await ended.wait()
        if not ended.is_set():
            self._hooks.event(step.name, "stuck")
            self._request.ask(1, f"stop step {step.name!r} ignores its cancellation")

    async def _perform(
        self,
        step: Step,
        action: Callable[[], Awaitable[object]],
        scope: trio.CancelScope,
        ended: trio.Event,
    ) -> None:
        self._running_actions.append(step.name)
        try:
            with scope:
                await action()
        except CAUGHT as error:
            self._hooks.failure(step.name, "step_failed", error)
            self._request.ask(1, f"stop step {step.name!r}: {one_line(error)}")
        finally:
            self._running_actions.remove(step.name)
            ended.set()

    async def _end(self, task: Task, until: float) -> None:
        """Ask, wait for its grace, cancel, wait for its unwinding, go on."""
        child = task.child
        if not task.opened or task.ended.is_set() or task.stop_asked.is_set():
            return
        # One that is not ready has nothing to drain, a stuck one will not: both go without a grace.
        grace_s = child.grace_s if task.is_ready and not task.given_up else 0.0
        task.ask_stop()
        self._hooks.event(child.name, "stopping")
        with self._request.patience(min(until, trio.current_time() + grace_s)):
            await task.ended.wait()
        if task.ended.is_set():
            return
        task.cancel("its grace is over")
        if task.given_up:
            return
        with trio.move_on_after(child.unwind_s):
            await task.ended.wait()
        if not task.ended.is_set():
            stuck = task.give_up()
            self._hooks.event(child.name, "stuck", str(stuck))
            self._request.ask(1, f"{child.name}: {stuck}")
