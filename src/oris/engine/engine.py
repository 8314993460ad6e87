"""The engine as its callers see it: ask, poll, wait for a run's end, read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import trio
from msgspec import Struct

from oris.clock import EngineClock
from oris.core.changes import Handed
from oris.core.commands import Want
from oris.core.facts import Limits
from oris.core.replies import Granted
from oris.engine.admission import Admission, Monitor, Thresholds
from oris.engine.committer import CommitBounds, Committer
from oris.engine.control import Control, Mailboxes
from oris.engine.demand import Bell, Demand
from oris.engine.inbox import Inbox
from oris.engine.observer import Observer
from oris.engine.parked import Parked
from oris.engine.publish import Publisher
from oris.engine.sweeper import Sweeper
from oris.engine.unit import Answered, Unit
from oris.engine.waiters import Waiters
from oris.errors import Unavailable
from oris.ids import RandomBits, RunId, SeedSource
from oris.storage.store import Reads, Store


class EngineSettings(Struct, frozen=True):
    """What operators may set about the engine."""

    limits: Limits = Limits()
    worker_limit: int = 100
    """Live leases of one worker."""
    tenant_limit: int = 1000
    """Live leases of one tenant."""
    inbox_max_commands: int = 20_000
    """Commands waiting in one lane."""
    inbox_max_bytes: int = 64 * 1024 * 1024
    bounds: CommitBounds = CommitBounds()
    thresholds: Thresholds = Thresholds()


class Polled(Struct, frozen=True):
    """What a poll came to."""

    decision: Literal["dispatched", "noop", "backpressure", "draining"]
    want: Want
    granted: Granted | None = None
    handed: Mapping[RunId, Handed] = {}
    control: tuple[Control, ...] = ()


class Engine:
    """One node's engine over one store. Its tasks (`committer`, `sweeper`, `monitor`) are run by the supervisor."""

    def __init__(
        self, store: Store, clock: EngineClock, random: RandomBits, observer: Observer, settings: EngineSettings
    ) -> None:
        self.clock = clock
        self.settings = settings
        self.reads: Reads = store.reads
        self.waiters = Waiters()
        self.admission = Admission(settings.thresholds)
        self._bell = Bell()
        self._inbox = Inbox(settings.inbox_max_commands, settings.inbox_max_bytes)
        self._mailboxes = Mailboxes()
        self.demand = Demand(self._bell, settings.tenant_limit)
        self._publisher = Publisher(self.demand, self.waiters, self._mailboxes, self._set_alarm)
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
            limits=settings.limits,
            tenant_limit=settings.tenant_limit,
            bounds=settings.bounds,
        )
        self.sweeper = Sweeper(self.committer, self.reads, clock)
        self.monitor = Monitor(
            self.admission,
            commit_ms=self.committer.commit_ms,
            inbox=self._inbox.fullness,
            on_sample=observer.sampled,
            clock_jump_ms=clock.jump_ms,
            on_clock_jump=observer.clock_jumped,
        )

    async def ask(self, unit: Unit) -> Answered:
        """Have a unit committed; see `Committer.ask`. Raises StoreError."""
        return await self.committer.ask(unit)

    async def poll(self, want: Want, wait_s: float) -> Polled:
        """Wait for the first work or control message, for `wait_s` at most, and for one dispatch at least.

        Cancelled, it takes nothing: what it was granted meanwhile is released, unless its poll id will ask again.
        Raises StoreError when the dispatch it was in could not be committed, or none will come any more.
        """
        if self.admission.draining:
            return Polled("draining", want)
        self.committer.check()
        parked = Parked(want, self.clock.now_ms())
        parked.control = self._mailboxes.collect(want.worker_key, want.poll_id)
        if parked.control:
            parked.end("control")
        self.demand.park(parked)
        try:
            with trio.move_on_after(wait_s):
                while parked.ending is None:
                    await parked.wait()
            # One that is in the batch being committed learns first what that batch has given it.
            while parked.taken or parked.unseen:
                await parked.wait()
        except BaseException:
            self.demand.leave(parked)
            self.undelivered(self._polled(parked))
            raise
        self.demand.leave(parked)
        if parked.ending == "failed":
            self.undelivered(self._polled(parked))
            raise (parked.error or Unavailable("the dispatch failed")).with_traceback(None)
        return self._polled(parked)

    def fetched(self, want: Want, answer: Answered) -> Polled:
        """What the poll that came with an ack has got."""
        granted = answer.granted
        if granted is None:
            return Polled("noop", want)
        return Polled(_decision(granted), want, granted, answer.handed)

    def undelivered(self, polled: Polled) -> None:
        """The answer never reached its worker: what it held goes back, unless its poll id will ask for it again."""
        if polled.want.poll_id is not None:
            return
        if polled.control:
            self._mailboxes.give_back(polled.want.worker_key, polled.control)
            self._publisher.hand_over(polled.want.worker_key)
        if polled.granted is not None:
            self.committer.take_back([job.lease_id for job in polled.granted.jobs if job.lease_id is not None])

    def drain(self) -> None:
        """Let nothing new in: submits are refused, parked polls answered `draining`, waits ended."""
        self.admission.draining = True
        self.demand.end_all("draining")
        self.waiters.end_all()

    def _polled(self, parked: Parked) -> Polled:
        granted = parked.granted
        if parked.ending == "superseded" or granted is None:
            return Polled("draining" if parked.ending == "draining" else "noop", parked.want, control=parked.control)
        if parked.ending == "draining" and not (granted.jobs or granted.redelivered):
            return Polled("draining", parked.want, granted)
        return Polled(_decision(granted), parked.want, granted, parked.handed, parked.control)

    def _set_alarm(self, at_ms: int) -> None:
        self.sweeper.set_alarm(at_ms)


def _decision(granted: Granted) -> Literal["dispatched", "noop", "backpressure"]:
    if granted.jobs or granted.redelivered:
        return "dispatched"
    return "noop" if granted.blocked is None else "backpressure"
