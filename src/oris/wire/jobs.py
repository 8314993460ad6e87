"""Requests and answers about jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from oris.wire.names import (
    DurationMs,
    Name,
    PageLimit,
    PositiveMs,
    Priority,
    TenantName,
    Token,
    WaitMs,
)
from oris.wire.words import CancelMode, ExplainReason, RetryStrategy, RunStatus, RunStatusAsked, TimeoutStatus

ABSENT = Raw(b"")
"""A client's JSON value that was not sent."""


def is_given(value: Raw) -> bool:
    """Whether a client sent a value where it may be left out: null says that it did not."""
    return bytes(value) not in (b"", b"null")


class TraceView(Struct, frozen=True):
    """Where in a trace something stands."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    traceparent: str


class TimeoutPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """A limit on the time under lease, summed over the run."""

    timeout_ms: PositiveMs
    on_timeout_status: TimeoutStatus = "failed"


class RetryPolicyRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """How failed attempts are tried again."""

    strategy: RetryStrategy
    backoff_ms: DurationMs
    max_retries: Annotated[int, Meta(ge=0, le=10_000)]
    max_backoff_ms: DurationMs | None = None
    multiplier: Annotated[float, Meta(ge=1.0, le=100.0)] = 2.0


class BatchedJob(Struct, frozen=True, forbid_unknown_fields=True):
    """A job of a batch."""

    thread_id: Name
    input: Raw = ABSENT
    workflow: Name = "default"
    idempotency_key: Token | None = None
    priority: Priority = 0
    tenant_id: TenantName | None = None
    timeout_policy: TimeoutPolicy | None = None
    retry_policy: RetryPolicyRequest | None = None
    delay_ms: DurationMs | None = None
    run_at: Annotated[datetime, Meta(tz=True)] | None = None
    metadata: Annotated[dict[str, str], Meta(max_length=64)] | None = None


class JobRequest(BatchedJob, frozen=True, forbid_unknown_fields=True):
    """A job of its own: its caller may wait for the end."""

    wait_ms: WaitMs = 0


class BatchRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Jobs that are submitted in one commit, each on its own."""

    jobs: Annotated[list[BatchedJob], Meta(min_length=1, max_length=1000)]


class CancelRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The wish to end a run."""

    reason: Annotated[str, Meta(min_length=1, max_length=1000)] | None = None
    mode: CancelMode = "terminate"
    grace_ms: DurationMs = 30_000
    run_id: Token | None = None
    tenant_id: TenantName | None = None


class PendingView(Struct, frozen=True):
    """An interrupt that a run waits for; without its value where the values before it fill the answer."""

    interrupt_id: str
    key: str
    expires_at: str | None
    value: Raw | UnsetType = UNSET


class SubmittedView(Struct, frozen=True):
    """A run, as its submitter sees it."""

    thread_id: str
    run_id: str
    attempt_id: str
    status: RunStatus
    interrupts: tuple[PendingView, ...]
    idempotency_key: str | None
    idempotent_replay: bool
    trace: TraceView
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


class LeaseView(Struct, frozen=True):
    """Who works on a run, and until when unless it renews."""

    worker_id: str
    expires_at: str


class JobView(Struct, frozen=True):
    """A run in full."""

    thread_id: str
    run_id: str
    status: RunStatus
    reason: str | None
    workflow: str
    tenant_id: str
    priority: int
    checkpoint_id: str | None
    values: Raw
    input: Raw
    result: Raw
    error: Raw
    attempt_id: str
    attempt_no: int
    metadata: Raw
    idempotency_key: str | None
    due_at: str | None
    created_at: str
    updated_at: str
    trace: TraceView
    lease: LeaseView | UnsetType = UNSET


class JobRow(Struct, frozen=True):
    """A run in a list."""

    thread_id: str
    run_id: str
    workflow: str
    status: RunStatus
    attempt_no: int
    priority: int
    tenant_id: str
    created_at: str
    updated_at: str


class ResultView(Struct, frozen=True):
    """How a run stands, or how it ended."""

    run_id: str
    status: RunStatus
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


class CancelledView(Struct, frozen=True):
    """A run after a cancel."""

    thread_id: str
    run_id: str
    status: RunStatus
    reason: str


class ExplainView(Struct, frozen=True):
    """Why a run stands where it stands."""

    thread_id: str
    run_id: str
    status: RunStatus
    reason: ExplainReason
    since: str
    detail: str
    suggestion: str


class JobsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which threads to list."""

    status: RunStatusAsked | None = None
    workflow: Name | None = None
    tenant_id: TenantName | None = None
    cursor: Token | None = None
    limit: PageLimit = 50


class ThreadQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which thread, and which run it must be at."""

    tenant_id: TenantName | None = None
    run_id: Token | None = None


class RunsQuery(ThreadQuery, frozen=True, forbid_unknown_fields=True):
    """A page of a thread's runs."""

    cursor: Token | None = None
    limit: PageLimit = 50


class ResultQuery(ThreadQuery, frozen=True, forbid_unknown_fields=True):
    """How long to wait for the end."""

    wait_ms: WaitMs = 0
