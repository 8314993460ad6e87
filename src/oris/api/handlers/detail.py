"""A thread with all that an operator wants to see of it at once."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import asdict

from oris.api.envelope import ok
from oris.api.handlers.common import latest_run
from oris.api.handlers.history import checkpoint_row
from oris.api.handlers.interrupts import pending_interrupts
from oris.api.handlers.threads import job_view
from oris.api.handlers.timeline import event_view
from oris.api.http import Answer
from oris.api.services import Call
from oris.core.chain import Entry
from oris.core.model import Job
from oris.core.observe import LeaseSpan, Moment, StepSpan, observe
from oris.storage.reads.operators import InterruptFilter
from oris.wire.history import (
    DetailView,
    LeaseSpanView,
    ObservabilityView,
    ReplayCostView,
    StepSpanView,
)
from oris.wire.jobs import ThreadQuery
from oris.wire.times import rfc3339

CHECKPOINTS = 50
"""Checkpoints shown, the newest first; `history` has the others."""
EVENTS = 200
"""Events shown, the latest; `timeline` has the others."""
OBSERVED = 2000
"""Events looked at for steps and leases, the latest of the thread."""
INTERRUPTS = 200
"""Interrupts whose latency is told, the latest of the run."""


async def show(call: Call, _: None) -> Answer:
    """`GET /v1/jobs/{thread_id}/detail`. Read one after the other: what happens meanwhile may show in a part of it."""
    query: ThreadQuery = call.options
    job = await latest_run(call, query.tenant_id, query.run_id)
    reads = call.services.engine.reads
    state = await job_view(call, job)
    saved = await reads.checkpoints(job.job_key, None, CHECKPOINTS)
    after_seq = max(0, job.seq - OBSERVED)
    entries = await reads.timeline(job.job_key, after_seq, OBSERVED)
    detail = DetailView(
        **asdict(state),
        history=tuple(map(checkpoint_row, saved.items)),
        timeline=tuple(map(event_view, entries[-EVENTS:])),
        pending_interrupts=await pending_interrupts(call, job.run_id) if job.interrupts_open else (),
        observability=await _observability(call, job, entries, after_seq),
    )
    return ok(call, detail)


async def _observability(call: Call, job: Job, entries: Sequence[Entry], after_seq: int) -> ObservabilityView:
    engine = call.services.engine
    now_ms = engine.clock.now_ms()
    seen = observe(entry for entry in entries if entry.run_id == job.run_id)
    counts = await engine.reads.step_counts(job.run_id)
    held_ms = 0 if job.lease_id is None else max(0, min(now_ms, job.lease_expires_ms) - job.lease_granted_ms)
    return ObservabilityView(
        reasoning_timeline=tuple(map(_step, seen.steps)),
        lease_graph=tuple(_lease(span, now_ms) for span in seen.leases),
        replay_cost=ReplayCostView(counts.succeeded, counts.open, job.used_ms + held_ms),
        interrupt_latency_ms=await _interrupt_latency_ms(call, job),
        after_seq=after_seq,
    )


async def _interrupt_latency_ms(call: Call, job: Job) -> tuple[int, ...] | None:
    if not job.waits_raised:
        return None
    page = await call.services.engine.reads.interrupts(InterruptFilter(run_id=job.run_id), None, INTERRUPTS)
    answered = [wait for wait in reversed(page.items) if wait.status != "dropped"]
    return tuple(max(0, wait.settled_ms - wait.created_ms) for wait in answered if wait.settled_ms is not None)


def _step(span: StepSpan) -> StepSpanView:
    started, ended = span.started, span.ended
    return StepSpanView(
        action_id=span.action_id,
        status=span.status,
        attempt_no=span.attempt_no,
        worker_id=span.worker_id,
        seq=span.seq,
        started_at=_shown(started),
        ended_at=_shown(ended),
        duration_ms=None if started is None or ended is None else ended.now_ms - started.now_ms,
    )


def _lease(span: LeaseSpan, now_ms: int) -> LeaseSpanView:
    until_ms = now_ms if span.ended is None else span.ended.now_ms
    return LeaseSpanView(
        lease_id=span.lease_id,
        worker_id=span.worker_id,
        fence=span.fence,
        attempt_no=span.attempt_no,
        granted_at=rfc3339(span.granted.date_ms),
        ended_at=_shown(span.ended),
        ended_by=span.ended_by,
        cause=span.cause,
        held_ms=max(0, until_ms - span.granted.now_ms),
    )


def _shown(moment: Moment | None) -> str | None:
    return None if moment is None else rfc3339(moment.date_ms)
