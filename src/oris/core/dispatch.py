"""Dispatch: queued jobs meet polls. It runs once at the end of every batch, over the lanes' stored heads and what the
batch itself has queued, so a submit and its grant share one commit.

Order: within a tenant by (priority, time first available, run number). Between tenants, by `fairness`: round robin
serves the tenant with the fewest live leases (then the one served longest ago), fifo the oldest job of all.
A tenant at its limit is passed over and delays nobody, and so is a workflow that is held (`core.hold`), but for one
probe at a time. What one commit hands out is bounded, over all polls: who gets nothing for that reason is told, and
looked at again with the next one. While answers that nobody has read fill the room for them (`core.room`), nobody
gets anything new, and while dispatch is switched off, only polls that name their threads (an admin's) do; leases that a
lost answer carried come again to everybody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from msgspec import Struct, field

from oris.core import events as ev
from oris.core.changes import Decision
from oris.core.commands import Want
from oris.core.deadlines import limit_at
from oris.core.facts import Facts
from oris.core.hold import lost_least, may_probe
from oris.core.lease import expiry_of
from oris.core.model import Job, Lane
from oris.core.needs import Heads
from oris.core.quarantine import is_quarantined, room_for
from oris.core.replies import Blocked, Granted
from oris.core.room import Answers, Room
from oris.core.stamp import Stamp
from oris.core.transition import Transition
from oris.ids import RunId, TenantId, ThreadId, lease_id


def _order(job: Job) -> tuple[int, int, str]:
    return job.order


def serves(want: Want, lane: Lane) -> bool:
    """True when a job of this lane may go to this poll."""
    if want.workflows is not None and lane.workflow not in want.workflows:
        return False
    return want.tenant_id is None or want.tenant_id == lane.tenant_id


class Dispatched(Struct):
    """What came of all wants, and what is left in the lanes that were looked at."""

    granted: list[Granted]
    drained: set[Lane]
    """Lanes without a due job: until something is queued there, nobody need look again."""
    blocked: set[Lane]
    """Lanes whose tenant is at the server's limit: until one of its leases ends, nobody need look again."""
    entries: list[tuple[Job, Decision]]
    errors: dict[RunId, Exception]
    """Runs that could not be granted: bugs."""
    held: dict[Lane, int | None] = field(default_factory=dict)
    """Lanes whose workflow is held, with when the next probe may be granted; None: one is out. Until then, nobody need
    look again."""


_NO_REPLY = Granted((), (), None, 0, 0)
"""A grant answers the poll it is for, with all it got; its thread's decision has nothing to say."""


class Line:
    """One lane's due jobs, and where its head stands among the others."""

    __slots__ = ("behind", "complete", "is_held", "jobs", "lane", "leased", "rank")

    def __init__(self, lane: Lane, jobs: Iterable[Job], heads: Heads) -> None:
        self.lane = lane
        self.jobs = deque(jobs)
        self.complete = heads.complete
        """Nothing is stored behind these."""
        self.behind = heads.jobs[-1].order if heads.jobs else None
        """What was not read of the lane stands behind this."""
        self.leased = 0
        """Live leases of its tenant."""
        self.rank: tuple[int | str, ...] = ()
        """The line with the smallest is served next. Of one without jobs, no more than the first unread one's."""
        self.is_held = False

    def hold(self, others: Iterable[Job], last_read: Job | None, *, open_: bool) -> None:
        """Its workflow is held: leave the one job that is probed next, or none. `others` may be it too, wherever in
        the lane they stand; what was not read has lost more than `last_read`, and perhaps less than all that is left.
        """
        self.is_held = True
        known = {job.job_key: job for job in (*self.jobs, *others)}
        least = min(known.values(), key=lost_least, default=None) if open_ else None
        if least is not None and not self.complete and (last_read is None or lost_least(last_read) < lost_least(least)):
            least = None
        self.complete = self.complete and len(known) == (least is not None)
        self.jobs = deque(() if least is None else (least,))

    def update(self, facts: Facts) -> None:
        """Bring the rank up to date; needed when the head, or its tenant's row, has changed."""
        tenant = facts.tenant(self.lane.tenant_id)
        self.leased = tenant.leased
        order = self.jobs[0].order if self.jobs else self.behind
        if order is None:
            return
        match facts.limits.fairness:
            case "round_robin":
                self.rank = (tenant.leased, tenant.served, tenant.tenant_id, *order)
            case "fifo":
                self.rank = order


