"""Requests and answers about jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from oris.wire import fields as f
from oris.wire.names import (
    DurationMs,
    Name,
    PositiveMs,
)
from oris.wire.words import CancelMode, ExplainReason, RetryStrategy, RunStatus, RunStatusAsked, TimeoutStatus

ABSENT = Raw(b"")
"""A client's JSON value that was not sent."""


def is_given(value: Raw) -> bool:
    """Whether a client sent a value where it may be left out: null says that it did not."""
    return bytes(value) not in (b"", b"null")


class TraceView(Struct, frozen=True):
    """A position in a trace."""

    trace_id: Annotated[str, f.about("32 hexadecimal digits.")]
    span_id: Annotated[str, f.about("16 hexadecimal digits.")]
    parent_span_id: Annotated[str, f.about("The parent of this span; null: this span begins the trace.")] | None
    traceparent: Annotated[str, f.about("The same as a W3C `traceparent` header.")]


class TimeoutPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """A limit on the time under lease, summed over the run."""

    timeout_ms: Annotated[
        PositiveMs,
        f.about(
            "The most time under lease, summed over the run, in milliseconds. Queue, backoff and waits do not count."
        ),
    ]
    on_timeout_status: Annotated[TimeoutStatus, f.about("How the run ends when this time is over.")] = "failed"


class RetryPolicyRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """How failed attempts are retried."""

    strategy: Annotated[RetryStrategy, f.about("Whether the pause stays the same or grows.")]
    backoff_ms: f.BackoffMs
    max_retries: f.MaxRetries
    max_backoff_ms: (
        Annotated[DurationMs, f.about("The longest pause, in milliseconds; null: there is no limit.")] | None
    ) = None
    multiplier: Annotated[
        float,
        Meta(ge=1.0, le=100.0),
        f.about("With `exponential`: each pause is this many times as long as the one before it."),
    ] = 2.0


class BatchedJob(Struct, frozen=True, forbid_unknown_fields=True):
    """A job of a batch."""

    thread_id: f.ThreadId
    input: f.Input = ABSENT
    workflow: f.Workflow = "default"
    idempotency_key: f.IdempotencyKey | None = None
    priority: f.Priority = 0
    tenant_id: f.AskedTenantId | None = None
    timeout_policy: Annotated[TimeoutPolicy, f.about("A limit on the time under lease; null: none.")] | None = None
    retry_policy: (
        Annotated[RetryPolicyRequest, f.about("How failed attempts are retried; null: they are not.")] | None
    ) = None
    delay_ms: (
        Annotated[
            DurationMs,
            f.about("How long to wait before the job may start, in milliseconds. Not together with `run_at`."),
        ]
        | None
    ) = None
    run_at: (
        Annotated[
            datetime,
            Meta(tz=True),
            f.about("When the job may start: a time with its zone. Not together with `delay_ms`."),
        ]
        | None
    ) = None
    metadata: Annotated[dict[str, str], Meta(max_length=64), f.about("Labels that the client chooses.")] | None = None


class JobRequest(BatchedJob, frozen=True, forbid_unknown_fields=True):
    """A job, and how long the caller waits for its end."""

    wait_ms: f.WaitMs = 0


class BatchRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Jobs that are submitted in one commit. Each is accepted or refused on its own."""

    jobs: Annotated[list[BatchedJob], Meta(min_length=1, max_length=1000), f.about("The jobs.")]


class CancelRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """How to cancel a run."""

    reason: Annotated[str, Meta(min_length=1, max_length=1000), f.about("Why the run is cancelled.")] | None = None
    mode: Annotated[CancelMode, f.about("Whether a worker that holds the run may finish.")] = "terminate"
    grace_ms: Annotated[
        DurationMs, f.about("With mode `graceful`: how long the worker has to finish, in milliseconds.")
    ] = 30_000
    run_id: f.ExpectedRunId | None = None
    tenant_id: f.AskedTenantId | None = None


class PendingView(Struct, frozen=True):
    """An interrupt that a run waits for. Its value is left out if the answer is full."""

    interrupt_id: f.InterruptId
    key: f.WaitKey
    expires_at: Annotated[str, f.about("When the question expires; null: never.")] | None
    value: f.Question | UnsetType = UNSET


class SubmittedView(Struct, frozen=True):
    """The answer to a submit."""

    thread_id: f.ThreadId
    run_id: f.RunId
    attempt_id: f.AttemptId
    status: Annotated[RunStatus, f.about("The status of the run now.")]
    interrupts: Annotated[tuple[PendingView, ...], f.about("The questions that the run waits for.")]
    idempotency_key: f.IdempotencyKey | None
    idempotent_replay: f.IdempotentReplay
    trace: Annotated[TraceView, f.about("The run's position in its trace.")]
    result: f.Result | UnsetType = UNSET
    error: f.RunError | UnsetType = UNSET


class LeaseView(Struct, frozen=True):
    """The worker that holds a run, and when its lease ends."""

    worker_id: f.WorkerId
    expires_at: Annotated[str, f.about("When the lease ends unless a heartbeat renews it.")]


class JobView(Struct, frozen=True):
    """A run in full."""

    thread_id: f.ThreadId
    run_id: f.RunId
    status: Annotated[RunStatus, f.about("The status of the run.")]
    reason: Annotated[str, f.about("The reason of the status, if there is one, such as the reason of a cancel.")] | None
    workflow: f.Workflow
    tenant_id: f.TenantId
    priority: f.ShownPriority
    checkpoint_id: Annotated[str, f.about("The newest checkpoint; null: none.")] | None
    values: Annotated[Raw, f.about("The values of the newest checkpoint; null: none.")]
    input: f.Input
    result: f.Result
    error: f.RunError
    attempt_id: f.AttemptId
    attempt_no: f.AttemptNo
    metadata: f.Metadata
    idempotency_key: f.IdempotencyKey | None
    due_at: Annotated[str, f.about("When the run can start or is retried; null: it does not wait for a time.")] | None
    created_at: f.CreatedAt
    updated_at: f.UpdatedAt
    trace: Annotated[TraceView, f.about("The run's position in its trace.")]
    lease: Annotated[LeaseView, f.about("The lease on the run; missing: no worker holds it.")] | UnsetType = UNSET


class JobRow(Struct, frozen=True):
    """A run in a list."""

    thread_id: f.ThreadId
    run_id: f.RunId
    workflow: f.Workflow
    status: Annotated[RunStatus, f.about("The status of the run.")]
    attempt_no: f.AttemptNo
    priority: f.ShownPriority
    tenant_id: f.TenantId
    created_at: f.CreatedAt
    updated_at: f.UpdatedAt


class ResultView(Struct, frozen=True):
    """The status of a run, and its result if it has ended."""

    run_id: f.RunId
    status: Annotated[RunStatus, f.about("The status of the run.")]
    result: f.Result | UnsetType = UNSET
    error: f.RunError | UnsetType = UNSET


class CancelledView(Struct, frozen=True):
    """A run after a cancel."""

    thread_id: f.ThreadId
    run_id: f.RunId
    status: Annotated[RunStatus, f.about("The status of the run now.")]
    reason: Annotated[str, f.about("Why the run is cancelled.")]


class ExplainView(Struct, frozen=True):
    """Why a run has the status that it has."""

    thread_id: f.ThreadId
    run_id: f.RunId
    status: Annotated[RunStatus, f.about("The status of the run.")]
    reason: Annotated[ExplainReason, f.about("The reason, as a word for programs.")]
    since: Annotated[str, f.about("Since when this is so.")]
    detail: Annotated[str, f.about("The reason, as a sentence for people.")]
    suggestion: Annotated[str, f.about("What you can do about it.")]


class JobsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which threads to list."""

    status: Annotated[RunStatusAsked, f.about("Only threads whose latest run has this status.")] | None = None
    workflow: Annotated[Name, f.about("Only this workflow.")] | None = None
    tenant_id: f.AskedTenantId | None = None
    cursor: f.Cursor | None = None
    limit: f.PageLimit = 50


class ThreadQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which tenant's thread, and which run must be its latest."""

    tenant_id: f.AskedTenantId | None = None
    run_id: f.ExpectedRunId | None = None


class RunsQuery(ThreadQuery, frozen=True, forbid_unknown_fields=True):
    """A page of a thread's runs."""

    cursor: f.Cursor | None = None
    limit: f.PageLimit = 50


class ResultQuery(ThreadQuery, frozen=True, forbid_unknown_fields=True):
    """How long to wait for the end."""

    wait_ms: f.WaitMs = 0
