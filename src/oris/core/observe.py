"""What the events of a run tell an observer: its steps with their durations, and the leases it was worked on under."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from oris.core import events as ev
from oris.core.chain import Entry
from oris.core.fold import LeaseEnd
from oris.core.model import StepStatus
from oris.ids import LeaseId, WorkerId, worker_of


class Moment(Struct, frozen=True):
    """When an event was, by the engine's clock, which tells how long things took, and by the calendar."""

    now_ms: int
    date_ms: int


class StepSpan(Struct, frozen=True):
    """One try of a step."""

    action_id: str
    status: StepStatus
    attempt_no: int
    worker_id: WorkerId | None
    seq: int
    """The event that told how it stands."""
    started: Moment | None
    """None: its start was not reported."""
    ended: Moment | None
    """None: its end was not reported."""


class LeaseSpan(Struct, frozen=True):
    """One lease of the run."""

    lease_id: LeaseId
    worker_id: WorkerId
    fence: int
    attempt_no: int
    granted: Moment
    ended: Moment | None
    """None: it is live, or nobody has looked at its end yet."""
    ended_by: str | None
    """The type of the event that ended it."""
    cause: str | None = None
    """Why it was lost."""


class Observed(Struct):
    """In the order of their first events."""

    steps: list[StepSpan]
    leases: list[LeaseSpan]


def observe(entries: Iterable[Entry]) -> Observed:
    """The steps and leases that events of one run, in order, tell of. What began before the first of them is told
    without its beginning; a lease that was granted before is not told, nor what stands in a damaged row."""
    found = Observed([], [])
    open_steps: dict[str, int] = {}
    for entry in entries:
        body = ev.body_of(entry)
        if isinstance(body, ev.StepRecorded):
            _step(found.steps, open_steps, entry, body)
        elif isinstance(body, ev.LeaseGranted):
            worker = worker_of(body.worker_key)
            span = LeaseSpan(body.lease_id, worker, body.fence, entry.attempt_no, _moment(entry), None, None)
            found.leases.append(span)
        elif isinstance(body, LeaseEnd) and found.leases and found.leases[-1].ended_by is None:
            cause = body.cause if isinstance(body, ev.LeaseExpired) else None
            ended = {"ended": _end(entry, body), "ended_by": entry.event_type, "cause": cause}
            found.leases[-1] = replace(found.leases[-1], **ended)
    return found


def _step(steps: list[StepSpan], open_steps: dict[str, int], entry: Entry, body: ev.StepRecorded) -> None:
    started = body.status == "started"
    place = None if started else open_steps.pop(body.action_id, None)
    ended = None if started else _moment(entry)
    if place is not None:
        steps[place] = replace(steps[place], status=body.status, seq=entry.seq, ended=ended)
        return
    if started:
        open_steps[body.action_id] = len(steps)
    began = _moment(entry) if started else None
    steps.append(StepSpan(body.action_id, body.status, entry.attempt_no, entry.worker_id, entry.seq, began, ended))


def _end(entry: Entry, body: LeaseEnd) -> Moment:
    """A deadline that was applied late ended the lease when it was due."""
    if isinstance(body, ev.LeaseExpired):
        return Moment(body.expired_ms, body.expired_ms + entry.skew_ms)
    return Moment(body.at_ms, body.at_ms + entry.skew_ms) if isinstance(body, ev.TimedOut) else _moment(entry)


def _moment(entry: Entry) -> Moment:
    return Moment(entry.at_ms - entry.skew_ms, entry.at_ms)
