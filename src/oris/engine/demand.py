"""Demand: parked polls, and which lanes may hold work for them. All of it in memory and synchronous.

"Work may exist" is a level per lane, raised when a job is queued there and lowered by the dispatch that found the
lane empty, or its tenant at the limit. A poll is looked at once when it comes, then only together with a raised lane
it can serve, so ten thousand idle polls cost nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Literal

import trio
from msgspec import Struct

from oris.core.changes import Handed
from oris.core.commands import Want
from oris.core.model import Lane
from oris.core.replies import Granted
from oris.engine.control import Control
from oris.errors import StoreError
from oris.ids import RunId, TenantId, WorkerKey

Ending = Literal["granted", "control", "superseded", "draining", "failed"]

MAX_LANES = 64
"""Lanes that one dispatch reads; more are taken in rotation."""
MAX_WANTS = 64
"""Polls that one dispatch serves."""
MAX_HEADS = 512
"""Heads that are read of one lane."""


class Parked:
    """One poll that waits for work or for a control message."""

    __slots__ = (
        "_event",
        "control",
        "ending",
        "error",
        "gone",
        "granted",
        "handed",
        "looked",
        "since_ms",
        "stalled",
        "taken",
        "ticket",
        "want",
    )

    def __init__(self, want: Want, since_ms: int) -> None:
        self.want = want
        self.since_ms = since_ms
        """When it came."""
        self.ticket = 0
        self.looked = want.limit == 0
        """A dispatch has seen it; a poll without work to take needs none."""
        self.stalled = False
        """A limit of its own stands in its way; looked at again when a lease ends."""
        self.taken = False
        """In the batch that is being committed."""
        self.gone = False
        """Nobody waits for it any more."""
        self.ending: Ending | None = None
        self.granted: Granted | None = None
        self.handed: Mapping[RunId, Handed] = {}
        self.control: tuple[Control, ...] = ()
        self.error: StoreError | None = None
        self._event = trio.Event()

    def serve(self, granted: Granted, handed: Mapping[RunId, Handed]) -> None:
        """A dispatch has looked at it. Ends the wait when it got something."""
        self.granted, self.handed, self.looked, self.taken = granted, handed, True, False
        if granted.jobs or granted.redelivered:
            self.end("granted")
        else:
            self.stalled = granted.blocked is not None
            self._event.set()

    def fail(self, error: StoreError | None = None) -> None:
        """The batch it was taken into could not be committed."""
        self.error, self.taken = error, False
        self.end("failed")

    def end(self, ending: Ending) -> None:
        """End the wait; the first ending counts."""
        if self.ending is None:
            self.ending = ending
        self._event.set()

    async def wait(self) -> None:
        """Until something has changed. A checkpoint."""
        await self._event.wait()
        if self.ending is None:
            self._event = trio.Event()


class Queue(Struct, frozen=True):
    """Which polls stand together: those of one tenant's worker (or of all), for one workflow (or for all)."""

    tenant_id: TenantId | None
    workflow: str | None


