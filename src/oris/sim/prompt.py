"""Whether waiting work and a waiting poll find each other in time (L2): no wake-up may be lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from msgspec import Struct

from oris.core.violation import Violation
from oris.ids import WorkerKey
from oris.sim.judge import Judge
from oris.sim.witness import Witness

REACH_MS = 10
"""Ready work reaches a waiting poll within this while nothing is wrong."""


class WaitingPoll(Struct, frozen=True):
    """A poll with room for work that is at the server."""

    worker_key: WorkerKey
    since_ms: int


class Promptness:
    """Told of the polls by the network, of the queue by the witness; asked after every commit."""

    def __init__(
        self,
        witness: Witness,
        judge: Judge,
        filters: Mapping[WorkerKey, frozenset[str]],
        quiet_since_ms: Callable[[], int],
        free_since_ms: Callable[[WorkerKey], int | None],
        *,
        limited: bool,
        at_once: int,
        reach_ms: int = REACH_MS,
    ) -> None:
        """`limited`: the limits on leases are so narrow that work may have to wait beside a poll. `at_once`: so many
        leases may be all that one commit can give; work then waits for the next. `reach_ms`: within this they find
        each other."""
        self._reach_ms = reach_ms
        self._free_since_ms = free_since_ms
        self._witness = witness
        self._judge = judge
        self._filters = filters
        self._quiet_since_ms = quiet_since_ms
        self._limited = limited
        self._at_once = at_once
        self._full_ms = 0
        """The newest commit that perhaps gave all it could."""
        self._polls: dict[int, WaitingPoll] = {}

    @contextmanager
    def waits(self, number: int, worker_key: WorkerKey, since_ms: int) -> Iterator[None]:
        """A poll is at the server for as long as this is open."""
        self._polls[number] = WaitingPoll(worker_key, since_ms)
        try:
            yield
        finally:
            self._polls.pop(number, None)

    def check(self, now_ms: int) -> None:
        """No run that is queued has stood beside a poll that would take it for long."""
        if self._limited:
            return
        granted = list(self._witness.granted)
        if len(granted) >= self._at_once:
            self._full_ms = now_ms
        served = {run.lease.worker_key for run in granted if run.lease is not None}
        polls = [
            poll
            for poll in self._polls.values()
            if poll.worker_key not in served and self._free_since_ms(poll.worker_key) is not None
        ]
        for thread in self._witness.threads.values() if polls else ():
            run = thread.run
            if run.status == "queued":
                open_ms = self._witness.holds.open_since_ms(run.lane, now_ms)
                if open_ms is not None:
                    self._beside(run.run_id, run.lane.workflow, max(run.queued_ms, open_ms), polls, now_ms)

    def _beside(self, run_id: str, workflow: str, queued_ms: int, polls: list[WaitingPoll], now_ms: int) -> None:
        for poll in polls:
            accepts = self._filters.get(poll.worker_key)
            both_ms = max(queued_ms, poll.since_ms, self._free_since_ms(poll.worker_key) or 0, self._full_ms)
            taken = accepts is None or workflow in accepts
            if taken and now_ms - both_ms > self._reach_ms and both_ms > self._quiet_since_ms():
                what = f"queued for {now_ms - both_ms} ms beside a poll of {poll.worker_key}"
                self._judge.fail(Violation("L2", run_id, what))
