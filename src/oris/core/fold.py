"""What an event does to a run. `decide` changes a run by its events only, so folding a timeline gives its state.

Apart from that fold stand things that change without an event or are bounds, not facts: `lease_asked_ms` (heartbeats
move it), `lease_expires_ms` (so do outages), `wake_ms` (see `core.deadlines`) and `lost_ms`'s use as a measure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

import msgspec
from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import replace

from oris.core import events as ev
from oris.core.chain import Entry
from oris.core.events import Body
from oris.core.model import Job
from oris.errors import OrisError
from oris.ids import JobKey, RunId, TenantId, ThreadId


class BrokenTimeline(OrisError):
    """A timeline whose events cannot follow one another."""


def evolve(
    job: Job | None, job_key: JobKey, run_id: RunId, seq: int, at_ms: int, body: Body, digest: bytes, skew_ms: int = 0
) -> Job:
    """The run after this event. `at_ms` is its date, `skew_ms` how far that was ahead of the engine's time; `digest` is
    the event's hash, the thread's new chain head."""
    if isinstance(body, ev.RunCreated):
        return _created(job, job_key, run_id, seq, at_ms, body, digest, skew_ms)
    if job is None or job.run_id != run_id:
        raise BrokenTimeline(f"{job_key} event {seq}: {type(body).__name__} of a run that was not created")
    now_ms = at_ms - skew_ms
    marks = {"seq": seq, "updated_ms": now_ms, "skew_ms": skew_ms, "head_hash": digest}
    return replace(job, **_changed(job, seq, now_ms, body), **marks)


WaitEvent = ev.WaitSettled | ev.Rejected | ev.Resumed
RunEvent = (
    ev.AttemptQueued | ev.LeaseGranted | ev.StepRecorded | ev.CheckpointSaved | ev.CancelRequested | ev.DeadLettered
)
LeaseEnd = (
    ev.Suspended
    | ev.RetryScheduled
    | ev.LeaseExpired
    | ev.LeaseReleased
    | ev.TimedOut
    | ev.Cancelled
    | ev.Completed
    | ev.Failed
)
Changed = dict[str, object]
"""New values by field: what an event changes, besides the marks that every event leaves."""


_NO_WAITS: Changed = {"wait_mode": None, "waits_open": 0, "interrupts_open": 0, "due_ms": None}


def _changed(job: Job, seq: int, now_ms: int, body: RunEvent | WaitEvent | LeaseEnd) -> Changed:
    """What an event at this time of the engine's changes."""
    match body:
        case ev.AttemptQueued():
            available_ms = job.available_ms if body.available_ms is None else body.available_ms
            return {"status": "queued", "due_ms": None, "queued_ms": now_ms, "available_ms": available_ms}
        case ev.LeaseGranted():
            return {
                "status": "running",
                "lease_id": body.lease_id,
                "worker_key": body.worker_key,
                "poll_id": body.poll_id,
                "fence": body.fence,
                "lease_granted_ms": now_ms,
                "lease_expires_ms": body.expires_ms,
                "lease_session": body.session,
                "lease_ttl_ms": body.expires_ms - now_ms,
                "lease_asked_ms": body.expires_ms,
                "lost_ms": 0,
            }
        case ev.StepRecorded():
            # Only success is progress: a job that reports a start and dies would otherwise go on for ever.
            succeeded = body.status == "succeeded"
            return {
                "losses": 0 if succeeded else job.losses,
                "handout_bytes": job.handout_bytes + body.payload_bytes,
                "steps_succeeded": job.steps_succeeded + succeeded,
            }
        case ev.CheckpointSaved():
            return {
                "checkpoint_seq": seq,
                "checkpoint_run": None,
                "checkpoint_bytes": body.payload_bytes,
                "handout_bytes": job.handout_bytes - job.checkpoint_bytes + body.payload_bytes,
            }
        case ev.CancelRequested(mode="graceful"):
            return {"status": "cancelling", "reason": body.reason or "cancelled", "cancel_due_ms": body.due_ms}
        case ev.CancelRequested() | ev.DeadLettered():
            return {}
        case ev.WaitSettled() | ev.Rejected() | ev.Resumed():
            return _waited(job, body)
        case _:
            return _ended(job, seq, now_ms, body)


def _waited(job: Job, body: WaitEvent) -> Changed:
    if isinstance(body, ev.Resumed):
        return _NO_WAITS
    interrupts = job.interrupts_open - (isinstance(body, ev.Rejected) or body.kind == "interrupt")
    status = "interrupted" if interrupts else "suspended"
    return {
        "status": status,
        "waits_open": job.waits_open - 1,
        "interrupts_open": interrupts,
        "due_ms": body.due_ms,
        "handout_bytes": job.handout_bytes + body.handout_bytes,
    }


