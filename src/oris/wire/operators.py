"""Requests and answers for operators."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Raw, Struct, UnsetType

from oris.wire import fields as f
from oris.wire.names import Name, Seq, Token
from oris.wire.words import (
    AuditActionAsked,
    AuditActionShown,
    AuditCategory,
    DeadLetterAsked,
    DeadLetterReason,
    DeadLetterWord,
    RunStatus,
)
from oris.wire.workers import StepView


class AttemptStateView(Struct, frozen=True):
    """The state of an attempt."""

    attempt_id: f.AttemptId
    attempt_no: f.AttemptNo
    run_id: f.RunId
    thread_id: f.ThreadId
    tenant_id: f.TenantId
    workflow: f.Workflow
    status: Annotated[RunStatus, f.about("The status of the run.")]
    retries: Annotated[int, f.about("How many retries were scheduled.")]
    lease_losses: Annotated[int, f.about("How many leases were lost in a row.")]
    created_at: f.CreatedAt
    updated_at: f.UpdatedAt
    worker_id: f.WorkerId | UnsetType = UNSET
    lease_expires_at: f.LeaseExpiresAt | UnsetType = UNSET
    fence: f.Fence | UnsetType = UNSET


class StepsView(Struct, frozen=True):
    """Recorded steps in order; `next_after` begins the next page."""

    steps: Annotated[tuple[StepView, ...], f.about("The steps.")]
    next_after: Annotated[int, f.about("The `after` of the next page; null: this is the last page.")] | None


class RetryView(Struct, frozen=True):
    """One scheduled retry."""

    retry_no: Annotated[int, f.about("Counts from 1.")]
    attempt_no: f.AttemptNo
    strategy: Annotated[str, f.about("Whether the pause stays the same or grows.")]
    backoff_ms: Annotated[int, f.about("The pause, in milliseconds.")]
    max_retries: Annotated[int, f.about("The most retries of the run.")]
    scheduled_at: Annotated[str, f.about("When the retry was scheduled.")]


class RetriesView(Struct, frozen=True):
    """The retries of an attempt in order; `next_after` begins the next page."""

    attempt_id: f.AttemptId
    current_attempt_no: f.AttemptNo
    current_status: Annotated[RunStatus, f.about("The status of the run.")]
    history: Annotated[tuple[RetryView, ...], f.about("The retries.")]
    next_after: Annotated[int, f.about("The `after` of the next page; null: this is the last page.")] | None


class DeadLetterView(Struct, frozen=True):
    """A run that ended `failed`."""

    attempt_id: f.AttemptId
    run_id: f.RunId
    thread_id: f.ThreadId
    tenant_id: f.TenantId
    workflow: f.Workflow
    attempt_no: f.AttemptNo
    terminal_status: Annotated[RunStatus, f.about("How the run ended.")]
    reason: Annotated[DeadLetterReason, f.about("Why.")]
    error: f.RunError
    dead_at: Annotated[str, f.about("When the run ended.")]
    replay_status: Annotated[DeadLetterWord, f.about("Whether the dead letter was replayed.")]
    replay_count: Annotated[int, f.about("How often it was replayed.")]
    last_replayed_at: Annotated[str, f.about("When it was last replayed; null: never.")] | None
    replay_run_id: Annotated[str, f.about("The run of the last replay.")] | UnsetType = UNSET
    damaged: f.Damaged | UnsetType = UNSET


class WorkerView(Struct, frozen=True):
    """A worker that was granted a lease at least once, or has named a session."""

    worker_id: f.WorkerId
    tenant_id: f.TenantId
    session: Annotated[str, f.about("The newest session of the worker; null: it has named none.")] | None
    first_seen_at: Annotated[str, f.about("When the worker first called.")]
    last_seen_at: Annotated[str, f.about("When the worker last called.")]
    last_poll_at: (
        Annotated[str, f.about("When a poll for work last ended on this server; null: there was none.")] | None
    )
    active_leases: Annotated[int, f.about("How many leases the worker holds.")]
    incidents: Annotated[int, f.about("How many incidents the worker had in a row.")]
    quarantined: Annotated[bool, f.about("True: the worker gets only probes.")]
    quarantined_until: Annotated[str, f.about("When the worker can get a probe; null: it is not in quarantine.")] | None
    deaf: Annotated[bool, f.about("True: the worker calls, has room, and has not polled for a minute.")]


class AuditView(Struct, frozen=True):
    """One audit record. Its place in the chain is null for a caller that is bound to a tenant."""

    audit_id: Annotated[str, f.about("The record.")]
    chain_id: Annotated[str, f.about("The chain of the record. Each start of the server begins a chain.")] | None
    seq: Annotated[int, f.about("The number of the record in its chain.")] | None
    actor_type: Annotated[str, f.about("`bearer`, `api_key` or `anonymous`.")]
    actor_id: Annotated[str, f.about("Who did it.")]
    actor_role: Annotated[str, f.about("The role of the caller; empty: none.")]
    tenant_id: f.TenantId
    source: Annotated[str, f.about("The address of the client.")]
    action: Annotated[AuditActionShown, f.about("What was done.")]
    resource_type: Annotated[str, f.about("The kind of thing that was changed.")]
    resource_id: Annotated[str, f.about("The id of the thing that was changed.")]
    result: Annotated[str, f.about("The result: whether it was done or refused.")]
    request_id: f.RequestId
    details: Annotated[Raw, f.about("More information.")]
    created_at: Annotated[str, f.about("When it was done.")]
    hash: Annotated[str, f.about("The hash over this record and the hash of the record before it.")] | None


class StepsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """A page of steps. A worker names its live lease."""

    lease_id: f.LeaseId | None = None
    after: Annotated[Seq, f.about("Only steps after this one: the `next_after` of the previous page.")] = 0
    limit: f.PageLimit = 50


class RetriesQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """A page of retries."""

    after: Annotated[Seq, f.about("Only retries after this one: the `next_after` of the previous page.")] = 0
    limit: f.PageLimit = 200


class DeadLettersQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which dead letters to list."""

    status: Annotated[DeadLetterAsked, f.about("Only dead letters with this status.")] | None = None
    workflow: Annotated[Name, f.about("Only this workflow.")] | None = None
    tenant_id: f.AskedTenantId | None = None
    cursor: f.Cursor | None = None
    limit: f.PageLimit = 50


class WorkerQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which tenant's worker."""

    tenant_id: f.AskedTenantId | None = None


class ClearQuarantineRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Which tenant's worker leaves quarantine."""

    tenant_id: f.AskedTenantId | None = None


class ClearHoldRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Which tenant's workflow is no longer held."""

    tenant_id: f.AskedTenantId | None = None


class HoldClearedView(Struct, frozen=True):
    """A workflow whose hold was ended."""

    workflow: f.Workflow
    tenant_id: f.TenantId
    was_held: Annotated[bool, f.about("Whether it was held before.")]
    held: Annotated[bool, f.about("Whether it is held now.")]


class WorkersQuery(WorkerQuery, frozen=True, forbid_unknown_fields=True):
    """Which workers to list."""

    cursor: f.Cursor | None = None
    limit: f.PageLimit = 50


class AuditQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which audit records to list. `control`: what people and programs did; `all`: the chain's own records too."""

    request_id: Annotated[Token, f.about("Only records of this request.")] | None = None
    action: Annotated[AuditActionAsked, f.about("Only this action.")] | None = None
    category: Annotated[AuditCategory, f.about("Which records: those of people and programs, or all.")] = "control"
    actor_id: Annotated[Token, f.about("Only records of this caller.")] | None = None
    from_ms: Annotated[Seq, f.about("Only records since this time, in milliseconds since 1970.")] | None = None
    to_ms: Annotated[Seq, f.about("Only records until this time, in milliseconds since 1970.")] | None = None
    cursor: f.Cursor | None = None
    limit: f.PageLimit = 50
