"""The checker: a child that hangs has failed, and one that ignores its cancellation stops the tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oris.supervisor.hooks import Hooks
    from oris.supervisor.request import StopRequest
    from oris.supervisor.task import Task


async def check_progress(tasks: Sequence[Task], hooks: Hooks, request: StopRequest) -> None:
    """Look at the moment the earliest task falls due, for ever. Returns only by cancellation."""
    while True:
        await trio.sleep_until(_next_look(tasks, trio.current_time()))
        now = trio.current_time()
        for task in tasks:
            if task.due_at() <= now:
                _overdue(task, hooks, request)


def _next_look(tasks: Sequence[Task], now: float) -> float:
    return min(min(task.due_at(), now + task.soonest_due_s()) for task in tasks)


def _overdue(task: Task, hooks: Hooks, request: StopRequest) -> None:
    run, name = task.run, task.child.name
    if run is None:
        return
    if run.fault is None:
        fault = run.cut()
        task.last_error = str(fault)
        hooks.event(name, "stalled", str(fault))
        return
    stuck = task.give_up()
    hooks.event(name, "stuck", str(stuck))
    request.ask(1 if task.was_ready else 2, f"{name}: {stuck}")
