"""All rows of a store, for the checks of `core.invariants`. Not for a server's own use: it reads everything."""

from __future__ import annotations

import sqlite3

from oris.core.api_key import ApiKey
from oris.core.audit import AuditRecord
from oris.core.audit_anchor import AuditAnchor
from oris.core.events import Entry
from oris.core.hold import Hold
from oris.core.invariants import Snapshot
from oris.core.model import ClosedLease, DeadLetter, IdempotentSubmit, Job, PrunedRun, ReplayClaim, Tenant, Wait, Worker
from oris.storage.sqlite.load import mode_of, step_of

_JOBS = "SELECT * FROM runtime_jobs ORDER BY id"
_RUNS = "SELECT * FROM runtime_runs ORDER BY id"
_EVENTS = "SELECT j.job_key, e.* FROM runtime_events AS e LEFT JOIN runtime_jobs AS j ON j.id = e.job_id"
_PAYLOADS = "SELECT j.job_key, p.seq, p.body FROM runtime_payloads AS p LEFT JOIN runtime_jobs AS j ON j.id = p.job_id"
_STEPS = "SELECT * FROM runtime_steps"
_CLOSED = "SELECT * FROM runtime_closed_leases"
_IDEMPOTENT = "SELECT * FROM runtime_idempotency"
_DEAD_LETTERS = "SELECT * FROM runtime_dead_letters ORDER BY id"
_WORKERS = "SELECT * FROM runtime_workers"
_TENANTS = "SELECT * FROM runtime_tenants"
_WAITS = "SELECT * FROM runtime_waits"
_API_KEYS = "SELECT * FROM runtime_api_keys ORDER BY id"
_CLAIMS = "SELECT * FROM runtime_replay_effects"
_PRUNED_RUNS = "SELECT * FROM runtime_pruned_runs"
_ANCHORS = "SELECT * FROM runtime_audit_anchors"
_MODES = "SELECT * FROM runtime_modes ORDER BY node_id"
_HOLDS = "SELECT * FROM runtime_holds ORDER BY tenant_id, workflow"
_AUDIT = "SELECT * FROM runtime_audit_log ORDER BY id"


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


def _read(connection: sqlite3.Connection) -> Snapshot:
    rows = Snapshot()
    execute = connection.execute
    rows.jobs = {job.job_key: job for job in (Job(*row[1:]) for row in execute(_JOBS))}
    rows.past_runs = {job.run_id: job for job in (Job(*row[1:]) for row in execute(_RUNS))}
    for job_key, _, *fields in execute(_EVENTS):
        rows.entries.setdefault(job_key, []).append(Entry(job_key, *fields))
    rows.payloads = {(job_key, seq): body for job_key, seq, body in execute(_PAYLOADS)}
    for step in map(step_of, execute(_STEPS)):
        rows.steps.setdefault(step.run_id, []).append(step)
    rows.closed = {lease.lease_id: lease for lease in (ClosedLease(*row) for row in execute(_CLOSED))}
    rows.idempotent = [IdempotentSubmit(*row) for row in execute(_IDEMPOTENT)]
    rows.dead_letters = {letter.run_id: letter for letter in (DeadLetter(*row[1:]) for row in execute(_DEAD_LETTERS))}
    rows.workers = {worker.worker_key: worker for worker in (Worker(*row) for row in execute(_WORKERS))}
    rows.tenants = {tenant.tenant_id: tenant for tenant in (Tenant(*row) for row in execute(_TENANTS))}
    rows.audit = [AuditRecord(*row[1:]) for row in execute(_AUDIT)]
    rows.waits = {wait.wait_id: wait for wait in (Wait(*row[1:]) for row in execute(_WAITS))}
    rows.api_keys = [ApiKey(*row[1:]) for row in execute(_API_KEYS)]
    rows.claims = {claim.target: claim for claim in (ReplayClaim(*row) for row in execute(_CLAIMS))}
    rows.modes = [mode_of(row) for row in execute(_MODES)]
    rows.holds = {hold.lane: hold for hold in (Hold(*row) for row in execute(_HOLDS))}
    rows.pruned_runs = {run.run_id: run for run in (PrunedRun(*row) for row in execute(_PRUNED_RUNS))}
    rows.anchors = {anchor.chain_id: anchor for anchor in (AuditAnchor(*row) for row in execute(_ANCHORS))}
    return rows
