"""Demand: parked polls, and which lanes may hold work for them. All of it in memory and synchronous.

"Work may exist" is a level per lane, raised when a job is queued there and lowered by the dispatch that found the
lane empty, its tenant at the limit, or its workflow held. A poll is looked at once when it comes, then only together
with a raised lane it can serve, so ten thousand idle polls cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import count, islice

from oris.core.changes import Handed
from oris.core.commands import Want
from oris.core.dispatch import serves
from oris.core.model import Job, Lane, Worker
from oris.core.quarantine import is_quarantined
from oris.core.replies import Granted
from oris.core.tenant import Tenant
from oris.engine.answers_room import AnswersRoom
from oris.engine.bell import Bell
from oris.engine.heads import ALL_HEADS, heads_of
from oris.engine.lines import AtWorkerLimit, Limited, Line, Lines, OfWorkers, Row, Wish, wishes, wishes_of
from oris.engine.parked import WAITING, Ending, Parked, State
from oris.engine.work import Work
from oris.ids import RunId, TenantId, WorkerKey

MAX_LANES = 64
"""Lanes that one dispatch reads; more are taken in rotation, first over the tenants, then over each one's lanes."""
MAX_WANTS = 64
"""Polls that one dispatch serves: half of them new ones, half such as have waited."""

MAX_NAMED = 500
"""Threads that the polls of one dispatch may name, about: the jobs of all of them are read."""


