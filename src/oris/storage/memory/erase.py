"""Retention: a pruned run goes at once from all that names it, and its other rows go piece by piece."""

from __future__ import annotations

from itertools import islice
from typing import TypeVar

from oris.core.changes import Erasure, Pruned
from oris.core.model import PrunedRun
from oris.ids import JobKey, run_of_lease
from oris.storage.memory.tables import Tables

K = TypeVar("K")
R = TypeVar("R")


def prune(tables: Tables, pruned: Pruned) -> None:
    """Let runs go, and what names them. Of the thread's latest run the row stays: it is the thread's anchor."""
    latest = tables.jobs[pruned.job_key]
    for run_id in pruned.run_ids:
        run = latest if run_id == latest.run_id else tables.past_runs.pop(run_id)
        tables.pruned_runs[run_id] = PrunedRun(run_id, run.job_key, run.seq, pruned.pruned_ms)
        tables.dead_letters.pop(run_id, None)
    gone = frozenset(pruned.run_ids)
    # A target may have been claimed by a later run, which stays.
    for key in [key for key, bound in tables.idempotent.items() if bound.run_id in gone]:
        del tables.idempotent[key]
    for target in [target for target, claim in tables.claims.items() if claim.run_id in gone]:
        del tables.claims[target]


def erase(tables: Tables, erasure: Erasure) -> None:
    """One kind of rows after the other; the run is forgotten once there are fewer than may go."""
    run = erasure.run
    until = _fitting(tables, run.job_key, run.seq, erasure)
    if until is not None:
        for place in [place for place in tables.entries if place[0] == run.job_key and place[1] <= until]:
            del tables.entries[place]
            tables.payloads.pop(place, None)
        if until < run.seq:
            return
    steps = [key for key, step in tables.steps.items() if step.run_id == run.run_id]
    waits = [key for key, wait in tables.waits.items() if wait.run_id == run.run_id]
    leases = [lease for lease in tables.closed if run_of_lease(lease) == run.run_id]
    enough = (
        _drop(tables.steps, steps, erasure.rows_max)
        or _drop(tables.waits, waits, erasure.rows_max)
        or _drop(tables.closed, leases, erasure.rows_max)
    )
    if not enough:
        del tables.pruned_runs[run.run_id]


def _drop(rows: dict[K, R], keys: list[K], limit: int) -> bool:
    """Delete at most so many. Whether that were as many as may go at once."""
    for key in keys[:limit]:
        del rows[key]
    return len(keys) >= limit


def _fitting(tables: Tables, job_key: JobKey, last_seq: int, erasure: Erasure) -> int | None:
    """The last event of those that may go now, one at least; None: there is none at all."""
    seqs = sorted(seq for key, seq in tables.entries if key == job_key and seq <= last_seq)
    last, size = None, 0
    for seq in islice(seqs, erasure.rows_max):
        size += len(tables.payloads.get((job_key, seq), b""))
        if last is not None and size > erasure.bytes_max:
            break
        last = seq
    return last
