"""The reads, as functions of a connection inside a read transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from oris.core.api_key import ApiKey
from oris.core.audit import AuditHead
from oris.core.chain import Entry
from oris.core.changes import HandedStep
from oris.core.events import is_damaged
from oris.core.hold import Hold
from oris.core.lookups import StepsOf, Stretch, answered, look
from oris.core.mode import Mode
from oris.core.model import ClosedLease, DeadLetter, Job, Lane, Wait, Worker, sources_of
from oris.core.replies import RaisedWait
from oris.core.tenant import Tenant
from oris.core.wait_values import WaitValue, values_of_waits
from oris.core.wait_values import settled_values as values_settled
from oris.core.whole import is_whole, whole
from oris.errors import DataDamaged
from oris.ids import JobKey, LeaseId, RunId, TenantId, ThreadId, WaitId, WorkerKey
from oris.storage.reads.cluster import Glance, Seen, Statistics, StoredKeys
from oris.storage.reads.sweeper import Earliest
from oris.storage.reads.threads import StepCounts, Told
from oris.storage.sqlite import read_statements as sql
from oris.storage.sqlite.columns import split
from oris.storage.sqlite.history_statements import PRUNED_SEQ, STEP_COUNTS, TOLD
from oris.storage.sqlite.load import mode_of
from oris.storage.sqlite.lookups import SqliteLookups
from oris.storage.sqlite.retention import anchor_of, newest_anchors
from oris.storage.sqlite.statements import (
    CALM,
    CLOSED_LEASE,
    HIGH_WATER,
    HOLD,
    JOB_BY_KEY,
    JOB_BY_RUN,
    JOB_ID,
    PAYLOAD,
    TENANT,
    TOTAL,
    WAIT,
    WORKER,
)
from oris.storage.stretch import stretch

K = TypeVar("K")
T = TypeVar("T")

LANES_FOR_AGE = 200
"""Lanes that are asked for their oldest job; with more, the gauge looks at these."""
HEADS_MAX = 100
"""Audit chains whose ends are told."""
_HIGHEST_PRIORITY = 2**31


def tenants_of(connection: sqlite3.Connection, thread_id: ThreadId) -> Sequence[TenantId]:
    """The tenants that have such a thread, at most two."""
    return [row[0] for row in connection.execute(sql.TENANTS_OF_THREAD, (thread_id,))]


def job(connection: sqlite3.Connection, job_key: JobKey) -> Job | None:
    """A thread's latest run."""
    return _job(connection.execute(JOB_BY_KEY, split(job_key)).fetchone())


def run(connection: sqlite3.Connection, run_id: RunId) -> Job | None:
    """A run, wherever it stands."""
    found = _job(connection.execute(JOB_BY_RUN, (run_id,)).fetchone())
    return found or _job(connection.execute(sql.PAST_RUN, (run_id,)).fetchone())


def payloads(connection: sqlite3.Connection, job_key: JobKey, seqs: Sequence[int]) -> Mapping[int, bytes]:
    """The payloads of these events."""
    job_id = _id(connection, job_key)
    rows = ((seq, connection.execute(PAYLOAD, (job_id, seq)).fetchone()) for seq in seqs)
    found = ((seq, whole(job_key, seq, *row)) for seq, row in rows if row is not None)
    return {seq: body for seq, body in found if body is not None}


def timeline(connection: sqlite3.Connection, job_key: JobKey, after_seq: int, limit: int) -> Sequence[Entry]:
    """Events in order."""
    job_id, pruned_seq = _place(connection, job_key)
    rows = connection.execute(sql.TIMELINE, (job_id, max(after_seq, pruned_seq), limit))
    return [Entry(job_key, *row) for row in rows]


def told(connection: sqlite3.Connection, job_key: JobKey, after_seq: int, limit: int, max_bytes: int) -> Stretch[Told]:
    """Events in order, with their payloads."""
    job_id, pruned_seq = _place(connection, job_key)
    rows = connection.execute(TOLD, (job_id, max(after_seq, pruned_seq), limit + 1))
    lines = (_told(Entry(job_key, *row[:-1]), row[-1]) for row in rows)
    return stretch(lines, limit, max_bytes, lambda line: len(line.entry.data) + len(line.payload or b""))


def _told(entry: Entry, payload: bytes | None) -> Told:
    return Told(entry, payload, damaged=is_damaged(entry) or not is_whole(payload, entry.payload_digest))


def closed_lease(connection: sqlite3.Connection, lease_id: LeaseId) -> ClosedLease | None:
    """How a lease ended."""
    row = connection.execute(CLOSED_LEASE, (lease_id,)).fetchone()
    return None if row is None else ClosedLease(*row)


def steps(
    connection: sqlite3.Connection, run_id: RunId, after_seq: int, limit: int, max_bytes: int
) -> Stretch[HandedStep]:
    """The latest report of each step."""
    found = run(connection, run_id)
    if found is None:
        return Stretch((), more=False)
    wanted = StepsOf(found.job_key, run_id, sources_of(found), after_seq, limit, max_bytes)
    return answered(look(wanted), _lookups(connection))


