"""When something has to happen to a run by itself."""

from __future__ import annotations

from oris.core.model import Job


def timeout_at(job: Job) -> int | None:
    """When the run has used up its time under lease, if its present lease goes on until then."""
    if job.lease_id is None or job.timeout_ms is None:
        return None
    return job.lease_granted_ms + max(0, job.timeout_ms - job.used_ms)


def limit_at(job: Job) -> int | None:
    """When the run's present lease is over, however long its worker asks for it: its time under lease is used up, or
    the time that the worker has to end a run whose end was asked for."""
    known = [at_ms for at_ms in (timeout_at(job), job.cancel_due_ms) if at_ms is not None]
    return min(known, default=None)


def next_deadline(job: Job) -> int | None:
    """The run's earliest deadline by the engine's clock; None when it has none. One by the calendar, which is its only
    one then, stands in `due_ms` alone: see `has_date`."""
    if job.lease_id is not None:
        limit_ms = limit_at(job)
        return job.lease_expires_ms if limit_ms is None else min(job.lease_expires_ms, limit_ms)
    return job.due_ms if job.status == "retry_backoff" else None


def has_date(job: Job) -> bool:
    """Whether `due_ms` goes by the calendar: what somebody has given a date, or a while from a date on. A backoff is
    the server's own pause, and goes by the engine's clock, so that no clock that is set makes it longer."""
    return job.due_ms is not None and job.status in ("scheduled", "suspended", "interrupted")


def is_due(job: Job, now_ms: int, date_ms: int) -> bool:
    """Whether the run's `due_ms` has come."""
    return job.due_ms is not None and job.due_ms <= (date_ms if has_date(job) else now_ms)
