"""Lists, newest first, a page at a time. A page looks at a bounded number of rows, so a rare filter gives short pages
with a `next_cursor` instead of a long scan."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from oris.core.api_key import ApiKey
from oris.core.audit import AuditRecord
from oris.core.model import DeadLetter, Job, Wait, Worker
from oris.errors import not_a_cursor
from oris.ids import JobKey, TenantId
from oris.storage.sqlite import read_statements as sql
from oris.storage.sqlite.columns import split
from oris.storage.sqlite.history_statements import CHECKPOINTS_PAGE
from oris.storage.sqlite.statements import JOB_BY_KEY
from oris.storage.store import AuditFilter, DeadLetterFilter, InterruptFilter, JobFilter, Page, SavedCheckpoint

WALK_MAX_ROWS = 10_000
"""Rows one page may look at."""
_END = 2**63 - 1
_DIGITS_MAX = 18


def runs_page(connection: sqlite3.Connection, job_key: JobKey, cursor: str | None, limit: int) -> Page[Job]:
    """The latest run, then those it replaced."""
    items: list[Job] = []
    before = _END if cursor is None else _number(cursor)
    if cursor is None:
        row = connection.execute(JOB_BY_KEY, split(job_key)).fetchone()
        latest = None if row is None else Job(*row[:-1])
        if latest is None or latest.is_pruned:
            return Page((), None)
        items.append(latest)
    rows = connection.execute(sql.PAST_RUNS, (job_key, before, limit - len(items) + 1)).fetchall()
    kept = rows[: limit - len(items)]
    items.extend(Job(*row[:-1]) for row in kept)
    # The next page begins at the row that did not fit.
    return Page(tuple(items), str(rows[len(kept)][-1] + 1) if len(rows) > len(kept) else None)


def checkpoints_page(
    connection: sqlite3.Connection, job_key: JobKey, cursor: str | None, limit: int
) -> Page[SavedCheckpoint]:
    """The checkpoints of all of a thread's runs."""
    before = _END if cursor is None else _number(cursor)
    rows = connection.execute(CHECKPOINTS_PAGE, (*split(job_key), before, *split(job_key), limit + 1)).fetchall()
    items = tuple(SavedCheckpoint(*row) for row in rows[:limit])
    return Page(items, str(items[-1].seq) if len(rows) > limit else None)


def jobs_page(connection: sqlite3.Connection, where: JobFilter, cursor: str | None, limit: int) -> Page[Job]:
    """Threads by the time they were made."""
    values = {"tenant_id": where.tenant_id, "status": where.status, "workflow": where.workflow}
    if where.tenant_id is None:
        rows, following = _walk(connection, sql.JOBS_PAGE, sql.JOBS_WALK_END, values, cursor, limit)
    else:
        page, walk_end = sql.JOBS_OF_TENANT_PAGE, sql.JOBS_OF_TENANT_WALK_END
        rows, following = _walk(connection, page, walk_end, values, cursor, limit)
    return Page(tuple(Job(*row[:-1]) for row in rows), following)


def dead_letters_page(
    connection: sqlite3.Connection, where: DeadLetterFilter, cursor: str | None, limit: int
) -> Page[DeadLetter]:
    """Dead letters by the time they were made."""
    values = {"tenant_id": where.tenant_id, "workflow": where.workflow, "status": where.status}
    match where:
        case DeadLetterFilter(tenant_id=None, workflow=None, status=None | "replayed"):
            page, walk_end = sql.DEAD_LETTERS_PAGE, sql.DEAD_LETTERS_WALK_END
        case DeadLetterFilter(status="pending"):
            page, walk_end = sql.PENDING_DEAD_LETTERS_PAGE, sql.PENDING_DEAD_LETTERS_WALK_END
        case DeadLetterFilter(tenant_id=None):
            page, walk_end = sql.DEAD_LETTERS_OF_WORKFLOW_PAGE, sql.DEAD_LETTERS_OF_WORKFLOW_WALK_END
        case _:
            page, walk_end = sql.DEAD_LETTERS_OF_TENANT_PAGE, sql.DEAD_LETTERS_OF_TENANT_WALK_END
    rows, following = _walk(connection, page, walk_end, values, cursor, limit)
    return Page(tuple(DeadLetter(*row[:-1]) for row in rows), following)


