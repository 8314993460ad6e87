"""The disk of the simulated machine: a database in memory that outlives the servers on it, and can be read whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

from oris.core.hold import Hold
from oris.core.invariants import Snapshot
from oris.core.model import Job, Worker
from oris.core.tenant import Counts, Tenant
from oris.ids import JobKey
from oris.storage.sqlite.columns import HOLDS, TENANTS, WORKERS, Table, split
from oris.storage.sqlite.database import Database, MemoryDatabase
from oris.storage.sqlite.snapshot import all_rows, read_snapshot, read_total
from oris.storage.sqlite.statements import JOB_BY_KEY

T = TypeVar("T")


class Disk(MemoryDatabase):
    """Beside the servers, the checkers read it: through the connection, what is really there."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: sqlite3.Connection | None = None

    def open(self, prepare: Callable[[sqlite3.Connection], None], *, shared: bool = False) -> Database:
        """See `MemoryDatabase.open`."""
        database = super().open(prepare, shared=shared)
        self._rows = database.writer
        return database

    def job(self, job_key: JobKey) -> Job | None:
        """One thread's row."""
        rows = self._select(JOB_BY_KEY, *split(job_key))
        return Job(*rows[0][:-1]) if rows else None

    def workers(self) -> list[Worker]:
        """All workers' rows."""
        return self._all(WORKERS, Worker)

    def holds(self) -> list[Hold]:
        """What is known of all workflows' losses."""
        return self._all(HOLDS, Hold)

    def tenants(self) -> list[Tenant]:
        """All tenants' rows."""
        return self._all(TENANTS, Tenant)

    def total(self) -> Counts:
        """What all nodes have counted."""
        assert self._rows is not None
        return read_total(self._rows)

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
        assert self._rows is not None
        return read_snapshot(self._rows)

    def _all(self, table: Table, struct: type[T]) -> list[T]:
        assert self._rows is not None
        return all_rows(self._rows, table, struct)

    def _select(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        assert self._rows is not None
        return self._rows.execute(statement, values).fetchall()
