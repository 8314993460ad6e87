"""The engine as its callers see it: ask, poll, wait for a run's end, read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from oris.clock import EngineClock
from oris.core.api_key import ApiKey
from oris.core.changes import Handed
from oris.core.commands import OpenSession, Want
from oris.core.decide.holding import refuse_unless_held
from oris.core.facts import Facts
from oris.core.limits import Limits
from oris.core.mode import Modes
from oris.core.model import Job
from oris.core.needs import Loaded
from oris.core.outage import Outage
from oris.core.replies import Granted, Refusal, session_superseded
from oris.engine.admission import Admission, Monitor, Thresholds
from oris.engine.bell import Bell
from oris.engine.bounds import CommitBounds
from oris.engine.clock_watch import ClockWatch
from oris.engine.cluster import Cluster
from oris.engine.committer import Committer
from oris.engine.control import Control, Holder, Mailboxes
from oris.engine.demand import Demand
from oris.engine.inbox import Inbox
from oris.engine.listeners import Listeners
from oris.engine.observer import Observer
from oris.engine.outages import Outages
from oris.engine.parked import Parked
from oris.engine.publish import Publisher
from oris.engine.retention import Retention, RetentionRules
from oris.engine.roster import Roster
from oris.engine.sweeper import Sweeper
from oris.engine.unit import Answered, Unit
from oris.engine.waiters import Waiters
from oris.engine.watch import Session, Watch
from oris.errors import OutcomeUnknown, StoreError, Unavailable
from oris.ids import LeaseId, NodeId, RandomBits, RunId, SeedSource, TenantId, WorkerKey, name_of_node
from oris.patience import Patience
from oris.storage.reads import Reads
from oris.storage.store import Store


class EngineSettings(Struct, frozen=True):
    """What operators may set about the engine."""

    limits: Limits = Limits()
    worker_limit: int = 100
    """Live leases of one worker."""
    tenant_limit: int = 1000
    """Live leases of one tenant."""
    disconnect_grace_ms: int = 1000
    """How long a watched worker may be silent after its connection broke; 0: watching nobody."""
    inbox_max_commands: int = 20_000
    """Commands waiting in one lane."""
    inbox_max_bytes: int = 64 * 1024 * 1024
    bounds: CommitBounds = CommitBounds()
    thresholds: Thresholds = Thresholds()
    retention: RetentionRules = RetentionRules()
    node_id: NodeId = NodeId("node")
    """This start of the node."""


Decision = Literal["dispatched", "noop", "backpressure", "draining"]
LAG_MS = 250.0
"""A loop that wakes so late has missed what workers had to say meanwhile."""


class Polled(Struct, frozen=True):
    """What a poll came to."""

    decision: Decision
    want: Want
    granted: Granted | None = None
    handed: Mapping[RunId, Handed] = {}
    control: tuple[Control, ...] = ()
    watched: Session | None = None
    """Whose connection is watched."""
    refusal: Refusal | None = None
    """Its session is over."""

    def outline(self) -> Polled:
        """The same without what the jobs carry: enough for `undelivered`, and nothing to hold on to while an answer
        waits to be read."""
        return replace(self, handed={})


class Engine:
    """One node's engine over one store. Its tasks (`committer`, `sweeper`, `monitor`) are run by the supervisor."""

    def __init__(
        self, store: Store, clock: EngineClock, random: RandomBits, observer: Observer, settings: EngineSettings
    ) -> None:
        self.clock = clock
        self.settings = settings
        self.reads: Reads = store.reads
        self.waiters = Waiters()
        self.listeners = Listeners()
        self.admission = Admission(settings.thresholds)
        self.on_key: Callable[[ApiKey], None] | None = None
        """Told of each API key that a commit has made or changed, before anybody gets an answer. Must not raise."""
        self.admission.modes = Modes(name_of_node(settings.node_id))
        self._bell = Bell()
        self._inbox = Inbox(settings.inbox_max_commands, settings.inbox_max_bytes)
        self._mailboxes = Mailboxes()
        self._observer = observer
        self.demand = Demand(self._bell, settings.tenant_limit, settings.bounds.max_heads, shared=store.shared)
        self.roster = Roster(clock.now_ms)
        self._watch = Watch(settings.disconnect_grace_ms)
        self._watch.begin(clock.now_ms())
        self._outages = Outages(self._outage_over)
        self._publisher = Publisher(
            self.demand,
            self.waiters,
            self.listeners,
            self._mailboxes,
            self.roster,
            self._set_alarm,
            self._bereave,
            self._key_changed,
        )
        self.committer = Committer(
            store,
            clock,
            SeedSource(random),
            inbox=self._inbox,
            demand=self.demand,
            bell=self._bell,
            publisher=self._publisher,
            admission=self.admission,
            observer=observer,
            outages=self._outages,
            limits=settings.limits,
            tenant_limit=settings.tenant_limit,
            bounds=settings.bounds,
            node_id=settings.node_id,
        )
        self.cluster = Cluster(store, settings.node_id, self._publisher, self.committer, self._bell)
        parts = (self.committer, self.reads)
        self.retention = Retention(*parts, self.roster, self.admission, observer, settings.retention, clock)
        self.sweeper = Sweeper(*parts, clock, self.demand, self._outages, self._watch, self.retention)
        self.monitor = Monitor(
            self.admission,
            commit_ms=self.committer.commit_ms,
            inbox=self._inbox.fullness,
            on_look=self._looked,
            on_sample=observer.sampled,
            clocks=ClockWatch(clock, observer),
        )

    async def ask(self, unit: Unit) -> Answered:
        """Have a unit committed; see `Committer.ask`. Raises StoreError."""
        return await self.committer.ask(unit)

    def heard(self, worker_key: WorkerKey, session: str | None) -> None:
        """A worker has called, as this session if it said so. Synchronous."""
        self.roster.heard(worker_key)
        self._watch.heard(worker_key, session)

    async def open_session(self, worker_key: WorkerKey, session: str) -> Refusal | None:
        """Make it known that this process works under the worker's name; the answer: a newer one has taken its place.

        Costs a commit only when this node does not know it yet. Raises StoreError.
        """
        if self.roster.is_open(worker_key, session):
            return None
        answer = await self.ask(Unit("write", [OpenSession(worker_key, session)]))
        reply = answer.replies[0]
        return reply if isinstance(reply, Refusal) else None

    async def refuse_unless_held(self, job: Job, lease_id: LeaseId | None) -> Refusal | None:
        """Why a lease is not the run's live one; None: it is. A reader's question: it writes nothing, waits for no
        commit, and sees the run as it was read. Raises StoreError."""
        loaded = Loaded(jobs={job.job_key: job})
        if job.lease_id == lease_id and job.worker_key is not None:
            worker = await self.reads.worker(job.worker_key)
            loaded.workers = {} if worker is None else {worker.worker_key: worker}
        elif lease_id is not None:
            closed = await self.reads.closed_lease(lease_id)
            loaded.closed = {} if closed is None else {lease_id: closed}
        now_ms = self.clock.now_ms()
        skew_ms = self.clock.skew_ms()
        facts = Facts(loaded, self.settings.limits, outages=self._outages.at(now_ms), skew_ms=skew_ms)
        return refuse_unless_held(facts, job, lease_id, now_ms)

    async def poll(self, want: Want, wait_s: float, *, watch: bool = False, patience: Patience | None = None) -> Polled:
        """Wait for the first work or control message, for `wait_s` and the caller's patience at most, and for one
        dispatch at least.

        `watch`: should its connection break, or its patience end before its time, its session is dropped after a
        grace, unless it is heard of again.

        Cancelled, it takes nothing: what it was granted meanwhile is released, unless its poll id will ask again.
        Raises StoreError when the dispatch it was in could not be committed, or none will come any more.
        """
        if want.session is not None and not self.admission.draining:
            refusal = await self.open_session(want.worker_key, want.session)
            if refusal is not None:
                return Polled("noop", want, refusal=refusal)
        await self.cluster.look_for_lanes()
        if self.admission.draining:  # perhaps only since its session was being opened
            return Polled("draining", want)
        self.committer.check()
        parked = self._new_poll(want, watch=watch)
        parked.control = self._mailboxes.collect(_holder(want), want.poll_id)
        if parked.control:
            parked.end("control")
        patience = patience or Patience()
        self.demand.park(parked)
        with self._attended(parked):
            with patience.at_most(wait_s):
                while parked.ending is None:
                    await parked.wait()
            # One that is in the batch being committed learns first what that batch has given it.
            await parked.looked_at()
        if patience.over and parked.watched is not None:
            self._watch.broke(parked.watched, self.clock.now_ms())
        if parked.ending == "failed":
            self._give_back(self._polled(parked))
            raise (parked.error or Unavailable("granting work failed; poll again")).with_traceback(None)
        return self._polled(parked)

    async def ask_and_poll(self, unit: Unit, want: Want, *, watch: bool = False) -> tuple[Answered, Polled]:
        """Have a unit committed, and look for work in the same commit: what it ends makes room, and what it was granted
        is known when it is answered. When its only command is refused, or the session is over, it gets no work.

        The poll goes the way of all polls. But it belongs to its unit's batch, and so a batch takes no more units with
        polls than it may serve polls (`CommitBounds.max_polls`). If that commit could not give it what there was, the
        next one does. `watch`: as with `poll`, also when this call is cancelled or its answer does not arrive.

        Raises StoreError for the unit, and OutcomeUnknown when nobody knows what the poll was granted. That nothing can
        be given out now is no reason to refuse a unit that is committed.
        """
        refusal = None if want.session is None else await self.open_session(want.worker_key, want.session)
        if refusal is not None:
            return await self.ask(unit), Polled("noop", want, refusal=refusal)
        await self.cluster.look_for_lanes()
        parked = unit.poll = self._new_poll(want, watch=watch, brought=True)
        with self._attended(parked):
            answer = await self.ask(unit)
            await parked.looked_at()
            if parked.ending == "failed" and isinstance(parked.error, OutcomeUnknown):
                raise parked.error.with_traceback(None)
        if not parked.control and parked.ending not in ("refused", "session_superseded"):
            parked.control = self._mailboxes.collect(_holder(want), want.poll_id)
        return answer, self._polled(parked)

    def _new_poll(self, want: Want, *, watch: bool, brought: bool = False) -> Parked:
        """A poll that has just come. What it holds already it gets even when nothing new is given out."""
        watched = Session(want.worker_key, want.session) if watch and want.session is not None else None
        parked = Parked(want, self.clock.now_ms(), watched, brought=brought)
        if not self.dispatches(want):
            parked.end("draining")
        return parked

    def dispatches(self, want: Want) -> bool:
        """Whether a poll may be given new work; one that names its threads may be, whatever is switched off."""
        return self.admission.modes.dispatch or want.threads is not None

    @property
    def watched_sessions(self) -> int:
        """Sessions whose connections are watched now."""
        return len(self._watch)

    def undelivered(self, polled: Polled) -> None:
        """The answer never reached its worker: what it held goes back, unless its poll id will ask for it again."""
        if polled.watched is not None:
            self._watch.broke(polled.watched, self.clock.now_ms())
        self._give_back(polled)

    def _give_back(self, polled: Polled) -> None:
        if polled.control and polled.want.poll_id is None:
            self._mailboxes.give_back(_holder(polled.want), polled.control)
            self._publisher.hand_over(_holder(polled.want))
        self.committer.give_back(polled.want, polled.granted)

    def worker_refused(self) -> None:
        """A worker's call found no room in this server: that time counts against no lease."""
        self._outages.refused(self.clock.now_ms())

    def answers_have_room(self, room: Callable[[TenantId | None], int]) -> None:
        """Ask this before work is given out to callers of a tenant: answers that nobody has read yet must not gather
        without bound."""
        self.demand.room.left = room

    def answers_taken(self) -> None:
        """Some of them were read: there may be room again."""
        self.demand.room.again()

    def drain(self) -> None:
        """Let nothing new in: submits are refused, parked polls answered `draining`, waits and streams ended."""
        self.admission.draining = True
        self.demand.end_all("draining")
        self.waiters.end_all()
        self.listeners.end_all()

    def _polled(self, parked: Parked) -> Polled:
        granted, want, watched = parked.granted, parked.want, parked.watched
        if parked.ending == "session_superseded":
            return Polled("noop", want, watched=watched, refusal=session_superseded())
        if parked.ending == "superseded" or granted is None:
            decision: Decision = "draining" if parked.ending == "draining" else "noop"
            return Polled(decision, want, control=parked.control, watched=watched)
        if parked.ending == "draining" and not (granted.jobs or granted.redelivered):
            return Polled("draining", want, granted, control=parked.control, watched=watched)
        return Polled(_decision(granted), want, granted, parked.handed, parked.control, watched)

    @contextmanager
    def _attended(self, parked: Parked) -> Iterator[None]:
        """While the poll is here, its worker is known to wait, and its connection is watched if it wants that. However
        it ends, it leaves; if its caller is not answered, what it got goes back."""
        try:
            with self.roster.polls(parked.want):
                if parked.watched is not None:
                    self._watch.stands(parked.watched)
                try:
                    yield
                finally:
                    if parked.watched is not None:
                        self._watch.ends(parked.watched)
        except StoreError:
            self.demand.leave(parked)
            self._give_back(self._polled(parked))
            raise
        except BaseException:
            self.demand.leave(parked)
            self.undelivered(self._polled(parked))
            raise
        self.demand.leave(parked)

    def _looked(self, lag_ms: float) -> None:
        """The monitor has found the loop turning, so late."""
        now_ms = self.clock.now_ms()
        if lag_ms >= LAG_MS:
            self._watch.held_up(now_ms)
        self._outages.alive(now_ms)

    def _outage_over(self, outage: Outage) -> None:
        self._watch.held_up(outage.to_ms)
        self._observer.outage(outage)

    def _set_alarm(self, at_ms: int) -> None:
        self.sweeper.set_alarm(at_ms)

    def _key_changed(self, key: ApiKey) -> None:
        if self.on_key is not None:
            self.on_key(key)

    def _bereave(self, worker: WorkerKey) -> None:
        self.sweeper.bereave(worker)


def _holder(want: Want) -> Holder:
    return Holder(want.worker_key, want.session)


def _decision(granted: Granted) -> Decision:
    if granted.jobs or granted.redelivered:
        return "dispatched"
    return "noop" if granted.blocked in (None, "session_superseded") else "backpressure"