def interrupts_page(
    connection: sqlite3.Connection, where: InterruptFilter, cursor: str | None, limit: int
) -> Page[Wait]:
    """Interrupts by the time they were raised."""
    values = {"tenant_id": where.tenant_id, "status": where.status, "run_id": where.run_id}
    values |= {"thread_id": where.thread_id, "workflow": where.workflow}
    walk_end: str | None
    match where:
        case InterruptFilter(run_id=None, status="pending"):
            page, walk_end = sql.OPEN_INTERRUPTS_PAGE, sql.OPEN_INTERRUPTS_WALK_END
        case InterruptFilter(run_id=None):
            page, walk_end = sql.INTERRUPTS_PAGE, sql.INTERRUPTS_WALK_END
        case _:
            page, walk_end = sql.INTERRUPTS_OF_RUN_PAGE, None
    rows, following = _walk(connection, page, walk_end, values, cursor, limit)
    return Page(tuple(Wait(*row[:-1]) for row in rows), following)


def workers_page(
    connection: sqlite3.Connection, tenant_id: TenantId | None, cursor: str | None, limit: int
) -> Page[Worker]:
    """Workers by when they were first seen."""
    before_ms, before = _END, ""
    if cursor is not None:
        first, _, before = cursor.partition(".")
        before_ms = _number(first)
    values = {"tenant_id": tenant_id, "before_ms": before_ms, "before": before, "limit": limit + 1}
    found = [Worker(*row) for row in connection.execute(sql.WORKERS_PAGE, values)]
    last = found[limit - 1] if len(found) > limit else None
    return Page(tuple(found[:limit]), None if last is None else f"{last.first_seen_ms}.{last.worker_key}")


def api_keys_page(
    connection: sqlite3.Connection, tenant_id: TenantId | None, cursor: str | None, limit: int
) -> Page[ApiKey]:
    """Stored keys by the time they were made."""
    values = {"tenant_id": tenant_id}
    rows, following = _walk(connection, sql.API_KEYS_PAGE, sql.API_KEYS_WALK_END, values, cursor, limit)
    return Page(tuple(ApiKey(*row[:-1]) for row in rows), following)


def audit_page(connection: sqlite3.Connection, where: AuditFilter, cursor: str | None, limit: int) -> Page[AuditRecord]:
    """Audit records by time."""
    before_ms, before = (_END if where.to_ms is None else where.to_ms, -1) if cursor is None else _pair(cursor)
    values: dict[str, Any] = {
        "request_id": where.request_id,
        "tenant_id": where.tenant_id,
        "action": where.action,
        "actor_id": where.actor_id,
        "control_only": where.control_only,
        "from_ms": 0 if where.from_ms is None else where.from_ms,
        "before_ms": before_ms,
        "before": before,
        "walk": WALK_MAX_ROWS - 1,
        "limit": limit + 1,
    }
    walk_end: tuple[int, int] | None = None
    if where.request_id is None:
        walk_end = connection.execute(sql.AUDIT_WALK_END, values).fetchone()
        end_ms, end = walk_end or (0, 0)
        rows = connection.execute(sql.AUDIT_PAGE, values | {"walk_end_ms": end_ms, "walk_end": end}).fetchall()
    else:
        rows = connection.execute(sql.AUDIT_OF_REQUEST_PAGE, values).fetchall()
    following = None
    if len(rows) > limit:
        following = f"{rows[limit - 1][-3]}.{rows[limit - 1][-1]}"
    elif walk_end is not None:
        following = f"{walk_end[0]}.{walk_end[1]}"
    return Page(tuple(AuditRecord(*row[:-1]) for row in rows[:limit]), following)


def _walk(
    connection: sqlite3.Connection,
    page: str,
    walk_end: str | None,
    values: Mapping[str, str | None],
    cursor: str | None,
    limit: int,
) -> tuple[list[tuple[Any, ...]], str | None]:
    """One page by descending id, and the cursor of the next. `walk_end` None: no row is looked at in vain."""
    before = _END if cursor is None else _number(cursor)
    bounds = {"before": before, "walk": WALK_MAX_ROWS - 1, "limit": limit + 1}
    end = None if walk_end is None else connection.execute(walk_end, {**values, **bounds}).fetchone()
    last = {"walk_end": 0 if end is None else end[0]}
    rows = connection.execute(page, {**values, **bounds, **last}).fetchall()
    if len(rows) > limit:
        return rows[:limit], str(rows[limit - 1][-1])
    return rows, None if end is None else str(end[0])


def _number(cursor: str) -> int:
    """The id in a cursor. Raises ApiError for what no list has given out."""
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= _DIGITS_MAX):
        raise not_a_cursor()
    return int(cursor)


def _pair(cursor: str) -> tuple[int, int]:
    first, _, second = cursor.partition(".")
    return _number(first), _number(second)
