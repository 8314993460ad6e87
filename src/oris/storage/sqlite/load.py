"""Facts: from `Needs` to the rows they name. One synchronous pass over one connection, inside a transaction."""

from __future__ import annotations

import sqlite3
from operator import attrgetter
from typing import Any, NamedTuple

from oris.core.api_key import ApiKey
from oris.core.hold import PROBE_HEADS, Hold, is_held
from oris.core.lookups import answered
from oris.core.mode import Mode
from oris.core.model import SUSPENDED, ClosedLease, IdempotentSubmit, Job, Lane, Step, Wait, Worker, sources_of
from oris.core.needs import Heads, Loaded, Needs
from oris.core.replays import gather
from oris.core.tenant import Counts, Tenant
from oris.ids import JobKey, LeaseId, RunId, TenantId, WorkerKey
from oris.storage.sqlite import statements as sql
from oris.storage.sqlite.columns import split
from oris.storage.sqlite.lookups import SqliteLookups
from oris.storage.sqlite.retention import load_retention


class JobRow(NamedTuple):
    """A job as it stands in the database, with the rowid its update needs."""

    id: int
    job: Job


class Found(NamedTuple):
    """What was loaded, and the row of every job in it."""

    loaded: Loaded
    rows: dict[JobKey, JobRow]


def load(connection: sqlite3.Connection, needs: Needs) -> Found:
    """Read all that is needed. Keys go in sorted: neighbours share pages, and nothing depends on hash order."""
    found = Found(Loaded(), {})
    _load_jobs(connection, needs, found)
    any_hold = connection.execute(sql.ANY_HOLD).fetchone() is not None
    if any_hold:
        _load_holds(connection, needs.lanes.union(needs.heads), found.loaded)
    _load_heads(connection, needs, found)
    _load_polls(connection, needs, found)
    _load_waits(connection, needs, found)
    _load_replays(connection, needs, found)
    load_retention(connection, needs, found.loaded)
    if any_hold:
        runs = (*(job for _, job in found.rows.values()), *found.loaded.past_runs.values())
        _load_holds(connection, {run.lane for run in runs}, found.loaded)
    _load_counters(connection, needs, found)
    _load_details(connection, needs, found)
    return found


def step_of(row: tuple[Any, ...]) -> Step:
    """A step; its last column is a truth value."""
    run_id, action_id, status, token, digest, seq, checkpoint_seq, latest = row
    return Step(run_id, action_id, status, token, digest, seq, checkpoint_seq, latest == 1)


def mode_of(row: tuple[Any, ...]) -> Mode:
    """A row of the modes; its switches are truth values."""
    node, submit, dispatch, reason, set_by, set_ms = row
    return Mode(node, submit == 1, dispatch == 1, reason, set_by, set_ms)


def _job(found: Found, row: tuple[Any, ...]) -> Job:
    """One row's job; a row met twice is one object."""
    known = found.rows.get(row[0])
    if known is not None:
        return known.job
    job = Job(*row[:-1])
    found.rows[job.job_key] = JobRow(row[-1], job)
    return job


def _load_jobs(connection: sqlite3.Connection, needs: Needs, found: Found) -> None:
    execute, jobs = connection.execute, found.loaded.jobs
    for key in sorted(needs.jobs):
        row = execute(sql.JOB_BY_KEY, split(key)).fetchone()
        if row is not None:
            jobs[key] = _job(found, row)
    for run in sorted(needs.runs):
        row = execute(sql.JOB_BY_RUN, (run,)).fetchone()
        if row is not None:
            job = _job(found, row)
            jobs[job.job_key] = job
    for thread in sorted(needs.threads):
        for row in execute(sql.QUEUED_OF_THREAD, (thread,)).fetchall():
            job = _job(found, row)
            jobs[job.job_key] = job


def _load_heads(connection: sqlite3.Connection, needs: Needs, found: Found) -> None:
    for lane in sorted(needs.heads):
        wanted = needs.heads[lane]
        least: tuple[Job, ...] = ()
        if is_held(found.loaded.holds.get(lane)):
            rows = connection.execute(sql.LOST_LEAST, (lane.tenant_id, lane.workflow, PROBE_HEADS, wanted)).fetchall()
            least = tuple(_job(found, row) for row in rows)
            if len(rows) < min(wanted, PROBE_HEADS):
                found.loaded.heads[lane] = Heads(tuple(sorted(least, key=attrgetter("order"))), True, least)
                continue
            # One of these is probed. Of the first, one stands for all: should the hold end, the next commit goes on.
            wanted = 1
        rows = connection.execute(sql.LANE_HEADS, (lane.tenant_id, lane.workflow, wanted + 1)).fetchall()
        jobs = tuple(_job(found, row) for row in rows[:wanted])
        found.loaded.heads[lane] = Heads(jobs, len(rows) <= wanted, least)


def _load_holds(connection: sqlite3.Connection, lanes: set[Lane], loaded: Loaded) -> None:
    """What is known of these workflows' losses."""
    for lane in sorted(lanes - loaded.holds.keys()):
        row = connection.execute(sql.HOLD, (lane.tenant_id, lane.workflow)).fetchone()
        if row is not None:
            loaded.holds[lane] = Hold(*row)


