"""The open connections of a listener, and which of them is missed least when there are too many."""

from __future__ import annotations

from itertools import chain, islice

import trio

from oris.api.stream import ClientStream

FRESH_S = 1.0
"""A connection on which nothing was asked for so long, or a head has begun and not ended, is the first to be closed
when there are too many."""
LOOKED_AT = 64
"""Of those that could make room so many are looked at: one whose request has come, and is not read yet, stays."""
SETTLE_S = 0.1
"""So long a connection has for its request before it may have to make room, also when many come at once."""
ENDING_MAX = 64
"""Connections that were closed to make room, and whose tasks have not ended yet, at most."""


class Connections:
    """The open connections of a listener."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._open: set[ClientStream] = set()
        self._ending: set[ClientStream] = set()
        """Closed to make room, but their tasks are not over. They come on top of the limit, and are few."""
        # Those that nobody waits on, the longest first: where nothing was asked yet, and since when; where the head of
        # a next request has begun to come, and since when; clients', workers'.
        self._fresh: dict[ClientStream, float] = {}
        self._begun: dict[ClientStream, float] = {}
        self._refused: dict[ClientStream, float] = {}
        """Where a request is being refused that has no place among those under way, and since when."""
        self._idle: dict[ClientStream, None] = {}
        self._idle_workers: dict[ClientStream, None] = {}
        self._none_left = trio.Event()
        self.turned_away = 0
        """How many connections were closed because there were too many."""
        self.closed_idle = 0
        """How many idle ones were closed to make room."""
        self._accepted = 0
        self._answered = 0

    @property
    def count(self) -> int:
        """How many there are: open, or closed and not over yet."""
        return len(self._open) + len(self._ending)

    def served(self) -> tuple[int, int]:
        """How many connections were opened so far, and how many requests were answered; who was turned away is both."""
        return self._accepted + self.turned_away, self._answered + self.turned_away

    @property
    def is_full(self) -> bool:
        """Whether another one is too many."""
        return len(self._open) >= self.limit

    def add(self, stream: ClientStream) -> None:
        """Counts a connection in."""
        self._accepted += 1
        self._open.add(stream)
        self._fresh[stream] = trio.current_time()
        stream.resting = self._fresh
        stream.on_begin, stream.on_rest, stream.on_refused = self._begins, self._rests, self._is_refused

    def discard(self, stream: ClientStream) -> None:
        """Counts a connection out, whose task is over."""
        self._open.discard(stream)
        self._ending.discard(stream)
        self._wakes(stream)
        if not self.count:
            self._none_left.set()
            self._none_left = trio.Event()

    def make_room(self) -> ClientStream | None:
        """Takes out the connection that is missed least, for the caller to close; None: there is none, or too many that
        were closed so are not over yet.

        First where nothing was asked in a second, or a head has not ended in one; then where something is being refused
        to a client that does not read that, or goes on sending; then idle ones of clients, the longest idle first; then
        others where nothing was asked yet, then those that workers have called on, and last those where a head has just
        begun. One on which a request has come that nobody has read yet stays, unless it was sent ahead of an answer;
        and one that was opened in this moment.
        """
        found = self._least_missed()
        if found is not None:
            self.closed_idle += 1
            self._wakes(found)
            self._open.discard(found)
            self._ending.add(found)
        return found

    @property
    def are_settling(self) -> bool:
        """Whether there is no place, until those that were opened last have asked for something, or some of those
        under way are answered: not all of them wait, see `Places`."""
        return self.is_full and self._least_missed() is None

    def _least_missed(self) -> ClientStream | None:
        if len(self._ending) >= ENDING_MAX:
            return None
        now = trio.current_time()
        for since in (self._fresh, self._begun):
            oldest = next(iter(since), None)
            if oldest is not None and now - since[oldest] >= FRESH_S:
                return oldest
        refused = next(iter(self._refused), None)
        if refused is not None and now - self._refused[refused] >= SETTLE_S:
            return refused
        # As long as there are others, those of workers stay, though one has to wait for the others a moment.
        last = self._fresh or self._idle_workers or self._begun
        for each in islice(chain(self._idle, last), LOOKED_AT):
            since_s = self._fresh.get(each, self._begun.get(each, 0.0))
            if now - since_s >= SETTLE_S and (each.sends_ahead or not each.has_unread()):
                return each
        return None

    def _begins(self, stream: ClientStream) -> None:
        """On what was idle the next request begins to come: it has a moment for that."""
        if stream.resting is self._idle or stream.resting is self._idle_workers:
            self._wakes(stream)
            stream.resting = self._begun
            self._begun[stream] = trio.current_time()

    def _rests(self, stream: ClientStream, rests: bool) -> None:
        self._answered += rests
        self._wakes(stream)
        if rests and stream in self._open:
            stream.resting = self._idle_workers if stream.of_worker else self._idle
            stream.resting[stream] = None

    @staticmethod
    def _wakes(stream: ClientStream) -> None:
        resting, stream.resting = stream.resting, None
        if resting is not None:
            resting.pop(stream, None)

    def _is_refused(self, stream: ClientStream) -> None:
        self._wakes(stream)
        if stream in self._open:
            stream.resting = self._refused
            self._refused[stream] = trio.current_time()

    async def wait_none(self) -> None:
        """Returns when there is none, and all of their tasks are over."""
        while self.count:
            await self._none_left.wait()

    def abort_opening(self) -> None:
        """Closes those that never got so far as to ask for something."""
        for stream in tuple(self._open):
            if stream.opening:
                stream.abort()

    def abort_all(self) -> None:
        """Closes every socket at once, which also wakes the tasks that hypercorn shields."""
        for stream in tuple(self._open):
            stream.abort()
