"""Why a run stands where it stands."""

from __future__ import annotations

from oris.api.envelope import ok
from oris.api.handlers.common import latest_run
from oris.api.http import Answer
from oris.api.services import Call
from oris.core.explain import Surroundings, explain
from oris.core.hold import is_held
from oris.core.model import Job
from oris.core.quarantine import is_quarantined
from oris.engine.engine import Engine
from oris.wire.jobs import ExplainView, ThreadQuery
from oris.wire.times import rfc3339

LOOKED_AT = 100
"""Workers whose rows are read at most: the first one that is not in quarantine ends it."""


async def show(call: Call, _: None) -> Answer:
    """`GET /v1/jobs/{thread_id}/explain`."""
    query: ThreadQuery = call.options
    job = await latest_run(call, query.tenant_id, query.run_id)
    engine = call.services.engine
    tenant = await engine.reads.tenant(job.tenant_id)
    hold = await engine.reads.hold(job.lane)
    around = Surroundings(
        now_ms=engine.clock.now_ms(),
        skew_ms=engine.clock.skew_ms(),
        dispatching=engine.admission.modes.dispatch and not engine.admission.draining,
        tenant_leased=0 if tenant is None else tenant.leased,
        tenant_limit=engine.settings.tenant_limit,
        is_wanted=engine.roster.takes(job.lane),
        is_set_aside=engine.committer.set_aside.has(job.run_id),
        hold=hold if is_held(hold) else None,
        quarantined_until_ms=await _quarantined_until_ms(engine, job) if job.status == "queued" else None,
    )
    found = explain(job, around)
    return ok(
        call,
        ExplainView(
            thread_id=job.thread_id,
            run_id=job.run_id,
            status=job.status,
            reason=found.reason,
            since=rfc3339(found.since_ms),
            detail=found.detail,
            suggestion=found.suggestion,
        ),
    )


async def _quarantined_until_ms(engine: Engine, job: Job) -> int | None:
    """When the first of the workers that would take the job may be given something; None: they are not all in
    quarantine, or too many to look at."""
    takers = engine.roster.takers(job.lane, LOOKED_AT + 1)
    if not takers or len(takers) > LOOKED_AT:
        return None
    until_ms: list[int] = []
    for worker_key in takers:
        row = await engine.reads.worker(worker_key)
        if row is None or not is_quarantined(row):
            return None
        until_ms.append(row.quarantined_until_ms)
    return min(until_ms)
