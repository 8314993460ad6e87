"""The sweeper: makes deadlines happen. It does not tick; it sleeps until the earliest deadline it knows of.

A commit that brings an earlier one wakes it, and it looks at the store again at least every `LOOK_AGAIN_S`, for what
other nodes have written. Beside the threads' deadlines it sees to the sessions of workers that have gone: their grace,
and the leases that are over with them; and between all that it lets go what is too old (`engine.retention`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import trio
from msgspec import Struct
from trio import TASK_STATUS_IGNORED, TaskStatus

from oris.clock import EngineClock
from oris.core.commands import Command, DropSession, Sweep
from oris.core.replies import Refusal
from oris.engine.committer import Committer
from oris.engine.demand import Demand
from oris.engine.observer import Beat
from oris.engine.outages import Outages
from oris.engine.retention import Retention
from oris.engine.unit import Unit
from oris.engine.watch import Session, Watch
from oris.errors import StoreError, Unavailable
from oris.ids import JobKey, WorkerKey
from oris.storage.store import Reads

LOOK_AGAIN_S = 0.25
BATCH = 500
"""Threads in one pass."""
AT_ONCE = 100
"""Of them, those that go into one commit: the sweeper's share of it. Where a pass filled it, the heartbeats of a large
fleet, whose leases come up for a look together, would wait in line behind their own leases."""


class MakingUp(Struct):
    """A walk through the leases that an outage may matter to, a page in each pass."""

    owed: int
    before_ms: int
    after: int = 0


class Sweeper:
    """Finds what is due and asks the committer to apply it."""

    def __init__(
        self,
        committer: Committer,
        reads: Reads,
        clock: EngineClock,
        demand: Demand,
        outages: Outages,
        watch: Watch,
        retention: Retention,
    ) -> None:
        self._committer = committer
        self._reads = reads
        self._clock = clock
        self._demand = demand
        self._outages = outages
        self._watch = watch
        self._retention = retention
        self._making_up: MakingUp | None = None
        self._alarm_ms: int | None = None
        self._earlier = trio.Event()
        self._bereft: dict[WorkerKey | None, None] = {None: None}
        """Workers who may hold leases of a session that is over; None: all of them, as after a start."""

    def set_alarm(self, at_ms: int) -> None:
        """A deadline was committed, or has come up in memory. Synchronous."""
        if self._alarm_ms is None or at_ms < self._alarm_ms:
            self._alarm_ms = at_ms
            self._earlier.set()

    def bereave(self, worker: WorkerKey) -> None:
        """A worker's session is over; what it held is to be taken back. Synchronous."""
        self._bereft[worker] = None
        self.set_alarm(self._clock.now_ms())

    async def run(self, beat: Beat, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Sweep until cancelled. Cancelled, it leaves nothing half done: what is left of a pass stays due."""
        task_status.started()
        while True:
            beat()
            self._alarm_ms = None
            try:
                await self._sweep()
                if await self._retention.step():
                    self.set_alarm(self._clock.now_ms())
                next_ms = await self._reads.earliest_wake()
            except StoreError:
                next_ms = None
            await self._rest_until(next_ms)

    async def _sweep(self) -> None:
        """One pass: sessions that have gone, leases that are over with them, threads that are due."""
        now_ms = self._clock.now_ms()
        self._outages.alive(now_ms)
        self._demand.quarantine_over(now_ms)
        self._demand.holds_over(now_ms)
        await self._drop(self._watch.due(now_ms))
        for worker in list(self._bereft):
            await self._take_back(worker)
        due = await self._reads.due(now_ms, BATCH)
        if due:
            await self._apply(due)
        with suppress(StoreError):
            # What stays owed is tried again at the next look; deadlines do not wait for it.
            await self._make_up()

    async def _drop(self, gone: Sequence[Session]) -> None:
        """End these sessions; they stay missed when that fails."""
        try:
            if gone:
                await self._ask([DropSession(session.worker_key, session.name) for session in gone])
        except BaseException:
            self._watch.in_vain(self._clock.now_ms())
            raise

    async def _make_up(self) -> None:
        """Have outages made up for to the next leases that they may matter to."""
        walk = self._making_up
        if walk is None:
            owed = self._outages.owing()
            if owed is None:
                return
            walk = self._making_up = MakingUp(owed, self._outages.latest_end_ms())
        found = await self._reads.leased(walk.before_ms, walk.after, BATCH)
        if found:
            await self._apply([key for _, key in found])
            walk.after = found[-1][0]
        if len(found) == BATCH:
            self.set_alarm(self._clock.now_ms())
            return
        self._making_up = None
        self._outages.made_up(walk.owed, self._clock.now_ms())

    async def _take_back(self, worker: WorkerKey | None) -> None:
        """Some of the leases of ended sessions; the worker stays on the list while there may be more."""
        del self._bereft[worker]
        try:
            dead = await self._reads.dead_leases(worker, BATCH)
            if dead:
                await self._apply(dead)
        except BaseException:
            self._bereft[worker] = None
            raise
        if len(dead) == BATCH:
            self._bereft[worker] = None
            self.set_alarm(self._clock.now_ms())

    async def _apply(self, threads: Sequence[JobKey]) -> None:
        replies = await self._ask([Sweep(key) for key in threads])
        if all(isinstance(reply, Refusal) for reply in replies):
            # They stay due; without a pause they would be asked for without end.
            raise Unavailable("no deadline could be applied")

    async def _ask(self, commands: Sequence[Command]) -> Sequence[object]:
        replies: list[object] = []
        for first in range(0, len(commands), AT_ONCE):
            answer = await self._committer.ask(Unit("sweep", commands[first : first + AT_ONCE]))
            replies += answer.replies
        return replies

    async def _rest_until(self, next_ms: int | None) -> None:
        """Until that deadline, an earlier one that comes up meanwhile, or the next look at the store."""
        look_again = trio.current_time() + LOOK_AGAIN_S
        while True:
            alarms = (next_ms, self._alarm_ms, self._watch.next_due_ms(), self._demand.next_probe_ms())
            known = [at_ms for at_ms in alarms if at_ms is not None]
            left_s = look_again - trio.current_time()
            if known:
                left_s = min(left_s, (min(known) - self._clock.now_ms()) / 1000.0)
            if left_s <= 0:
                return
            self._earlier = trio.Event()
            with trio.move_on_after(left_s):
                await self._earlier.wait()
