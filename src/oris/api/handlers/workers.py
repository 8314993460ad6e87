"""Workers, as operators see them."""

from __future__ import annotations

from oris.api.envelope import ok
from oris.api.handlers.common import (
    accepted,
    audit,
    audit_refusal,
    name_in_path,
    next_cursor,
    not_found,
    place_after,
    tenant_filter,
)
from oris.api.handlers.dates import date_or_none
from oris.api.http import Answer
from oris.api.services import Call
from oris.core.commands import ClearQuarantine
from oris.core.model import Worker
from oris.core.quarantine import is_quarantined
from oris.core.replies import QuarantineCleared
from oris.engine.unit import Unit
from oris.errors import ApiError
from oris.ids import NO_TENANT, WorkerId, WorkerKey, worker_key, worker_of
from oris.wire.operators import ClearQuarantineRequest, WorkerQuery, WorkersQuery, WorkerView
from oris.wire.pages import WorkersPage
from oris.wire.times import rfc3339


async def list_workers(call: Call, _: None) -> Answer:
    """`GET /v1/workers`."""
    query: WorkersQuery = call.options
    tenant = tenant_filter(call, query.tenant_id)
    page = await call.services.engine.reads.workers(tenant, place_after(call, query.cursor), query.limit)
    found = tuple(_view(call, worker) for worker in page.items)
    return ok(call, WorkersPage(found, next_cursor(call, page)))


async def show(call: Call, _: None) -> Answer:
    """`GET /v1/workers/{worker_id}`."""
    query: WorkerQuery = call.options
    worker = await call.services.engine.reads.worker(_named(call, query.tenant_id))
    if worker is None:
        raise not_found("worker")
    return ok(call, _view(call, worker))


async def clear_quarantine(call: Call, body: ClearQuarantineRequest) -> Answer:
    """`POST /v1/workers/{worker_id}/clear-quarantine`: harmless for one that is not quarantined."""
    try:
        key = _named(call, body.tenant_id)
    except ApiError as error:
        name = call.path_params["worker_id"][:256]
        await audit_refusal(call, audit(call, "worker", name), error)
        raise
    tenant = key.partition("/")[0]
    told = audit(call, "worker", worker_of(key), tenant)
    answer = await call.services.engine.ask(Unit("write", [ClearQuarantine(key)], audit=told))
    return ok(call, _view(call, accepted(answer.replies[0], QuarantineCleared).worker))


def _named(call: Call, tenant: str | None) -> WorkerKey:
    """The worker in the path, of the tenant that is named or that the credential is bound to."""
    name = WorkerId(name_in_path(call, "worker_id", "worker"))
    return worker_key(tenant_filter(call, tenant) or NO_TENANT, name)


def _view(call: Call, worker: Worker) -> WorkerView:
    engine = call.services.engine
    roster, key = engine.roster, worker.worker_key
    until_ms = worker.quarantined_until_ms if is_quarantined(worker) else None
    return WorkerView(
        worker_id=worker_of(key),
        tenant_id=key.partition("/")[0],
        session=worker.session,
        first_seen_at=rfc3339(worker.first_seen_ms),
        last_seen_at=rfc3339(max(worker.last_seen_ms, (roster.called_ms(key) or 0) + engine.clock.skew_ms())),
        last_poll_at=date_or_none(call, roster.polled_ms(key)),
        active_leases=worker.leased,
        incidents=worker.incidents,
        quarantined=is_quarantined(worker),
        quarantined_until=date_or_none(call, until_ms),
        deaf=roster.is_deaf(key, worker.leased, engine.settings.worker_limit),
    )