class Queue:
    """The due jobs that this batch can see, lane by lane."""

    def __init__(self, facts: Facts, now_ms: int) -> None:
        fresh: dict[Lane, list[Job]] = {}
        for key in facts.queued:
            job = facts.jobs[key]
            if job.status == "queued":
                fresh.setdefault(job.lane, []).append(job)
        # A lane whose stored heads were not read stays out: what the batch queued there may stand behind others.
        # Sorted: what a poll is told must not hang on the order in which rows were read.
        self.lines = [
            Line(lane, _merged(facts, lane, heads, fresh.get(lane, [])), heads)
            for lane, heads in sorted(facts.heads.items())
        ]
        self._of_tenant: dict[TenantId, list[Line]] = {}
        for line in self.lines:
            self._of_tenant.setdefault(line.lane.tenant_id, []).append(line)
            hold = facts.held(line.lane)
            if hold is not None:
                least = facts.heads[line.lane].least
                others = _standing(facts, line.lane, (*least, *fresh.get(line.lane, ())))
                line.hold(others, least[-1] if least else None, open_=may_probe(hold, now_ms))
            line.update(facts)

    def choose(self, want: Want) -> tuple[Line | None, TenantId | None]:
        """The line to serve next, and a tenant that was passed over at its limit.

        None also when the next job is perhaps one that was not read: then the next commit goes on.
        """
        best: Line | None = None
        at_limit: TenantId | None = None
        unread: Line | None = None
        for line in self.lines:
            lane = line.lane
            if not serves(want, lane):
                continue
            if not line.jobs:
                if not line.complete and not line.is_held and line.leased < want.tenant_limit:
                    unread = line if unread is None or line.rank < unread.rank else unread
                continue
            if line.leased >= want.tenant_limit:
                at_limit = lane.tenant_id
            elif best is None or line.rank < best.rank:
                best = line
        if unread is None:
            return best, at_limit
        return None if best is not None and unread.rank < best.rank else best, None

    def chosen(self, facts: Facts, threads: frozenset[ThreadId], want: Want) -> list[Job]:
        """Queued jobs of these threads, in the order of the queue, wherever in it they stand."""
        found = (job for job in facts.jobs.values() if job.thread_id in threads and job.status == "queued")
        mine = [job for job in found if serves(want, job.lane) and job.run_id not in facts.set_aside]
        return sorted(mine, key=_order)

    def take(self, job: Job) -> None:
        """A job of the middle is granted."""
        for line in self.lines:
            if line.lane == job.lane and job in line.jobs:
                line.jobs.remove(job)

    def tenant_changed(self, facts: Facts, tenant_id: TenantId) -> None:
        """A job of this tenant was granted."""
        for line in self._of_tenant.get(tenant_id, ()):
            line.update(facts)


def _standing(facts: Facts, lane: Lane, jobs: Iterable[Job]) -> list[Job]:
    """Those of the jobs, as they are by now, that stand in this lane and may be granted; each once."""
    now = {job.job_key: facts.jobs.get(job.job_key, job) for job in jobs}
    standing = (job for job in now.values() if job.status == "queued" and job.lane == lane)
    return [job for job in standing if job.run_id not in facts.set_aside]


def _merged(facts: Facts, lane: Lane, heads: Heads, fresh: list[Job]) -> list[Job]:
    """What of a lane may be granted, in order: nothing that stands behind stored jobs which were not read."""
    merged = sorted(_standing(facts, lane, (*heads.jobs, *fresh)), key=_order)
    if heads.complete:
        return merged
    horizon = heads.jobs[-1].order if heads.jobs else None
    return [job for job in merged if horizon is not None and job.order <= horizon]