def _ended(job: Job, seq: int, now_ms: int, body: LeaseEnd) -> Changed:
    """The events that end a lease, if there is one, and perhaps the run."""
    match body:
        case ev.Completed():
            # The error of a try before is history: a run that finished has none.
            ended: Changed = {"status": "completed", "losses": 0, "result_seq": seq, "error_seq": 0}
        case ev.Failed():
            ended = {**_NO_WAITS, "status": "failed", "reason": body.reason, "error_seq": seq}
        case ev.Cancelled():
            result_seq = seq if body.by_worker else job.result_seq
            ended = {**_NO_WAITS, "status": "cancelled", "reason": body.reason, "result_seq": result_seq}
        case ev.Suspended():
            ended = {
                "status": "interrupted" if body.interrupts else "suspended",
                "wait_mode": body.mode,
                "waits_open": body.open,
                "interrupts_open": body.interrupts,
                "waits_raised": job.waits_raised + len(body.waits),
                "due_ms": body.due_ms,
                "losses": 0,
                "handout_bytes": job.handout_bytes + sum(raised.expire_bytes for raised in body.waits),
            }
        case ev.RetryScheduled():
            ended = {
                "status": "retry_backoff",
                "due_ms": body.due_ms,
                "attempt_no": job.attempt_no + 1,
                "retries": job.retries + 1,
                "losses": 0,
                "error_seq": seq,
            }
        case ev.LeaseReleased():
            ended = {} if body.due_ms is None else {"status": "scheduled", "due_ms": body.due_ms}
        case ev.LeaseExpired():
            lost: Changed = {
                "attempt_no": job.attempt_no + 1,
                "losses": job.losses + 1 if body.losses is None else body.losses,
                "lost_ms": body.expired_ms,
            }
            pausing: Changed = {} if body.due_ms is None else {"status": "retry_backoff", "due_ms": body.due_ms}
            return {**lost, **pausing, **_without_lease(job, body.expired_ms)}
        case ev.TimedOut():
            return _without_lease(job, body.at_ms)
        case _:
            assert_never(body)
    return {**ended, **_without_lease(job, now_ms)}


def _without_lease(job: Job, until_ms: int) -> Changed:
    if job.lease_id is None:
        return {}
    return {
        "lease_id": None,
        "worker_key": None,
        "poll_id": None,
        "lease_granted_ms": 0,
        "lease_expires_ms": 0,
        "lease_session": None,
        "lease_ttl_ms": 0,
        "lease_asked_ms": 0,
        "cancel_due_ms": None,
        "used_ms": job.used_ms + max(0, until_ms - job.lease_granted_ms),
    }


def _created(
    job: Job | None,
    job_key: JobKey,
    run_id: RunId,
    seq: int,
    at_ms: int,
    body: ev.RunCreated,
    digest: bytes,
    skew_ms: int,
) -> Job:
    tenant, _, thread = job_key.partition("/")
    made = Job(
        job_key=job_key,
        tenant_id=TenantId(tenant),
        thread_id=ThreadId(thread),
        run_id=run_id,
        workflow=body.workflow,
        priority=body.priority,
        status="scheduled",
        reason=None,
        attempt_no=1,
        retries=0,
        losses=0,
        available_ms=body.available_ms,
        due_ms=body.due_ms,
        queued_ms=0,
        fence=0 if job is None else job.fence,
        lease_id=None,
        worker_key=None,
        poll_id=None,
        lease_granted_ms=0,
        lease_expires_ms=0,
        lost_ms=0,
        timeout_ms=body.timeout_ms,
        on_timeout=body.on_timeout,
        used_ms=0,
        retry_policy=_bytes(body.retry_policy),
        idempotency_key=body.idempotency_key,
        metadata=_bytes(body.metadata),
        traceparent=body.traceparent,
        input_seq=seq if body.input_bytes else 0,
        checkpoint_seq=0,
        result_seq=0,
        error_seq=0,
        handout_bytes=body.input_bytes,
        checkpoint_bytes=0,
        created_ms=at_ms,
        thread_created_ms=at_ms if job is None else job.thread_created_ms,
        updated_ms=at_ms - skew_ms,
        skew_ms=skew_ms,
        seq=seq,
        head_hash=digest,
        wake_ms=None,
        pruned_seq=0 if job is None else job.pruned_seq,
        pruned_hash=b"" if job is None else job.pruned_hash,
        pruned_runs=0 if job is None else job.pruned_runs,
        pruned_fence=0 if job is None else job.pruned_fence,
    )
    return made if body.replay is None else _continued(made, body.replay)


def _continued(job: Job, replay: ev.ReplayOf) -> Job:
    """A replay begins with what another run had come to."""
    return replace(
        job,
        input_seq=replay.input_seq,
        checkpoint_seq=replay.checkpoint_seq,
        checkpoint_run=replay.checkpoint_run,
        checkpoint_bytes=replay.checkpoint_bytes,
        handout_bytes=replay.handout_bytes,
        replay_of=replay.run_id,
        replay_target=replay.target,
        sources=msgspec.json.encode(replay.sources) if replay.sources else None,
    )


def _bytes(raw: Raw | UnsetType) -> bytes | None:
    return None if raw is UNSET else bytes(raw)


def kept_from(job: Job) -> Job | None:
    """What folding the kept part of a thread's timeline begins with; None: all of it is kept."""
    if not job.pruned_seq:
        return None
    place = {"seq": job.pruned_seq, "head_hash": job.pruned_hash, "fence": job.pruned_fence}
    return replace(job, run_id=RunId(""), **place)


def fold(entries: Iterable[Entry], job: Job | None = None) -> Job | None:
    """The run that a stored timeline tells of. Raises BrokenTimeline when it tells of none."""
    for entry in entries:
        body = ev.decode(entry.data)
        job = evolve(job, entry.job_key, entry.run_id, entry.seq, entry.at_ms, body, entry.hash, entry.skew_ms)
    return job
