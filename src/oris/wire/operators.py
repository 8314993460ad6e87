"""Requests and answers for operators."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from oris.wire.names import Name, PageLimit, Seq, TenantName, Token
from oris.wire.words import (
    AuditAction,
    AuditActionAsked,
    AuditCategory,
    DeadLetterAsked,
    DeadLetterReason,
    DeadLetterWord,
    RunStatus,
)
from oris.wire.workers import StepView


class AttemptStateView(Struct, frozen=True):
    """Where an attempt stands."""

    attempt_id: str
    attempt_no: int
    run_id: str
    thread_id: str
    tenant_id: str
    workflow: str
    status: RunStatus
    retries: int
    lease_losses: int
    created_at: str
    updated_at: str
    worker_id: str | UnsetType = UNSET
    lease_expires_at: str | UnsetType = UNSET
    fence: int | UnsetType = UNSET


class StepsView(Struct, frozen=True):
    """Recorded steps in order; `next_after` begins the next page."""

    steps: tuple[StepView, ...]
    next_after: int | None


class RetryView(Struct, frozen=True):
    """One scheduled retry."""

    retry_no: int
    attempt_no: int
    strategy: str
    backoff_ms: int
    max_retries: int
    scheduled_at: str


class RetriesView(Struct, frozen=True):
    """The retries of an attempt in order; `next_after` begins the next page."""

    attempt_id: str
    current_attempt_no: int
    current_status: RunStatus
    history: tuple[RetryView, ...]
    next_after: int | None


class DeadLetterView(Struct, frozen=True):
    """A run that ended failed."""

    attempt_id: str
    run_id: str
    thread_id: str
    tenant_id: str
    workflow: str
    attempt_no: int
    terminal_status: RunStatus
    reason: DeadLetterReason
    error: Raw
    dead_at: str
    replay_status: DeadLetterWord
    replay_count: int
    last_replayed_at: str | None
    replay_run_id: str | UnsetType = UNSET
    damaged: bool | UnsetType = UNSET
    """True: the error in the database is not what was written, and is not shown."""


class WorkerView(Struct, frozen=True):
    """A worker that was ever granted something, or has named its session."""

    worker_id: str
    tenant_id: str
    session: str | None
    first_seen_at: str
    last_seen_at: str
    last_poll_at: str | None
    active_leases: int
    incidents: int
    quarantined: bool
    quarantined_until: str | None
    deaf: bool


class AuditView(Struct, frozen=True):
    """One line of the audit trail. Where it stands in its chain is null to a caller that is bound to a tenant."""

    audit_id: str
    chain_id: str | None
    seq: int | None
    actor_type: str
    actor_id: str
    actor_role: str
    tenant_id: str
    source: str
    action: AuditAction
    resource_type: str
    resource_id: str
    result: str
    request_id: str
    details: Raw
    created_at: str
    hash: str | None


class StepsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """A page of steps. A worker names its live lease."""

    lease_id: Token | None = None
    after: Seq = 0
    limit: PageLimit = 50


class RetriesQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """A page of retries."""

    after: Seq = 0
    limit: PageLimit = 200


class DeadLettersQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which dead letters to list."""

    status: DeadLetterAsked | None = None
    workflow: Name | None = None
    tenant_id: TenantName | None = None
    cursor: Token | None = None
    limit: PageLimit = 50


class WorkerQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose worker."""

    tenant_id: TenantName | None = None


class ClearQuarantineRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose worker is trusted again."""

    tenant_id: TenantName | None = None


class ClearHoldRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose workflow is given out again as ever."""

    tenant_id: TenantName | None = None


class HoldClearedView(Struct, frozen=True):
    """The workflow is not held any more."""

    workflow: str
    tenant_id: str
    was_held: bool
    held: bool


class WorkersQuery(WorkerQuery, frozen=True, forbid_unknown_fields=True):
    """Which workers to list."""

    cursor: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None
    limit: PageLimit = 50


class AuditQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which audit records to list. `control`: what people and programs did; `all`: the chain's own records too."""

    request_id: Token | None = None
    action: AuditActionAsked | None = None
    category: AuditCategory = "control"
    actor_id: Token | None = None
    from_ms: Seq | None = None
    to_ms: Seq | None = None
    cursor: Token | None = None
    limit: PageLimit = 50