def step_counts(connection: sqlite3.Connection, run_id: RunId) -> StepCounts:
    """How many steps of a run stand as succeeded, and how many do not."""
    succeeded, known = connection.execute(STEP_COUNTS, (run_id,)).fetchone()
    return StepCounts(succeeded, known - succeeded)


def retries(connection: sqlite3.Connection, run_id: RunId, after_seq: int, limit: int) -> Stretch[Entry]:
    """The retries of a run."""
    key = _key_of_run(connection, run_id)
    if key is None:
        return Stretch((), more=False)
    found = [Entry(key, *row) for row in connection.execute(sql.RETRIES, (run_id, after_seq, limit + 1))]
    for entry in found:
        if is_damaged(entry):
            raise DataDamaged(key, entry.seq)
    return Stretch(tuple(found[:limit]), more=len(found) > limit)


def dead_letter(connection: sqlite3.Connection, run_id: RunId) -> DeadLetter | None:
    """The dead letter of a run."""
    row = connection.execute(sql.DEAD_LETTER, (run_id,)).fetchone()
    return None if row is None else DeadLetter(*row)


def wait(connection: sqlite3.Connection, wait_id: WaitId) -> Wait | None:
    """One wait."""
    row = connection.execute(WAIT, (wait_id,)).fetchone()
    return None if row is None else Wait(*row)


def wait_values(connection: sqlite3.Connection, waits: Sequence[Wait], max_bytes: int) -> Sequence[WaitValue]:
    """What waits were raised and settled with."""
    return answered(values_of_waits(waits, max_bytes), _lookups(connection))


def settled_values(
    connection: sqlite3.Connection, job_key: JobKey, waits: Sequence[RaisedWait], max_bytes: int
) -> Sequence[bytes | None]:
    """What waits of a thread were settled with."""
    return answered(values_settled(job_key, waits, max_bytes), _lookups(connection))


def worker(connection: sqlite3.Connection, worker_key: WorkerKey) -> Worker | None:
    """A worker that was ever granted something."""
    row = connection.execute(WORKER, (worker_key,)).fetchone()
    return None if row is None else Worker(*row)


def tenant(connection: sqlite3.Connection, tenant_id: TenantId) -> Tenant | None:
    """A tenant that ever had a job."""
    row = connection.execute(TENANT, (tenant_id,)).fetchone()
    return None if row is None else Tenant(*row)


def audit_head(connection: sqlite3.Connection, chain_id: str) -> AuditHead | None:
    """The end of one chain; of one whose records have all gone, its anchor."""
    row = connection.execute(sql.CHAIN_END, (chain_id,)).fetchone()
    if row is not None:
        return AuditHead(*row)
    anchor = anchor_of(connection, chain_id)
    return None if anchor is None else anchor.head


def audit_heads(connection: sqlite3.Connection) -> Sequence[AuditHead]:
    """The ends of the newest chains."""
    anchors = newest_anchors(connection)
    chains = {chain for (chain,) in connection.execute(sql.NEWEST_CHAINS)} | anchors.keys()
    found = []
    for chain in sorted(chains, reverse=True)[:HEADS_MAX]:
        row = connection.execute(sql.CHAIN_END, (chain,)).fetchone()
        found.append(anchors[chain] if row is None else AuditHead(*row))
    return found


def stored_keys(connection: sqlite3.Connection, now_ms: int) -> StoredKeys:
    """The keys that let anybody in."""
    keys = tuple(ApiKey(*row) for row in connection.execute(sql.STORED_KEYS, (now_ms,)))
    return StoredKeys(keys, connection.execute(sql.ANY_KEY_EVER).fetchone() is not None)


def due(connection: sqlite3.Connection, now_ms: int, date_ms: int, limit: int) -> Sequence[JobKey]:
    """Threads whose wake-up time, or whose date, has come."""
    found = [row[0] for row in connection.execute(sql.DUE, (now_ms, limit))]
    found += [row[0] for row in connection.execute(sql.DUE_BY_DATE, (date_ms, limit - len(found)))]
    return found


def dead_leases(connection: sqlite3.Connection, workers: Sequence[WorkerKey] | None, limit: int) -> Sequence[JobKey]:
    """Threads whose lease is of a session that is over."""
    if workers is None:
        return [row[0] for row in connection.execute(sql.DEAD_LEASES, (limit,))]
    found: list[JobKey] = []
    for worker_key in workers:
        found += (row[0] for row in connection.execute(sql.DEAD_LEASES_OF_WORKER, (worker_key, limit - len(found))))
        if len(found) == limit:
            break
    return found


def leased(connection: sqlite3.Connection, before_ms: int, after: int, limit: int) -> Sequence[tuple[int, JobKey]]:
    """Threads whose lease ends before this time, by row."""
    return connection.execute(sql.LEASED, (before_ms, after, limit)).fetchall()


def earliest(connection: sqlite3.Connection) -> Earliest:
    """The first wake-up time, and the first date, of all."""
    first = [connection.execute(statement).fetchone() for statement in (sql.EARLIEST_WAKE, sql.EARLIEST_DATE)]
    return Earliest(*(None if row is None else int(row[0]) for row in first))


