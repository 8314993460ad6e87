"""Who listens to what happens on a thread, from a place on, until one of its runs is over.

A listener holds a position and a wake-up, never events: told that there is something new, it reads the next page from
the store. The listeners of one thread share the page that was read last, since most of them stand at the same place.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import trio
from msgspec import Struct

from oris.core.model import TERMINAL, Job
from oris.ids import JobKey, RunId


class Section(Struct, frozen=True):
    """A part of a timeline, as its listeners are sent it: the events after one, up to another."""

    after_seq: int
    through_seq: int
    """`after_seq`: there are none yet."""
    data: bytes


ReadSection = Callable[[int], Awaitable[Section]]
"""Reads what comes after a seq."""


class Feed:
    """A thread that is listened to."""

    def __init__(self) -> None:
        self.listeners: dict[Listener, None] = {}
        self._last = Section(-1, -1, b"")
        self._reading = trio.Lock()

    async def after(self, seq: int, read: ReadSection) -> Section:
        """What comes after a seq: the last section again if it is that, else a fresh one. One is read at a time.

        A checkpoint only when nothing is shared. Cancelled, it leaves nothing; raises what `read` raises.
        """
        if self._fits(seq):
            return self._last
        async with self._reading:
            if self._fits(seq):
                return self._last
            self._last = await read(seq)
            return self._last

    def _fits(self, seq: int) -> bool:
        """What was read once after a place is there for ever; only an end may have moved on."""
        return self._last.after_seq == seq < self._last.through_seq


class Listener:
    """One of those who listen to a run of a thread."""

    def __init__(self, run_id: RunId, feed: Feed) -> None:
        self.run_id = run_id
        self._feed = feed
        self.seq = 0
        """Up to here there are events, as far as is known."""
        self.last_seq: int | None = None
        """The last event of the run; None: it goes on."""
        self.given_up = False
        """The server stops: nothing more will be told."""
        self._woken = trio.Event()

    def tell(self, job: Job) -> None:
        """How the thread stands, or how the run it has left behind stood. Synchronous, and harmless when it is old."""
        if job.run_id == self.run_id and job.status in TERMINAL:
            self.last_seq = job.seq
        if job.seq > self.seq:
            self.seq = job.seq
            self._woken.set()

    def give_up(self) -> None:
        """Nothing more will be told."""
        self.given_up = True
        self._woken.set()

    def is_done(self, after_seq: int) -> bool:
        """Whether nothing comes after this event, at least not from here."""
        return self.given_up or (self.last_seq is not None and self.last_seq <= after_seq)

    async def news(self, after_seq: int) -> None:
        """Wait until there are events after this one, or nothing more will be told. A checkpoint only if it waits."""
        while self.seq <= after_seq and not self.given_up:
            self._woken = trio.Event()
            await self._woken.wait()

    async def read(self, after_seq: int, read: ReadSection) -> Section:
        """What comes after a seq; see `Feed.after`."""
        return await self._feed.after(after_seq, read)


class Listeners:
    """All listeners, by thread."""

    def __init__(self) -> None:
        self._feeds: dict[JobKey, Feed] = {}
        self._count = 0
        self._over = False

    @contextmanager
    def register(self, job_key: JobKey, run_id: RunId) -> Iterator[Listener]:
        """Listen to a run of a thread from now on; nothing that is committed from here on is missed."""
        feed = self._feeds.setdefault(job_key, Feed())
        listener = Listener(run_id, feed)
        if self._over:
            listener.give_up()
        feed.listeners[listener] = None
        self._count += 1
        try:
            yield listener
        finally:
            self._count -= 1
            del feed.listeners[listener]
            if not feed.listeners:
                del self._feeds[job_key]

    def publish(self, job: Job) -> None:
        """Tell those who listen to this thread how it stands. Synchronous."""
        feed = self._feeds.get(job.job_key)
        if feed is not None:
            for listener in feed.listeners:
                listener.tell(job)

    def has(self, job_key: JobKey) -> bool:
        """True when somebody listens to this thread."""
        return job_key in self._feeds

    def threads(self) -> dict[JobKey, set[RunId]]:
        """The threads that are listened to, and the runs of each."""
        return {key: {listener.run_id for listener in feed.listeners} for key, feed in self._feeds.items()}

    def end_all(self) -> None:
        """The server stops: nobody listens any longer, nor will."""
        self._over = True
        for feed in self._feeds.values():
            for listener in feed.listeners:
                listener.give_up()

    def __len__(self) -> int:
        return self._count
