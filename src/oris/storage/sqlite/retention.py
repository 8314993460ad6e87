"""Retention in SQLite: what it has to see, what it deletes, and the walks over what is old."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import astuple

from oris.core.audit import AuditHead, AuditRecord
from oris.core.audit_anchor import AuditAnchor
from oris.core.changes import Changes, Erasure, Pruned
from oris.core.model import PrunedRun
from oris.core.needs import Loaded, Needs
from oris.core.old import OldestRuns, OldRun, Place
from oris.ids import JobKey, NodeId, WorkerKey, name_of_node
from oris.storage.reads.retention import OldAudit, OldPlace, OldThreads, OldWorkers
from oris.storage.sqlite import retention_statements as sql
from oris.storage.sqlite.columns import split
from oris.storage.sqlite.statements import JOB_ID

_FIRST = -(2**63)


def load_retention(connection: sqlite3.Connection, needs: Needs, loaded: Loaded) -> None:
    """The facts of retention."""
    for run_id in sorted(needs.pruned_runs):
        row = connection.execute(sql.PRUNED_RUN, (run_id,)).fetchone()
        if row is not None:
            loaded.old.pruned[run_id] = PrunedRun(*row)
    for place in sorted(needs.audit_places):
        row = connection.execute(sql.AUDIT_PLACE, place).fetchone()
        if row is not None:
            loaded.old.audit_heads[place] = AuditHead(*row)
        anchor = anchor_of(connection, place[0])
        if anchor is not None:
            loaded.old.anchors[anchor.chain_id] = anchor


def delete(connection: sqlite3.Connection, changes: Changes, here: NodeId) -> None:
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
    for node in changes.forgotten_nodes:
        connection.execute(sql.TAKE_OVER_COUNTS, {"here": here, "name": name_of_node(here), "gone": node})
        connection.execute(sql.DELETE_NODE, (node,))
    for anchor in changes.anchors.values():
        connection.execute(sql.WRITE_ANCHOR, astuple(anchor))
        connection.execute(sql.DELETE_AUDIT, (anchor.chain_id, anchor.seq))


def _prune(connection: sqlite3.Connection, pruned: Pruned) -> None:
    """By the thread and a place in it, whatever number of runs that is."""
    past = pruned.run_ids[:-1] if pruned.whole else pruned.run_ids
    last_seq = connection.execute(sql.PAST_RUN_SEQ, past[-1:]).fetchone()[0] if past else 0
    latest = pruned.run_ids[-1] if pruned.whole else None
    values = {"job_key": pruned.job_key, "last_seq": last_seq, "latest": latest, "pruned_ms": pruned.pruned_ms}
    for statement in (sql.INSERT_PRUNED_RUNS, sql.DELETE_IDEMPOTENT, sql.DELETE_CLAIMS, sql.DELETE_DEAD_LETTERS):
        connection.execute(statement, values)
    if past:
        connection.execute(sql.DELETE_PAST_RUNS, values)


def _erase(connection: sqlite3.Connection, erasure: Erasure) -> None:
    """One kind of rows after the other; the run is forgotten once there are fewer than may go."""
    run, limit = erasure.run, erasure.rows_max
    (job_id,) = connection.execute(JOB_ID, split(run.job_key)).fetchone()
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


def oldest_runs(
    connection: sqlite3.Connection, threads: Sequence[tuple[JobKey, int]], limit: int
) -> Sequence[OldestRuns]:
    """A page of each thread's kept runs."""
    return [_oldest_runs(connection, key, after, limit) for key, after in threads]


def _oldest_runs(connection: sqlite3.Connection, key: JobKey, after: int, limit: int) -> OldestRuns:
    """Past runs, and behind the last of them the latest one."""
    row = connection.execute(sql.LATEST_RUN, split(key)).fetchone()
    if row is None:
        return OldestRuns(Place(None, 0), (), None)
    pruned_seq, replay_of, run_id, seq, *more, dead = row
    place = Place(run_id, pruned_seq)
    if pruned_seq >= seq:
        return OldestRuns(place, (), None)
    rows = connection.execute(sql.OLDEST_PAST_RUNS, (key, after, limit)).fetchall()
    # The latest run may be the newest that goes on from one of them.
    runs = [OldRun(*(*row[:6], row[6] == 1, seq if row[0] == replay_of else row[7])) for row in rows]
    if len(rows) == limit:
        return OldestRuns(place, tuple(runs), runs[-1].seq)
    runs.append(OldRun(*(run_id, seq, *more, dead == 1, 0)))
    return OldestRuns(place, tuple(runs), None)


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


def old_nodes(connection: sqlite3.Connection, before_ms: int, limit: int) -> Sequence[NodeId]:
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
    return OldAudit(row[0], anchor_of(connection, row[0]), records)


def newest_anchors(connection: sqlite3.Connection) -> Mapping[str, AuditHead]:
    """Where the newest chains of those that were cut begin, or end: nothing else may be there of them."""
    heads = (AuditHead(*row) for row in connection.execute(sql.NEWEST_ANCHORS))
    return {head.chain_id: head for head in heads}


def anchor_of(connection: sqlite3.Connection, chain_id: str) -> AuditAnchor | None:
    """What is kept of the beginning of a chain."""
    row = connection.execute(sql.ANCHOR, (chain_id,)).fetchone()
    return None if row is None else AuditAnchor(*row)
