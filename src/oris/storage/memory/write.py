"""Changes: put into the rows of a state that is not committed yet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from msgspec.structs import replace

from oris.core.changes import Changes
from oris.core.hold import FORGETS_MS, is_held
from oris.core.tenant import Tenant
from oris.ids import NodeId, name_of_node
from oris.storage.memory.erase import erase, prune
from oris.storage.memory.tables import NodeRow, Tables

K = TypeVar("K")
R = TypeVar("R")


def write(tables: Tables, changes: Changes, here: NodeId) -> None:
    """Put a whole batch of a node into `tables`. Raises ValueError when a row that must be new is there already."""
    _delete(tables, changes, here)
    tables.jobs.update(changes.jobs)
    _insert(tables.entries, (((entry.job_key, entry.seq), entry) for entry in changes.entries))
    _insert(tables.payloads, (((payload.job_key, payload.seq), payload.body) for payload in changes.payloads))
    for step in changes.steps:
        tables.steps[step.run_id, step.action_id, step.status, step.dedupe_token] = step
    tables.waits.update(changes.waits)
    _insert(tables.closed, ((closed.lease_id, closed) for closed in changes.closed))
    _insert(tables.idempotent, ((submit.key, submit) for submit in changes.idempotent))
    _insert(tables.past_runs, ((run.run_id, run) for run in changes.past_runs))
    tables.dead_letters.update({letter.run_id: letter for letter in changes.dead_letters})
    tables.claims.update(changes.claims)
    _insert(tables.ended_sessions, (((ended.worker_key, ended.session), ended) for ended in changes.ended_sessions))
    _write_holds(tables, changes)
    tables.api_keys.update(changes.api_keys)
    tables.modes.update(changes.modes)
    _insert(tables.audit, (((record.chain_id, record.seq), record) for record in changes.audit))
    _write_counters(tables, changes)


def note_commit(tables: Tables, node_id: NodeId, batch_id: str, now_ms: int, changes: Changes) -> None:
    """Write the row of the node that commits."""
    known = tables.nodes.get(node_id, NodeRow(name_of_node(node_id)))
    tables.nodes[node_id] = replace(
        known,
        batch_id=batch_id,
        now_ms=max(known.now_ms, now_ms),
        calm_ms=max(known.calm_ms, changes.calm_ms),
        skew_ms=changes.skew_ms,
        counts=known.counts + changes.total,
    )


def _write_counters(tables: Tables, changes: Changes) -> None:
    """Rows that several nodes add to."""
    for key, worker in changes.workers.items():
        known = tables.workers.get(key)
        first_ms, leased = (worker.first_seen_ms, 0) if known is None else (known.first_seen_ms, known.leased)
        tables.workers[key] = replace(worker, first_seen_ms=first_ms, leased=leased + changes.worker_leases.get(key, 0))
    for tenant_id, added in changes.tenants.items():
        row = tables.tenants.get(tenant_id, Tenant(tenant_id, 0, 0, 0))
        tables.tenants[tenant_id] = Tenant(
            tenant_id,
            row.waiting + added.waiting,
            row.leased + added.leased,
            max(row.served, added.served),
            row.delayed + added.delayed,
        )


def _insert(rows: dict[K, R], new: Iterable[tuple[K, R]]) -> None:
    for key, row in new:
        if key in rows:
            raise ValueError(f"there is such a row already: {key}")
        rows[key] = row


def _write_holds(tables: Tables, changes: Changes) -> None:
    """A workflow of which nothing is known has no row; losses that are too old to matter go on the way."""
    kept = [hold for hold in changes.holds.values() if hold is not None]
    for lane in changes.holds:
        tables.holds.pop(lane, None)
    tables.holds.update({hold.lane: hold for hold in kept})
    if kept:
        forgotten_ms = max(hold.changed_ms for hold in kept) - FORGETS_MS
        for hold in [each for each in tables.holds.values() if not is_held(each) and each.changed_ms < forgotten_ms]:
            del tables.holds[hold.lane]


def _delete(tables: Tables, changes: Changes, here: NodeId) -> None:
    """What goes. Done before anything is written: a name that becomes free may be taken again."""
    for pruned in changes.pruned:
        prune(tables, pruned)
    for erasure in changes.erased:
        erase(tables, erasure)
    for worker_key in changes.forgotten_workers:
        tables.workers.pop(worker_key, None)
    for session in changes.forgotten_sessions:
        tables.ended_sessions.pop(session, None)
    for node_id in changes.forgotten_nodes:
        gone = tables.nodes.pop(node_id, None)
        if gone is not None:
            # What it has counted is still there.
            mine = tables.nodes.get(here, NodeRow(name_of_node(here)))
            tables.nodes[here] = replace(mine, counts=mine.counts + gone.counts)
    tables.anchors.update(changes.anchors)
    for anchor in changes.anchors.values():
        for place in [(chain, seq) for chain, seq in tables.audit if chain == anchor.chain_id and seq <= anchor.seq]:
            del tables.audit[place]
