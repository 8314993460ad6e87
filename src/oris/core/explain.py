"""Explain: why a run stands where it stands, what that means, and what to do about it."""

from __future__ import annotations

from typing import Literal, assert_never

from msgspec import Struct

from oris.core.hold import Hold
from oris.core.model import Job
from oris.ids import attempt_of, worker_of

ReasonWord = Literal[
    "waiting_for_worker",
    "no_worker_for_workflow",
    "workers_quarantined",
    "workflow_held",
    "tenant_limit",
    "dispatch_off",
    "set_aside",
    "delayed",
    "retry_backoff",
    "held",
    "interrupted",
    "suspended",
    "worker_silent",
    "done",
]


class Surroundings(Struct, frozen=True):
    """What is known beside the run itself."""

    now_ms: int
    """By the engine's clock."""
    skew_ms: int
    """How far the calendar is ahead of it."""
    dispatching: bool
    """Whether work is given out at all."""
    tenant_leased: int
    tenant_limit: int
    is_wanted: bool
    """Whether a worker that takes jobs of its workflow asks for work, or did lately."""
    is_set_aside: bool = False
    """Whether this server grants it to nobody until its next start."""
    hold: Hold | None = None
    """How its workflow is held, if it is."""
    quarantined_until_ms: int | None = None
    """When the first of those workers may have a probe, if all of them are in quarantine."""


class Explanation(Struct, frozen=True):
    """`since_ms`: the date since when it has been so, at least."""

    reason: ReasonWord
    since_ms: int
    detail: str
    suggestion: str


def explain(job: Job, around: Surroundings) -> Explanation:
    """Why this run stands where it stands now."""
    match job.status:
        case "scheduled":
            left_s = _left_s(job.due_ms, around.now_ms + around.skew_ms)
            return Explanation(
                "delayed", job.updated_date_ms, f"the run is delayed and is due in {left_s} s", "wait, or cancel it"
            )
        case "retry_backoff":
            return _backing_off(job, around)
        case "queued":
            return _queued(job, around)
        case "running" | "cancelling":
            return _running(job, around)
        case "interrupted":
            detail = f"the run waits for {job.interrupts_open} answers from people"
            return Explanation("interrupted", job.updated_date_ms, detail, "find them with GET /v1/interrupts?run_id=")
        case "suspended":
            left_s = _left_s(job.due_ms, around.now_ms + around.skew_ms)
            detail = f"the run waits until a set time; the next one is in {left_s} s"
            return Explanation("suspended", job.updated_date_ms, detail, "wait, or cancel it")
        case "completed" | "failed" | "cancelled":
            return _done(job)
        case _:
            assert_never(job.status)


def _backing_off(job: Job, around: Surroundings) -> Explanation:
    left_s = _left_s(job.due_ms, around.now_ms)
    if not job.losses:
        detail = f"attempt {job.attempt_no - 1} failed; retry {job.retries} is due in {left_s} s"
        return Explanation("retry_backoff", job.updated_date_ms, detail, "read the error with GET /v1/jobs/{thread_id}")
    detail = (
        f"the run has lost {job.losses} leases in a row, because its workers became silent or were replaced;"
        f" it is offered again in {left_s} s, so that other jobs go first"
    )
    return Explanation("retry_backoff", job.updated_date_ms, detail, "check the workers that its timeline names")


def _held_workflow(job: Job, hold: Hold, around: Surroundings) -> Explanation:
    if hold.probe is not None:
        detail_of_probe = "one lease is granted as a probe"
    else:
        detail_of_probe = f"the next lease is granted as a probe in {_left_s(hold.next_ms, around.now_ms)} s"
    detail = (
        f"the last leases of workflow {job.workflow!r} were all lost, so only one lease at a time is granted;"
        f" {detail_of_probe}"
    )
    of_tenant = f" with tenant_id {job.tenant_id!r}" if job.tenant_id else ""
    suggestion = (
        "repair its workers: the first lease that one of them closes ends the hold,"
        f" and so does POST /v1/workflows/{{workflow}}/clear-hold{of_tenant}"
    )
    return Explanation("workflow_held", hold.held_ms + around.skew_ms, detail, suggestion)


