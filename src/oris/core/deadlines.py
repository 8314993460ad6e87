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
        known = (job.lease_expires_ms, timeout_at(job), job.cancel_due_ms)
        return min(at_ms for at_ms in known if at_ms is not None)
    if job.status in ("scheduled", "retry_backoff", "suspended", "interrupted"):
        return job.due_ms
    return None
