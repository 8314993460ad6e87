"""Retention in SQLite: what it has to see, what it deletes, and the walks over what is old."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import astuple

from oris.core.audit import AuditHead, AuditRecord
from oris.core.audit_anchor import AuditAnchor
from oris.core.changes import Changes, Erasure, Pruned
from oris.core.model import Job, PrunedRun
from oris.core.needs import Loaded, Needs
from oris.core.retention import gather_oldest
from oris.ids import JobKey, RunId, WorkerKey, idempotency_key
from oris.storage.sqlite import retention_statements as sql
from oris.storage.sqlite.statements import JOB_ID
from oris.storage.store import OldAudit, OldPlace, OldThreads, OldWorkers

_FIRST = -(2**63)


def load_retention(connection: sqlite3.Connection, needs: Needs, loaded: Loaded) -> None:
    """The facts of retention."""
    look = _Rows(connection)
    for key in sorted(needs.oldest):
        job = loaded.jobs.get(key)
        if job is not None:
            loaded.old.runs[key] = gather_oldest(job, needs.oldest[key], look)
    for run_id in sorted(needs.pruned_runs):
        row = connection.execute(sql.PRUNED_RUN, (run_id,)).fetchone()
        if row is not None:
            loaded.old.pruned[run_id] = PrunedRun(*row)
    for place in sorted(needs.audit_places):
        row = connection.execute(sql.AUDIT_PLACE, place).fetchone()
        if row is not None:
            loaded.old.audit_heads[place] = AuditHead(*row)
        anchor = _anchor(connection, place[0])
        if anchor is not None:
            loaded.old.anchors[anchor.chain_id] = anchor


class _Rows:
    """`OldLookup` over a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute

    def oldest_past_runs(self, key: JobKey, limit: int) -> Sequence[Job]:
        """The oldest of the runs that newer ones have replaced."""
        return [Job(*row[:-1]) for row in self._execute(sql.OLDEST_PAST_RUNS, (key, limit))]

    def is_dead(self, run_id: RunId) -> bool:
        """Whether the run has a dead letter that nobody has replayed."""
        return self._execute(sql.IS_DEAD, (run_id,)).fetchone() is not None

    def replayed_until(self, run_id: RunId) -> int:
        """The last event of the newest past run that goes on from this one."""
        row = self._execute(sql.NEWEST_REPLAY, (run_id,)).fetchone()
        return 0 if row is None else int(row[0])


def delete(connection: sqlite3.Connection, changes: Changes) -> None:
    """What goes in this batch. To be done before anything is written: a name that becomes free may be taken again."""
    for pruned in changes.pruned:
        _prune(connection, pruned)
    for erasure in changes.erased:
        _erase(connection, erasure)
    many = connection.executemany
    if changes.forgotten_workers:
        many(sql.DELETE_WORKER, ((key,) for key in changes.forgotten_workers))
    if changes.forgotten_sessions:
        many(sql.DELETE_ENDED_SESSION, changes.forgotten_sessions)
    if changes.forgotten_nodes:
        many(sql.DELETE_NODE, ((node,) for node in changes.forgotten_nodes))
    for anchor in changes.anchors.values():
        connection.execute(sql.WRITE_ANCHOR, astuple(anchor))
        connection.execute(sql.DELETE_AUDIT, (anchor.chain_id, anchor.seq))


def _prune(connection: sqlite3.Connection, pruned: Pruned) -> None:
    many, runs = connection.executemany, pruned.runs
    many(sql.DELETE_PAST_RUN, ((run.run_id,) for run in runs))
    keys = ((idempotency_key(run.tenant_id, key), run.run_id) for run in runs if (key := run.idempotency_key))
    many(sql.DELETE_IDEMPOTENT, keys)
    many(sql.DELETE_CLAIM, ((run.replay_target, run.run_id) for run in runs if run.replay_target))
    many(sql.DELETE_DEAD_LETTER, ((run.run_id,) for run in runs if run.status == "failed"))
    many(sql.INSERT_PRUNED_RUN, ((run.run_id, run.job_key, run.seq, pruned.pruned_ms) for run in runs))