def lanes(connection: sqlite3.Connection, limit: int, after: Lane | None = None) -> Sequence[Lane]:
    """A loose scan: two probes a lane, however much stands in it."""
    found: list[Lane] = []
    row = None
    if limit:
        row = connection.execute(sql.FIRST_LANE).fetchone() if after is None else _next_lane(connection, after)
    while row is not None and len(found) < limit:
        found.append(Lane(*row))
        row = _next_lane(connection, found[-1])
    return found


def _next_lane(connection: sqlite3.Connection, lane: Lane) -> tuple[TenantId, str] | None:
    here: tuple[TenantId, str] | None
    here = connection.execute(sql.NEXT_LANE_OF_TENANT, (lane.tenant_id, lane.workflow)).fetchone()
    return here or connection.execute(sql.FIRST_LANE_AFTER_TENANT, (lane.tenant_id,)).fetchone()


def oldest_queued_ms(connection: sqlite3.Connection) -> int | None:
    """Since when the longest-waiting due run has been available: one probe per lane and priority in use."""
    oldest: int | None = None
    for lane in lanes(connection, LANES_FOR_AGE):
        priority = _HIGHEST_PRIORITY
        while True:
            where = (lane.tenant_id, lane.workflow, priority)
            row = connection.execute(sql.OLDEST_BELOW_PRIORITY, where).fetchone()
            if row is None:
                break
            priority, available_ms = row
            oldest = available_ms if oldest is None else min(oldest, available_ms)
    return oldest


def glance(connection: sqlite3.Connection, wanted: Glance) -> Seen:
    """Each by a probe of its own."""

    def found(query: Callable[[sqlite3.Connection, K], T | None], keys: Iterable[K]) -> tuple[T, ...]:
        rows = (query(connection, key) for key in keys)
        return tuple(row for row in rows if row is not None)

    held = (row for key in wanted.holders for row in connection.execute(sql.LEASES_OF_WORKER, (key,)))
    return Seen(
        modes=tuple(modes(connection)),
        lanes=tuple(lanes(connection, wanted.lanes, wanted.lanes_after)),
        threads=found(job, wanted.threads),
        workers=found(worker, wanted.workers),
        leases=tuple(Job(*row[:-1]) for row in held),
        tenants=found(tenant, wanted.tenants),
        holds=found(hold, wanted.holds),
    )


def hold(connection: sqlite3.Connection, lane: Lane) -> Hold | None:
    """What is known of a workflow's losses."""
    row = connection.execute(HOLD, (lane.tenant_id, lane.workflow)).fetchone()
    return None if row is None else Hold(*row)


def counters(connection: sqlite3.Connection) -> Statistics:
    """Short rows and counts; nothing that grows with the jobs there are."""
    waiting, delayed, leased = connection.execute(TOTAL).fetchone()
    (dead,) = connection.execute(sql.DEAD_LETTERS_TOTAL).fetchone()
    (interrupts,) = connection.execute(sql.PENDING_INTERRUPTS).fetchone()
    (held,) = connection.execute(sql.HOLDS_TOTAL).fetchone()
    return Statistics(waiting, leased, dead, oldest_queued_ms(connection), interrupts, delayed, held)


def modes(connection: sqlite3.Connection) -> Sequence[Mode]:
    """What operators have switched."""
    return [mode_of(row) for row in connection.execute(sql.MODES)]


def nodes(connection: sqlite3.Connection) -> Sequence[tuple[str, int]]:
    """Nodes, and when each has committed last."""
    return connection.execute(sql.NODES).fetchall()


def high_water_ms(connection: sqlite3.Connection) -> int:
    """The latest time of any batch of any node."""
    (now_ms,) = connection.execute(HIGH_WATER).fetchone()
    return int(now_ms)


def calm_ms(connection: sqlite3.Connection) -> int:
    """Until when some node has owed no lease anything."""
    (calm_ms,) = connection.execute(CALM).fetchone()
    return int(calm_ms)


def _lookups(connection: sqlite3.Connection) -> SqliteLookups:
    """Answers lookups; the id of a thread is looked for once."""
    return SqliteLookups(connection, cache(lambda key: _id(connection, key)))


def _id(connection: sqlite3.Connection, job_key: JobKey) -> int | None:
    """The id by which events and payloads name a job; None matches none of them."""
    row = connection.execute(JOB_ID, split(job_key)).fetchone()
    return None if row is None else int(row[0])


def _place(connection: sqlite3.Connection, job_key: JobKey) -> tuple[int | None, int]:
    """A thread's id, and up to where its timeline was pruned."""
    row = connection.execute(PRUNED_SEQ, split(job_key)).fetchone()
    return (None, 0) if row is None else row


def _key_of_run(connection: sqlite3.Connection, run_id: RunId) -> JobKey | None:
    row = connection.execute(sql.JOB_KEY_OF_RUN, {"run_id": run_id}).fetchone()
    return None if row is None else row[0]


def _job(row: tuple[Any, ...] | None) -> Job | None:
    found = None if row is None else Job(*row[:-1])
    return None if found is None or found.is_pruned else found
