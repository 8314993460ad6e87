"""Changes: one statement per kind of row, run over all rows of the batch. Inside a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any

from msgspec.structs import astuple, replace

from oris.core.chain import Entry
from oris.core.changes import Changes
from oris.core.hold import FORGETS_MS, Hold
from oris.core.model import Job, Lane
from oris.ids import JobKey, NodeId
from oris.storage.sqlite import statements as sql
from oris.storage.sqlite.columns import EVENTS, RUN_FIELDS
from oris.storage.sqlite.load import JobRow
from oris.storage.sqlite.retention import delete

_run_fields: Callable[[Job], tuple[Any, ...]] = attrgetter(*RUN_FIELDS)
_event_fields: Callable[[Entry], tuple[Any, ...]] = attrgetter(*EVENTS.fields)


def write(
    connection: sqlite3.Connection, changes: Changes, rows: Mapping[JobKey, JobRow], here: NodeId
) -> dict[JobKey, int]:
    """Write a whole batch of this node. `rows` are the jobs as they were loaded: what they lack is new.

    The answer is the id of every job loaded or written.
    """
    ids = {key: row.id for key, row in rows.items()}
    delete(connection, changes, here)
    _write_jobs(connection, changes.jobs.values(), rows, ids)
    many = connection.executemany
    if changes.entries:
        many(sql.INSERT_EVENT, ((ids[entry.job_key], *_event_fields(entry)) for entry in changes.entries))
    if changes.payloads:
        many(sql.INSERT_PAYLOAD, ((ids[payload.job_key], payload.seq, payload.body) for payload in changes.payloads))
    if changes.steps:
        many(sql.WRITE_STEP, map(astuple, changes.steps))
    if changes.waits:
        many(sql.WRITE_WAIT, map(astuple, changes.waits.values()))
    if changes.closed:
        many(sql.INSERT_CLOSED_LEASE, map(astuple, changes.closed))
    if changes.idempotent:
        many(sql.INSERT_IDEMPOTENT, map(astuple, changes.idempotent))
    if changes.past_runs:
        many(sql.INSERT_PAST_RUN, map(astuple, changes.past_runs))
    if changes.dead_letters:
        many(sql.WRITE_DEAD_LETTER, map(astuple, changes.dead_letters))
    if changes.claims:
        many(sql.WRITE_CLAIM, map(astuple, changes.claims.values()))
    if changes.ended_sessions:
        many(sql.INSERT_ENDED_SESSION, map(astuple, changes.ended_sessions))
    if changes.holds:
        _write_holds(connection, changes.holds)
    if changes.api_keys:
        many(sql.WRITE_API_KEY, map(astuple, changes.api_keys.values()))
    if changes.modes:
        many(sql.WRITE_MODE, map(astuple, changes.modes.values()))
    if changes.audit:
        many(sql.INSERT_AUDIT, map(astuple, changes.audit))
    _write_counters(connection, changes)
    return ids


def _write_counters(connection: sqlite3.Connection, changes: Changes) -> None:
    """Rows that several nodes add to: the last ones, each kind in one order, so that no node waits long or for ever."""
    if changes.workers:
        added = ((worker, changes.worker_leases.get(key, 0)) for key, worker in sorted(changes.workers.items()))
        connection.executemany(sql.WRITE_WORKER, (astuple(replace(worker, leased=leases)) for worker, leases in added))
    if changes.tenants:
        connection.executemany(sql.WRITE_TENANT, (astuple(changes.tenants[key]) for key in sorted(changes.tenants)))


def _write_holds(connection: sqlite3.Connection, holds: Mapping[Lane, Hold | None]) -> None:
    """A workflow of which nothing is known has no row; losses that are too old to matter go on the way."""
    gone = [(lane.tenant_id, lane.workflow) for lane, hold in holds.items() if hold is None]
    kept = [hold for hold in holds.values() if hold is not None]
    if gone:
        connection.executemany(sql.DELETE_HOLD, gone)
    if kept:
        connection.executemany(sql.WRITE_HOLD, map(astuple, kept))
        newest_ms = max(hold.changed_ms for hold in kept)
        connection.execute(sql.DELETE_OLD_HOLDS, (newest_ms - FORGETS_MS,))


def _write_jobs(
    connection: sqlite3.Connection, jobs: Iterable[Job], rows: Mapping[JobKey, JobRow], ids: dict[JobKey, int]
) -> None:
    """Each job by the narrowest statement that holds its change, so that no index is touched for nothing."""
    new: list[Job] = []
    replaced: list[tuple[Any, ...]] = []
    moved: list[tuple[Any, ...]] = []
    renewed: list[tuple[int, int, int]] = []
    for job in jobs:
        row = rows.get(job.job_key)
        if row is None:
            new.append(job)
        elif (
            row.job.run_id != job.run_id
            or row.job.pruned_seq != job.pruned_seq
            or row.job.available_ms != job.available_ms
        ):
            # What changes with a new run, with retention, and when a date moves: the whole row.
            replaced.append((*astuple(job), row.id))
        elif row.job.seq == job.seq and row.job.wake_ms == job.wake_ms:
            # Without an event only the lease's end and the wake-up time change.
            renewed.append((job.lease_expires_ms, job.lease_asked_ms, row.id))
        else:
            moved.append((*_run_fields(job), row.id))
    if new:
        (next_id,) = connection.execute(sql.NEXT_JOB_ID).fetchone()
        ids.update((job.job_key, number) for number, job in enumerate(new, next_id))
        connection.executemany(sql.INSERT_JOB, ((ids[job.job_key], *astuple(job)) for job in new))
    if replaced:
        connection.executemany(sql.UPDATE_JOB, replaced)
    if moved:
        connection.executemany(sql.UPDATE_RUN, moved)
    if renewed:
        connection.executemany(sql.UPDATE_LEASE_END, renewed)