def _erase(connection: sqlite3.Connection, erasure: Erasure) -> None:
    """One kind of rows after the other; the run is forgotten once there are fewer than may go."""
    run, limit = erasure.run, erasure.rows_max
    tenant, _, thread = run.job_key.partition("/")
    (job_id,) = connection.execute(JOB_ID, (thread, tenant)).fetchone()
    until = _fitting(connection.execute(sql.LEFT_EVENTS, (job_id, run.seq, limit)), erasure.bytes_max)
    if until is not None:
        connection.execute(sql.DELETE_PAYLOADS, (job_id, until))
        connection.execute(sql.DELETE_EVENTS, (job_id, until))
        if until < run.seq:
            return
    digits = run.run_id[4:]
    values = {"run_id": run.run_id, "limit": limit, "first": f"lse_{digits}", "last": f"lse_{digits}g"}
    for statement in (sql.DELETE_STEPS, sql.DELETE_WAITS, sql.DELETE_CLOSED_LEASES):
        if connection.execute(statement, values).rowcount >= limit:
            return
    connection.execute(sql.DELETE_PRUNED_RUN, (run.run_id,))


def _fitting(rows: Iterable[tuple[int, int]], bytes_max: int) -> int | None:
    """The last event of those whose payloads fit, one at least; None: there is none at all."""
    last, size = None, 0
    for seq, payload_bytes in rows:
        size += payload_bytes
        if last is not None and size > bytes_max:
            break
        last = seq
    return last


def old_threads(connection: sqlite3.Connection, before_ms: int, after: OldPlace | None, limit: int) -> OldThreads:
    """Past runs first, then the latest ones."""
    stage, after_ms, after_id = after or (0, _FIRST, _FIRST)
    statement = sql.OLD_JOBS if stage else sql.OLD_PAST_RUNS
    rows = connection.execute(statement, (after_ms, after_id, before_ms, limit)).fetchall()
    found = tuple(row[2] for row in rows if row[3])
    if len(rows) == limit:
        return OldThreads(found, (stage, *rows[-1][:2]))
    return OldThreads(found, None if stage else (1, _FIRST, _FIRST))


def old_workers(
    connection: sqlite3.Connection, before_ms: int, after: tuple[int, WorkerKey] | None, limit: int
) -> OldWorkers:
    """By when they were seen first."""
    after_ms, name = after or (_FIRST, "")
    values = {"before_ms": before_ms, "after_ms": after_ms, "after": name, "limit": limit}
    rows = connection.execute(sql.OLD_WORKERS, values).fetchall()
    found = tuple(row[1] for row in rows if row[2])
    return OldWorkers(found, tuple(rows[-1][:2]) if len(rows) == limit else None)


def old_sessions(connection: sqlite3.Connection, before_ms: int, limit: int) -> Sequence[tuple[WorkerKey, str]]:
    """Those that ended first."""
    return connection.execute(sql.OLD_SESSIONS, (before_ms, limit)).fetchall()


def old_nodes(connection: sqlite3.Connection, before_ms: int, limit: int) -> Sequence[str]:
    """In no order."""
    return [row[0] for row in connection.execute(sql.OLD_NODES, (before_ms, limit))]


def pruned_runs(connection: sqlite3.Connection, limit: int) -> Sequence[PrunedRun]:
    """Those that have something left, the oldest first."""
    return [PrunedRun(*row) for row in connection.execute(sql.PRUNED_RUNS, (limit,))]


def old_audit(connection: sqlite3.Connection, after: str, limit: int) -> OldAudit | None:
    """The beginning of the next chain."""
    row = connection.execute(sql.NEXT_CHAIN, (after,)).fetchone()
    if row is None:
        return None
    records = tuple(AuditRecord(*each) for each in connection.execute(sql.OLDEST_RECORDS, (row[0], limit)))
    return OldAudit(row[0], _anchor(connection, row[0]), records)


def newest_anchors(connection: sqlite3.Connection) -> Mapping[str, AuditHead]:
    """Where the newest chains of those that were cut begin, or end: nothing else may be there of them."""
    heads = (AuditHead(*row) for row in connection.execute(sql.NEWEST_ANCHORS))
    return {head.chain_id: head for head in heads}


def _anchor(connection: sqlite3.Connection, chain_id: str) -> AuditAnchor | None:
    row = connection.execute(sql.ANCHOR, (chain_id,)).fetchone()
    return None if row is None else AuditAnchor(*row)
