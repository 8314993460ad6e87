"""Requests and answers of the worker plane."""

from __future__ import annotations

from typing import Annotated, Generic, TypeAlias, TypeVar

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from oris.wire import fields as f
from oris.wire.jobs import ABSENT, RetryPolicyRequest, TraceView
from oris.wire.names import DurationMs, Name, Token
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
    """A poll inside an ack: what the worker takes next."""

    session: f.SessionId | None = None
    poll_id: f.PollId | None = None
    limit: Annotated[int, Meta(ge=0, le=100), f.about("The most attempts to grant; 0: only control messages.")] = 1
    workflows: (
        Annotated[list[Name], Meta(min_length=1, max_length=100), f.about("Only these workflows; null: all.")] | None
    ) = None
    max_active_leases: (
        Annotated[
            LeaseLimit,
            f.about("The most leases that the worker may hold; this can only lower the limit of the server."),
        ]
        | None
    ) = None
    tenant_max_active_leases: (
        Annotated[
            LeaseLimit,
            f.about("The most leases that the tenant may hold; this can only lower the limit of the server."),
        ]
        | None
    ) = None
    lease_ttl_seconds: f.TtlSeconds | None = None
    watch: Annotated[
        bool,
        f.about("True: the leases end soon if this connection breaks and the session stays silent. Needs a session."),
    ] = False


