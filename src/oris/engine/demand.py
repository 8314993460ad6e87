"""Demand: parked polls, and which lanes may hold work for them. All of it in memory and synchronous.

"Work may exist" is a level per lane, raised when a job is queued there and lowered by the dispatch that found the
lane empty, its tenant at the limit, or its workflow held. A poll is looked at once when it comes, then only together
with a raised lane it can serve, so ten thousand idle polls cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count, islice

import trio

from oris.core.commands import Want
from oris.core.dispatch import serves
from oris.core.model import Job, Lane
from oris.engine.lines import Lines, wishes
from oris.engine.parked import Ending, Parked
from oris.errors import StoreError
from oris.ids import TenantId, WorkerKey

MAX_LANES = 64
"""Lanes that one dispatch reads; more are taken in rotation."""
MAX_WANTS = 64
"""Polls that one dispatch serves: half of them new ones, half such as have waited."""
MAX_HEADS = 512
"""Heads that are read of one lane."""


class Demand:
    """All parked polls and the lanes' levels.

    `tenant_limit` is the server's own. A tenant at it has its lanes lowered, and polls wait on for others. A poll that
    a limit of its own keeps from work is held back: from a worker's limit until a lease of that worker ends, from a
    lower limit per tenant until any lease ends or a job is queued that it could take.
    """

    def __init__(self, bell: Bell, tenant_limit: int) -> None:
        self._bell = bell
        self._tenant_limit = tenant_limit
        self._tickets = count(1)
        self._fresh: dict[Parked, None] = {}
        self._lines = Lines()
        self._held_by_tenant = Lines()
        self._held_by_worker: dict[WorkerKey, dict[Parked, None]] = {}
        self._quarantined: dict[Parked, int] = {}
        """Those of them whose workers are granted nothing until then."""
        self._choosing: dict[Parked, None] = {}
        """Polls for threads that they name; they stand in no line."""
        self._of_worker: dict[WorkerKey, dict[Parked, None]] = {}
        self._ready: dict[Lane, None] = {}
        self._blocked: dict[TenantId, dict[Lane, None]] = {}
        self._held: dict[Lane, int | None] = {}
        """Lanes whose workflow is held, until the next probe may be granted; None: one is out."""
        self._ready_before = 0

    def park(self, parked: Parked) -> None:
        """A poll comes. An older one of its session with its poll id is over: its caller has tried again."""
        want = parked.want
        others = self._of_worker.setdefault(want.worker_key, {})
        if want.poll_id is not None:
            for other in [o for o in others if (o.want.session, o.want.poll_id) == (want.session, want.poll_id)]:
                other.end("superseded")
        parked.ticket = next(self._tickets)
        others[parked] = None
        self._look(parked)

    def leave(self, parked: Parked) -> None:
        """A poll goes. Harmless when it has gone already."""
        parked.gone = True
        self._fresh.pop(parked, None)
        self._lines.discard(parked)
        self._held_by_tenant.discard(parked)
        self._quarantined.pop(parked, None)
        self._choosing.pop(parked, None)
        _discard(self._held_by_worker, parked)
        _discard(self._of_worker, parked)

    def take(self, coming: Mapping[Lane, int], fetching: Sequence[Want]) -> tuple[list[Parked], dict[Lane, int]]:
        """The polls to serve with the next batch, by ticket, and how many heads of which lanes to read for them.

        `coming` are lanes that the batch itself may queue jobs in, and how many; no more polls are taken for them.
        `fetching` are the polls that its units bring.
        Polls taken stand outside until put back.
        """
        self._ready_before = len(self._ready)
        unseen = self._unseen(MAX_WANTS)
        asking = [want for want in (*fetching, *(p.want for p in unseen)) if want.limit and want.threads is None]
        lanes = self._some_lanes(asking)
        most = MAX_WANTS if lanes else min(MAX_WANTS, sum(coming.values()))
        waited = list(islice(self._lines.waiting({*lanes, *coming}), most))
        room = max(MAX_WANTS // 2, MAX_WANTS - len(waited))
        taken = sorted([*unseen[:room], *waited[: MAX_WANTS - min(room, len(unseen))]], key=lambda p: p.ticket)
        for parked in taken:
            parked.taken = True
            self._fresh.pop(parked, None)
            self._lines.discard(parked)
        wants = [*fetching, *(parked.want for parked in taken)]
        heads = {lane: self.heads_for(lane, wants) for lane in lanes}
        return taken, {lane: number for lane, number in heads.items() if number}

    @staticmethod
    def heads_for(lane: Lane, wants: Iterable[Want]) -> int:
        """How many jobs of a lane these polls could take."""
        return min(MAX_HEADS, sum(want.limit for want in wants if want.threads is None and serves(want, lane)))

    def put_back(self, parked: Parked) -> None:
        """A poll that got nothing waits on, behind those that have not been looked at since."""
        if parked.ending is not None or parked.gone or not parked.want.limit:
            return
        parked.ticket = next(self._tickets)
        blocked = None if parked.granted is None else parked.granted.blocked
        until_ms = None if parked.granted is None else parked.granted.quarantined_until_ms
        if blocked in ("worker_limit", "quarantined"):
            self._held_by_worker.setdefault(parked.want.worker_key, {})[parked] = None
            if until_ms is not None:
                self._quarantined[parked] = until_ms
        elif parked.want.threads is not None:
            self._choosing[parked] = None
        elif blocked == "tenant_limit" and parked.want.tenant_limit < self._tenant_limit and self._has_seen_all(parked):
            self._held_by_tenant.add(parked)
        else:
            self._lines.add(parked)

    def raise_level(self, lane: Lane) -> None:
        """A job was queued in this lane."""
        if lane in self._held:
            return
        if lane.tenant_id in self._blocked:
            self._blocked[lane.tenant_id][lane] = None
        else:
            self._ready[lane] = None
            self._free(self._held_by_tenant.pop_all(lane))

    def job_queued(self, job: Job) -> None:
        """A job has come into its lane: who has named its thread is shown it."""
        self._free([each for each in self._choosing if job.thread_id in (each.want.threads or ())])

    def worker_freed(self, worker: WorkerKey) -> None:
        """A worker may be granted something again."""
        self._free(list(self._held_by_worker.get(worker, ())))

    def quarantine_over(self, now_ms: int) -> None:
        """Polls whose worker may be given a probe by now are looked at again."""
        over = [parked for parked, until_ms in self._quarantined.items() if until_ms <= now_ms]
        self._free(over)
        if over:
            self._bell.ring()

    def hold(self, lane: Lane, until_ms: int | None) -> None:
        """Its workflow is held: nobody need look at it until then, or (None) until its probe has ended."""
        self._ready.pop(lane, None)
        self._blocked.get(lane.tenant_id, {}).pop(lane, None)
        self._held[lane] = until_ms

    def unhold(self, lane: Lane) -> None:
        """Its workflow is not held any more, or may be probed."""
        if lane in self._held:
            del self._held[lane]
            self.raise_level(lane)
            self._bell.ring()

    def holds_over(self, now_ms: int) -> None:
        """Workflows that may be probed by now are looked at again."""
        for lane in [lane for lane, until_ms in self._held.items() if until_ms is not None and until_ms <= now_ms]:
            self.unhold(lane)

    def next_probe_ms(self) -> int | None:
        """When the next held workflow may be probed."""
        return min((until_ms for until_ms in self._held.values() if until_ms is not None), default=None)

    def may_hold_work(self, lane: Lane) -> bool:
        """False when what is queued in it now may be granted without a look at what is stored.

        Not so at a tenant's limit: should this batch make room, its older jobs in other lanes go first.
        """
        return lane in self._ready or lane in self._held or lane.tenant_id in self._blocked

    def lower(self, drained: Iterable[Lane], blocked: Iterable[Lane]) -> None:
        """A dispatch found these lanes empty, and those at their tenant's limit."""
        for lane in drained:
            self._ready.pop(lane, None)
            self._blocked.get(lane.tenant_id, {}).pop(lane, None)
        tenants = {lane.tenant_id for lane in blocked}
        if tenants:
            # A lane of theirs that this dispatch did not look at must not get the room the others wait for.
            for lane in sorted({*blocked, *(lane for lane in self._ready if lane.tenant_id in tenants)}):
                self._ready.pop(lane, None)
                self._blocked.setdefault(lane.tenant_id, {})[lane] = None

    def lease_ended(self, worker: WorkerKey, tenant_id: TenantId) -> None:
        """A limit may have room again: that tenant's lanes and the polls held back are looked at again."""
        for lane in self._blocked.pop(tenant_id, ()):
            self._ready[lane] = None
        self._free(self._held_by_tenant.pop_all())
        self.worker_freed(worker)
        self._free(list(self._choosing))

    def look_again(self, lanes: Iterable[Lane]) -> None:
        """Nothing that was known of the store holds any more; these are its lanes with work."""
        self._blocked.clear()
        self._held.clear()
        self._ready = dict.fromkeys(lanes)
        held = [parked for line in self._held_by_worker.values() for parked in line]
        self._free([*self._held_by_tenant.pop_all(), *held, *self._choosing])

    def of_worker(self, worker: WorkerKey) -> Iterator[Parked]:
        """The polls of one worker that still wait, the oldest first."""
        return (parked for parked in list(self._of_worker.get(worker, ())) if parked.ending is None)

    def end_all(self, ending: Ending, error: StoreError | None = None) -> None:
        """Answer every parked poll."""
        for others in list(self._of_worker.values()):
            for parked in list(others):
                parked.error = error
                parked.give_up(ending)

    def stop_dispatch(self) -> None:
        """Answer every parked poll that would take whatever comes; those that name their threads wait on."""
        for others in list(self._of_worker.values()):
            for parked in [each for each in others if each.want.threads is None]:
                parked.give_up("draining")

    def has_work(self) -> bool:
        """True when a dispatch could come to something."""
        return bool(self._fresh) or self._lines.any_waiting(self._ready)

    def __len__(self) -> int:
        return sum(map(len, self._of_worker.values()))

    def _look(self, parked: Parked) -> None:
        """Have the next dispatch look at it."""
        self._fresh[parked] = None
        self._bell.ring()

    def _has_seen_all(self, parked: Parked) -> bool:
        """True when it was shown every lane with work, after so many dispatches as that takes."""
        parked.passes += 1
        if parked.passes * MAX_LANES < self._ready_before:
            return False
        parked.passes = 0
        return True

    def _unseen(self, limit: int) -> list[Parked]:
        """Polls that no dispatch has looked at; those that need none any more are dropped."""
        found: list[Parked] = []
        over: list[Parked] = []
        for parked in self._fresh:
            if len(found) == limit:
                break
            (found if parked.unseen else over).append(parked)
        for parked in over:
            del self._fresh[parked]
        return found

    def _some_lanes(self, asking: Sequence[Want]) -> list[Lane]:
        """Lanes with work that somebody could take, in rotation.

        For those who ask for the first time also lanes at their tenant's limit: an ack in this very batch may make
        room, and else they are to be told of the limit.
        """
        also = frozenset(wish for want in asking for wish in wishes(want))
        lanes = list(islice((lane for lane in self._ready if self._lines.wanted(lane, also)), MAX_LANES))
        if len(self._ready) > MAX_LANES:
            for lane in lanes:  # to the end of the line
                del self._ready[lane]
                self._ready[lane] = None
        if also:
            # All lanes of such a tenant: an older poll that goes along may take from those that these do not ask for.
            tenants = [line for line in self._blocked.values() if any(_wanted_by(asking, lane) for lane in line)]
            lanes += islice((lane for line in tenants for lane in line), MAX_LANES)
        return lanes

    def _free(self, held: Sequence[Parked]) -> None:
        """Nothing holds these back any more: into the lines with them. A poll for named threads is looked at anew."""
        for parked in held:
            _discard(self._held_by_worker, parked)
            self._quarantined.pop(parked, None)
            self._choosing.pop(parked, None)
            if parked.want.threads is None:
                parked.ticket = next(self._tickets)
                self._lines.add(parked)
            else:
                parked.looked = False
                self._look(parked)


def _wanted_by(wants: Iterable[Want], lane: Lane) -> bool:
    return any(serves(want, lane) for want in wants)


def _discard(lines: dict[WorkerKey, dict[Parked, None]], parked: Parked) -> None:
    line = lines.get(parked.want.worker_key)
    if line is not None:
        line.pop(parked, None)
        if not line:
            del lines[parked.want.worker_key]


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
