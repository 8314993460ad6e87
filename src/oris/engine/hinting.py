"""What a commit means to other nodes."""

from __future__ import annotations

from oris.core.model import Lane
from oris.engine.batch import Outcome
from oris.ids import JobKey, NodeId, TenantId, WorkerKey
from oris.storage.hints import Hint


def hint_of(outcome: Outcome, node: NodeId) -> Hint:
    """What others should look at after this commit."""
    lanes: dict[Lane, None] = {}
    threads: dict[JobKey, None] = {}
    workers: dict[WorkerKey, None] = {worker.worker_key: None for worker in outcome.workers}
    tenants: dict[TenantId, None] = {}
    for decision in outcome.decisions:
        job, before = decision.job, decision.before
        if job is None:
            continue
        if decision.entries:
            threads[job.job_key] = None
        if job.status == "queued" and (before is None or before.status != "queued"):
            lanes[job.lane] = None
        held = None if before is None else before.worker_key
        if held is not None and job.worker_key is None:
            workers[held] = None
            tenants[job.tenant_id] = None
        elif held is not None and job.status == "cancelling":
            workers[held] = None
    workers.update(dict.fromkeys(outcome.facts.freed))
    changes = outcome.facts.changes
    return Hint(
        node, tuple(lanes), tuple(threads), tuple(workers), tuple(tenants), tuple(changes.holds), bool(changes.modes)
    )