class Demand:
    """All parked polls and the lanes' levels.

    `tenant_limit` is the server's own. A tenant at it has its lanes lowered, and polls wait on for others. A poll that
    a limit of its own keeps from work is held back: from a worker's limit until a lease of that worker ends, from a
    lower limit per tenant until any lease ends or a job is queued that it could take.
    """

    def __init__(self, bell: Bell, tenant_limit: int, max_heads: int = ALL_HEADS, *, shared: bool = False) -> None:
        """`shared`: others write the store too, so a lane that was not read may hold work, whatever is known of it."""
        self._bell = bell
        self._is_shared = shared
        self._max_heads = max_heads
        self._tenant_limit = tenant_limit
        self._tickets = count(1)
        self.room = AnswersRoom(bell)
        """For what polls are answered with."""
        self._new, self._choosing = Row(), Row()
        self._in_line, self._at_tenant_limit = Lines(), Lines()
        self._at_worker_limit = AtWorkerLimit()
        self._line_of: Mapping[State, Line] = {
            State.NEW: self._new,
            State.IN_LINE: self._in_line,
            State.AT_TENANT_LIMIT: self._at_tenant_limit,
            State.AT_WORKER_LIMIT: self._at_worker_limit,
            State.CHOOSING: self._choosing,
            State.WITHOUT_ROOM: self.room,
        }
        """Where a poll stands while it is in a state; in the others it stands nowhere."""
        self._all = OfWorkers()
        self._work = Work()
        """The lanes that may hold work; tenants at the server's limit are shut."""
        self._meeting: dict[Wish, None] = {}
        """Wishes that stand in line and may be fulfilled: all of them, and some that are neither any more."""
        self._shown: Sequence[Lane] = ()
        """The lanes that the newest dispatch has read."""
        self._looking: dict[Parked, set[TenantId]] = {}
        """Polls that were shown tenants at their own limit and have not seen all: the tenants that they were shown."""
        self._held: dict[Lane, int | None] = {}
        """Lanes whose workflow is held, until the next probe may be granted; None: one is out."""

    def park(self, parked: Parked) -> None:
        """A poll comes, alone or with an ack. Older ones of its session with its poll id that still wait are over: its
        caller has tried again."""
        want = parked.want
        for other in self.of_worker(want.worker_key) if want.poll_id is not None else ():
            if (other.want.session, other.want.poll_id) == (want.session, want.poll_id):
                other.end("superseded")
        parked.ticket = next(self._tickets)
        parked.on_move = self._move
        self._all.add(parked)
        self._enter(parked)

    def leave(self, parked: Parked) -> None:
        """A poll goes. Harmless when it has gone already."""
        if parked.state is not State.GONE:
            self.room.answered(parked.want, parked.granted)
            parked.leave()

    def _move(self, parked: Parked, before: State) -> None:
        """A poll has changed its state: out of the line of the one before, and into that of the new one."""
        line = self._line_of.get(before)
        if line is not None:
            line.discard(parked)
        if parked.state in WAITING:
            parked.ticket = next(self._tickets)  # behind those that were not looked at since
        elif parked.state is State.OVER:
            self._looking.pop(parked, None)
        elif parked.state is State.GONE:
            self._looking.pop(parked, None)
            self._all.discard(parked)
        self._enter(parked)

    def _enter(self, parked: Parked) -> None:
        """Into the line of its state, and have it found there."""
        line = self._line_of.get(parked.state)
        if line is not None:
            line.add(parked)
        if parked.state is State.NEW:
            self._bell.ring()
        elif parked.state is State.IN_LINE:
            for wish in wishes(parked.want):
                if wish not in self._meeting and self._work.has(wish):
                    self._meeting[wish] = None

    def take(self, coming: Mapping[Lane, int], brought: Sequence[Want]) -> tuple[list[Parked], dict[Lane, int]]:
        """The polls to serve with the next batch, by ticket, and how many heads of which lanes to read for them.

        `coming` are lanes that the batch itself may queue jobs in, and how many; no more polls are taken for them.
        `brought` are the polls that its units bring.
        Polls taken stand outside until put back. Without room for their answers, new ones are looked at all the same:
        for leases that their poll id was granted before, and to be told.
        """
        has_room = self._has_room()
        new = self._next_new()
        lanes = self._show([*brought, *(each.want for each in new)], has_room=has_room)
        most = (MAX_WANTS if lanes else min(MAX_WANTS, sum(coming.values()))) if has_room else 0
        waited = list(islice(self._in_line.waiting({*lanes, *coming}), most))
        room = max(MAX_WANTS // 2, MAX_WANTS - len(waited))
        taken = sorted([*new[:room], *waited[: MAX_WANTS - min(room, len(new))]], key=lambda p: p.ticket)
        for parked in taken:
            parked.take()
        if self._is_shared:
            lanes = list(dict.fromkeys([*lanes, *islice(coming, MAX_LANES)]))
        return taken, heads_of(lanes, [*brought, *(each.want for each in taken)], self._max_heads)

    def heads_for(self, wants: Sequence[Want]) -> dict[Lane, int]:
        """How many heads of which lanes to read for polls that were taken before, as things are by now."""
        return heads_of(self._show(wants, has_room=self._has_room()), wants, self._max_heads)

    def served(self, parked: Parked, granted: Granted, handed: Mapping[RunId, Handed]) -> None:
        """A dispatch has looked at a poll. One that got nothing waits on, behind those that were not looked at since.
        One that was not shown all that it could take is looked at again at once: it must not be told that there is
        nothing."""
        self.room.granted(parked.want, granted)
        parked.serve(granted, handed, self._next(parked, granted))

    def _next(self, parked: Parked, granted: Granted) -> State:
        """Where a poll goes to which a dispatch has given nothing."""
        if parked.state is not State.TAKEN and self._goes_on(parked, granted):
            return State.NEW
        if not parked.want.limit:
            return State.CONTROL_ONLY
        if granted.no_room:
            return State.WITHOUT_ROOM
        if granted.blocked in ("worker_limit", "quarantined"):
            return State.AT_WORKER_LIMIT
        if parked.want.threads is not None:
            return State.CHOOSING
        return State.AT_TENANT_LIMIT if self._has_seen_all(parked, granted.blocked) else State.IN_LINE

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
        if self._at_tenant_limit and not self._work.is_shut(lane.tenant_id):
            _free(self._at_tenant_limit.all_for(lane))

    def job_queued(self, job: Job) -> None:
        """A job has come into its lane: who has named its thread is shown it."""
        _free([each for each in self._choosing if job.thread_id in (each.want.threads or ())])

    def worker_freed(self, worker: WorkerKey) -> None:
        """A worker may be granted something again."""
        _free(self._at_worker_limit.of(worker))

    def worker_seen(self, worker: Worker) -> None:
        """A worker's row is like this now, whoever has changed it."""
        mine = self._at_worker_limit.of(worker.worker_key)
        _free([each for each in mine if worker.leased < each.want.worker_limit and not is_quarantined(worker)])

    def tenant_seen(self, tenant: Tenant) -> None:
        """A tenant's row is like this now, whoever has changed it."""
        if tenant.leased < self._tenant_limit:
            self._tenant_freed(tenant.tenant_id)

    def quarantine_over(self, now_ms: int) -> None:
        """Polls whose worker may be given a probe by now are looked at again."""
        over = self._at_worker_limit.quarantined_until(now_ms)
        _free(over)
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
        return self._is_shared or lane in self._work or lane in self._held or self._work.is_shut(lane.tenant_id)

    def lower(self, drained: Iterable[Lane], blocked: Iterable[Lane]) -> None:
        """A dispatch found these lanes empty, and those at their tenant's limit."""
        for lane in drained:
            self._work.discard(lane)
        for lane in blocked:
            # With all its lanes: one that this dispatch did not look at must not get the room the others wait for.
            self._work.shut(lane.tenant_id)

    def lease_ended(self, worker: WorkerKey, tenant_id: TenantId) -> None:
        """A limit may have room again: that tenant's lanes and the polls held back are looked at again."""
        self._tenant_freed(tenant_id)
        self.worker_freed(worker)

    def _tenant_freed(self, tenant_id: TenantId) -> None:
        self._meet(self._work.open(tenant_id))
        for seen in self._looking.values():
            seen.discard(tenant_id)
        _free(self._at_tenant_limit.all_for())
        _free([each for each in self._choosing if each.granted is not None and each.granted.blocked == "tenant_limit"])

    def limited(self) -> Limited:
        """What keeps polls and lanes from one another, as far as is known here."""
        return Limited(self._work.shut_tenants(), tuple(self._held))

    def workers(self) -> tuple[WorkerKey, ...]:
        """The workers whose polls are parked here."""
        return self._all.workers()

    def look_again(self) -> None:
        """Nothing that was known of the store holds any more; the lanes with work are to be learnt anew."""
        self._work = Work()
        self._held.clear()
        self._meeting.clear()
        for seen in self._looking.values():
            seen.clear()
        _free([*self._at_tenant_limit.all_for(), *self._at_worker_limit, *self._choosing])

    def learn(self, lanes: Iterable[Lane]) -> None:
        """These lanes may hold work."""
        for lane in lanes:
            if self._work.add(lane) and not self._work.is_shut(lane.tenant_id):
                self._meet(wishes_of(lane))

    def of_worker(self, worker: WorkerKey) -> list[Parked]:
        """The polls of one worker that nothing has ended, the oldest first; without those that came with acks which
        are not decided yet."""
        mine = self._all.of(worker)
        return [parked for parked in mine if parked.ending is None and parked.state is not State.BROUGHT]

    def end_all(self, ending: Ending) -> None:
        """Answer every parked poll."""
        for parked in [each for each in self._all if each.state is not State.OVER]:
            parked.give_up(ending)

    def stop_dispatch(self) -> None:
        """Answer every parked poll that would take whatever comes; those that name their threads wait on."""
        for parked in [each for each in self._all if each.state is not State.OVER and each.want.threads is None]:
            parked.give_up("draining")

    def has_work(self) -> bool:
        """True when a dispatch could come to something."""
        return bool(self._new) or (self._has_room() and bool(self._met(1)))

    def _has_room(self) -> bool:
        """Whether anything new may be granted. Those who have waited for that stand in line again."""
        is_there, freed = self.room.is_there()
        _free(freed)
        return is_there

    def __len__(self) -> int:
        return len(self._all)

    def _meet(self, found: Iterable[Wish]) -> None:
        """These wishes may be fulfilled by now."""
        for wish in found:
            if wish in self._in_line:
                self._meeting[wish] = None

    def _met(self, limit: int) -> list[Wish]:
        """So many wishes of polls in line that may be fulfilled. What is not so any more is forgotten."""
        met: list[Wish] = []
        over: list[Wish] = []
        for wish in self._meeting:
            (met if wish in self._in_line and self._work.has(wish) else over).append(wish)
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
            seen = self._looking.setdefault(parked, set())
            seen.update(lane.tenant_id for lane in self._shown if serves(want, lane))
            if not all(self._work.are_all_in(wish, seen) for wish in wishes(want)):
                return False
        self._looking.pop(parked, None)
        return by_its_own

    def _next_new(self) -> list[Parked]:
        """The next polls that are NEW. One that names threads waits while the others name enough for one dispatch, and
        those behind it do not wait for it."""
        found: list[Parked] = []
        named = 0
        for parked in self._new:
            names = len(parked.want.threads or ())
            if names and named and named + names > MAX_NAMED:
                continue
            named += names
            found.append(parked)
            if len(found) == MAX_WANTS:
                break
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
        lanes = self._work.shares(dict.fromkeys([*met, *also]), MAX_LANES)
        shut: dict[Lane, None] = {}
        for wish in also:
            shut.update(dict.fromkeys(self._work.shut_lanes(wish, MAX_LANES - len(shut))))
            if len(shut) >= MAX_LANES:
                break
        found = [*lanes, *shut]
        if len(self._work) > MAX_LANES:
            self._work.taken(found)
        return found


def _free(held: Iterable[Parked]) -> None:
    """Nothing holds these back any more."""
    for parked in list(held):
        parked.free()
