"""The disk of the simulated machine: a database in memory that outlives the servers on it, and can be read whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from oris.core.audit import AuditRecord
from oris.core.audit_anchor import AuditAnchor
from oris.core.events import Entry
from oris.core.hold import Hold
from oris.core.invariants import Snapshot
from oris.core.model import ClosedLease, DeadLetter, IdempotentSubmit, Job, PrunedRun, ReplayClaim, Tenant, Wait, Worker
from oris.ids import JobKey
from oris.storage.sqlite.database import Database, MemoryDatabase
from oris.storage.sqlite.load import mode_of, step_of


class Disk(MemoryDatabase):
    """Beside the servers, the checkers read it: through the connection, what is really there."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: sqlite3.Connection | None = None

    def open(self, prepare: Callable[[sqlite3.Connection], None]) -> Database:
        """See `MemoryDatabase.open`."""
        database = super().open(prepare)
        self._rows = database.writer
        # The migration draws it from SQLite's own chance, which no seed reaches, and answers show what it makes.
        database.writer.execute("UPDATE runtime_secrets SET secret = zeroblob(32)")
        return database

    def job(self, job_key: JobKey) -> Job | None:
        """One thread's row."""
        tenant, _, thread = job_key.partition("/")
        rows = self._select("SELECT * FROM runtime_jobs WHERE thread_id = ? AND tenant_id = ?", thread, tenant)
        return Job(*rows[0][1:]) if rows else None

    def workers(self) -> list[Worker]:
        """All workers' rows."""
        return [Worker(*row) for row in self._select("SELECT * FROM runtime_workers")]

    def holds(self) -> list[Hold]:
        """What is known of all workflows' losses."""
        return [Hold(*row) for row in self._select("SELECT * FROM runtime_holds")]

    def tenants(self) -> list[Tenant]:
        """All tenants' rows."""
        return [Tenant(*row) for row in self._select("SELECT * FROM runtime_tenants")]

    def runs_by_status(self) -> dict[tuple[str, str], int]:
        """How many runs of each (tenant, status) there are, past ones included."""
        rows = self._select(
            "SELECT tenant_id, status, count(*) FROM "
            "(SELECT tenant_id, status FROM runtime_jobs WHERE pruned_seq < seq "
            "UNION ALL SELECT tenant_id, status FROM runtime_runs) "
            "GROUP BY tenant_id, status"
        )
        return {(tenant, status): number for tenant, status, number in rows}

    def pruned_by_tenant(self) -> dict[str, int]:
        """How many runs have gone."""
        rows = self._select("SELECT tenant_id, sum(pruned_runs) FROM runtime_jobs GROUP BY tenant_id")
        return {tenant: number for tenant, number in rows if number}

    def snapshot(self) -> Snapshot:
        """Every row."""
        found = Snapshot()
        keys: dict[int, JobKey] = {}
        for number, *row in self._select("SELECT * FROM runtime_jobs"):
            job = Job(*row)
            keys[number] = job.job_key
            found.jobs[job.job_key] = job
        for _, *row in self._select("SELECT * FROM runtime_runs"):
            past = Job(*row)
            found.past_runs[past.run_id] = past
        for number, *row in self._select("SELECT * FROM runtime_events ORDER BY job_id, seq"):
            key = keys.get(number, JobKey(f"?/{number}"))
            found.entries.setdefault(key, []).append(Entry(key, *row))
        for number, seq, body in self._select("SELECT * FROM runtime_payloads"):
            found.payloads[keys.get(number, JobKey(f"?/{number}")), seq] = body
        for found_step in self._select("SELECT * FROM runtime_steps"):
            step = step_of(found_step)
            found.steps.setdefault(step.run_id, []).append(step)
        found.closed = {row[0]: ClosedLease(*row) for row in self._select("SELECT * FROM runtime_closed_leases")}
        found.idempotent = [IdempotentSubmit(*row) for row in self._select("SELECT * FROM runtime_idempotency")]
        for _, *row in self._select("SELECT * FROM runtime_dead_letters"):
            found.dead_letters[row[0]] = DeadLetter(*row)
        found.waits = {row[1]: Wait(*row[1:]) for row in self._select("SELECT * FROM runtime_waits")}
        for claim in self._select("SELECT * FROM runtime_replay_effects"):
            found.claims[claim[0]] = ReplayClaim(*claim)
        found.workers = {worker.worker_key: worker for worker in self.workers()}
        found.tenants = {tenant.tenant_id: tenant for tenant in self.tenants()}
        found.audit = [AuditRecord(*row[1:]) for row in self._select("SELECT * FROM runtime_audit_log")]
        found.modes = [mode_of(row) for row in self._select("SELECT * FROM runtime_modes")]
        found.holds = {hold.lane: hold for hold in self.holds()}
        found.pruned_runs = {row[0]: PrunedRun(*row) for row in self._select("SELECT * FROM runtime_pruned_runs")}
        found.anchors = {row[0]: AuditAnchor(*row) for row in self._select("SELECT * FROM runtime_audit_anchors")}
        return found

    def _select(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        assert self._rows is not None
        return self._rows.execute(statement, values).fetchall()
