"""The checker: a child that hangs has failed, and one that ignores its cancellation stops the tree.

When the checker itself was held up, the whole process stood still (stopped, or on a machine that slept): no child could
have made progress, so each is given its time anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oris.supervisor.hooks import Hooks
    from oris.supervisor.request import StopRequest
    from oris.supervisor.task import Task


LOOK_S = 1.0
"""It looks so often at least, to know how long a standstill was."""
HELD_UP_S = 1.0


async def check_progress(tasks: Sequence[Task], hooks: Hooks, request: StopRequest) -> None:
    """Look at the moment the earliest task falls due, for ever. Returns only by cancellation."""
    while True:
        now = trio.current_time()
        look_at = min(_next_look(tasks, now), now + LOOK_S)
        await trio.sleep_until(look_at)
        now = trio.current_time()
        if now - look_at > HELD_UP_S:
            for task in tasks:
                task.excuse(now - look_at)
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