class PollRequest(Fetch, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A request for work, which may wait for work."""

    worker_id: f.WorkerId
    wait_ms: f.WaitMs = 0
    only_threads: (
        Annotated[
            list[Name],
            Meta(min_length=1, max_length=100),
            f.about("Only jobs of these threads, also if dispatch is off; for administrators."),
        ]
        | None
    ) = None


class HeartbeatRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Leases to renew: one, or a list. With a session, an empty list only says that the session lives."""

    lease_id: f.LeaseId | None = None
    lease_ids: Annotated[list[Token], Meta(max_length=1000), f.about("The leases to renew.")] | None = None
    session: f.SessionId | None = None
    lease_ttl_seconds: f.TtlSeconds | None = None


class CheckpointRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """State from which the job can continue."""

    values: f.CheckpointValues


class ListedStep(Struct, frozen=True, forbid_unknown_fields=True):
    """One step of a list of steps."""

    action_id: f.ActionId
    status: Annotated[StepReported, f.about("The status of the step.")]
    dedupe_token: f.DedupeToken
    output: f.Output = ABSENT
    error: f.StepError = ABSENT
    checkpoint: (
        Annotated[CheckpointRequest, f.about("State from which the job can continue, recorded with the step.")] | None
    ) = None


class ReportRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """One step, or a list of them."""

    attempt_id: f.AttemptId
    lease_id: f.LeaseId
    action_id: f.ActionId | None = None
    status: Annotated[StepReported, f.about("The status of the step.")] | None = None
    dedupe_token: f.DedupeToken | None = None
    output: f.Output = ABSENT
    error: f.StepError = ABSENT
    checkpoint: (
        Annotated[CheckpointRequest, f.about("State from which the job can continue, recorded with the step.")] | None
    ) = None
    steps: Annotated[list[ListedStep], Meta(min_length=1, max_length=100), f.about("The steps, in order.")] | None = (
        None
    )


class AckError(Struct, frozen=True, forbid_unknown_fields=True):
    """The error of an attempt. The server checks it, and keeps the client's bytes."""

    type: Annotated[str, f.about("The kind of error, for programs.")]
    message: Annotated[str, f.about("What went wrong, for people.")]
    stack: Annotated[str, f.about("The stack trace.")] | None = None
    data: Annotated[Raw, f.about("More information: any JSON value.")] = ABSENT
    retryable: Annotated[bool, f.about("False: do not retry.")] = True


KeptError: TypeAlias = Annotated[Raw, f.about("The error; only with `failed`."), f.shaped(AckError)]


class ListedAck(Struct, frozen=True, forbid_unknown_fields=True):
    """One finished attempt of a list."""

    attempt_id: f.AttemptId
    lease_id: f.LeaseId
    terminal_status: Annotated[TerminalStatus, f.about("How the attempt ended.")]
    result: f.Result = ABSENT
    error: KeptError = ABSENT
    retry_policy: (
        Annotated[RetryPolicyRequest, f.about("The retry policy for this failure, instead of the policy of the run.")]
        | None
    ) = None


class AckRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """One finished attempt, or a list of them, and what the worker takes next."""

    attempt_id: f.AttemptId | None = None
    lease_id: f.LeaseId | None = None
    terminal_status: Annotated[TerminalStatus, f.about("How the attempt ended.")] | None = None
    result: f.Result = ABSENT
    error: KeptError = ABSENT
    retry_policy: (
        Annotated[RetryPolicyRequest, f.about("The retry policy for this failure, instead of the policy of the run.")]
        | None
    ) = None
    acks: (
        Annotated[list[ListedAck], Meta(min_length=1, max_length=100), f.about("The finished attempts, in order.")]
        | None
    ) = None
    poll: Annotated[Fetch, f.about("A poll in the same commit; null: none.")] | None = None


class ReleaseRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Leases to release."""

    lease_ids: Annotated[list[Token], Meta(min_length=1, max_length=100), f.about("The leases to release.")]
    delay_ms: Annotated[
        DurationMs, f.about("How long the attempts wait before they are offered again, in milliseconds.")
    ] = 0


class StepView(Struct, frozen=True):
    """A recorded step."""

    action_id: f.ActionId
    status: Annotated[StepState, f.about("The status of the step.")]
    output: f.Output | UnsetType = UNSET
    error: f.StepError | UnsetType = UNSET


class CheckpointView(Struct, frozen=True):
    """The newest checkpoint."""

    checkpoint_id: f.CheckpointId
    values: f.CheckpointValues


class HandedWait(Struct, frozen=True):
    """A settled wait of the run."""

    wait_id: f.WaitId
    kind: Annotated[WaitKindWord, f.about("The kind of the wait.")]
    key: f.WaitKey
    status: Annotated[WaitWord, f.about("How it was settled.")]
    value: f.Settled


class AttemptView(Struct, frozen=True):
    """All that a worker needs to start or to continue an attempt. To get steps that were left out, read them from
    `steps_next_after` on. To get waits that were left out, suspend with their keys again.
    """

    attempt_id: f.AttemptId
    attempt_no: f.AttemptNo
    run_id: f.RunId
    thread_id: f.ThreadId
    workflow: f.Workflow
    tenant_id: f.TenantId
    priority: f.ShownPriority
    input: f.Input
    lease_id: f.LeaseId
    fence: f.Fence
    lease_expires_at: f.LeaseExpiresAt
    lease_remaining_ms: f.LeaseRemainingMs
    steps: Annotated[
        tuple[StepView, ...], f.about("The steps recorded so far. Do not do a step again if it has succeeded.")
    ]
    steps_truncated: Annotated[
        bool, f.about("True: there are more steps, and the worker must read them before it continues.")
    ]
    resumes: Annotated[tuple[HandedWait, ...], f.about("The settled waits of the run.")]
    resumes_truncated: Annotated[bool, f.about("True: there are more settled waits.")]
    metadata: f.Metadata
    trace: Annotated[TraceView, f.about("The lease's position in the run's trace.")]
    steps_next_after: (
        Annotated[int, f.about("Where the missing steps begin: the `after` of `list_steps`.")] | UnsetType
    ) = UNSET
    deadline_ms: (
        Annotated[int, f.about("How much time under lease the run has left, in milliseconds; missing: no limit.")]
        | UnsetType
    ) = UNSET
    checkpoint: Annotated[CheckpointView, f.about("The newest checkpoint; missing: none.")] | UnsetType = UNSET


class ControlView(Struct, frozen=True):
    """News about a lease that the worker holds or has held."""

    type: Annotated[ControlType, f.about("What the worker must do.")]
    attempt_id: f.AttemptId
    lease_id: f.LeaseId
    reason: Annotated[str, f.about("Why the worker must do it.")]


class PollView(Struct, frozen=True):
    """The answer to a poll. The last four fields repeat values of the first attempt."""

    decision: Annotated[PollDecision, f.about("The result of the poll.")]
    attempts: Annotated[tuple[AttemptView, ...], f.about("The attempts that were granted.")]
    control: Annotated[tuple[ControlView, ...], f.about("News about the worker's leases.")]
    worker_active_leases: Annotated[int, f.about("How many leases the worker holds.")] | UnsetType = UNSET
    worker_limit: Annotated[int, f.about("How many leases the worker may hold.")] | UnsetType = UNSET
    reason: Annotated[PollReason, f.about("Why no attempt was granted.")] | UnsetType = UNSET
    tenant_id: f.TenantId | UnsetType = UNSET
    tenant_active_leases: Annotated[int, f.about("How many leases the tenant holds.")] | UnsetType = UNSET
    tenant_limit: Annotated[int, f.about("How many leases the tenant may hold.")] | UnsetType = UNSET
    retry_after_ms: Annotated[int, f.about("When to poll again, in milliseconds from now.")] | UnsetType = UNSET
    attempt_id: f.AttemptId | UnsetType = UNSET
    lease_id: f.LeaseId | UnsetType = UNSET
    lease_expires_at: f.LeaseExpiresAt | UnsetType = UNSET
    trace: Annotated[TraceView, f.about("The first attempt's position in its trace.")] | UnsetType = UNSET


class LeaseBeat(Struct, frozen=True):
    """One lease after a heartbeat."""

    lease_id: f.LeaseId
    state: Annotated[LeaseState, f.about("The state of the lease.")]
    lease_expires_at: f.LeaseExpiresAt | None
    lease_remaining_ms: f.LeaseRemainingMs


class HeartbeatView(Struct, frozen=True):
    """The leases after a heartbeat. For a single lease its id and its end are repeated."""

    worker_id: f.WorkerId
    leases: Annotated[tuple[LeaseBeat, ...], f.about("The leases, in the order of the request.")]
    trace: Annotated[TraceView, f.about("The position of this request in the first run's trace.")]
    lease_id: f.LeaseId | UnsetType = UNSET
    lease_expires_at: f.LeaseExpiresAt | UnsetType = UNSET


class ReportedView(Struct, frozen=True):
    """A step after its report."""

    attempt_id: f.AttemptId
    status: Annotated[ReportWord, f.about("Whether the step was recorded now, or was already recorded.")]
    trace: Annotated[TraceView, f.about("The position of this request in the run's trace.")]
    checkpoint_id: f.CheckpointId | UnsetType = UNSET


class AckedView(Struct, frozen=True):
    """An attempt after its ack."""

    attempt_id: f.AttemptId
    status: Annotated[AckWord, f.about("The result of the ack.")]
    next_attempt_no: Annotated[int, f.about("The number of the next attempt, if there is one.")]
    trace: Annotated[TraceView, f.about("The position of this request in the run's trace.")]
    next_retry_at: Annotated[str, f.about("When the attempt is retried.")] | UnsetType = UNSET
    next: Annotated[PollView, f.about("The result of the poll in the same commit.")] | UnsetType = UNSET


class ErrorView(Struct, frozen=True):
    """Why one item of a list was refused, as in the error envelope."""

    code: Annotated[ErrorCodeShown, f.about("The kind of the error, for programs.")]
    message: Annotated[str, f.about("What is wrong, for people.")]
    details: (
        Annotated[dict[str, str | int | bool | list[str] | None], f.about("More information, for programs.")]
        | UnsetType
    ) = UNSET


class ItemOk(Struct, Generic[T], frozen=True):
    """An item of a list that was accepted."""

    ok: Annotated[T, f.about("The result of the item.")]


class ItemError(Struct, frozen=True):
    """An item of a list that was refused."""

    error: Annotated[ErrorView, f.about("Why the item was refused.")]


class ResultsView(Struct, Generic[T], frozen=True):
    """The results of the items, in the order of the request."""

    results: Annotated[
        tuple[ItemOk[T] | ItemError, ...], f.about("One result for each item, in the order of the request.")
    ]


class AckResultsView(Struct, frozen=True):
    """The results of the acks, in the order of the request, and the result of the poll."""

    results: Annotated[
        tuple[ItemOk[AckedView] | ItemError, ...], f.about("One result for each ack, in the order of the request.")
    ]
    next: Annotated[PollView, f.about("The result of the poll in the same commit.")] | UnsetType = UNSET


class ReleasedView(Struct, frozen=True):
    """The leases that were released."""

    released: Annotated[tuple[str, ...], f.about("The released leases.")]
