"""What others do: a node that shares its store looks at what other nodes may have changed, and tells who waits here.

Hints say where to look at once. They may be lost, so it is looked again after a while, at all that somebody waits for:
lanes with work, limits, holds, threads, sessions, leases of parked workers, and what is switched. Nothing is decided by
what is seen here: it wakes what asks the store again.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Generic, TypeVar

import trio
from trio import TASK_STATUS_IGNORED, TaskStatus

from oris.core.mode import CLUSTER, Mode
from oris.core.model import Job, Lane
from oris.engine.bell import Bell
from oris.engine.committer import Committer
from oris.engine.observer import Beat
from oris.engine.publish import Publisher
from oris.errors import StoreError
from oris.ids import JobKey, LeaseId, NodeId, TenantId, WorkerKey, name_of_node, run_of_lease
from oris.storage.hints import Hint
from oris.storage.reads.cluster import Glance, Seen
from oris.storage.store import Store

K = TypeVar("K")

LOOK_AGAIN_S = 0.4
"""How long a hint may have been lost before somebody who waits here is told all the same."""
AT_ONCE = 1000
"""Lanes, threads, workers, tenants or holds that one look reads; with more, the looks take turns."""


class LookedFor(Generic[K]):
    """Lanes, threads, workers or tenants to look at: those that hints have named first, all in turns."""

    def __init__(self) -> None:
        self._hinted: dict[K, None] = {}
        self._place = 0

    def hint(self, keys: Iterable[K]) -> None:
        """These may have changed."""
        self._hinted.update(dict.fromkeys(keys))

    def hinted(self, waited: Collection[K]) -> tuple[K, ...]:
        """Those that were hinted first, `AT_ONCE` of them, as far as somebody waits for them."""
        first = list(islice(self._hinted, AT_ONCE))
        for key in first:
            del self._hinted[key]
        return tuple(key for key in first if key in waited)

    def in_turn(self, waited: Sequence[K]) -> tuple[K, ...]:
        """The next `AT_ONCE` that somebody waits for, in rotation. Hints of what is left are kept."""
        if len(waited) <= AT_ONCE:
            self._hinted.clear()
            return tuple(waited)
        first = self._place % len(waited)
        self._place = first + AT_ONCE
        return tuple((*waited[first:], *waited[:first])[:AT_ONCE])

    def __bool__(self) -> bool:
        """True when hints were left for the next look."""
        return bool(self._hinted)


class Cluster:
    """One node's looks. `run` is a task of the tree where the store is shared; elsewhere it is not needed."""

    def __init__(self, store: Store, node_id: NodeId, publisher: Publisher, committer: Committer, bell: Bell) -> None:
        self._reads = store.reads
        self._hints = store.hints
        self._node_id = node_id
        self._publisher = publisher
        self._committer = committer
        self._bell = bell
        self._demand = publisher.demand
        self._waiters = publisher.waiters
        self._listeners = publisher.listeners
        self._leases = publisher.leases
        self._hinted = trio.Event()
        self._threads = LookedFor[JobKey]()
        self._workers = LookedFor[WorkerKey]()
        self._tenants = LookedFor[TenantId]()
        self._holds = LookedFor[Lane]()
        self._is_shared = store.shared
        self._lanes_after: Lane | None = None
        self._lanes_at_s = -math.inf
        """When lanes were looked for last, on Trio's clock."""

    async def run(self, beat: Beat, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Look when a hint comes, and again and again without one. For ever."""
        with self._hints.listen(self._told):
            task_status.started()
            look_again_s = trio.current_time() + LOOK_AGAIN_S
            while True:
                with trio.move_on_at(look_again_s):
                    await self._hinted.wait()
                beat()
                self._hinted = trio.Event()
                # However many hints there are, they do not put off the look everywhere.
                is_time = trio.current_time() >= look_again_s
                if is_time:
                    look_again_s = trio.current_time() + LOOK_AGAIN_S
                with suppress(StoreError):  # the next look everywhere sees what this one has missed
                    await self._look(self._everywhere() if is_time else self._where_hinted())
                if self._threads or self._workers or self._tenants or self._holds:
                    self._hinted.set()  # more than one look reads

    async def look_for_lanes(self) -> None:
        """Before a poll: learn where others have queued work while nobody waited for it here. A checkpoint if it looks.

        An error is left to the poll's own dispatch.
        """
        if self._is_shared and trio.current_time() - self._lanes_at_s > LOOK_AGAIN_S:
            with suppress(StoreError):
                await self._look(Glance(lanes=AT_ONCE, lanes_after=self._lanes_after))

    def _told(self, hint: Hint) -> None:
        """Another node has committed something. Lanes that may hold work need no look: the dispatch has one."""
        if hint.node == self._node_id:
            return
        if hint.lanes:
            self._demand.learn(hint.lanes)
            self._bell.ring()
        waited = [key for key in hint.threads if self._waiters.has(key) or self._listeners.has(key)]
        self._threads.hint(waited)
        self._workers.hint(hint.workers)
        self._tenants.hint(hint.tenants)
        self._holds.hint(hint.holds)
        if waited or hint.workers or hint.tenants or hint.holds or hint.modes:
            self._hinted.set()

    def _where_hinted(self) -> Glance:
        """What hints have named and somebody here has to do with."""
        limited = self._demand.limited()
        workers = self._workers.hinted(frozenset(self._demand.workers()))
        return Glance(
            threads=self._threads.hinted({*self._waiters.threads(), *self._listeners.threads()}),
            workers=workers,
            holders=workers,
            tenants=self._tenants.hinted(frozenset(limited.tenants)),
            holds=self._holds.hinted(frozenset(limited.holds)),
        )

    def _everywhere(self) -> Glance:
        """All that somebody waits for here."""
        limited, parked = self._demand.limited(), self._demand.workers()
        threads = list(dict.fromkeys((*self._waiters.threads(), *self._listeners.threads())))
        workers = self._workers.in_turn(parked)
        return Glance(
            lanes=AT_ONCE if parked else 0,
            lanes_after=self._lanes_after,
            threads=self._threads.in_turn(threads),
            workers=workers,
            holders=workers,
            tenants=self._tenants.in_turn(limited.tenants),
            holds=self._holds.in_turn(limited.holds),
        )

    async def _look(self, wanted: Glance) -> None:
        seen = await self._reads.glance(wanted)
        self._see_modes(seen.modes)
        self._demand.learn(seen.lanes)
        if wanted.lanes:
            self._lanes_at_s = trio.current_time()
            self._lanes_after = seen.lanes[-1] if len(seen.lanes) == wanted.lanes else None
        self._see_limits(wanted, seen)
        self._bell.ring()
        for job in seen.threads:
            self._publisher.seen(job)
        await self._see_past_runs(seen.threads)
        for worker in seen.workers:
            self._publisher.worker_seen(worker)
        await self._see_leases(wanted.holders, seen.leases)

    def _see_modes(self, modes: Iterable[Mode]) -> None:
        rows = {mode.node: mode for mode in modes}
        self._committer.see_modes(rows.get(CLUSTER), rows.get(name_of_node(self._node_id)))

    def _see_limits(self, wanted: Glance, seen: Seen) -> None:
        """What has kept polls from work may be over."""
        for worker in seen.workers:
            self._demand.worker_seen(worker)
        for tenant in seen.tenants:
            self._demand.tenant_seen(tenant)
        held = {hold.lane: hold for hold in seen.holds}
        for lane in wanted.holds:
            self._publisher.hold_seen(lane, held.get(lane))

    async def _see_past_runs(self, threads: Iterable[Job]) -> None:
        """Runs that somebody waits for and that a newer one has replaced meanwhile."""
        waited, listened = self._waiters.threads(), self._listeners.threads()
        for job in threads:
            others = (waited.get(job.job_key, set()) | listened.get(job.job_key, set())) - {job.run_id}
            for run_id in sorted(others):
                past = await self._reads.run(run_id)
                if past is not None:
                    self._publisher.seen(past)

    async def _see_leases(self, holders: Iterable[WorkerKey], jobs: Iterable[Job]) -> None:
        """Leases that have ended, or are to end, without this node: their workers are told through their polls."""
        live: dict[WorkerKey, set[LeaseId]] = {}
        for job in jobs:
            if job.worker_key is not None and job.lease_id is not None:
                live.setdefault(job.worker_key, set()).add(job.lease_id)
            if self._leases.note(job):
                self._publisher.ask_to_end(job)
        for worker in holders:
            for lease, holder in self._leases.missing(worker, live.get(worker, set())):
                closed = await self._reads.closed_lease(lease)
                run = run_of_lease(lease)
                if closed is None or run is None:
                    continue  # it was granted after the read
                found = await self._reads.run(run)
                reason = closed.state if found is None or found.reason is None else found.reason
                self._leases.ended(worker, lease)
                self._publisher.lease_seen(holder, closed, reason)
