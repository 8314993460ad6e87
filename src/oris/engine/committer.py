"""The committer: the one task that writes. It takes all that has queued up, commits it at once, answers everybody.

While one commit runs the next batch gathers, so the fsync is shared. One commit at a time is shielded; the store
bounds its own time. A batch that fails for good is run again in halves, until the guilty unit stands alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import trio
from trio import TASK_STATUS_IGNORED, TaskStatus

from oris.clock import EngineClock
from oris.core.audit import AuditHead
from oris.core.changes import Changes, Handed
from oris.core.commands import Release, ShowLife, Want, may_be_repeat
from oris.core.limits import Limits
from oris.core.mode import CLUSTER, Mode, Modes, newest
from oris.core.needs import Loaded
from oris.core.replies import Granted
from oris.engine.admission import Admission
from oris.engine.batch import Batch, Context, Outcome, coming_lanes, decide_batch
from oris.engine.bell import Bell
from oris.engine.bounds import CommitBounds
from oris.engine.demand import Demand
from oris.engine.hinting import hint_of
from oris.engine.inbox import Inbox
from oris.engine.learn import learn_lanes
from oris.engine.observer import Beat, Observer
from oris.engine.outages import Outages
from oris.engine.publish import Publisher
from oris.engine.room import only_new_runs_lack_room, parted
from oris.engine.set_aside import SetAside
from oris.engine.unit import INTERNAL, Answered, State, Unit
from oris.errors import DataDamaged, OutcomeUnknown, StoreError, Unavailable
from oris.ids import NodeId, RunId, SeedSource, name_of_node
from oris.storage.store import Store

IDLE_S = 1.0
"""How long an idle committer sleeps before it shows that it is alive."""


class Committer:
    """Owns the inbox, the demand and the order of all commits."""

    def __init__(
        self,
        store: Store,
        clock: EngineClock,
        seeds: SeedSource,
        *,
        inbox: Inbox,
        demand: Demand,
        bell: Bell,
        publisher: Publisher,
        admission: Admission,
        observer: Observer,
        outages: Outages,
        limits: Limits,
        tenant_limit: int,
        bounds: CommitBounds,
        node_id: NodeId,
    ) -> None:
        self._store = store
        self._clock = clock
        self._seeds = seeds
        self._inbox = inbox
        self._demand = demand
        self._bell = bell
        self._publisher = publisher
        self._admission = admission
        self._observer = observer
        self._outages = outages
        self._limits = limits
        self._tenant_limit = tenant_limit
        self._bounds = bounds
        self._node_id = node_id
        self._name = name_of_node(node_id)
        self._stopping = False
        self._dead: StoreError | None = Unavailable("the server is starting; try again", "draining")
        self._current: Batch | None = None
        self._beat: Beat = lambda: None
        self._audit_head: AuditHead | None = None
        self.set_aside = SetAside()
        self._other_chains: tuple[AuditHead, ...] = ()
        self._chain_id = ""
        self._unsure = False
        """A commit may or may not have happened: what is known of the store has to be learnt again."""
        self._commit_started: float | None = None
        self._slowest_ms = 0.0
        self.failed_at_s: float | None = None
        """When the store refused a commit last, on Trio's clock; None since one has succeeded.

        A full disk that only new runs feel is none.
        """
        self.written_ms = 0
        """When the last batch was committed that had something to write."""

    async def ask(self, unit: Unit) -> Answered:
        """Have a unit committed. Raises StoreError.

        Cancelled before it was taken, the unit is withdrawn; later it is committed whole.
        """
        self.post(unit)
        try:
            await unit.wait()
        except BaseException:
            if unit.state is State.QUEUED:
                unit.state = State.GONE
            raise
        return unit.unwrap()

    def post(self, unit: Unit) -> None:
        """Queue a unit without waiting for it. Raises Unavailable."""
        self.check()
        if unit.lane == "submit" and not self._admit(unit):
            return
        try:
            self._inbox.put_nowait(unit)
        except Unavailable:
            if unit.lane in ("renew", "write"):
                self._outages.refused(self._clock.now_ms())
            raise
        if unit.poll is not None:
            self._demand.park(unit.poll)
        self._bell.ring()

    def _admit(self, unit: Unit) -> bool:
        """Judge new runs by the gate as it is now; False: answered, there is nothing to look up. Of a shared store only
        the commit knows what is switched off.

        Once let in a unit stays let in, but for an operator's switch: refusing what waits already would make an
        overloaded server accept nothing.
        """
        unit.refusal = self._admission.refusal(passes_switch=unit.by_admin or self._store.shared)
        if unit.refusal is None:
            return True
        if any(map(may_be_repeat, unit.commands)):
            unit.lane = "lookup"
            return True
        self._observer.refused(unit.refusal, len(unit))
        unit.finish(Answered((unit.refusal,) * len(unit.commands)))
        return False

    def check(self) -> None:
        """Raises Unavailable when nothing can be committed: before the start, and after the end."""
        if self._dead is not None:
            raise self._dead.with_traceback(None)

    def give_back(self, want: Want, granted: Granted | None) -> None:
        """Release what a poll was granted and its worker never learned of, unless its poll id will ask for it again.
        What a stopped committer cannot release, the leases' ttl does.

        Never raises, so the inbox' bounds do not hold for it; no more than was granted can come back.
        """
        if granted is None or want.poll_id is not None:
            return
        leases = [job.lease_id for job in granted.jobs if job.lease_id is not None]
        if leases and self._dead is None:
            self._inbox.put_nowait(Unit("write", [Release(None, lease) for lease in leases]), always=True)
            self._bell.ring()

    def stop(self) -> None:
        """Commit what is queued, then end."""
        self._stopping = True
        self._bell.ring()

    def commit_ms(self) -> float:
        """The longest that a commit has taken since this was last asked, the one under way included."""
        slowest_ms, self._slowest_ms = self._slowest_ms, 0.0
        return max(slowest_ms, self._under_way_ms())

    async def run(self, beat: Beat, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Commit until stopped. At its end, however it comes, everybody who waits is answered."""
        self._beat = beat
        try:
            await self._prepare()
            self._dead = None
            task_status.started()
            while not (self._stopping and not self._inbox):
                with trio.move_on_after(IDLE_S):
                    await self._bell.wait()
                beat()
                while self._inbox or ((self._unsure or self._demand.has_work()) and not self._stopping):
                    # Each commit is shielded: under load this is where a cancellation is seen.
                    await trio.lowlevel.checkpoint_if_cancelled()
                    await self._commit_next()
                    beat()
            await self._commit_last()
        finally:
            self._dead = Unavailable("the server is stopping; try again later", "draining")
            self._answer_everyone(self._dead)

    async def _commit_last(self) -> None:
        """Write that until here commits could be made, so that the next start takes no time before this for lost."""
        self._inbox.put_nowait(Unit("write", [ShowLife()]), always=True)
        await self._commit_next()

    async def _prepare(self) -> None:
        self._chain_id = f"chn_{self._seeds.next(self._clock.now_ms()):032x}"
        calm_ms = await self._store.calm_ms()
        await self._learn()
        # Until now nobody could have been heard.
        self._outages.begin(calm_ms, self._clock.now_ms())

    async def _learn(self) -> None:
        """Learn what the store holds: which lanes have work, what is switched, where the audit chains end."""
        reads = self._store.reads
        self._audit_head = await reads.audit_head(self._chain_id)
        heads = await reads.audit_heads()
        self._other_chains = tuple(head for head in heads if head.chain_id != self._chain_id)
        rows = {row.node: row for row in await reads.modes()}
        self._adopt(Modes(self._name, rows.get(CLUSTER), rows.get(self._name)))
        await learn_lanes(self._demand, reads)
        self._unsure = False

    def _adopt(self, modes: Modes) -> None:
        """What is switched on here was learnt, or has just been changed; whoever waits for work is told."""
        if modes == self._admission.modes:
            return
        self._admission.modes = modes
        if not modes.dispatch:
            self._demand.stop_dispatch()
        self._observer.mode_changed(modes)

    def see_modes(self, cluster: Mode | None, here: Mode | None) -> None:
        """What is switched, as it was read: rows that are older than those that this node knows do not count."""
        known = self._admission.modes
        self._adopt(Modes(self._name, newest(known.cluster, cluster), newest(known.node, here)))

    async def _learn_again(self) -> None:
        """After a commit of unknown outcome. A store that cannot tell fails the next batch too, which is answered."""
        try:
            await self._learn()
        except StoreError as error:
            self._observer.commit_failed(error)
            if not self._inbox:
                await trio.sleep(0.05)

    async def _commit_next(self) -> None:
        if self._unsure:
            # Before anything is taken: which lanes to read hangs on it.
            await self._learn_again()
        units = self._inbox.take(self._bounds)
        now_ms = self._clock.now_ms()
        for unit in units:
            unit.seed = self._seeds.next(now_ms)
        brought = [unit.poll.want for unit in units if unit.poll is not None]
        parked, heads = self._demand.take(coming_lanes(units), brought)
        if not units and not parked:
            # All of them have gone; whoever ended them is let run.
            await trio.lowlevel.checkpoint()
            return
        seed = self._seeds.next(now_ms)
        self._current = Batch(f"{seed:032x}", seed, units, parked, heads)
        with trio.CancelScope(shield=True):
            await self._commit(self._current)
        self._current = None
        self._outages.over(self._clock.now_ms())

    async def _commit(self, batch: Batch) -> None:
        self._beat()  # a batch that fails is committed in parts, however many
        self._commit_started = trio.current_time()
        self._outages.starts(self._clock.now_ms())
        try:
            outcome, handed = await self._once(batch)
        except (Unavailable, OutcomeUnknown) as error:
            self._unsure = self._unsure or isinstance(error, OutcomeUnknown)
            self._observer.commit_failed(error, batch, self._under_way_ms())
            refused, again = parted(batch, error)
            refused.fail(error)
            works = only_new_runs_lack_room(refused, error)
            if not works:
                self._outages.failed()
            if len(again):
                await self._commit(again)
                return
            if not works:
                self.failed_at_s = trio.current_time()
            # A store that refuses at once must not be asked without a pause.
            await trio.sleep(0.05)
        except Exception as error:
            if isinstance(error, DataDamaged) and error.run_id and self.set_aside.put(RunId(error.run_id)):
                # The run that it was to be handed out with cannot go on; all others can.
                batch.heads = None
                await self._commit(batch)
                return
            self._observer.commit_failed(error, batch, self._under_way_ms())
            if len(batch) == 1:
                self._fail_alone(batch)
                return
            for half in batch.halves(self._seeds.next(self._clock.now_ms())):
                await self._commit(half)
        else:
            took_ms = self._under_way_ms()
            self.failed_at_s = None
            wrote = not outcome.facts.changes.empty
            self._outages.ended(self._clock.now_ms(), outcome.others_calm_ms, wrote=wrote)
            if wrote:
                self.written_ms = outcome.now_ms
            self._publish(batch, outcome, handed)
            self._observer.committed(outcome, batch, took_ms)
        finally:
            self._slowest_ms = max(self._slowest_ms, self._under_way_ms())
            self._commit_started = None

    def _under_way_ms(self) -> float:
        return 0.0 if self._commit_started is None else (trio.current_time() - self._commit_started) * 1000.0

    async def _once(self, batch: Batch) -> tuple[Outcome, Mapping[RunId, Handed]]:
        if self._unsure:
            await self._learn()
            batch.heads = None
        if batch.heads is None:
            batch.heads = self._demand.heads_for(batch.wants())
        context = Context(
            limits=self._limits,
            tenant_limit=self._tenant_limit,
            node_id=self._node_id,
            audit_head=self._audit_head,
            set_aside=self.set_aside.runs,
            outages=self._outages.at,
            calm_ms=self._outages.calm_ms,
            skew_ms=self._clock.skew_ms,
            chain_id=self._chain_id,
            other_chains=self._other_chains,
            may_hold_work=self._demand.may_hold_work,
            answers_left=self._demand.room.as_it_was_for(batch.wants()),
            on_error=self._observer.command_failed,
        )
        outcome: list[Outcome] = []

        def work(loaded: Loaded, now_ms: int) -> Changes:
            outcome[:] = [decide_batch(batch, loaded, now_ms, context)]
            return outcome[0].facts.changes

        handed = await self._store.transact(batch.needs(self._name, len(self.set_aside.runs)), work, batch.batch_id)
        return outcome[0], handed

    def _publish(self, batch: Batch, outcome: Outcome, handed: Mapping[RunId, Handed]) -> None:
        """One synchronous stretch: levels, alarms and waiters first, then the answers."""
        self._audit_head = outcome.facts.audit_head
        for run_id in outcome.set_aside:
            self.set_aside.put(run_id)
        self.set_aside.forget_ended(outcome.facts.changes.jobs.values())
        self._publisher.publish(outcome)
        if self._store.shared:
            self._clock.start_after(outcome.now_ms)  # another node's clock may be ahead
            self._store.hints.publish(hint_of(outcome, self._node_id))
        for unit, replies in zip(batch.units, outcome.replies, strict=True):
            unit.finish(Answered(replies))
        for parked, granted in zip(outcome.parked, outcome.granted, strict=True):
            if parked.is_in_batch:
                self._demand.served(parked, granted, handed)
            else:  # its caller has gone since the batch was decided
                self.give_back(parked.want, granted)
        for parked in batch.polls():
            if parked.is_in_batch:
                parked.refuse()
        self._adopt(outcome.facts.modes)

    def _fail_alone(self, batch: Batch) -> None:
        """The guilty one: its commands are answered `internal`, nobody else's are."""
        for unit in batch.units:
            unit.finish(Answered((INTERNAL,) * len(unit.commands)))
        batch.fail(Unavailable("granting work failed; poll again"))

    def _answer_everyone(self, error: StoreError) -> None:
        if self._current is not None:
            self._current.fail(OutcomeUnknown("committing failed; send the same request again"))
        for unit in self._inbox.drain():
            unit.fail(error)
        self._demand.end_all("draining")
