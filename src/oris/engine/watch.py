"""Watched polls: a worker whose connection breaks, and of whom nothing is heard within the grace, has lost its leases.

Brakes, because a connection can break for other reasons than its worker's death: not while another poll of the session
stands, not when the session is heard of again (any call), not when this node has just started or has itself stood
still, and not when more than half of all watched sessions broke together, as behind a proxy that reloads. Then the
leases' ttl decides.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from oris.ids import WorkerKey

FRESH_GRACES = 5
"""For so many graces after its start a node takes no broken connection for a dead worker."""


class Session(NamedTuple):
    """One process of a worker."""

    worker_key: WorkerKey
    name: str


class Watch:
    """The watched sessions of this node. Every method is synchronous; times are engine ms."""

    def __init__(self, grace_ms: int) -> None:
        """`grace_ms` 0: nobody is watched."""
        self._grace_ms = grace_ms
        self._started_ms = 0
        self._standing: dict[Session, int] = {}
        """Watched polls that are parked, by session."""
        self._broken: OrderedDict[Session, int] = OrderedDict()
        """Sessions whose last watched poll broke, and when; in that order."""
        self._told: dict[Session, None] = {}
        """The sessions that `due` told last, but for those that were heard of since."""
        self._wave: OrderedDict[Session, int] = OrderedDict()
        """All that broke within the last grace, heard of since or not; in that order."""
        self._returned: set[Session] = set()
        """Those of them that are parked again."""
        self._held_up_ms = 0
        """When this node stood still last."""

    def begin(self, now_ms: int) -> None:
        """The node has started."""
        self._started_ms = now_ms

    def stands(self, session: Session) -> None:
        """A watched poll is parked."""
        self._standing[session] = self._standing.get(session, 0) + 1
        if session in self._wave:
            self._returned.add(session)

    def ends(self, session: Session) -> None:
        """A watched poll is over, in whatever way."""
        left = self._standing.get(session, 0) - 1
        if left > 0:
            self._standing[session] = left
        else:
            self._standing.pop(session, None)
            self._returned.discard(session)

    def broke(self, session: Session, now_ms: int) -> None:
        """The connection of a watched poll is gone; the poll itself has ended already."""
        if not self._grace_ms or session in self._standing or self._is_fresh(now_ms):
            return
        # A thousand may break in one breath: each costs the same, however many there are.
        self._end_wave(now_ms)
        for line in (self._wave, self._broken):
            line[session] = now_ms
            line.move_to_end(session)
        watched = len(self._standing) + len(self._wave) - len(self._returned)
        if len(self._wave) > 1 and 2 * len(self._wave) > watched:
            self._excuse_wave()

    def _end_wave(self, now_ms: int) -> None:
        """Forget what broke longer ago than a grace."""
        while self._wave:
            session, at_ms = next(iter(self._wave.items()))
            if now_ms - at_ms < self._grace_ms:
                return
            del self._wave[session]
            self._returned.discard(session)

    def _excuse_wave(self) -> None:
        """Take none of those that broke together for dead. What broke before them stands before them in the line."""
        while self._broken:
            session, at_ms = self._broken.popitem()
            if session not in self._wave:
                self._broken[session] = at_ms
                return

    def heard(self, worker_key: WorkerKey, name: str | None) -> None:
        """The worker has called; None: it did not say as which session."""
        for line in (self._broken, self._told):
            if name is not None:
                line.pop(Session(worker_key, name), None)
            elif line:
                for session in [each for each in line if each.worker_key == worker_key]:
                    del line[session]

    def _is_fresh(self, now_ms: int) -> bool:
        return now_ms - self._started_ms < FRESH_GRACES * self._grace_ms

    def held_up(self, now_ms: int) -> None:
        """This node stood still until now: it may have missed what workers had to say."""
        self._held_up_ms = now_ms

    def due(self, now_ms: int) -> list[Session]:
        """The sessions whose grace is over; each is told once, unless it comes to nothing."""
        found: list[Session] = []
        for session, at_ms in list(self._broken.items()):
            if at_ms + self._grace_ms > now_ms:
                break
            del self._broken[session]
            # A poll that breaks just afterwards breaks for the same reason.
            if self._held_up_ms + self._grace_ms < at_ms:
                found.append(session)
        self._told = dict.fromkeys(found)
        return found

    def in_vain(self, now_ms: int) -> None:
        """What was told last came to nothing, as when the store fails: each gets another grace to be heard of."""
        for session in self._told:
            if session not in self._standing:
                self._broken[session] = now_ms
                self._broken.move_to_end(session)
        self._told = {}

    def next_due_ms(self) -> int | None:
        """When the first grace is over."""
        return next((at_ms + self._grace_ms for at_ms in self._broken.values()), None)

    def __len__(self) -> int:
        return len(self._standing)
