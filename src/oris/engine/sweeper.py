"""The sweeper: makes deadlines happen. It does not tick; it sleeps until the earliest deadline it knows of.

A commit that brings an earlier one wakes it, and it looks at the store again at least every `LOOK_AGAIN_S`, for what
other nodes have written. Deadlines come first. Beside them it sees to the sessions of workers that have gone: their
grace, and the leases that are over with them, in commits that many workers share, as when a fleet is replaced; and
between all that it lets go what is too old (`engine.retention`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import islice

import trio
from msgspec import Struct
from trio import TASK_STATUS_IGNORED, TaskStatus

from oris.clock import SLEW, EngineClock
from oris.core.commands import Command, DropSession, ShowLife, Sweep
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
from oris.storage.reads.sweeper import Earliest, SweeperReads

LOOK_AGAIN_S = 0.25
SIGN_OF_LIFE_MS = 3000
"""While anything is leased, a commit is made this often, be it an empty one: should the node die, its next start takes
the time since then for lost."""
BATCH = 500
"""Threads in one pass."""
SHORTEST_S = 0.001
"""No rest is shorter: engine time is in whole ms."""
FAR_MS = 2**62
"""Later than any lease ends."""
AT_ONCE = 100
"""Of them, those that go into one commit: the sweeper's share of it. Where a pass filled it, the heartbeats of a large
fleet, whose leases come up for a look together, would wait in line behind their own leases."""

ASIDE = 50
"""The same for what has no time of its own, so that a deadline which comes up meanwhile does not wait for long."""

Ask = Callable[[Sequence[Command]], Awaitable[Sequence[object]]]
"""Has commands committed, so many at once."""


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
        reads: SweeperReads,
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
                await self._show_life()
                earliest = await self._reads.earliest()
            except StoreError:
                earliest = Earliest(None, None)
            await self._rest_until(earliest)

    async def _sweep(self) -> None:
        """One pass: threads that are due, then sessions that have gone and leases that are over with them."""
        now_ms = self._clock.now_ms()
        self._outages.alive(now_ms)
        self._demand.quarantine_over(now_ms)
        self._demand.holds_over(now_ms)
        failed: StoreError | None = None
        try:
            await self._meet_deadlines()
        except StoreError as error:
            # A deadline that cannot be applied stays due; what follows does not wait for it.
            failed = error
        await self._drop(self._watch.due(now_ms))
        await self._take_back()
        if failed is not None:
            raise failed.with_traceback(None)
        with suppress(StoreError):
            # What stays owed is tried again at the next look; deadlines do not wait for it.
            await self._make_up()

    async def _show_life(self) -> None:
        """Commit something while leases are live that nobody has renewed for a while."""
        now_ms = self._clock.now_ms()
        written_ms = self._committer.written_ms
        if now_ms - written_ms < SIGN_OF_LIFE_MS:
            return
        if await self._reads.leased(FAR_MS, 0, 1):
            await self._ask([ShowLife()])

    async def _meet_deadlines(self) -> None:
        """What is due by now, as far as one pass goes."""
        now_ms = self._clock.now_ms()
        due = await self._reads.due(now_ms, now_ms + self._clock.skew_ms(), BATCH)
        if due:
            await self._apply(due, self._ask)

    async def _drop(self, gone: Sequence[Session]) -> None:
        """End these sessions; they stay missed when that fails."""
        try:
            if gone:
                await self._ask_aside([DropSession(session.worker_key, session.name) for session in gone])
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
            await self._apply([key for _, key in found], self._ask_aside)
            walk.after = found[-1][0]
        if len(found) == BATCH:
            self.set_alarm(self._clock.now_ms())
            return
        self._making_up = None
        self._outages.made_up(walk.owed, self._clock.now_ms())

    async def _take_back(self) -> None:
        """Some of the leases of ended sessions, those of many workers in one commit.

        Workers stay on the list while they may hold more.
        """
        everyone = None in self._bereft
        workers = list(self._bereft if everyone else islice(self._bereft, 2 * ASIDE))
        if not workers:
            return
        for worker in workers:
            del self._bereft[worker]
        named = None if everyone else [worker for worker in workers if worker is not None]
        try:
            dead = await self._reads.dead_leases(named, BATCH)
            if dead:
                await self._apply(dead, self._ask_aside)
        except BaseException:
            self._bereft.update(dict.fromkeys(workers))
            raise
        if len(dead) == BATCH:
            self._bereft.update(dict.fromkeys(workers))
        if self._bereft:
            self.set_alarm(self._clock.now_ms())

    async def _apply(self, threads: Sequence[JobKey], ask: Ask) -> None:
        replies = await ask([Sweep(key) for key in threads])
        if all(isinstance(reply, Refusal) for reply in replies):
            # They stay due; without a pause they would be asked for without end.
            raise Unavailable("none of the due deadlines could be applied")

    async def _ask(self, commands: Sequence[Command]) -> Sequence[object]:
        replies: list[object] = []
        for first in range(0, len(commands), AT_ONCE):
            replies += await self._commit(commands[first : first + AT_ONCE])
        return replies

    async def _ask_aside(self, commands: Sequence[Command]) -> Sequence[object]:
        """For what has no time of its own: deadlines that come up between its commits are met first."""
        replies: list[object] = []
        for first in range(0, len(commands), ASIDE):
            if first:
                with suppress(StoreError):
                    await self._meet_deadlines()
            replies += await self._commit(commands[first : first + ASIDE])
        return replies

    async def _commit(self, commands: Sequence[Command]) -> Sequence[object]:
        return (await self._committer.ask(Unit("sweep", commands))).replies

    async def _rest_until(self, earliest: Earliest) -> None:
        """Until those deadlines, an earlier one that comes up meanwhile, or the next look at the store."""
        look_again = trio.current_time() + LOOK_AGAIN_S
        # A date by the engine's clock; should the wall clock be set, the next look at the store finds it.
        date_ms = None if earliest.due_ms is None else earliest.due_ms - self._clock.skew_ms()
        while True:
            deadlines = (earliest.wake_ms, date_ms, self._alarm_ms, self._watch.next_due_ms())
            known = [at_ms for at_ms in (*deadlines, self._demand.next_probe_ms()) if at_ms is not None]
            left_s = look_again - trio.current_time()
            if known:
                left_s = min(left_s, self._at_least_s(min(known)))
            if left_s <= 0:
                return
            self._earlier = trio.Event()
            with trio.move_on_after(left_s):
                await self._earlier.wait()

    def _at_least_s(self, at_ms: int) -> float:
        """How long it is until then if the engine's clock goes as fast as it ever does. Then it is looked at again: a
        rest of a quarter of a second, while the clock is slewed, would end 25 ms late."""
        left_s = (at_ms - self._clock.now_ms()) / 1000.0
        return left_s if left_s <= 0 else max(SHORTEST_S, left_s / (1.0 + SLEW))
