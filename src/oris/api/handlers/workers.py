"""Workers, as operators see them."""

from __future__ import annotations

import msgspec

from oris.api.envelope import ok
from oris.api.handlers.common import name_in_path, not_found, tenant_filter
from oris.api.http import Answer
from oris.api.services import Call
from oris.core.model import Worker
from oris.ids import NO_TENANT, WorkerId, worker_key, worker_of
from oris.wire.operators import WorkerQuery, WorkersQuery, WorkerView
from oris.wire.times import rfc3339


async def list_workers(call: Call, _: None) -> Answer:
    """`GET /v1/workers`."""
    query: WorkersQuery = call.options
    page = await call.services.engine.reads.workers(tenant_filter(call, query.tenant_id), query.cursor, query.limit)
    workers = [_view(worker) for worker in page.items]
    return ok(call, msgspec.json.encode({"workers": workers, "next_cursor": page.next_cursor}))


async def show(call: Call, _: None) -> Answer:
    """`GET /v1/workers/{worker_id}`."""
    query: WorkerQuery = call.options
    name = WorkerId(name_in_path(call, "worker_id", "worker"))
    tenant = tenant_filter(call, query.tenant_id) or NO_TENANT
    worker = await call.services.engine.reads.worker(worker_key(tenant, name))
    if worker is None:
        raise not_found("worker")
    return ok(call, _view(worker))


def _view(worker: Worker) -> WorkerView:
    return WorkerView(
        worker_id=worker_of(worker.worker_key),
        tenant_id=worker.worker_key.partition("/")[0],
        first_seen_at=rfc3339(worker.first_seen_ms),
        last_seen_at=rfc3339(worker.last_seen_ms),
        active_leases=worker.leased,
    )
