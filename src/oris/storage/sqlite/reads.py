"""Reads beside the commits: each one short read transaction, on a connection of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from oris.core.chain import Entry
from oris.core.events import is_damaged
from oris.core.lookups import Stretch
from oris.core.model import Wait
from oris.core.wait_values import WaitValue
from oris.errors import DataDamaged
from oris.ids import JobKey
from oris.storage.reads.threads import Told
from oris.storage.sqlite import pages, queries, retention

P = ParamSpec("P")
T = TypeVar("T")


class Runner(Protocol):
    """Runs a query on a free connection, inside a read transaction. Raises Unavailable."""

    def __call__(self, query: Callable[[sqlite3.Connection], T], /) -> Awaitable[T]: ...


def _read(
    query: Callable[Concatenate[sqlite3.Connection, P], T],
) -> Callable[Concatenate[SqliteReads, P], Coroutine[Any, Any, T]]:
    """The method that runs a query."""

    async def method(reads: SqliteReads, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await reads.run_query(lambda connection: query(connection, *args, **kwargs))

    return method


class SqliteReads:
    """`Reads` for SQLite; what each one gives is said there."""

    def __init__(self, run_query: Runner, on_damage: Callable[[DataDamaged], None]) -> None:
        """`on_damage` is told of what is damaged where the rest is told all the same."""
        self.run_query = run_query
        self._on_damage = on_damage

    # ThreadReads
    tenants_of = _read(queries.tenants_of)
    job = _read(queries.job)
    run = _read(queries.run)
    runs = _read(pages.runs_page)
    payloads = _read(queries.payloads)
    checkpoints = _read(pages.checkpoints_page)
    closed_lease = _read(queries.closed_lease)
    steps = _read(queries.steps)
    step_counts = _read(queries.step_counts)
    retries = _read(queries.retries)
    dead_letter = _read(queries.dead_letter)
    wait = _read(queries.wait)
    settled_values = _read(queries.settled_values)

    async def timeline(self, job_key: JobKey, after_seq: int, limit: int) -> Sequence[Entry]:
        """See `ThreadReads`."""
        entries = await self.run_query(lambda c: queries.timeline(c, job_key, after_seq, limit))
        self._damaged(job_key, (entry.seq for entry in entries if is_damaged(entry)))
        return entries

    async def told(self, job_key: JobKey, after_seq: int, limit: int, max_bytes: int) -> Stretch[Told]:
        """See `ThreadReads`."""
        found = await self.run_query(lambda c: queries.told(c, job_key, after_seq, limit, max_bytes))
        self._damaged(job_key, (line.entry.seq for line in found.items if line.damaged))
        return found

    async def wait_values(self, waits: Sequence[Wait], max_bytes: int) -> Sequence[WaitValue]:
        """See `ThreadReads`."""
        found = await self.run_query(lambda c: queries.wait_values(c, waits, max_bytes))
        for wait, value in zip(waits, found, strict=False):
            self._damaged(wait.job_key, [value.damaged_seq] if value.damaged_seq else [])
        return found

    # OperatorReads
    jobs = _read(pages.jobs_page)
    dead_letters = _read(pages.dead_letters_page)
    interrupts = _read(pages.interrupts_page)
    workers = _read(pages.workers_page)
    worker = _read(queries.worker)
    hold = _read(queries.hold)
    tenant = _read(queries.tenant)
    audit = _read(pages.audit_page)
    api_keys = _read(pages.api_keys_page)

    # SweeperReads
    due = _read(queries.due)
    earliest = _read(queries.earliest)
    dead_leases = _read(queries.dead_leases)
    leased = _read(queries.leased)

    # RetentionReads
    old_threads = _read(retention.old_threads)
    oldest_runs = _read(retention.oldest_runs)
    pruned_runs = _read(retention.pruned_runs)
    old_workers = _read(retention.old_workers)
    old_sessions = _read(retention.old_sessions)
    old_nodes = _read(retention.old_nodes)
    old_audit = _read(retention.old_audit)

    # ClusterReads
    glance = _read(queries.glance)
    lanes = _read(queries.lanes)
    modes = _read(queries.modes)
    nodes = _read(queries.nodes)
    audit_head = _read(queries.audit_head)
    audit_heads = _read(queries.audit_heads)
    stored_keys = _read(queries.stored_keys)
    statistics = _read(queries.counters)

    def _damaged(self, job_key: JobKey, seqs: Iterable[int]) -> None:
        for seq in seqs:
            self._on_damage(DataDamaged(job_key, seq))
