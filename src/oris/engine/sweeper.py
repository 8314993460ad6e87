"""The sweeper: makes deadlines happen. It does not tick; it sleeps until the earliest deadline it knows of.

A commit that brings an earlier one wakes it, and it looks at the store again at least every `LOOK_AGAIN_S`, for what
other nodes have written.
"""

from __future__ import annotations

import trio
from trio import TASK_STATUS_IGNORED, TaskStatus

from oris.clock import EngineClock
from oris.core.commands import Sweep
from oris.core.replies import Refusal
from oris.engine.committer import Committer
from oris.engine.observer import Beat
from oris.engine.unit import Unit
from oris.errors import StoreError, Unavailable
from oris.storage.store import Reads

LOOK_AGAIN_S = 0.25
BATCH = 500
"""Threads in one pass."""


class Sweeper:
    """Finds what is due and asks the committer to apply it."""

    def __init__(self, committer: Committer, reads: Reads, clock: EngineClock) -> None:
        self._committer = committer
        self._reads = reads
        self._clock = clock
        self._alarm_ms: int | None = None
        self._earlier = trio.Event()

    def set_alarm(self, at_ms: int) -> None:
        """A deadline was committed. Synchronous."""
        if self._alarm_ms is None or at_ms < self._alarm_ms:
            self._alarm_ms = at_ms
            self._earlier.set()

    async def run(self, beat: Beat, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Sweep until cancelled. Cancelled, it leaves nothing half done: a pass is one unit."""
        task_status.started()
        while True:
            beat()
            self._alarm_ms = None
            try:
                await self._sweep()
                next_ms = await self._reads.earliest_wake()
            except StoreError:
                next_ms = None
            await self._rest_until(next_ms)

    async def _sweep(self) -> None:
        """One pass over the threads that are due."""
        due = await self._reads.due(self._clock.now_ms(), BATCH)
        if due:
            answer = await self._committer.ask(Unit("sweep", [Sweep(key) for key in due]))
            if all(isinstance(reply, Refusal) for reply in answer.replies):
                # They stay due; without a pause they would be asked for without end.
                raise Unavailable("no deadline could be applied")

    async def _rest_until(self, next_ms: int | None) -> None:
        """Until that deadline, an earlier one that is committed meanwhile, or the next look at the store."""
        look_again = trio.current_time() + LOOK_AGAIN_S
        while True:
            known = [at_ms for at_ms in (next_ms, self._alarm_ms) if at_ms is not None]
            left_s = look_again - trio.current_time()
            if known:
                left_s = min(left_s, (min(known) - self._clock.now_ms()) / 1000.0)
            if left_s <= 0:
                return
            self._earlier = trio.Event()
            with trio.move_on_after(left_s):
                await self._earlier.wait()
