"""Control messages: a worker is told through its parked poll that a lease of its is over.

Each is given to one poll (again to the same poll id); the lasting truth is the heartbeat's state. In memory, bounded:
what a restart or a flood loses, the next heartbeat tells.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from msgspec import Struct

from oris.core.model import ClosedLease, Job
from oris.ids import AttemptId, LeaseId, WorkerKey, attempt_of, run_of_lease

MAX_MESSAGES = 100
"""Messages kept for one worker that does not poll; the oldest go first."""
MAX_WORKERS = 10_000
"""Workers that messages, and last answers, are kept for."""


class Control(Struct, frozen=True):
    """A lease that ended under its worker."""

    type: Literal["cancel", "graceful_cancel", "timed_out", "lost"]
    attempt_id: AttemptId
    lease_id: LeaseId
    reason: str


_TYPES: dict[str, Literal["cancel", "timed_out", "lost"]] = {
    "cancelled": "cancel",
    "timed_out": "timed_out",
    "expired": "lost",
}


def control_of(closed: ClosedLease, reason: str) -> Control | None:
    """The message about an ended lease; None when its worker ended it, or when nobody may hear of it any more: the
    session that held it has been replaced, and the one in its place never had it."""
    kind = _TYPES.get(closed.state)
    run = run_of_lease(closed.lease_id)
    if kind is None or run is None:
        return None
    return Control(kind, attempt_of(run), closed.lease_id, reason)


def graceful_cancel(job: Job) -> Control | None:
    """The message that a run is to be ended by its worker; None when nobody works on it."""
    if job.lease_id is None:
        return None
    return Control("graceful_cancel", attempt_of(job.run_id), job.lease_id, job.reason or "cancelled")


class Mailboxes:
    """Messages that wait for their worker's next poll."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[WorkerKey, list[Control]] = OrderedDict()
        self._given: OrderedDict[tuple[WorkerKey, str], tuple[Control, ...]] = OrderedDict()

    def post(self, worker: WorkerKey, message: Control) -> None:
        """Keep a message for the worker."""
        box = self._waiting.setdefault(worker, [])
        box.append(message)
        del box[:-MAX_MESSAGES]
        self._waiting.move_to_end(worker)
        if len(self._waiting) > MAX_WORKERS:
            self._waiting.popitem(last=False)

    def collect(self, worker: WorkerKey, poll_id: str | None) -> tuple[Control, ...]:
        """What this poll is given: what waits, or what the same poll id was given before."""
        messages = tuple(self._waiting.pop(worker, ()))
        if poll_id is None:
            return messages
        # Once more, for an answer that was lost; a worker that always uses one id would else be told for ever.
        again = self._given.pop((worker, poll_id), ())
        if messages:
            self._given[worker, poll_id] = messages
            if len(self._given) > MAX_WORKERS:
                self._given.popitem(last=False)
        return (*again, *messages)[-MAX_MESSAGES:]

    def forget(self, worker: WorkerKey) -> None:
        """Another process works under this name now: what waits was not meant for it."""
        self._waiting.pop(worker, None)

    def give_back(self, worker: WorkerKey, messages: tuple[Control, ...]) -> None:
        """An answer that never arrived: its messages wait again."""
        for message in messages:
            self.post(worker, message)
