"""All rows of a store, for the checks of `core.invariants`. Not for a server's own use: it reads everything."""

from __future__ import annotations

import sqlite3
from typing import TypeVar

from oris.core.api_key import ApiKey
from oris.core.audit import AuditRecord
from oris.core.audit_anchor import AuditAnchor
from oris.core.chain import Entry
from oris.core.hold import Hold
from oris.core.invariants import Snapshot
from oris.core.model import ClosedLease, DeadLetter, IdempotentSubmit, Job, PrunedRun, ReplayClaim, Wait, Worker
from oris.core.tenant import Counts, Tenant
from oris.storage.sqlite import columns as c
from oris.storage.sqlite.load import mode_of, step_of
from oris.storage.sqlite.statements import TOTAL

T = TypeVar("T")

# What belongs to no thread is under a key that no thread can have.
_EVENTS = f"""
SELECT coalesce(j.job_key, '?/' || e.job_id), {c.names(c.EVENTS.fields, "e")}
FROM runtime_events AS e LEFT JOIN runtime_jobs AS j ON j.id = e.job_id
"""
_PAYLOADS = f"""
SELECT coalesce(j.job_key, '?/' || p.job_id), {c.names(c.PAYLOADS.fields, "p")}
FROM runtime_payloads AS p LEFT JOIN runtime_jobs AS j ON j.id = p.job_id
"""


def read_snapshot(connection: sqlite3.Connection) -> Snapshot:
    """One state, read in one transaction unless one is open."""
    fresh = not connection.in_transaction
    if fresh:
        connection.execute("BEGIN")
    try:
        return _read(connection)
    finally:
        if fresh:
            connection.execute("ROLLBACK")


def all_rows(connection: sqlite3.Connection, table: c.Table, struct: type[T]) -> list[T]:
    """All rows of a table, by its number if it has one."""
    order = " ORDER BY id" if "id" in table.own else ""
    return [struct(*row) for row in connection.execute(_select(table) + order)]


def _read(connection: sqlite3.Connection) -> Snapshot:
    rows = Snapshot()
    execute = connection.execute
    rows.jobs = {job.job_key: job for job in all_rows(connection, c.JOBS, Job)}
    rows.past_runs = {job.run_id: job for job in all_rows(connection, c.RUNS, Job)}
    for job_key, *fields in execute(_EVENTS):
        rows.entries.setdefault(job_key, []).append(Entry(job_key, *fields))
    rows.payloads = {(job_key, seq): body for job_key, seq, body in execute(_PAYLOADS)}
    for step in map(step_of, execute(_select(c.STEPS))):
        rows.steps.setdefault(step.run_id, []).append(step)
    rows.closed = {lease.lease_id: lease for lease in all_rows(connection, c.CLOSED_LEASES, ClosedLease)}
    rows.idempotent = all_rows(connection, c.IDEMPOTENT, IdempotentSubmit)
    rows.dead_letters = {letter.run_id: letter for letter in all_rows(connection, c.DEAD_LETTERS, DeadLetter)}
    rows.workers = {worker.worker_key: worker for worker in all_rows(connection, c.WORKERS, Worker)}
    rows.tenants = {tenant.tenant_id: tenant for tenant in all_rows(connection, c.TENANTS, Tenant)}
    rows.audit = all_rows(connection, c.AUDIT_LOG, AuditRecord)
    rows.waits = {wait.wait_id: wait for wait in all_rows(connection, c.WAITS, Wait)}
    rows.api_keys = all_rows(connection, c.API_KEYS, ApiKey)
    rows.claims = {claim.target: claim for claim in all_rows(connection, c.CLAIMS, ReplayClaim)}
    rows.modes = [mode_of(row) for row in execute(_select(c.MODES))]
    rows.holds = {hold.lane: hold for hold in all_rows(connection, c.HOLDS, Hold)}
    rows.pruned_runs = {run.run_id: run for run in all_rows(connection, c.PRUNED_RUNS, PrunedRun)}
    rows.anchors = {anchor.chain_id: anchor for anchor in all_rows(connection, c.ANCHORS, AuditAnchor)}
    rows.total = read_total(connection)
    return rows


def read_total(connection: sqlite3.Connection) -> Counts:
    """What all nodes have counted."""
    return Counts(*connection.execute(TOTAL).fetchone())


def _select(table: c.Table) -> str:
    return f"SELECT {c.names(table.fields)} FROM {table.name}"
