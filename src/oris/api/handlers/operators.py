"""Dead letters and the audit trail."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import UNSET, Raw

from oris.api.envelope import ok
from oris.api.handlers.common import NULL, PAGE_BYTES, next_cursor, not_found, place_after, tenant_filter
from oris.api.http import Answer
from oris.api.services import Call
from oris.core.audit import AuditRecord
from oris.core.model import DeadLetter
from oris.errors import DataDamaged
from oris.ids import TenantId, attempt_of, run_of
from oris.storage.pages import cut, place_of_dead_letter
from oris.storage.reads.operators import AuditFilter, DeadLetterFilter
from oris.wire.operators import AuditQuery, AuditView, DeadLettersQuery, DeadLetterView
from oris.wire.pages import AuditPage, DeadLettersPage
from oris.wire.times import rfc3339, rfc3339_or_none


async def list_dead_letters(call: Call, _: None) -> Answer:
    """`GET /v1/dlq`."""
    query: DeadLettersQuery = call.options
    where = DeadLetterFilter(tenant_filter(call, query.tenant_id), query.workflow, query.status)
    page = await call.services.engine.reads.dead_letters(where, place_after(call, query.cursor), query.limit)
    entries: list[DeadLetterView] = []
    room = PAGE_BYTES
    for letter in page.items:
        entry = await _dead_letter(call, letter, listed=True)
        room -= len(bytes(entry.error))
        if entries and room < 0:
            break
        entries.append(entry)
    page = cut(page, len(entries), place_of_dead_letter)
    return ok(call, DeadLettersPage(tuple(entries), next_cursor(call, page)))


async def show_dead_letter(call: Call, _: None) -> Answer:
    """`GET /v1/dlq/{attempt_id}`."""
    return ok(call, await _dead_letter(call, await dead_letter_named(call)))


async def dead_letter_named(call: Call) -> DeadLetter:
    """The dead letter in the path, when the caller may know of it. Raises 404."""
    run = run_of(call.path_params["attempt_id"])
    entry = None if run is None else await call.services.engine.reads.dead_letter(run)
    if entry is None or call.caller.tenant_id not in (None, entry.tenant_id):
        raise not_found("dead letter")
    return entry


async def list_audit(call: Call, _: None) -> Answer:
    """`GET /v1/audit/logs`."""
    query: AuditQuery = call.options
    bound = call.caller.tenant_id
    where = AuditFilter(
        tenant_id=None if bound is None else TenantId(bound),
        request_id=query.request_id,
        action=query.action,
        actor_id=query.actor_id,
        from_ms=query.from_ms,
        to_ms=query.to_ms,
        control_only=query.category == "control",
    )
    page = await call.services.engine.reads.audit(where, place_after(call, query.cursor), query.limit)
    found = tuple(_audit(record, is_bound=bound is not None) for record in page.items)
    return ok(call, AuditPage(found, next_cursor(call, page)))


async def _dead_letter(call: Call, entry: DeadLetter, *, listed: bool = False) -> DeadLetterView:
    reads, damaged = call.services.engine.reads, False
    found: Mapping[int, bytes] = {}
    try:
        if entry.error_seq:
            found = await reads.payloads(entry.job_key, [entry.error_seq])
    except DataDamaged:
        # The other items of a list go on.
        if not listed:
            raise
        damaged = True
    error = found.get(entry.error_seq)
    return DeadLetterView(
        attempt_id=attempt_of(entry.run_id),
        run_id=entry.run_id,
        thread_id=entry.thread_id,
        tenant_id=entry.tenant_id,
        workflow=entry.workflow,
        attempt_no=entry.attempt_no,
        terminal_status="failed",
        reason=entry.reason,
        error=NULL if error is None else Raw(error),
        dead_at=rfc3339(entry.dead_ms),
        replay_status=entry.replay_status,
        replay_count=entry.replay_count,
        last_replayed_at=rfc3339_or_none(entry.replayed_ms),
        replay_run_id=UNSET if entry.replay_run_id is None else entry.replay_run_id,
        damaged=True if damaged else UNSET,
    )


def _audit(record: AuditRecord, *, is_bound: bool) -> AuditView:
    """Its place in the chain tells how many records there are, of all tenants: that is not for a caller of one."""
    return AuditView(
        audit_id=record.audit_id,
        chain_id=None if is_bound else record.chain_id,
        seq=None if is_bound else record.seq,
        actor_type=record.actor_type,
        actor_id=record.actor_id,
        actor_role=record.actor_role,
        tenant_id=record.tenant_id,
        source=record.source,
        action=record.action,
        resource_type=record.resource_type,
        resource_id=record.resource_id,
        result=record.result,
        request_id=record.request_id,
        details=Raw(record.details),
        created_at=rfc3339(record.created_ms),
        hash=None if is_bound else record.hash.hex(),
    )
