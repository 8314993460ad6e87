"""The words that answers are made of. Each list is whole: a client may match on it. A later version may add words."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias, get_args

from msgspec import Meta


def _one_of(words: str) -> Meta:
    # For the document alone: what is sent comes from typed code, and reading it again would cost each answer.
    return Meta(extra_json_schema={"enum": words.split()})


RunStatus: TypeAlias = Annotated[
    str,
    _one_of("scheduled queued running suspended interrupted retry_backoff cancelling completed failed cancelled"),
]
EventType: TypeAlias = Annotated[
    str,
    _one_of(
        "run_created attempt_queued lease_granted step_recorded checkpoint_saved suspended wait_settled resumed"
        " rejected retry_scheduled lease_expired lease_released timed_out cancel_requested cancelled completed failed"
        " dead_lettered"
    ),
]
ExplainReason: TypeAlias = Annotated[
    str,
    _one_of(
        "waiting_for_worker no_worker_for_workflow workers_quarantined workflow_held tenant_limit dispatch_off"
        " set_aside delayed retry_backoff held worker_silent interrupted suspended done"
    ),
]
PollDecision: TypeAlias = Annotated[str, _one_of("dispatched noop backpressure draining")]
PollReason: TypeAlias = Annotated[str, _one_of("worker_limit tenant_limit quarantined session_superseded")]
ControlType: TypeAlias = Annotated[str, _one_of("cancel graceful_cancel timed_out lost")]
LeaseState: TypeAlias = Annotated[str, _one_of("held cancelling cancelled timed_out lost")]
StepState: TypeAlias = Annotated[str, _one_of("started succeeded failed")]
ReportWord: TypeAlias = Annotated[str, _one_of("reported reported_idempotent")]
SuspendWord: TypeAlias = Annotated[str, _one_of("suspended interrupted queued cancelled")]
WaitKindWord: TypeAlias = Annotated[str, _one_of("time interrupt")]
WaitWord: TypeAlias = Annotated[str, _one_of("pending resumed rejected expired dropped")]
AckWord: TypeAlias = Annotated[str, _one_of("completed failed cancelled retry_scheduled")]
DeadLetterWord: TypeAlias = Annotated[str, _one_of("pending replayed")]
DeadLetterReason: TypeAlias = Annotated[
    str, _one_of("lease_losses failed retries_exhausted timed_out interrupt_expired")
]
KnownAction: TypeAlias = Literal[
    "job.run",
    "job.batch",
    "job.resume",
    "job.replay",
    "job.cancel",
    "interrupt.resume",
    "interrupt.reject",
    "dlq.replay",
    "worker.clear_quarantine",
    "workflow.clear_hold",
    "apikey.create",
    "apikey.revoke",
    "admin.mode",
    "chain.open",
]
"""What is audited; the last one is the trail's own, and found with `category=all`."""
AuditAction: TypeAlias = Annotated[str, _one_of(" ".join(get_args(KnownAction)))]
