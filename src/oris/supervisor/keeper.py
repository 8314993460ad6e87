"""The wrapper round one child: runs it, catches its end, and says what that end means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from oris.supervisor.handle import Handle
from oris.supervisor.report import ChildFault, one_line
from oris.supervisor.task import Run

if TYPE_CHECKING:
    from collections.abc import Callable

    from oris.supervisor.hooks import Hooks
    from oris.supervisor.report import TreeStatus
    from oris.supervisor.request import StopRequest
    from oris.supervisor.task import Task

CAUGHT = (Exception, BaseExceptionGroup, KeyboardInterrupt, SystemExit)
"""All a child may end with. Cancelled is left to its scope, GeneratorExit to the interpreter."""


class Keeper:
    """Keeps one task alive within its budget. Raises nothing into the nursery."""

    def __init__(
        self,
        task: Task,
        *,
        hooks: Hooks,
        request: StopRequest,
        draw: Callable[[], float],
        ask_stop: Callable[[str], None],
        tree_status: Callable[[], TreeStatus],
    ) -> None:
        self._task = task
        self._name = task.child.name
        self._hooks = hooks
        self._request = request
        self._draw = draw
        self._ask_stop = ask_stop
        self._tree_status = tree_status

    async def keep(self) -> None:
        """Until the child was asked to stop and has ended, or has failed for good."""
        task = self._task
        try:
            while not task.stop_asked.is_set():
                run = self._open_run()
                error = await self._live(run)
                if error is None:
                    break
                self._record(error)
                if not await self._goes_on(run, error):
                    task.state = "failed"
                    break
        finally:
            task.run = None
            task.state = "failed" if task.state == "failed" else "stopped"
            task.ended.set()
            task.settled.set()
            self._hooks.event(self._name, "stopped")

    def _open_run(self) -> Run:
        task = self._task
        task.state = "starting"
        handle = Handle(self._name, self._ask_stop, self._tree_status)
        task.run = Run(task.child, handle, self._ready)
        self._hooks.event(self._name, "starting")
        return task.run

    def _ready(self, value: object) -> None:
        task = self._task
        task.value = value
        task.was_ready = True
        if not task.stop_asked.is_set():
            task.state = "running"
        task.settled.set()
        self._hooks.event(self._name, "ready", "" if value is None else str(value))

    async def _live(self, run: Run) -> BaseException | None:
        """One life. Returns what failed, None if it ended because it was asked to."""
        error: BaseException | None = None
        try:
            with run.scope:
                await self._task.child.run(run.handle, task_status=run)
        except CAUGHT as caught:
            error = caught
        finally:
            run.over = True
        if run.fault is not None:
            run.fault.__cause__ = error
            return run.fault
        if error is None and not self._task.stop_asked.is_set():
            return ChildFault("returned without being asked to stop")
        return error

    def _record(self, error: BaseException) -> None:
        self._task.run = None
        self._task.last_error = one_line(error)
        self._hooks.failure(self._name, "failed", error)

    async def _goes_on(self, run: Run, error: BaseException) -> bool:
        """Book the failure and back off. False: it was the last, and the tree knows why."""
        task, budget = self._task, self._task.child.budget
        reason = f"{self._name}: {task.last_error}"
        if not task.was_ready:
            self._request.ask(2, f"{self._name} did not start: {task.last_error}")
            return False
        last = task.stop_asked.is_set() or task.given_up or not isinstance(error, Exception)
        if last or task.child.on_failure == "critical":
            self._request.ask(1, reason)
            return False
        ready_for_s = 0.0 if run.ready_at is None else trio.current_time() - run.ready_at
        task.ledger = task.ledger.after_failure(budget, ready_for_s)
        if not task.ledger.allows_restart(budget):
            used_up = f"{budget.restarts} restarts within {budget.window_s:g} s are used up"
            self._request.ask(1, f"{reason} ({used_up})")
            return False
        await self._back_off(task.ledger.backoff_s(budget, self._draw()))
        return True

    async def _back_off(self, delay_s: float) -> None:
        """Wait, unless the stop comes first."""
        task = self._task
        task.state = "backoff"
        with trio.move_on_after(delay_s):
            await task.stop_asked.wait()
        if not task.stop_asked.is_set():
            task.restarts += 1
            self._hooks.event(self._name, "restarting", f"restart {task.restarts} after {delay_s:.3f} s")