def _queued(job: Job, around: Surroundings) -> Explanation:
    since_ms = job.queued_ms + around.skew_ms
    if not around.dispatching:
        return Explanation(
            "dispatch_off", since_ms, "the server grants no work now", "wait for the restart, or switch dispatch on"
        )
    if around.is_set_aside:
        detail = "a stored value of the run is damaged, or granting it has failed; this server does not grant it"
        suggestion = "see the log and GET /v1/jobs/{thread_id}/verify; restart the server to try again, or cancel it"
        return Explanation("set_aside", since_ms, detail, suggestion)
    if around.hold is not None:
        return _held_workflow(job, around.hold, around)
    if around.tenant_leased >= around.tenant_limit:
        detail = f"its tenant has {around.tenant_leased} running attempts; {around.tenant_limit} are allowed"
        return Explanation("tenant_limit", since_ms, detail, "wait, or raise ORIS_MAX_ACTIVE_LEASES_PER_TENANT")
    if not around.is_wanted:
        detail = f"no worker has asked this server for work of workflow {job.workflow!r} in the last minute"
        suggestion = "start a worker for it, or check GET /v1/workers for workers that are deaf or quarantined"
        return Explanation("no_worker_for_workflow", since_ms, detail, suggestion)
    if around.quarantined_until_ms is not None:
        of_probe = _of_probe(around.quarantined_until_ms, around)
        detail = f"all workers that ask for its workflow are in quarantine; {of_probe}"
        suggestion = (
            "see GET /v1/workers: a worker leaves quarantine when it closes a lease,"
            " or with POST /v1/workers/{worker_id}/clear-quarantine"
        )
        return Explanation("workers_quarantined", since_ms, detail, suggestion)
    return Explanation(
        "waiting_for_worker", since_ms, "its workers are busy, or older work goes first", "wait, or start more workers"
    )


def _of_probe(until_ms: int, around: Surroundings) -> str:
    """What becomes of the first quarantined worker whose window ends."""
    if until_ms <= around.now_ms:
        return "one of them has one lease as a probe, or gets one with its next poll"
    return f"the first of them can get a lease in {_left_s(until_ms, around.now_ms)} s"


def _running(job: Job, around: Surroundings) -> Explanation:
    worker = "" if job.worker_key is None else worker_of(job.worker_key)
    left_ms = max(0, job.lease_expires_ms - around.now_ms)
    if 3 * left_ms < job.lease_ttl_ms:
        detail = f"worker {worker!r} has not renewed its lease, which ends in {left_ms / 1000:.1f} s"
        suggestion = "check the worker; without a heartbeat another worker gets the attempt"
        heard_ms = job.lease_expires_ms - job.lease_ttl_ms
        return Explanation("worker_silent", heard_ms + around.skew_ms, detail, suggestion)
    since_ms = job.lease_granted_ms + around.skew_ms
    if job.status == "cancelling":
        left_s = _left_s(job.cancel_due_ms, around.now_ms)
        detail = f"a graceful cancel was requested; worker {worker!r} has {left_s} s left to finish"
        return Explanation("held", since_ms, detail, "wait, or cancel it with mode terminate")
    detail = f"worker {worker!r} works on the run; its lease ends in {left_ms / 1000:.1f} s unless it is renewed"
    return Explanation("held", since_ms, detail, "wait, or look at its steps in the timeline")


def _done(job: Job) -> Explanation:
    why = f" ({job.reason})" if job.reason else ""
    suggestion = "submit a new run if there is more to do"
    if job.status == "failed":
        suggestion = f"read its error with GET /v1/dlq/{attempt_of(job.run_id)}"
    return Explanation("done", job.updated_date_ms, f"the run has ended: {job.status}{why}", suggestion)


def _left_s(due_ms: int | None, now_ms: int) -> str:
    return f"{max(0, (due_ms or now_ms) - now_ms) / 1000:.1f}"
