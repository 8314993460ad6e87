"""Searches that loading, lookups and reads have in common. What was pruned is found by none of them."""

from __future__ import annotations

from collections.abc import Iterator

from oris.core.chain import Entry
from oris.core.model import ClosedLease, Job, Lane, Step, Wait
from oris.ids import JobKey, LeaseId, RunId, WaitId, run_of_lease
from oris.storage.memory.tables import Tables


def latest_run(tables: Tables, job_key: JobKey) -> Job | None:
    """A thread's latest run."""
    job = tables.jobs.get(job_key)
    return None if job is None or job.is_pruned else job


def any_run(tables: Tables, run_id: RunId) -> Job | None:
    """A run, the latest of its thread or one before."""
    past = tables.past_runs.get(run_id)
    if past is not None:
        return past
    return next((job for job in tables.jobs.values() if job.run_id == run_id and not job.is_pruned), None)


def queued(tables: Tables, lane: Lane) -> list[Job]:
    """The due jobs of a lane, in the dispatch order."""
    jobs = (job for job in tables.jobs.values() if job.status == "queued" and job.lane == lane)
    return sorted(jobs, key=lambda job: job.order)


def timeline(tables: Tables, job_key: JobKey, after_seq: int = 0) -> Iterator[Entry]:
    """A thread's events in order, from `after_seq` + 1."""
    job = tables.jobs.get(job_key)
    if job is not None:
        for seq in range(max(after_seq, job.pruned_seq) + 1, job.seq + 1):
            entry = tables.entries.get((job_key, seq))
            if entry is not None:
                yield entry


def latest_steps(tables: Tables, run_id: RunId) -> list[Step]:
    """The latest report of each of a run's own steps, by event."""
    steps = (step for step in tables.steps.values() if step.run_id == run_id and step.latest)
    return sorted(steps, key=lambda step: step.seq)


def closed_lease(tables: Tables, lease_id: LeaseId) -> ClosedLease | None:
    """How a lease ended, when it has."""
    return None if run_of_lease(lease_id) in tables.pruned_runs else tables.closed.get(lease_id)


def wait(tables: Tables, wait_id: WaitId) -> Wait | None:
    """One wait."""
    found = tables.waits.get(wait_id)
    return None if found is None or found.run_id in tables.pruned_runs else found
