"""When something has to happen to a run by itself."""

from __future__ import annotations

from oris.core.model import Job


def timeout_at(job: Job) -> int | None:
    """When the run has used up its time under lease, if its present lease goes on until then."""
    if job.lease_id is None or job.timeout_ms is None:
        return None
    return job.lease_granted_ms + max(0, job.timeout_ms - job.used_ms)


def next_deadline(job: Job) -> int | None:
    """The earliest deadline of the run, in engine ms; None when nothing is to come by itself."""
    if job.lease_id is not None:
        timeout_ms = timeout_at(job)
        return job.lease_expires_ms if timeout_ms is None else min(timeout_ms, job.lease_expires_ms)
    if job.status in ("scheduled", "retry_backoff"):
        return job.due_ms
    return None
