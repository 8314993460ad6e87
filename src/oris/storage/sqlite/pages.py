"""The lists, each by the index that its filters allow."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import TypeVar

from msgspec import Struct

from oris.core.api_key import ApiKey
from oris.core.audit import AuditRecord
from oris.core.model import DeadLetter, Job, Wait, Worker
from oris.ids import JobKey, TenantId
from oris.storage import pages as p
from oris.storage.pages import END, WALK_MAX_ROWS, Page, Place, page_of
from oris.storage.reads.operators import AuditFilter, DeadLetterFilter, InterruptFilter, JobFilter
from oris.storage.reads.threads import SavedCheckpoint
from oris.storage.sqlite import list_statements as sql
from oris.storage.sqlite.columns import split
from oris.storage.sqlite.statements import JOB_BY_KEY

T = TypeVar("T", bound=Struct)
_FIRST = Place(-(2**63))
"""A place behind all items."""


def runs_page(connection: sqlite3.Connection, job_key: JobKey, after: Place | None, limit: int) -> Page[Job]:
    """The latest run, then those it replaced."""
    found: list[Job] = []
    if after is None:
        row = connection.execute(JOB_BY_KEY, split(job_key)).fetchone()
        latest = None if row is None else Job(*row[:-1])
        if latest is None or latest.is_pruned:
            return Page((), None)
        found.append(latest)
    before = (after or END).number
    rows = connection.execute(sql.PAST_RUNS, (job_key, before, limit + 1 - len(found)))
    found.extend(Job(*row) for row in rows)
    return page_of(found, limit, p.place_of_run, None)


def checkpoints_page(
    connection: sqlite3.Connection, job_key: JobKey, after: Place | None, limit: int
) -> Page[SavedCheckpoint]:
    """The checkpoints of all of a thread's runs."""
    thread_id, tenant_id = split(job_key)
    values = {"thread_id": thread_id, "tenant_id": tenant_id, "limit": limit + 1, **_from(after)}
    rows = connection.execute(sql.CHECKPOINTS, values)
    return page_of([SavedCheckpoint(*row) for row in rows], limit, lambda saved: Place(saved.seq), None)


def jobs_page(connection: sqlite3.Connection, where: JobFilter, after: Place | None, limit: int) -> Page[Job]:
    """Threads by the time they were made."""
    listing = sql.JOBS if where.tenant_id is None else sql.JOBS_OF_TENANT
    values = {"tenant_id": where.tenant_id, "status": where.status, "workflow": where.workflow}
    return _walk(connection, listing, values, Job, p.place_of_thread, after, limit)


def dead_letters_page(
    connection: sqlite3.Connection, where: DeadLetterFilter, after: Place | None, limit: int
) -> Page[DeadLetter]:
    """Dead letters by the time their run ended."""
    match where:
        case DeadLetterFilter(tenant_id=None, status="pending"):
            listing = sql.PENDING_DEAD_LETTERS
        case DeadLetterFilter(status="pending"):
            listing = sql.PENDING_DEAD_LETTERS_OF_TENANT
        case DeadLetterFilter(tenant_id=None, workflow=None):
            listing = sql.DEAD_LETTERS
        case DeadLetterFilter(tenant_id=None):
            listing = sql.DEAD_LETTERS_OF_WORKFLOW
        case _:
            listing = sql.DEAD_LETTERS_OF_TENANT
    values = {"tenant_id": where.tenant_id, "workflow": where.workflow, "replay_status": where.status}
    return _walk(connection, listing, values, DeadLetter, p.place_of_dead_letter, after, limit)


def interrupts_page(
    connection: sqlite3.Connection, where: InterruptFilter, after: Place | None, limit: int
) -> Page[Wait]:
    """Interrupts by the time they were raised."""
    match where:
        case InterruptFilter(run_id=str()):
            listing = sql.INTERRUPTS_OF_RUN
        case InterruptFilter(tenant_id=None, status="pending"):
            listing = sql.OPEN_INTERRUPTS
        case InterruptFilter(status="pending"):
            listing = sql.OPEN_INTERRUPTS_OF_TENANT
        case InterruptFilter(tenant_id=None):
            listing = sql.INTERRUPTS
        case _:
            listing = sql.INTERRUPTS_OF_TENANT
    values = {
        "tenant_id": where.tenant_id,
        "status": where.status,
        "run_id": where.run_id,
        "thread_id": where.thread_id,
        "workflow": where.workflow,
    }
    return _walk(connection, listing, values, Wait, p.place_of_wait, after, limit)


def workers_page(
    connection: sqlite3.Connection, tenant_id: TenantId | None, after: Place | None, limit: int
) -> Page[Worker]:
    """Workers by when they were first seen."""
    rows = connection.execute(sql.WORKERS, {"tenant_id": tenant_id, "limit": limit + 1, **_from(after)})
    return page_of([Worker(*row) for row in rows], limit, p.place_of_worker, None)


def api_keys_page(
    connection: sqlite3.Connection, tenant_id: TenantId | None, after: Place | None, limit: int
) -> Page[ApiKey]:
    """Stored keys by the time they were made."""
    listing = sql.API_KEYS if tenant_id is None else sql.API_KEYS_OF_TENANT
    return _walk(connection, listing, {"tenant_id": tenant_id}, ApiKey, p.place_of_key, after, limit)


def audit_page(
    connection: sqlite3.Connection, where: AuditFilter, after: Place | None, limit: int
) -> Page[AuditRecord]:
    """Audit records by time."""
    if where.request_id is not None:
        listing = sql.AUDIT_OF_REQUEST
    else:
        listing = sql.AUDIT if where.tenant_id is None else sql.AUDIT_OF_TENANT
    values = {
        "request_id": where.request_id,
        "tenant_id": where.tenant_id,
        "action": where.action,
        "actor_id": where.actor_id,
        "control_only": where.control_only,
        "from_ms": _FIRST.number if where.from_ms is None else where.from_ms,
    }
    latest = END if where.to_ms is None else Place(where.to_ms)
    start = latest if after is None else min(after, latest)
    return _walk(connection, listing, values, AuditRecord, p.place_of_record, start, limit)


def _walk(
    connection: sqlite3.Connection,
    listing: sql.Listing,
    values: Mapping[str, str | int | None],
    struct: type[T],
    place: Callable[[T], Place],
    after: Place | None,
    limit: int,
) -> Page[T]:
    """One page: what matches among the next `WALK_MAX_ROWS`."""
    bound = {**values, **_from(after), "limit": limit + 1, "walk": WALK_MAX_ROWS - 1}
    row = connection.execute(listing.walk_end, bound).fetchone()
    end = None if row is None else Place(*row)
    last = end or _FIRST
    rows = connection.execute(listing.page, {**bound, "end_number": last.number, "end_id": last.id})
    return page_of([struct(*found) for found in rows], limit, place, end)


def _from(after: Place | None) -> dict[str, str | int]:
    start = after or END
    return {"before_number": start.number, "before_id": start.id}
