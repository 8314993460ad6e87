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
    """Where an attempt stands."""

    attempt_id: f.AttemptId
    attempt_no: f.AttemptNo
    run_id: f.RunId
    thread_id: f.ThreadId
    tenant_id: f.TenantId
    workflow: f.Workflow
    status: Annotated[RunStatus, f.about("How its run stands.")]
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
    next_after: Annotated[int, f.about("The `after` of the next page; null: this is the last one.")] | None


class RetryView(Struct, frozen=True):
    """One scheduled retry."""

    retry_no: Annotated[int, f.about("Counts from 1.")]
    attempt_no: f.AttemptNo
    strategy: Annotated[str, f.about("Whether pauses stay the same or grow.")]
    backoff_ms: Annotated[int, f.about("The pause, in milliseconds.")]
    max_retries: Annotated[int, f.about("How many retries there may be.")]
    scheduled_at: Annotated[str, f.about("When it was scheduled.")]


class RetriesView(Struct, frozen=True):
    """The retries of an attempt in order; `next_after` begins the next page."""

    attempt_id: f.AttemptId
    current_attempt_no: f.AttemptNo
    current_status: Annotated[RunStatus, f.about("How its run stands.")]
    history: Annotated[tuple[RetryView, ...], f.about("The retries.")]
    next_after: Annotated[int, f.about("The `after` of the next page; null: this is the last one.")] | None


class DeadLetterView(Struct, frozen=True):
    """A run that ended failed."""

    attempt_id: f.AttemptId
    run_id: f.RunId
    thread_id: f.ThreadId
    tenant_id: f.TenantId
    workflow: f.Workflow
    attempt_no: f.AttemptNo
    terminal_status: Annotated[RunStatus, f.about("How the run ended.")]
    reason: Annotated[DeadLetterReason, f.about("Why.")]
    error: f.RunError
    dead_at: Annotated[str, f.about("When it ended.")]
    replay_status: Annotated[DeadLetterWord, f.about("Whether it was replayed.")]
    replay_count: Annotated[int, f.about("How often.")]
    last_replayed_at: Annotated[str, f.about("When it last was; null: never.")] | None
    replay_run_id: Annotated[str, f.about("The run that the last replay has made.")] | UnsetType = UNSET
    damaged: f.Damaged | UnsetType = UNSET


class WorkerView(Struct, frozen=True):
    """A worker that was ever granted something, or has named its session."""

    worker_id: f.WorkerId
    tenant_id: f.TenantId
    session: Annotated[str, f.about("Its newest session; null: it has named none.")] | None
    first_seen_at: Annotated[str, f.about("When it was first heard of.")]
    last_seen_at: Annotated[str, f.about("When it was last heard of.")]
    last_poll_at: Annotated[str, f.about("When a poll for work last ended here; null: none was heard of.")] | None
    active_leases: Annotated[int, f.about("How many leases it holds.")]
    incidents: Annotated[int, f.about("How many incidents it had in a row.")]
    quarantined: Annotated[bool, f.about("True: it is handed nothing but probes.")]
    quarantined_until: Annotated[str, f.about("When it is tried again; null: it is in no quarantine.")] | None
    deaf: Annotated[bool, f.about("True: it calls, has room, and has not polled for a minute.")]


class AuditView(Struct, frozen=True):
    """One line of the audit trail. Where it stands in its chain is null to a caller that is bound to a tenant."""

    audit_id: Annotated[str, f.about("The record.")]
    chain_id: Annotated[str, f.about("The chain it is in: one for each start of the server.")] | None
    seq: Annotated[int, f.about("Its number in the chain.")] | None
    actor_type: Annotated[str, f.about("`bearer`, `api_key` or `anonymous`.")]
    actor_id: Annotated[str, f.about("Who did it.")]
    actor_role: Annotated[str, f.about("The role that the caller had; empty: none.")]
    tenant_id: f.TenantId
    source: Annotated[str, f.about("From where: the address of the client.")]
    action: Annotated[AuditActionShown, f.about("What was done.")]
    resource_type: Annotated[str, f.about("The kind of thing that it was done to.")]
    resource_id: Annotated[str, f.about("The thing.")]
    result: Annotated[str, f.about("What came of it.")]
    request_id: f.RequestId
    details: Annotated[Raw, f.about("More about it.")]
    created_at: Annotated[str, f.about("When it was done.")]
    hash: Annotated[str, f.about("The hash over this record and the one before it.")] | None


class StepsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """A page of steps. A worker names its live lease."""

    lease_id: f.LeaseId | None = None
    after: Annotated[Seq, f.about("Only steps after this one: the `next_after` of the page before.")] = 0
    limit: f.PageLimit = 50


class RetriesQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """A page of retries."""

    after: Annotated[Seq, f.about("Only retries after this one: the `next_after` of the page before.")] = 0
    limit: f.PageLimit = 200


class DeadLettersQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which dead letters to list."""

    status: Annotated[DeadLetterAsked, f.about("Only dead letters that stand so.")] | None = None
    workflow: Annotated[Name, f.about("Only this kind of work.")] | None = None
    tenant_id: f.AskedTenantId | None = None
    cursor: f.Cursor | None = None
    limit: f.PageLimit = 50


class WorkerQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose worker."""

    tenant_id: f.AskedTenantId | None = None


class ClearQuarantineRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose worker is trusted again."""

    tenant_id: f.AskedTenantId | None = None


class ClearHoldRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose workflow is handed out again."""

    tenant_id: f.AskedTenantId | None = None


class HoldClearedView(Struct, frozen=True):
    """The workflow is not held any more."""

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

    request_id: Annotated[Token, f.about("Only what this request did.")] | None = None
    action: Annotated[AuditActionAsked, f.about("Only this action.")] | None = None
    category: Annotated[AuditCategory, f.about("What people and programs did, or all records.")] = "control"
    actor_id: Annotated[Token, f.about("Only what this caller did.")] | None = None
    from_ms: Annotated[Seq, f.about("Only records from this time on, in milliseconds since 1970.")] | None = None
    to_ms: Annotated[Seq, f.about("Only records up to this time, in milliseconds since 1970.")] | None = None
    cursor: f.Cursor | None = None
    limit: f.PageLimit = 50
