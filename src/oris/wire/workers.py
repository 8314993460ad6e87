"""Requests and answers of the worker plane."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from oris.wire.jobs import ABSENT, RetryPolicyRequest, TraceView
from oris.wire.names import DurationMs, Name, Token, TtlSeconds, WaitMs
from oris.wire.words import (
    AckWord,
    ControlType,
    ErrorCodeShown,
    LeaseState,
    PollDecision,
    PollReason,
    ReportWord,
    StepReported,
    StepState,
    TerminalStatus,
    WaitKindWord,
    WaitWord,
)

T = TypeVar("T", bound=Struct)

LeaseLimit = Annotated[int, Meta(ge=1, le=1_000_000)]


class Fetch(Struct, frozen=True, forbid_unknown_fields=True):
    """A poll that comes with an ack: what the worker would take next."""

    session: Name | None = None
    poll_id: Name | None = None
    limit: Annotated[int, Meta(ge=0, le=100)] = 1
    workflows: Annotated[list[Name], Meta(min_length=1, max_length=100)] | None = None
    max_active_leases: LeaseLimit | None = None
    tenant_max_active_leases: LeaseLimit | None = None
    lease_ttl_seconds: TtlSeconds | None = None
    watch: bool = False


class PollRequest(Fetch, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A worker asks for work, and may wait for it."""

    worker_id: Name
    wait_ms: WaitMs = 0
    only_threads: Annotated[list[Name], Meta(min_length=1, max_length=100)] | None = None


class HeartbeatRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Leases to renew: one, or a list; with a session an empty list just says that it lives."""

    lease_id: Token | None = None
    lease_ids: Annotated[list[Token], Meta(max_length=1000)] | None = None
    session: Name | None = None
    lease_ttl_seconds: TtlSeconds | None = None


class CheckpointRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """State to go on from."""

    values: Raw


class StepRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """One step of a list."""

    action_id: Token
    status: StepReported
    dedupe_token: Token
    output: Raw = ABSENT
    error: Raw = ABSENT
    checkpoint: CheckpointRequest | None = None


class ReportRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """One step, or a list of them."""

    attempt_id: Token
    lease_id: Token
    action_id: Token | None = None
    status: StepReported | None = None
    dedupe_token: Token | None = None
    output: Raw = ABSENT
    error: Raw = ABSENT
    checkpoint: CheckpointRequest | None = None
    steps: Annotated[list[StepRequest], Meta(min_length=1, max_length=100)] | None = None


class AckError(Struct, frozen=True, forbid_unknown_fields=True):
    """What went wrong, as the worker tells it. Only checked; the client's bytes are kept."""

    type: str
    message: str
    stack: str | None = None
    data: Raw = ABSENT
    retryable: bool = True


class AckOne(Struct, frozen=True, forbid_unknown_fields=True):
    """The end of one attempt."""

    attempt_id: Token
    lease_id: Token
    terminal_status: TerminalStatus
    result: Raw = ABSENT
    error: Raw = ABSENT
    retry_policy: RetryPolicyRequest | None = None


class AckRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """One end, or a list of them; with what the worker would take next."""

    attempt_id: Token | None = None
    lease_id: Token | None = None
    terminal_status: TerminalStatus | None = None
    result: Raw = ABSENT
    error: Raw = ABSENT
    retry_policy: RetryPolicyRequest | None = None
    acks: Annotated[list[AckOne], Meta(min_length=1, max_length=100)] | None = None
    poll: Fetch | None = None


class ReleaseRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Leases to give back."""

    lease_ids: Annotated[list[Token], Meta(min_length=1, max_length=100)]
    delay_ms: DurationMs = 0


class StepView(Struct, frozen=True):
    """A recorded step."""

    action_id: str
    status: StepState
    output: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


class CheckpointView(Struct, frozen=True):
    """The newest checkpoint."""

    checkpoint_id: str
    values: Raw


class HandedWait(Struct, frozen=True):
    """A settled wait, in the hands of the attempt that goes on."""

    wait_id: str
    kind: WaitKindWord
    key: str
    status: WaitWord
    value: Raw


class AttemptView(Struct, frozen=True):
    """All a worker needs to start, or to go on. Steps that were left out are read from `steps_next_after` on; waits
    that were, by raising their keys again.
    """

    attempt_id: str
    attempt_no: int
    run_id: str
    thread_id: str
    workflow: str
    tenant_id: str
    priority: int
    input: Raw
    lease_id: str
    fence: int
    lease_expires_at: str
    lease_remaining_ms: int
    steps: tuple[StepView, ...]
    steps_truncated: bool
    resumes: tuple[HandedWait, ...]
    resumes_truncated: bool
    metadata: Raw
    trace: TraceView
    steps_next_after: int | UnsetType = UNSET
    deadline_ms: int | UnsetType = UNSET
    checkpoint: CheckpointView | UnsetType = UNSET


class ControlView(Struct, frozen=True):
    """A lease that ended under its worker."""

    type: ControlType
    attempt_id: str
    lease_id: str
    reason: str


class PollView(Struct, frozen=True):
    """What a poll came to; the last four fields repeat the first attempt."""

    decision: PollDecision
    attempts: tuple[AttemptView, ...]
    control: tuple[ControlView, ...]
    worker_active_leases: int | UnsetType = UNSET
    worker_limit: int | UnsetType = UNSET
    reason: PollReason | UnsetType = UNSET
    tenant_id: str | UnsetType = UNSET
    tenant_active_leases: int | UnsetType = UNSET
    tenant_limit: int | UnsetType = UNSET
    retry_after_ms: int | UnsetType = UNSET
    attempt_id: str | UnsetType = UNSET
    lease_id: str | UnsetType = UNSET
    lease_expires_at: str | UnsetType = UNSET
    trace: TraceView | UnsetType = UNSET


class LeaseBeat(Struct, frozen=True):
    """One lease after a heartbeat."""

    lease_id: str
    state: LeaseState
    lease_expires_at: str | None
    lease_remaining_ms: int


class HeartbeatView(Struct, frozen=True):
    """The leases after a heartbeat; the single one's id and end stand beside them."""

    worker_id: str
    leases: tuple[LeaseBeat, ...]
    trace: TraceView
    lease_id: str | UnsetType = UNSET
    lease_expires_at: str | UnsetType = UNSET


class ReportedView(Struct, frozen=True):
    """A step after its report."""

    attempt_id: str
    status: ReportWord
    trace: TraceView
    checkpoint_id: str | UnsetType = UNSET


class AckedView(Struct, frozen=True):
    """An attempt after its ack."""

    attempt_id: str
    status: AckWord
    next_attempt_no: int
    trace: TraceView
    next_retry_at: str | UnsetType = UNSET
    next: PollView | UnsetType = UNSET


class ErrorView(Struct, frozen=True):
    """Why one item of a list was refused; the same words as the error envelope."""

    code: ErrorCodeShown
    message: str
    details: dict[str, str | int | bool | list[str] | None] | UnsetType = UNSET


class ItemOk(Struct, Generic[T], frozen=True):
    """An item of a list that went well."""

    ok: T


class ItemError(Struct, frozen=True):
    """An item of a list that was refused."""

    error: ErrorView


class ResultsView(Struct, Generic[T], frozen=True):
    """Items in the order they came, each on its own."""

    results: tuple[ItemOk[T] | ItemError, ...]


class AckResultsView(Struct, frozen=True):
    """The same of acks, with what was fetched in their commit."""

    results: tuple[ItemOk[AckedView] | ItemError, ...]
    next: PollView | UnsetType = UNSET


class ReleasedView(Struct, frozen=True):
    """The leases that were given back."""

    released: tuple[str, ...]
