"""Why a run stands where it stands."""

from __future__ import annotations

from oris.api.envelope import ok
from oris.api.handlers.common import latest_run
from oris.api.http import Answer
from oris.api.services import Call
from oris.core.explain import Surroundings, explain
from oris.wire.jobs import ExplainView, ThreadQuery
from oris.wire.times import rfc3339


async def show(call: Call, _: None) -> Answer:
    """`GET /v1/jobs/{thread_id}/explain`."""
    query: ThreadQuery = call.options
    job = await latest_run(call, query.tenant_id, query.run_id)
    engine = call.services.engine
    tenant = await engine.reads.tenant(job.tenant_id)
    around = Surroundings(
        now_ms=engine.clock.now_ms(),
        skew_ms=engine.clock.skew_ms(),
        dispatching=engine.admission.modes.dispatch and not engine.admission.draining,
        tenant_leased=0 if tenant is None else tenant.leased,
        tenant_limit=engine.settings.tenant_limit,
        is_wanted=engine.roster.takes(job.lane),
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
