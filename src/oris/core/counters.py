"""Counters of a batch: how many runs wait and are held, of each tenant, of each worker, and in all.

They are read as they stand in the store and written as what is added to them, because another node may have added to
the same rows meanwhile.
"""

from __future__ import annotations

from oris.core.changes import Changes, TenantChange
from oris.core.model import Worker
from oris.core.needs import Loaded
from oris.core.tenant import Counts, Tenant
from oris.ids import TenantId, WorkerKey


class Counters:
    """The rows that were loaded, and what this batch has added to them."""

    def __init__(self, loaded: Loaded, changes: Changes) -> None:
        self._changes = changes
        self._tenants = dict(loaded.tenants)
        self.workers = dict(loaded.workers)
        self.total = loaded.total
        """The runs of the whole store, if it was asked for how many there are."""

    def tenant(self, tenant_id: TenantId) -> Tenant:
        """The tenant's row, a fresh one if it has no jobs yet."""
        return self._tenants.get(tenant_id) or Tenant(tenant_id, 0, 0, 0)

    def put_worker(self, worker: Worker) -> None:
        """A worker's row is like this from now on."""
        key, leases = worker.worker_key, self._changes.worker_leases
        before = self.workers.get(key)
        leases[key] = leases.get(key, 0) + worker.leased - (0 if before is None else before.leased)
        self.workers[key] = self._changes.workers[key] = worker

    def forget_worker(self, key: WorkerKey) -> None:
        """A worker's row is deleted."""
        self.workers.pop(key, None)
        self._changes.workers.pop(key, None)
        self._changes.worker_leases.pop(key, None)
        self._changes.forgotten_workers.append(key)

    def count(self, tenant_id: TenantId, counts: Counts) -> None:
        """So many more runs of a tenant wait and are held."""
        self.total += counts
        self._changes.total += counts
        self._put_tenant(tenant_id, counts, self.tenant(tenant_id).served)

    def served(self, tenant_id: TenantId, turn: int) -> None:
        """Note when a tenant got something last: the tie-break between equals."""
        self._put_tenant(tenant_id, Counts(), turn)

    def _put_tenant(self, tenant_id: TenantId, counts: Counts, served: int) -> None:
        row = self.tenant(tenant_id)
        self._tenants[tenant_id] = Tenant(
            tenant_id, row.waiting + counts.waiting, row.leased + counts.leased, served, row.delayed + counts.delayed
        )
        added = self._changes.tenants.get(tenant_id) or TenantChange(tenant_id)
        self._changes.tenants[tenant_id] = TenantChange(
            tenant_id,
            added.waiting + counts.waiting,
            added.leased + counts.leased,
            served,
            added.delayed + counts.delayed,
        )
