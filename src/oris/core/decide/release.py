"""Release: a lease is given back, by its worker or by the server for a caller that never got the answer."""

from __future__ import annotations

from hashlib import sha256

from oris.core import events as ev
from oris.core.changes import Decision
from oris.core.commands import Release
from oris.core.decide.due import end_cancelled, settle
from oris.core.facts import Facts
from oris.core.lease import closed_by, holds
from oris.core.replies import Refusal, Released
from oris.core.stamp import Stamp
from oris.core.transition import Transition
from oris.ids import run_of_lease


def release(facts: Facts, command: Release, stamp: Stamp) -> Decision:
    """Not a failure: nothing is counted, and the job keeps its place in the order."""
    t = Transition(facts.job_of(run_of_lease(command.lease_id)), stamp)
    settle(t, facts)
    if not holds(t, command.lease_id, command.worker_key):
        return t.decision(_again(facts, t, command))
    # What the server takes back says nothing of the worker, who never got it.
    t.close_lease("released", _digest(command), end="taken" if command.worker_key is None else "normal")
    if t.job.status == "cancelling":
        end_cancelled(t, command.lease_id)
    elif command.delay_ms:
        t.emit(ev.LeaseReleased(command.lease_id, t.date_ms + command.delay_ms))
    else:
        t.emit(ev.LeaseReleased(command.lease_id))
        t.emit(ev.AttemptQueued())
    return t.decision(Released(command.lease_id))


def _again(facts: Facts, t: Transition, command: Release) -> Released | Refusal:
    closed = closed_by(facts, t, command.lease_id, command.worker_key, _digest(command))
    return closed if isinstance(closed, Refusal) else Released(command.lease_id)


def _digest(command: Release) -> bytes:
    return sha256(f"release {command.delay_ms}".encode()).digest()