class Demand:
    """All parked polls and the lanes' levels."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell
        self._tickets = count(1)
        self._fresh: dict[Parked, None] = {}
        self._queues: dict[Queue, dict[Parked, None]] = {}
        self._of_worker: dict[WorkerKey, dict[Parked, None]] = {}
        self._stalled: dict[Parked, None] = {}
        self._ready: dict[Lane, None] = {}
        self._blocked: dict[TenantId, set[Lane]] = {}

    def park(self, parked: Parked) -> None:
        """A poll comes. An older one with its poll id is over: its caller has tried again."""
        want = parked.want
        others = self._of_worker.setdefault(want.worker_key, {})
        if want.poll_id is not None:
            for other in [o for o in others if o.want.poll_id == want.poll_id]:
                other.end("superseded")
                self._withdraw(other)
        parked.ticket = next(self._tickets)
        others[parked] = None
        if not parked.looked:
            self._fresh[parked] = None
            self._bell.ring()

    def leave(self, parked: Parked) -> None:
        """A poll goes. Harmless when it has gone already."""
        parked.gone = True
        self._withdraw(parked)
        others = self._of_worker.get(parked.want.worker_key)
        if others is not None:
            others.pop(parked, None)
            if not others:
                del self._of_worker[parked.want.worker_key]

    def take(self, coming: Iterable[Lane], fetching: Sequence[Want]) -> tuple[list[Parked], dict[Lane, int]]:
        """The polls to serve with the next batch, and how many heads of which lanes to read for them.

        `coming` are lanes that the batch itself may queue jobs in, `fetching` the polls that its units bring.
        Polls taken stand outside until put back.
        """
        lanes = self._some_lanes()
        wanted = {*lanes, *coming}
        taken = list(self._fresh)[:MAX_WANTS]
        for parked in taken:
            del self._fresh[parked]
        for parked in self._waiting_for(wanted, MAX_WANTS - len(taken)):
            taken.append(parked)
        for parked in taken:
            parked.taken = True
            self._unqueue(parked)
        wants = [*fetching, *(parked.want for parked in taken)]
        heads = {lane: self.heads_for(lane, wants) for lane in lanes}
        return taken, {lane: number for lane, number in heads.items() if number}

    @staticmethod
    def heads_for(lane: Lane, wants: Iterable[Want]) -> int:
        """How many jobs of a lane these polls could take."""
        return min(MAX_HEADS, sum(want.limit for want in wants if serves(want, lane)))

    def put_back(self, parked: Parked) -> None:
        """A poll that got nothing waits on."""
        if parked.ending is not None or parked.gone:
            return
        if not parked.looked:
            self._fresh[parked] = None
        elif parked.stalled:
            self._stalled[parked] = None
        else:
            for queue in _queues(parked.want):
                self._queues.setdefault(queue, {})[parked] = None

    def raise_level(self, lane: Lane) -> None:
        """A job was queued in this lane."""
        if lane not in self._blocked.get(lane.tenant_id, ()):
            self._ready[lane] = None

    def may_hold_work(self, lane: Lane) -> bool:
        """False when the lane is known to hold nothing that could be granted."""
        return lane in self._ready or lane in self._blocked.get(lane.tenant_id, ())

    def lower(self, drained: Iterable[Lane], blocked: Iterable[Lane]) -> None:
        """A dispatch found these lanes empty, and those at their tenant's limit."""
        for lane in drained:
            self._ready.pop(lane, None)
        for lane in blocked:
            self._ready.pop(lane, None)
            self._blocked.setdefault(lane.tenant_id, set()).add(lane)

    def lease_ended(self, worker: WorkerKey, tenant_id: TenantId) -> None:
        """A limit may have room again: that tenant's lanes and the stalled polls are looked at again."""
        for lane in self._blocked.pop(tenant_id, ()):
            self._ready[lane] = None
        for parked in list(self._stalled):
            granted = parked.granted
            if granted is None or granted.blocked == "tenant_limit" or parked.want.worker_key == worker:
                del self._stalled[parked]
                parked.stalled = False
                self.put_back(parked)

    def of_worker(self, worker: WorkerKey) -> Iterator[Parked]:
        """The polls of one worker that still wait, the oldest first."""
        return (parked for parked in list(self._of_worker.get(worker, ())) if parked.ending is None)

    def end_all(self, ending: Ending, error: StoreError | None = None) -> None:
        """Answer every parked poll."""
        for others in list(self._of_worker.values()):
            for parked in list(others):
                parked.error = error
                parked.end(ending)

    def has_work(self) -> bool:
        """True when a dispatch could come to something."""
        return bool(self._fresh) or any(True for _ in self._waiting_for(self._ready, 1))

    def __len__(self) -> int:
        return sum(map(len, self._of_worker.values()))

    def _some_lanes(self) -> list[Lane]:
        lanes = [lane for lane, _ in zip(self._ready, range(MAX_LANES), strict=False)]
        if len(self._ready) > MAX_LANES:
            for lane in lanes:  # to the end of the line
                del self._ready[lane]
                self._ready[lane] = None
        return lanes

    def _waiting_for(self, lanes: Iterable[Lane], limit: int) -> Iterator[Parked]:
        names = dict.fromkeys(queue for lane in lanes for queue in _queues_of(lane))
        lines = [self._queues[queue] for queue in names if queue in self._queues]
        seen: set[Parked] = set()
        for parked in heapq.merge(*lines, key=lambda p: p.ticket) if len(lines) > 1 else (lines[0] if lines else ()):
            if len(seen) >= limit:
                return
            if parked not in seen:
                seen.add(parked)
                yield parked

    def _withdraw(self, parked: Parked) -> None:
        """Have no further dispatch look at it: two polls of one id must never be served in one batch."""
        self._fresh.pop(parked, None)
        self._stalled.pop(parked, None)
        self._unqueue(parked)

    def _unqueue(self, parked: Parked) -> None:
        for queue in _queues(parked.want):
            line = self._queues.get(queue)
            if line is not None:
                line.pop(parked, None)
                if not line:
                    del self._queues[queue]


def serves(want: Want, lane: Lane) -> bool:
    """True when a job of this lane may go to this poll."""
    if want.workflows is not None and lane.workflow not in want.workflows:
        return False
    return want.tenant_id is None or want.tenant_id == lane.tenant_id


def _queues(want: Want) -> list[Queue]:
    workflows: Iterable[str | None] = (None,) if want.workflows is None else want.workflows
    return [Queue(want.tenant_id, workflow) for workflow in workflows]


def _queues_of(lane: Lane) -> tuple[Queue, ...]:
    return (
        Queue(None, None),
        Queue(None, lane.workflow),
        Queue(lane.tenant_id, None),
        Queue(lane.tenant_id, lane.workflow),
    )


class Bell:
    """Wakes the committer. Ringing twice is ringing once."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def ring(self) -> None:
        """There is something to do."""
        self._event.set()

    async def wait(self) -> None:
        """Until it rings; then it is silent again. A checkpoint."""
        await self._event.wait()
        self._event = trio.Event()
