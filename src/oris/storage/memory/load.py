"""Facts: from `Needs` to the rows they name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from oris.core.audit_check import head_of
from oris.core.hold import PROBE_HEADS, is_held, lost_least
from oris.core.lookups import answered
from oris.core.model import SUSPENDED, Job, Lane, Wait, sources_of
from oris.core.needs import Heads, Loaded, Needs
from oris.core.replays import gather
from oris.ids import LeaseId, RunId, ThreadId, WorkerKey, run_of_lease
from oris.storage.memory.find import closed_lease, queued, wait
from oris.storage.memory.lookups import MemoryLookups
from oris.storage.memory.tables import Tables

K = TypeVar("K")
R = TypeVar("R")

TENANTS_OF_THREAD = 10_000
"""Of a thread that a poll names so many tenants are looked at, ..."""
QUEUED_OF_THREAD = 100
"""... and of those that are queued so many are loaded."""
NEWEST_INTERRUPTS = 100
"""Interrupts of a run that are loaded, settled ones too."""
LOST_BY = 16
"""Lost leases of a run whose workers are loaded."""


def load(tables: Tables, needs: Needs) -> Loaded:
    """Read all that is needed, and what comes with it: see `Needs`."""
    loaded = Loaded()
    _load_jobs(tables, needs, loaded)
    loaded.holds = _named(tables.holds, needs.lanes | needs.heads.keys())
    for lane, count in needs.heads.items():
        loaded.heads[lane] = _heads(tables, lane, count, held=is_held(loaded.holds.get(lane)))
    _load_polls(tables, needs, loaded)
    found = _all_found(loaded)
    _load_waits(tables, needs, found, loaded)
    for key, run_id, seq in sorted(needs.replays):
        if key in loaded.jobs:
            answered(gather(loaded.jobs[key], run_id, seq, loaded), MemoryLookups(tables))
    _load_old(tables, needs, loaded)
    loaded.holds |= _named(tables.holds, {run.lane for run in (*found, *loaded.past_runs.values())})
    _load_counters(tables, needs, found, loaded)
    _load_details(tables, needs, found, loaded)
    return loaded


def _named(rows: Mapping[K, R], keys: Iterable[K]) -> dict[K, R]:
    """The rows with these keys, those that are there."""
    return {key: rows[key] for key in keys if key in rows}


def _load_jobs(tables: Tables, needs: Needs, loaded: Loaded) -> None:
    loaded.jobs = _named(tables.jobs, needs.jobs)
    if needs.runs:
        loaded.jobs |= {key: job for key, job in tables.jobs.items() if job.run_id in needs.runs}
    for thread in sorted(needs.threads):
        loaded.jobs |= {job.job_key: job for job in _queued_of_thread(tables, thread)}


def _queued_of_thread(tables: Tables, thread_id: ThreadId) -> list[Job]:
    jobs = [job for job in tables.jobs.values() if job.thread_id == thread_id]
    jobs.sort(key=lambda job: job.tenant_id)
    return [job for job in jobs[:TENANTS_OF_THREAD] if job.status == "queued"][:QUEUED_OF_THREAD]


def _heads(tables: Tables, lane: Lane, count: int, *, held: bool) -> Heads:
    jobs = queued(tables, lane)
    if not held:
        return Heads(tuple(jobs[:count]), len(jobs) <= count)
    least = tuple(sorted(jobs[:PROBE_HEADS], key=lost_least)[:count])
    if len(least) < min(count, PROBE_HEADS):
        return Heads(tuple(jobs), True, least)
    # One of these is probed. Of the first, one stands for all: should the hold end, the next commit goes on.
    return Heads(tuple(jobs[:1]), len(jobs) <= 1, least)


def _load_polls(tables: Tables, needs: Needs, loaded: Loaded) -> None:
    if needs.polls:
        for job in tables.jobs.values():
            if job.worker_key is not None and job.poll_id is not None:
                poll = (job.worker_key, job.poll_id)
                if poll in needs.polls:
                    loaded.polls[poll] = (*loaded.polls.get(poll, ()), job)


def _all_found(loaded: Loaded) -> list[Job]:
    """Every job that was found, however it was."""
    found = dict(loaded.jobs)
    for heads in loaded.heads.values():
        found |= {job.job_key: job for job in (*heads.jobs, *heads.least)}
    for jobs in loaded.polls.values():
        found |= {job.job_key: job for job in jobs}
    return list(found.values())


def _load_waits(tables: Tables, needs: Needs, found: Iterable[Job], loaded: Loaded) -> None:
    """What the jobs that were found wait for, and the waits that were named."""
    suspended = {job.run_id for job in found if job.status in SUSPENDED}
    asked = {job.run_id for job in found if job.job_key in needs.interrupts}
    keys = needs.wait_keys | {
        (loaded.jobs[thread].run_id, key) for thread, key in needs.questions if thread in loaded.jobs
    }
    interrupts: dict[RunId, list[Wait]] = {run_id: [] for run_id in asked}
    if suspended or asked or keys:
        for each in tables.waits.values():
            pending = each.status == "pending" and each.run_id in suspended
            if pending or (each.run_id, each.key) in keys:
                loaded.waits[each.wait_id] = each
            if each.kind == "interrupt" and each.run_id in asked:
                interrupts[each.run_id].append(each)
    for waits in interrupts.values():
        loaded.waits |= {each.wait_id: each for each in waits[-NEWEST_INTERRUPTS:]}
    for wait_id in needs.waits:
        named = wait(tables, wait_id)
        if named is not None:
            loaded.waits[wait_id] = named


def _load_old(tables: Tables, needs: Needs, loaded: Loaded) -> None:
    """The facts of retention."""
    loaded.old.pruned = _named(tables.pruned_runs, needs.pruned_runs)
    records = _named(tables.audit, needs.audit_places)
    loaded.old.audit_heads = {place: head_of(record) for place, record in records.items()}
    loaded.old.anchors = _named(tables.anchors, {chain for chain, _ in needs.audit_places})


def _load_counters(tables: Tables, needs: Needs, found: Iterable[Job], loaded: Loaded) -> None:
    """The worker and tenant rows that any of the jobs found may change."""
    workers = needs.workers | {worker for worker, _ in needs.polls}
    tenants = needs.tenants | {lane.tenant_id for lane in needs.heads}
    for job in found:
        tenants.add(job.tenant_id)
        if job.worker_key is not None:
            workers.add(job.worker_key)
        if job.losses and job.lease_id is not None:
            workers |= _lost_by(tables, job.run_id, job.lease_id)
    loaded.workers = _named(tables.workers, workers)
    loaded.tenants = _named(tables.tenants, tenants)


def _lost_by(tables: Tables, run_id: RunId, lease_id: LeaseId) -> set[WorkerKey]:
    """The workers who have lost earlier leases of the same run: should it be to blame, they are not."""
    ended = (closed for lease, closed in tables.closed.items() if lease < lease_id and run_of_lease(lease) == run_id)
    lost = [closed for closed in ended if closed.state in ("expired", "superseded")]
    # The ids of a run's leases rise.
    lost.sort(key=lambda closed: closed.lease_id, reverse=True)
    return {closed.worker_key for closed in lost[:LOST_BY]}


def _load_details(tables: Tables, needs: Needs, found: Iterable[Job], loaded: Loaded) -> None:
    for lease in needs.closed:
        closed = closed_lease(tables, lease)
        if closed is not None:
            loaded.closed[lease] = closed
    loaded.idempotent = _named(tables.idempotent, needs.idempotent)
    sources = {job.run_id: [run for run, _ in sources_of(job)] for job in found}
    steps = needs.steps | {(run, action) for mine, action in needs.steps for run in sources.get(mine, ())}
    if steps:
        for step in tables.steps.values():
            if (step.run_id, step.action_id) in steps:
                loaded.steps.setdefault((step.run_id, step.action_id), []).append(step)
    loaded.api_keys = _named(tables.api_keys, needs.api_keys)
    loaded.ended_sessions = needs.ended_sessions & tables.ended_sessions.keys()
    loaded.node_names = needs.node_names & {row.name for row in tables.nodes.values()}
    loaded.modes = _named(tables.modes, needs.modes)
    if needs.total:
        loaded.total = tables.total
    loaded.nodes = {node: row.now_ms for node, row in _named(tables.nodes, needs.nodes).items()}
