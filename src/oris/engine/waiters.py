"""Who waits for a run to end, or to ask people something. Registered before the commit that is waited for; handed the
value by the committer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio
from msgspec import Struct

from oris.core.model import TERMINAL, Job, Status
from oris.ids import JobKey, RunId


class Ended(Struct, frozen=True):
    """A run that is over, or `interrupted`: it waits for people."""

    run_id: RunId
    status: Status
    result_seq: int
    error_seq: int


class Waiter:
    """One caller that waits on one thread."""

    def __init__(self, *, interrupts: bool) -> None:
        self.interrupts = interrupts
        """Whether a run that waits for people is waited for no longer."""
        self.waits_for: RunId | None = None
        """The run whose end is waited for now."""
        self._ended: dict[RunId, Ended] = {}
        self._changed = trio.Event()
        self._given_up = False

    def publish(self, ended: Ended) -> None:
        """Hand over the end of a run. Synchronous."""
        self._ended[ended.run_id] = ended
        self._changed.set()

    def give_up(self) -> None:
        """Nothing more will be handed over."""
        self._given_up = True
        self._changed.set()

    async def ended(self, run_id: RunId) -> Ended | None:
        """Wait for the end of this run; None when the server stops first.

        A checkpoint only if it has not been handed over yet.
        """
        self.waits_for = run_id
        while run_id not in self._ended and not self._given_up:
            self._changed = trio.Event()
            await self._changed.wait()
        return self._ended.get(run_id)


class Waiters:
    """All waiters, by thread."""

    def __init__(self) -> None:
        self._by_thread: dict[JobKey, dict[Waiter, None]] = {}
        self._over = False

    @contextmanager
    def register(self, job_key: JobKey, *, interrupts: bool = False) -> Iterator[Waiter]:
        """Wait on a thread from now on; nothing that is committed from here on is missed."""
        waiter = Waiter(interrupts=interrupts)
        if self._over:
            waiter.give_up()
        self._by_thread.setdefault(job_key, {})[waiter] = None
        try:
            yield waiter
        finally:
            waiters = self._by_thread[job_key]
            del waiters[waiter]
            if not waiters:
                del self._by_thread[job_key]

    def publish(self, job: Job) -> None:
        """Tell those who wait on this thread that its run is over, or waits for people, if so. Synchronous."""
        if job.status not in TERMINAL and job.status != "interrupted":
            return
        waiters = self._by_thread.get(job.job_key)
        if waiters:
            ended = Ended(job.run_id, job.status, job.result_seq, job.error_seq)
            for waiter in waiters:
                if waiter.interrupts or job.status != "interrupted":
                    waiter.publish(ended)

    def has(self, job_key: JobKey) -> bool:
        """True when somebody waits on this thread."""
        return job_key in self._by_thread

    def threads(self) -> dict[JobKey, set[RunId]]:
        """The threads that are waited on, and the runs of each that are waited for."""
        return {
            key: {waiter.waits_for for waiter in waiters if waiter.waits_for is not None}
            for key, waiters in self._by_thread.items()
        }

    def end_all(self) -> None:
        """The server stops: nobody waits any longer, nor will."""
        self._over = True
        for waiters in self._by_thread.values():
            for waiter in waiters:
                waiter.give_up()

    def __len__(self) -> int:
        return sum(map(len, self._by_thread.values()))