def _lost_by(connection: sqlite3.Connection, lease_id: LeaseId) -> set[WorkerKey]:
    """The workers who have lost earlier leases of the same run: should it be to blame, they are not."""
    first = lease_id[: len("lse_") + 32]
    return {row[0] for row in connection.execute(sql.LOST_BY, (first, lease_id))}


def _load_polls(connection: sqlite3.Connection, needs: Needs, found: Found) -> None:
    for poll in sorted(needs.polls):
        rows = connection.execute(sql.JOBS_BY_POLL, poll).fetchall()
        if rows:
            found.loaded.polls[poll] = tuple(_job(found, row) for row in rows)


def _load_replays(connection: sqlite3.Connection, needs: Needs, found: Found) -> None:
    """What each replay has to see; a thread that is not there has nothing."""
    lookups = SqliteLookups(connection, lambda key: found.rows[key].id)
    for key, run_id, seq in sorted(needs.replays):
        job = found.loaded.jobs.get(key)
        if job is not None:
            answered(gather(job, run_id, seq, found.loaded), lookups)


def _load_waits(connection: sqlite3.Connection, needs: Needs, found: Found) -> None:
    """What the jobs that were found wait for, and the waits that were named."""
    execute = connection.execute
    rows: list[tuple[Any, ...]] = []
    for _, job in found.rows.values():
        if job.status in SUSPENDED:
            rows += execute(sql.PENDING_WAITS, (job.run_id,))
        if job.job_key in needs.interrupts:
            rows += execute(sql.NEWEST_INTERRUPTS, (job.run_id,))
    for thread, key in sorted(needs.questions):
        latest = found.loaded.jobs.get(thread)
        if latest is not None:
            rows += execute(sql.WAIT_BY_KEY, (latest.run_id, key))
    for named in sorted(needs.wait_keys):
        rows += execute(sql.WAIT_BY_KEY, named)
    for wait_id in sorted(needs.waits):
        rows += execute(sql.WAIT, (wait_id,))
    for row in rows:
        wait = Wait(*row)
        found.loaded.waits[wait.wait_id] = wait


def _load_counters(connection: sqlite3.Connection, needs: Needs, found: Found) -> None:
    """The worker and tenant rows that any of the jobs found may change."""
    workers: set[WorkerKey] = set(needs.workers)
    tenants: set[TenantId] = set(needs.tenants)
    tenants.update(lane.tenant_id for lane in needs.heads)
    workers.update(worker_key for worker_key, _ in needs.polls)
    for _, job in found.rows.values():
        tenants.add(job.tenant_id)
        if job.worker_key is not None:
            workers.add(job.worker_key)
        if job.losses and job.lease_id is not None:
            workers |= _lost_by(connection, job.lease_id)
    for worker_key in sorted(workers):
        row = connection.execute(sql.WORKER, (worker_key,)).fetchone()
        if row is not None:
            found.loaded.workers[worker_key] = Worker(*row)
    for tenant_id in sorted(tenants):
        row = connection.execute(sql.TENANT, (tenant_id,)).fetchone()
        if row is not None:
            found.loaded.tenants[tenant_id] = Tenant(*row)


def _taken_over(needs: Needs, found: Found) -> set[tuple[RunId, str]]:
    """The same steps in the runs that a replay goes on from."""
    runs = {job.run_id: job for _, job in found.rows.values() if job.sources is not None}
    return {(source, action) for run, action in needs.steps if run in runs for source, _ in sources_of(runs[run])}


def _load_details(connection: sqlite3.Connection, needs: Needs, found: Found) -> None:
    loaded = found.loaded
    # A lease that still stands in its job's row has not ended: no look-up for what cannot be there.
    standing = {job.lease_id for _, job in found.rows.values()}
    for lease in sorted(needs.closed - standing):
        row = connection.execute(sql.CLOSED_LEASE, (lease,)).fetchone()
        if row is not None:
            loaded.closed[lease] = ClosedLease(*row)
    for session in sorted(needs.ended_sessions):
        if connection.execute(sql.ENDED_SESSION, session).fetchone() is not None:
            loaded.ended_sessions.add(session)
    for name in sorted(needs.modes):
        row = connection.execute(sql.MODE, (name,)).fetchone()
        if row is not None:
            loaded.modes[name] = mode_of(row)
    if needs.total:
        loaded.total = Counts(*connection.execute(sql.TOTAL).fetchone())
    loaded.node_names = {
        name for name in sorted(needs.node_names) if connection.execute(sql.NODE_NAME, (name,)).fetchone() is not None
    }
    for node in sorted(needs.nodes):
        row = connection.execute(sql.NODE, (node,)).fetchone()
        if row is not None:
            loaded.nodes[node] = row[0]
    for key in sorted(needs.idempotent):
        row = connection.execute(sql.IDEMPOTENT, (key,)).fetchone()
        if row is not None:
            loaded.idempotent[key] = IdempotentSubmit(*row)
    for step in sorted(needs.steps | _taken_over(needs, found)):
        rows = connection.execute(sql.STEPS_OF_ACTION, step).fetchall()
        if rows:
            loaded.steps[step] = [step_of(row) for row in rows]
    for key_id in sorted(needs.api_keys):
        row = connection.execute(sql.API_KEY, (key_id,)).fetchone()
        if row is not None:
            loaded.api_keys[key_id] = ApiKey(*row)
