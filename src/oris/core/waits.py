"""Waits: one mechanism for time and for people. Each settles once; what is left over is dropped in the same commit."""

from __future__ import annotations

from typing import Literal, assert_never

import msgspec
from msgspec.structs import replace

from oris.core import events as ev
from oris.core.changes import RESUMES_MAX, handed_wait_bytes
from oris.core.facts import Facts
from oris.core.model import SUSPENDED, Job, Wait
from oris.core.transition import Transition
from oris.ids import number_of_wait


def pending(t: Transition, facts: Facts) -> list[Wait]:
    """What the run waits for now, the earliest first; those without a time last."""
    job = t.current
    if job is None or job.status not in SUSPENDED:
        return []
    known = {wait.wait_id: wait for wait in facts.waits(job.run_id)} | t.waits
    found = [wait for wait in known.values() if wait.run_id == job.run_id and wait.status == "pending"]
    return sorted(found, key=lambda wait: (wait.due_ms is None, wait.due_ms or 0, number_of_wait(wait.wait_id)))


def earliest(waits: list[Wait]) -> int | None:
    """The first of their times."""
    return min((wait.due_ms for wait in waits if wait.due_ms is not None), default=None)


def settle_wait(
    t: Transition,
    facts: Facts,
    wait: Wait,
    status: Literal["resumed", "expired"],
    *,
    value: bytes | None = None,
    digest: bytes | None = None,
    by: str | None = None,
) -> Wait:
    """Bring a pending wait to its end, and the run back into the queue if that was what it waited for."""
    due_ms = earliest([other for other in pending(t, facts) if other.wait_id != wait.wait_id])
    size = _handout_bytes(t.job, wait, value)
    seq = t.emit(ev.WaitSettled(wait.wait_id, wait.kind, status, by, due_ms, size), value)
    settled = replace(
        wait,
        status=status,
        settled_ms=t.date_ms,
        settled_by=by,
        settled_seq=seq if value is not None else 0,
        settled_digest=digest,
    )
    t.record_wait(settled)
    go_on_if_satisfied(t, facts)
    return settled


def reject_wait(t: Transition, facts: Facts, wait: Wait, reason: str | None, digest: bytes, by: str) -> Wait:
    """Bring a pending interrupt to the end that its worker has foreseen for a no."""
    due_ms = earliest([other for other in pending(t, facts) if other.wait_id != wait.wait_id])
    value = None if reason is None else msgspec.json.encode(reason)
    seq = t.emit(ev.Rejected(wait.wait_id, reason, by, due_ms, _handout_bytes(t.job, wait, value)), value)
    rejected = replace(
        wait,
        status="rejected",
        settled_ms=t.date_ms,
        settled_by=by,
        settled_seq=seq if value is not None else 0,
        settled_digest=digest,
    )
    t.record_wait(rejected)
    match wait.on_reject:
        case "cancel":
            drop_waits(t, facts)
            t.emit(ev.Cancelled("rejected"))
        case "resume":
            go_on_if_satisfied(t, facts)
        case _:
            assert_never(wait.on_reject)
    return rejected


def go_on_if_satisfied(t: Transition, facts: Facts) -> None:
    """Queue the run when all, or any, of its waits are settled."""
    job = t.job
    if job.status in SUSPENDED and (job.waits_open == 0 or job.wait_mode == "any"):
        drop_waits(t, facts)
        t.emit(ev.Resumed())
        t.emit(ev.AttemptQueued())


def drop_waits(t: Transition, facts: Facts) -> None:
    """What the run waits for does not matter any more. Comes before the event that says so."""
    for wait in pending(t, facts):
        t.record_wait(replace(wait, status="dropped", settled_ms=t.date_ms))


def _handout_bytes(job: Job, wait: Wait, value: bytes | None = None) -> int:
    """What a settled wait adds to a grant. Past the most that is handed out, it takes the place of an older one."""
    takes_place = job.waits_raised > RESUMES_MAX
    return len(value or b"") if takes_place else handed_wait_bytes(wait.key, value)