def dispatch(
    facts: Facts,
    wants: list[Want],
    stamp: Stamp,
    tenant_limit: int,
    parked: int | None = None,
    answers: Answers | None = None,
) -> Dispatched:
    """Serve the wants in their order. The facts take each grant over; `tenant_limit` is the server's own.

    So many of the wants are `parked` ones, by default all; the others, that came with acks, have at least half of the
    room that one commit has.
    """
    result = Dispatched([], set(), set(), [], {})
    queue, room = Queue(facts, stamp.now_ms), Room(facts.limits, answers)
    if parked is not None and 0 < parked < len(wants):
        room.keep_half()
    for place, want in enumerate(wants):
        if place == parked:
            room.keep_nothing()
        result.granted.append(_serve(facts, queue, want, stamp, room, result))
    for line in queue.lines:
        hold = facts.held(line.lane)
        if hold is not None and not may_probe(hold, stamp.now_ms):
            result.held[line.lane] = hold.next_ms if hold.probe is None else None
            line.complete = False
    result.drained = {line.lane for line in queue.lines if not line.jobs and line.complete}
    result.blocked = {line.lane for line in queue.lines if line.jobs and line.leased >= tenant_limit}
    return result


def _carried(facts: Facts, job: Job) -> int:
    """What goes out with a grant, at most: a hand-out ends at the size of an answer, about."""
    return min(job.handout_bytes, facts.limits.answer_max_bytes)


def _serve(facts: Facts, queue: Queue, want: Want, stamp: Stamp, room: Room, result: Dispatched) -> Granted:
    worker = facts.worker(want.worker_key, stamp.now_ms)
    if want.session is not None and want.session != worker.session:
        return _granted(facts, want, (), (), "session_superseded", None, stamp)
    again = _redelivered(facts, want, stamp.now_ms)
    if again:
        carried = sum(_carried(facts, job) for job in again)
        if not room.fits(len(again), carried):
            return _granted(facts, want, (), (), None, None, stamp, cut=True)
        room.take(want, len(again), carried)
        for job in again:
            facts.hand_out(job)
        return _granted(facts, want, (), again, None, None, stamp, carried=carried)
    if not facts.modes.dispatch and want.threads is None:
        return _granted(facts, want, (), (), None, None, stamp)
    if want.threads is not None:
        return _serve_chosen(facts, queue, want, want.threads, stamp, room, result)
    taken: list[Job] = []
    blocked: Blocked | None = None
    full: TenantId | None = None
    size = total = 0
    cut = no_room = False
    while len(taken) < want.limit:
        blocked = _blocked(facts, want, stamp.now_ms)
        no_room = not room.for_answers(want)
        if blocked is not None or no_room:
            break
        line, at_limit = queue.choose(want)
        full = at_limit if full is None else full
        if line is None:
            blocked = "tenant_limit" if full is not None else None
            break
        size += line.jobs[0].handout_bytes
        if taken and size > facts.limits.answer_max_bytes:
            break
        carried = _carried(facts, line.jobs[0])
        cut = not room.fits(1, carried)
        if cut:
            break
        granted = _granted_or_passed_over(facts, line.jobs.popleft(), want, stamp, result)
        if granted:
            room.take(want, 1, carried)
            total += carried
        if line.is_held and granted:
            facts.probe_granted(granted[0])
        taken += granted
        queue.tenant_changed(facts, line.lane.tenant_id)
    cut, no_room = cut and not taken, no_room and not taken
    return _granted(facts, want, tuple(taken), (), blocked, full, stamp, cut=cut, no_room=no_room, carried=total)


