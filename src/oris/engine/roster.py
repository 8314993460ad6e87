"""The roster: what this node has heard of its workers since it started. In memory; a look, not a rule.

Which session is a worker's newest is remembered too, so that a session has to be opened once and not at every call.
The row in the store decides; what is remembered here is what the last commit has said.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

from oris.core.commands import Want
from oris.core.dispatch import serves
from oris.core.model import Lane, Worker
from oris.ids import WorkerKey

MAX_WORKERS = 50_000
"""Workers that are remembered; who was silent for the longest goes first, but nobody with a poll that is parked."""
RECENT_MS = 60_000
"""A worker that has polled within this while is one that takes work."""


class Presence:
    """One worker."""

    __slots__ = ("busy", "busy_ms", "called_ms", "limit", "parked", "polled_ms", "since_ms", "wants")

    def __init__(self, since_ms: int) -> None:
        self.since_ms = since_ms
        """When this node heard of it first."""
        self.called_ms = since_ms
        """Its last call of any kind."""
        self.polled_ms = 0
        """When a poll for work of its ended last."""
        self.parked = 0
        """Its polls for work that are parked now."""
        self.busy = 0
        """Its polls for control messages alone that are parked now: it has no free slot."""
        self.busy_ms = 0
        """When such a poll ended last."""
        self.limit = 0
        """The leases that its last poll for work would hold."""
        self.wants: Want | None = None
        """Its last poll, for work if there was one."""

    def is_busy(self, now_ms: int) -> bool:
        """True when it says, or has said lately, that it has no free slot."""
        return self.busy > 0 or now_ms - self.busy_ms <= RECENT_MS

    def asks(self, now_ms: int) -> bool:
        """True when it asks for work, or has done so lately."""
        return self.parked > 0 or now_ms - self.polled_ms <= RECENT_MS


class Roster:
    """All workers that this node knows. Every method is synchronous; times are engine ms."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._workers: OrderedDict[WorkerKey, Presence] = OrderedDict()
        self._sessions: OrderedDict[WorkerKey, tuple[str, int]] = OrderedDict()
        """The newest session of each, and since when it is."""

    def heard(self, worker_key: WorkerKey) -> None:
        """A worker has called."""
        self._presence(worker_key).called_ms = self._now_ms()
        if worker_key in self._sessions:
            self._sessions.move_to_end(worker_key)

    @contextmanager
    def polls(self, want: Want) -> Iterator[None]:
        """A poll is at this node for as long as this is open."""
        presence = self._presence(want.worker_key)
        if want.limit:
            presence.wants, presence.limit = want, want.worker_limit
            presence.parked += 1
        else:
            presence.wants = presence.wants or want
            presence.busy += 1
        try:
            yield
        finally:
            if want.limit:
                presence.parked -= 1
                presence.polled_ms = self._now_ms()
            else:
                presence.busy -= 1
                presence.busy_ms = self._now_ms()

    def opened(self, worker: Worker) -> None:
        """A commit has said which session is this worker's newest."""
        if worker.session is not None:
            self._sessions[worker.worker_key] = (worker.session, worker.session_ms)
            self._sessions.move_to_end(worker.worker_key)
            if len(self._sessions) > MAX_WORKERS:
                self._sessions.popitem(last=False)

    def let_go(self, worker_key: WorkerKey, before_ms: int) -> bool:
        """Forget a worker that has not called since this time; False: it has. Should it call again after all, it opens
        its session again."""
        presence = self._workers.get(worker_key)
        if presence is not None and (presence.parked or presence.busy or presence.called_ms >= before_ms):
            return False
        self._workers.pop(worker_key, None)
        self._sessions.pop(worker_key, None)
        return True

    def session_of(self, worker_key: WorkerKey) -> str | None:
        """Its newest session, as far as this node has heard."""
        known = self._sessions.get(worker_key)
        return None if known is None else known[0]

    def is_older(self, worker: Worker) -> bool:
        """True when this row has a newer session than the one that this node knows."""
        known = self._sessions.get(worker.worker_key)
        return known is not None and worker.session != known[0] and worker.session_ms > known[1]

    def is_open(self, worker_key: WorkerKey, session: str) -> bool:
        """True when it was its worker's newest session when this node heard last."""
        return self.session_of(worker_key) == session

    def called_ms(self, worker_key: WorkerKey) -> int | None:
        """When this node was called by it last."""
        presence = self._workers.get(worker_key)
        return None if presence is None else presence.called_ms

    def polled_ms(self, worker_key: WorkerKey) -> int | None:
        """When it asked this node for work last: now, while it waits for some."""
        presence = self._workers.get(worker_key)
        if presence is None or not (presence.polled_ms or presence.parked):
            return None
        return self._now_ms() if presence.parked else presence.polled_ms

    def is_deaf(self, worker_key: WorkerKey, leased: int, limit: int) -> bool:
        """True for one that calls, has room for work, and does not ask for any. `limit`: the server's own.

        One that has stated no limit of its own has as many slots as its last poll has asked for, as far as is known.
        """
        presence, now_ms = self._workers.get(worker_key), self._now_ms()
        if presence is None or presence.parked or now_ms - presence.called_ms > RECENT_MS:
            return False
        if presence.is_busy(now_ms):
            return False
        asked_ms = presence.polled_ms or presence.since_ms
        slots = presence.limit or limit
        if slots == limit and presence.polled_ms and presence.wants is not None:
            slots = min(slots, presence.wants.limit)
        return now_ms - asked_ms > RECENT_MS and leased < slots

    def takes(self, lane: Lane) -> bool:
        """True when some worker that asks for work, or has lately, or has no free slot would take jobs of this lane."""
        return bool(self.takers(lane, 1))

    def takers(self, lane: Lane, limit: int) -> list[WorkerKey]:
        """Such workers, at most `limit` of them."""
        now_ms = self._now_ms()
        found = (
            worker_key
            for worker_key, presence in self._workers.items()
            if presence.wants is not None
            and (presence.asks(now_ms) or presence.is_busy(now_ms))
            and serves(presence.wants, lane)
        )
        return list(islice(found, limit))

    def _presence(self, worker_key: WorkerKey) -> Presence:
        presence = self._workers.get(worker_key)
        if presence is None:
            presence = self._workers[worker_key] = Presence(self._now_ms())
            if len(self._workers) > MAX_WORKERS:
                self._forget_one()
        else:
            self._workers.move_to_end(worker_key)
        return presence

    def _forget_one(self) -> None:
        for _ in range(MAX_WORKERS):
            worker_key, presence = self._workers.popitem(last=False)
            if not (presence.parked or presence.busy):
                return
            self._workers[worker_key] = presence  # it is here; to the end of the line
