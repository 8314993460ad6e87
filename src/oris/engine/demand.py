"""Demand: parked polls, and which lanes may hold work for them. All of it in memory and synchronous.

"Work may exist" is a level per lane, raised when a job is queued there and lowered by the dispatch that found the
lane empty, its tenant at the limit, or its workflow held. A poll is looked at once when it comes, then only together
with a raised lane it can serve, so ten thousand idle polls cost nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import count, islice

from oris.core.commands import Want
from oris.core.dispatch import serves
from oris.core.model import Job, Lane
from oris.core.replies import Granted
from oris.engine.answers_room import AnswersRoom
from oris.engine.bell import Bell
from oris.engine.heads import ALL_HEADS, heads_of
from oris.engine.lines import Lines, Wish, wishes, wishes_of
from oris.engine.parked import Ending, Parked
from oris.engine.work import Work
from oris.errors import StoreError
from oris.ids import TenantId, WorkerKey

MAX_LANES = 64
"""Lanes that one dispatch reads; more are taken in rotation, first over the tenants, then over each one's lanes."""
MAX_WANTS = 64
"""Polls that one dispatch serves: half of them new ones, half such as have waited."""


class Demand:
    """All parked polls and the lanes' levels.

    `tenant_limit` is the server's own. A tenant at it has its lanes lowered, and polls wait on for others. A poll that
    a limit of its own keeps from work is held back: from a worker's limit until a lease of that worker ends, from a
    lower limit per tenant until any lease ends or a job is queued that it could take.
    """

    def __init__(self, bell: Bell, tenant_limit: int, max_heads: int = ALL_HEADS) -> None:
        self._bell = bell
        self._max_heads = max_heads
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
        self._work = Work()
        """The lanes that may hold work; tenants at the server's limit are shut."""
        self._meeting: dict[Wish, None] = {}
        """Wishes that stand in line and may be fulfilled: all of them, and some that are neither any more."""
        self._shown: Sequence[Lane] = ()
        """The lanes that the newest dispatch has read."""
        self._looking: dict[Parked, None] = {}
        """Polls in line that were shown tenants at their own limit, and have not seen all."""
        self._held: dict[Lane, int | None] = {}
        """Lanes whose workflow is held, until the next probe may be granted; None: one is out."""
        self.room = AnswersRoom(bell)
        """For what polls are answered with; those that find none stand there, and in no line."""

    def park(self, parked: Parked) -> None:
        """A poll comes. An older one of its session with its poll id is over: its caller has tried again."""
        self.supersede(parked.want)
        parked.ticket = next(self._tickets)
        self._of_worker.setdefault(parked.want.worker_key, {})[parked] = None
        self._look(parked)

    def supersede(self, want: Want) -> None:
        """A poll comes, alone or with an ack: those of its session with its poll id that still wait are over."""
        if want.poll_id is None:
            return
        for other in self._of_worker.get(want.worker_key, ()):
            if (other.want.session, other.want.poll_id) == (want.session, want.poll_id):
                other.end("superseded")

    def leave(self, parked: Parked) -> None:
        """A poll goes. Harmless when it has gone already."""
        if not parked.gone:
            self.room.answered(parked.want, parked.granted)
        parked.gone = True
        self._fresh.pop(parked, None)
        self._lines.discard(parked)
        self._held_by_tenant.discard(parked)
        self._quarantined.pop(parked, None)
        self._choosing.pop(parked, None)
        self._looking.pop(parked, None)
        self.room.discard(parked)
        _discard(self._held_by_worker, parked)
        _discard(self._of_worker, parked)

    def take(self, coming: Mapping[Lane, int], fetching: Sequence[Want]) -> tuple[list[Parked], dict[Lane, int]]:
        """The polls to serve with the next batch, by ticket, and how many heads of which lanes to read for them.

        `coming` are lanes that the batch itself may queue jobs in, and how many; no more polls are taken for them.
        `fetching` are the polls that its units bring.
        Polls taken stand outside until put back. Without room for their answers, new ones are looked at all the same:
        for leases that their poll id was granted before, and to be told.
        """
        has_room = self._has_room()
        unseen = self._unseen(MAX_WANTS)
        lanes = self._show([*fetching, *(each.want for each in unseen)], has_room=has_room)
        most = (MAX_WANTS if lanes else min(MAX_WANTS, sum(coming.values()))) if has_room else 0
        waited = list(islice(self._lines.waiting({*lanes, *coming}), most))
        room = max(MAX_WANTS // 2, MAX_WANTS - len(waited))
        taken = sorted([*unseen[:room], *waited[: MAX_WANTS - min(room, len(unseen))]], key=lambda p: p.ticket)
        for parked in taken:
            parked.taken = True
            self._fresh.pop(parked, None)
            self._lines.discard(parked)
        return taken, heads_of(lanes, [*fetching, *(each.want for each in taken)], self._max_heads)

    def heads_for(self, wants: Sequence[Want]) -> dict[Lane, int]:
        """How many heads of which lanes to read for polls that were taken before, as things are by now."""
        return heads_of(self._show(wants, has_room=self._has_room()), wants, self._max_heads)

    def put_back(self, parked: Parked) -> None:
        """A poll that got nothing waits on, behind those that have not been looked at since. One that has not been
        shown all that it could take is looked at again at once: it must not be told that there is nothing."""
        granted = parked.granted
        if granted is not None and not parked.waited and not parked.gone and self._goes_on(parked, granted):
            parked.looked = False
            self._look(parked)
            return
        parked.waited = True
        if parked.ending is not None or parked.gone or not parked.want.limit:
            return
        parked.ticket = next(self._tickets)
        blocked = None if parked.granted is None else parked.granted.blocked
        until_ms = None if parked.granted is None else parked.granted.quarantined_until_ms
        if parked.granted is not None and parked.granted.no_room:
            self.room.wait(parked)
        elif blocked in ("worker_limit", "quarantined"):
            self._held_by_worker.setdefault(parked.want.worker_key, {})[parked] = None
            if until_ms is not None:
                self._quarantined[parked] = until_ms
        elif parked.want.threads is not None:
            self._choosing[parked] = None
        elif self._has_seen_all(parked, blocked):
            self._held_by_tenant.add(parked)
        else:
            self._stand(parked)

    def _goes_on(self, parked: Parked, granted: Granted) -> bool:
        """True when what a dispatch has found is not all there may be; also for a poll that has ended and is to get
        the leases of a lost answer."""
        if parked.ending is None:
            return not self.is_all(parked.want, granted)
        return granted.cut and parked.ending in ("control", "draining")

    def is_all(self, want: Want, granted: Granted) -> bool:
        """False when a dispatch that gave this poll nothing has not come to all that it could take, of what there is
        room for."""
        if granted.jobs or granted.redelivered or granted.no_room or not want.limit:
            return True
        if granted.cut or want.threads is not None:
            return not granted.cut
        return granted.blocked is not None or not any(self._work.has(wish) for wish in wishes(want))

    def raise_level(self, lane: Lane) -> None:
        """A job was queued in this lane."""
        if lane in self._held:
            return
        self.learn([lane])
        if self._held_by_tenant and not self._work.is_shut(lane.tenant_id):
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
        self._work.discard(lane)
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
        return lane in self._work or lane in self._held or self._work.is_shut(lane.tenant_id)

    def lower(self, drained: Iterable[Lane], blocked: Iterable[Lane]) -> None:
        """A dispatch found these lanes empty, and those at their tenant's limit."""
        for lane in drained:
            self._work.discard(lane)
        for lane in blocked:
            # With all its lanes: one that this dispatch did not look at must not get the room the others wait for.
            self._work.shut(lane.tenant_id)

    def lease_ended(self, worker: WorkerKey, tenant_id: TenantId) -> None:
        """A limit may have room again: that tenant's lanes and the polls held back are looked at again."""
        self._meet(self._work.open(tenant_id))
        for parked in self._looking:
            parked.seen.discard(tenant_id)
        self._free(self._held_by_tenant.pop_all())
        self.worker_freed(worker)
        self._free(list(self._choosing))

    def look_again(self) -> None:
        """Nothing that was known of the store holds any more; the lanes with work are to be learnt anew."""
        self._work = Work()
        self._held.clear()
        self._meeting.clear()
        for parked in self._looking:
            parked.seen.clear()
        held = [parked for line in self._held_by_worker.values() for parked in line]
        self._free([*self._held_by_tenant.pop_all(), *held, *self._choosing])

    def learn(self, lanes: Iterable[Lane]) -> None:
        """These lanes may hold work."""
        for lane in lanes:
            if self._work.add(lane) and not self._work.is_shut(lane.tenant_id):
                self._meet(wishes_of(lane))

    def of_worker(self, worker: WorkerKey) -> Iterator[Parked]:
        """The polls of one worker that still wait, the oldest first."""
        return (parked for parked in list(self._of_worker.get(worker, ())) if parked.ending is None)

    def end_all(self, ending: Ending, error: StoreError | None = None) -> None:
        """Answer every parked poll."""
        for parked in [each for others in self._of_worker.values() for each in others]:
            parked.error = error
            parked.give_up(ending)

    def stop_dispatch(self) -> None:
        """Answer every parked poll that would take whatever comes; those that name their threads wait on."""
        for parked in [each for others in self._of_worker.values() for each in others if each.want.threads is None]:
            parked.give_up("draining")

    def has_work(self) -> bool:
        """True when a dispatch could come to something."""
        if not self._has_room():
            return bool(self._unseen(1))
        return bool(self._fresh) or bool(self._met(1))

    def _has_room(self) -> bool:
        """Whether anything new may be granted. Those who have waited for that stand in line again."""
        is_there, freed = self.room.is_there()
        self._free(freed)
        return is_there

    def __len__(self) -> int:
        return sum(map(len, self._of_worker.values()))

    def _look(self, parked: Parked) -> None:
        """Have the next dispatch look at it."""
        self._fresh[parked] = None
        self._bell.ring()

    def _stand(self, parked: Parked) -> None:
        """Put it in line."""
        self._lines.add(parked)
        for wish in wishes(parked.want):
            if wish not in self._meeting and self._work.has(wish):
                self._meeting[wish] = None

    def _meet(self, found: Iterable[Wish]) -> None:
        """These wishes may be fulfilled by now."""
        for wish in found:
            if wish in self._lines:
                self._meeting[wish] = None

    def _met(self, limit: int) -> list[Wish]:
        """So many wishes of polls in line that may be fulfilled. What is not so any more is forgotten."""
        met: list[Wish] = []
        over: list[Wish] = []
        for wish in self._meeting:
            (met if self._lines.is_live(wish) and self._work.has(wish) else over).append(wish)
            if len(met) == limit:
                break
        for wish in over:
            del self._meeting[wish]
        return met

    def _has_seen_all(self, parked: Parked, blocked: str | None) -> bool:
        """True when it was shown every tenant with work that it could take, and each was at its own limit."""
        want = parked.want
        by_its_own = blocked == "tenant_limit" and want.tenant_limit < self._tenant_limit
        if by_its_own:
            parked.seen.update(lane.tenant_id for lane in self._shown if serves(want, lane))
            if not all(self._work.are_all_in(wish, parked.seen) for wish in wishes(want)):
                self._looking[parked] = None
                return False
        self._looking.pop(parked, None)
        parked.seen.clear()
        return by_its_own

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

    def _show(self, wants: Sequence[Want], *, has_room: bool) -> Sequence[Lane]:
        """The lanes that the next dispatch reads; these polls are in no line, and are served with it."""
        self._shown = self._some_lanes(wants) if has_room else []
        return self._shown

    def _some_lanes(self, wants: Sequence[Want]) -> list[Lane]:
        """Lanes with work that somebody could take, in rotation.

        For those who ask for the first time also lanes at their tenant's limit: an ack in this very batch may make
        room, and else they are to be told of the limit.
        """
        met = self._met(MAX_LANES)
        if len(met) == MAX_LANES:
            for wish in met:  # to the end of the line
                del self._meeting[wish]
                self._meeting[wish] = None
        asking = [want for want in wants if want.limit and want.threads is None]
        also = dict.fromkeys(wish for want in asking for wish in wishes(want) if self._work.knows(wish))
        lanes = self._shared(dict.fromkeys([*met, *also]))
        shut: dict[Lane, None] = {}
        for wish in also:
            shut.update(dict.fromkeys(self._work.shut_lanes(wish, MAX_LANES - len(shut))))
            if len(shut) >= MAX_LANES:
                break
        found = [*lanes, *shut]
        if len(self._work) > MAX_LANES:
            self._work.taken(found)
        return found

    def _shared(self, wished: Collection[Wish]) -> list[Lane]:
        """So many lanes that may be read, of each wish as many; what one has no use for, the others get."""
        found: dict[Lane, None] = {}
        share = max(1, MAX_LANES // max(1, len(wished)))
        more: list[Wish] = []
        for wish in wished:
            lanes = self._work.first(wish, share)
            found.update(dict.fromkeys(lanes))
            if len(lanes) == share:
                more.append(wish)
            if len(found) >= MAX_LANES:
                return list(found)[:MAX_LANES]
        for wish in more:
            found.update(dict.fromkeys(self._work.first(wish, MAX_LANES)))
            if len(found) >= MAX_LANES:
                break
        return list(found)[:MAX_LANES]

    def _free(self, held: Sequence[Parked]) -> None:
        """Nothing holds these back any more: into the lines with them. A poll for named threads is looked at anew."""
        for parked in held:
            _discard(self._held_by_worker, parked)
            self._quarantined.pop(parked, None)
            self._choosing.pop(parked, None)
            if parked.want.threads is None:
                parked.ticket = next(self._tickets)
                self._stand(parked)
            else:
                parked.looked = False
                self._look(parked)


def _discard(lines: dict[WorkerKey, dict[Parked, None]], parked: Parked) -> None:
    line = lines.get(parked.want.worker_key)
    if line is not None:
        line.pop(parked, None)
        if not line:
            del lines[parked.want.worker_key]