def _serve_chosen(
    facts: Facts, queue: Queue, want: Want, threads: frozenset[ThreadId], stamp: Stamp, room: Room, result: Dispatched
) -> Granted:
    """A poll for threads that it names: an operator's, who wants just these out of the queue, held or not."""
    taken: list[Job] = []
    blocked: Blocked | None = None
    full: TenantId | None = None
    size = total = 0
    cut = no_room = False
    for job in queue.chosen(facts, threads, want)[: want.limit]:
        blocked = _blocked(facts, want, stamp.now_ms)
        no_room = not room.for_answers(want)
        if blocked is not None or no_room:
            break
        if facts.tenant(job.tenant_id).leased >= want.tenant_limit:
            full = job.tenant_id
            continue
        size += job.handout_bytes
        if taken and size > facts.limits.answer_max_bytes:
            break
        carried = _carried(facts, job)
        cut = not room.fits(1, carried)
        if cut:
            break
        queue.take(job)
        granted = _granted_or_passed_over(facts, job, want, stamp, result)
        if granted:
            room.take(want, 1, carried)
            total += carried
        taken += granted
        queue.tenant_changed(facts, job.tenant_id)
    if full is not None and not taken and not cut:
        blocked = "tenant_limit"
    cut, no_room = cut and not taken, no_room and not taken
    return _granted(facts, want, tuple(taken), (), blocked, full, stamp, cut=cut, no_room=no_room, carried=total)


def _blocked(facts: Facts, want: Want, now_ms: int) -> Blocked | None:
    """What keeps the worker itself from a further lease."""
    worker = facts.worker(want.worker_key, now_ms)
    if worker.leased < room_for(worker, want.worker_limit, now_ms):
        return None
    return "quarantined" if is_quarantined(worker) else "worker_limit"


def _redelivered(facts: Facts, want: Want, now_ms: int) -> tuple[Job, ...]:
    """The live leases that an earlier poll with this id was granted, be it one of this batch. One of a job that cannot
    be handed out any more stands in nobody's way: its answer was lost, and its ttl decides."""
    if want.poll_id is None or not want.limit:
        return ()
    found = [job for job in facts.polled(want.worker_key, want.poll_id) if job.run_id not in facts.set_aside]
    return tuple(j for j in found if _is_hers(j, want) and _is_live(j, facts, now_ms))


def _is_hers(job: Job, want: Want) -> bool:
    return (job.worker_key, job.lease_session, job.poll_id) == (want.worker_key, want.session, want.poll_id)


def _is_live(job: Job, facts: Facts, now_ms: int) -> bool:
    if job.lease_id is None:
        return False
    limit_ms = limit_at(job)
    return now_ms < expiry_of(job, facts, now_ms).at_ms and (limit_ms is None or now_ms < limit_ms)


def _granted_or_passed_over(facts: Facts, job: Job, want: Want, stamp: Stamp, result: Dispatched) -> tuple[Job, ...]:
    try:
        return (_grant(facts, job, want, stamp, result),)
    except Exception as error:
        # Nothing of it was applied. It stays queued and is passed over, so that those behind it are not held up.
        result.errors[job.run_id] = error
        return ()


def _grant(facts: Facts, job: Job, want: Want, stamp: Stamp, result: Dispatched) -> Job:
    t = Transition(job, stamp)
    # Past every earlier fence, and past any that a restored backup has forgotten.
    fence = max(job.fence + 1, stamp.now_ms)
    lease = lease_id(job.run_id, fence, stamp.bits())
    t.emit(ev.LeaseGranted(lease, want.worker_key, fence, stamp.now_ms + want.ttl_ms, want.poll_id, want.session))
    decision = t.decision(_NO_REPLY)
    assert decision.job is not None
    facts.apply(decision, stamp.now_ms)
    facts.served(job.tenant_id, stamp.turn())
    facts.hand_out(decision.job)
    result.entries.append((job, decision))
    return decision.job


def _granted(
    facts: Facts,
    want: Want,
    jobs: tuple[Job, ...],
    redelivered: tuple[Job, ...],
    blocked: Blocked | None,
    full: TenantId | None,
    stamp: Stamp,
    *,
    cut: bool = False,
    no_room: bool = False,
    carried: int = 0,
) -> Granted:
    worker = facts.worker(want.worker_key, stamp.now_ms)
    waits = blocked == "quarantined" and stamp.now_ms < worker.quarantined_until_ms
    shown = full if full is not None else (jobs or redelivered)[0].tenant_id if jobs or redelivered else None
    return Granted(
        jobs,
        redelivered,
        blocked,
        worker.leased,
        want.worker_limit,
        shown,
        None if shown is None else facts.tenant(shown).leased,
        None if shown is None else want.tenant_limit,
        worker.quarantined_until_ms if waits else None,
        cut,
        no_room,
        carried,
    )
