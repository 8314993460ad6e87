"""Control messages: a worker is told through its parked poll that a lease of its is over.

Each is meant for the session that held the lease, and given to one poll of it (again to the same poll id); the lasting
truth is the heartbeat's state. In memory, bounded: what a restart or a flood loses, the next heartbeat tells.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal, NamedTuple

from msgspec import Struct

from oris.core.model import ClosedLease, Job
from oris.ids import AttemptId, LeaseId, WorkerKey, attempt_of, run_of_lease

MAX_MESSAGES = 100
"""Messages kept for one worker that does not poll; the oldest go first."""
MAX_HOLDERS = 10_000
"""Holders that messages, and last answers, are kept for."""


class Holder(NamedTuple):
    """Who is told: one process of a worker; without a session, whichever does not name one either."""

    worker_key: WorkerKey
    session: str | None


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
    """Messages that wait for their holder's next poll."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[Holder, list[Control]] = OrderedDict()
        self._given: OrderedDict[tuple[Holder, str], tuple[Control, ...]] = OrderedDict()

    def post(self, holder: Holder, message: Control) -> None:
        """Keep a message for the holder."""
        box = self._waiting.setdefault(holder, [])
        box.append(message)
        del box[:-MAX_MESSAGES]
        self._waiting.move_to_end(holder)
        if len(self._waiting) > MAX_HOLDERS:
            self._waiting.popitem(last=False)

    def collect(self, holder: Holder, poll_id: str | None) -> tuple[Control, ...]:
        """What this poll is given: what waits, or what the same poll id was given before."""
        messages = tuple(self._waiting.pop(holder, ()))
        if poll_id is None:
            return messages
        # Once more, for an answer that was lost; a worker that always uses one id would else be told for ever.
        again = self._given.pop((holder, poll_id), ())
        if messages:
            self._given[holder, poll_id] = messages
            if len(self._given) > MAX_HOLDERS:
                self._given.popitem(last=False)
        return (*again, *messages)[-MAX_MESSAGES:]

    def forget(self, holder: Holder) -> None:
        """Another process works under its name now: nobody will ask for what waits."""
        self._waiting.pop(holder, None)

    def give_back(self, holder: Holder, messages: tuple[Control, ...]) -> None:
        """An answer that never arrived: its messages wait again."""
        for message in messages:
            self.post(holder, message)
