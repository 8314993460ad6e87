"""A store that fails on command, and that shows each committed batch to the witness before anybody hears of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import NoReturn, Protocol

from oris.core.changes import Changes, Handed
from oris.core.needs import Loaded, Needs
from oris.errors import OutcomeUnknown, StoreError, Unavailable
from oris.ids import RunId
from oris.sim.clock import pause
from oris.sim.faults import Faults
from oris.sim.outages import KnownOutages
from oris.storage.hints import Hints
from oris.storage.reads import Reads
from oris.storage.store import Store, Work

FSYNC_MOST_S = 0.004
"""The time that every commit takes, so that others gather meanwhile."""


class Died(BaseException):
    """The server's process has died in the middle of a commit. No handler of errors may see it as one."""


class DefiniteFault(Exception):
    """A write that failed for a reason of its own: rolled back, and run again in halves."""


class OnCommit(Protocol):
    """Called after COMMIT and before anything is published."""

    def __call__(self, changes: Changes, handed: Mapping[RunId, Handed], now_ms: int) -> None: ...


class FaultyStore:
    """`Store` around a real one."""

    def __init__(
        self,
        inner: Store,
        faults: Faults,
        *,
        crash: Callable[[], None],
        trouble: Callable[[], None],
        seen: OnCommit,
        outages: KnownOutages,
        now_ms: Callable[[], int],
        take: Callable[[Changes], None] = lambda changes: None,
        stuck: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """`crash` kills the server this belongs to; `trouble` is told of everything that costs time; `take` raises
        when there is no room for what is to be written; `stuck` is open while nothing moves here."""
        self._stuck = stuck
        self._outages = outages
        self._now_ms = now_ms
        self._inner = inner
        self._faults = faults
        self._crash = crash
        self._trouble = trouble
        self._seen = seen
        self._take = take

    @property
    def shared(self) -> bool:
        """See `Store`."""
        return self._inner.shared

    @property
    def hints(self) -> Hints:
        """See `Store`."""
        return self._inner.hints

    @property
    def reads(self) -> Reads:
        """The real store's."""
        return self._inner.reads

    async def transact(self, needs: Needs, work: Work, batch_id: str) -> Mapping[RunId, Handed]:
        """See `Store.transact`."""
        started_ms = self._now_ms()
        self._outages.starts(started_ms)
        try:
            await self._before()
        except StoreError:
            self._outages.failed(started_ms)
            raise
        except DefiniteFault:
            self._outages.refused(started_ms, self._now_ms())
            raise
        made: list[tuple[Changes, int]] = []

        def watched(loaded: Loaded, now_ms: int) -> Changes:
            changes = work(loaded, now_ms)
            made[:] = [(changes, now_ms)]
            self._take(changes)
            return changes

        try:
            handed = await self._inner.transact(needs, watched, batch_id)
        except StoreError:
            self._outages.refused(started_ms, self._now_ms())
            raise
        changes, now_ms = made[0]
        if changes.empty:
            self._outages.wrote_nothing(started_ms, now_ms)
        else:
            self._outages.committed(started_ms, now_ms, changes.calm_ms)
        self._seen(changes, handed, now_ms)
        if self._faults.strikes("crash_after_commit"):
            self._die()
        if self._faults.strikes("unknown_written"):
            self._trouble()
            self._outages.unknown(started_ms, now_ms)
            raise OutcomeUnknown("simulated: the commit happened, but the answer was lost")
        return handed

    async def high_water_ms(self) -> int:
        """The real store's."""
        return await self._inner.high_water_ms()

    async def calm_ms(self) -> int:
        """The real store's."""
        return await self._inner.calm_ms()

    async def aclose(self) -> None:
        """Close the real store."""
        await self._inner.aclose()

    async def _before(self) -> None:
        faults = self._faults
        await pause(faults.how("fsync").uniform(0.0005, FSYNC_MOST_S))
        if faults.strikes("slow_commit"):
            self._trouble()
            with self._stuck():
                await pause(faults.long_tail_s("slow_commit"))
            self._trouble()
        if faults.strikes("crash_before_commit"):
            self._die()
        if faults.strikes("store_unavailable"):
            self._trouble()
            raise Unavailable("simulated: the store cannot write now")
        if faults.strikes("unknown_not_written"):
            self._trouble()
            raise OutcomeUnknown("simulated: the commit did not happen, but the answer was lost")
        if faults.strikes("commit_failed"):
            self._trouble()
            raise DefiniteFault("simulated: this write fails")

    def _die(self) -> NoReturn:
        self._crash()
        raise Died
