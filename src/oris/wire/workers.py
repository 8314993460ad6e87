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
    """A poll that comes with an ack: what the worker would take next."""

    session: f.SessionId | None = None
    poll_id: f.PollId | None = None
    limit: Annotated[int, Meta(ge=0, le=100), f.about("How many attempts at most; 0: control messages only.")] = 1
    workflows: (
        Annotated[list[Name], Meta(min_length=1, max_length=100), f.about("Only these kinds of work; null: any.")]
        | None
    ) = None
    max_active_leases: (
        Annotated[LeaseLimit, f.about("How many leases the worker may hold at once; it can lower the server's limit.")]
        | None
    ) = None
    tenant_max_active_leases: (
        Annotated[LeaseLimit, f.about("How many leases the tenant may hold at once; it can lower the server's limit.")]
        | None
    ) = None
    lease_ttl_seconds: f.TtlSeconds | None = None
    watch: Annotated[
        bool,
        f.about(
            "True: when the connection of this poll breaks and no more is heard, the leases end soon. Needs a session."
        ),
    ] = False


class PollRequest(Fetch, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A worker asks for work, and may wait for it."""

    worker_id: f.WorkerId
    wait_ms: f.WaitMs = 0
    only_threads: (
        Annotated[
            list[Name],
            Meta(min_length=1, max_length=100),
            f.about("Only these threads, though dispatch is off; for administrators."),
        ]
        | None
    ) = None


class HeartbeatRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Leases to renew: one, or a list; with a session an empty list just says that it lives."""

    lease_id: f.LeaseId | None = None
    lease_ids: Annotated[list[Token], Meta(max_length=1000), f.about("The leases to renew.")] | None = None
    session: f.SessionId | None = None
    lease_ttl_seconds: f.TtlSeconds | None = None


class CheckpointRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """State to go on from."""

    values: f.CheckpointValues


class ListedStep(Struct, frozen=True, forbid_unknown_fields=True):
    """One step of a list of steps."""

    action_id: f.ActionId
    status: Annotated[StepReported, f.about("How the step stands.")]
    dedupe_token: f.DedupeToken
    output: f.Output = ABSENT
    error: f.StepError = ABSENT
    checkpoint: Annotated[CheckpointRequest, f.about("State to go on from, kept with the step.")] | None = None


class ReportRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """One step, or a list of them."""

    attempt_id: f.AttemptId
    lease_id: f.LeaseId
    action_id: f.ActionId | None = None
    status: Annotated[StepReported, f.about("How the step stands.")] | None = None
    dedupe_token: f.DedupeToken | None = None
    output: f.Output = ABSENT
    error: f.StepError = ABSENT
    checkpoint: Annotated[CheckpointRequest, f.about("State to go on from, kept with the step.")] | None = None
    steps: Annotated[list[ListedStep], Meta(min_length=1, max_length=100), f.about("The steps, in order.")] | None = (
        None
    )


class AckError(Struct, frozen=True, forbid_unknown_fields=True):
    """What went wrong, as the worker tells it. Only checked; the client's bytes are kept."""

    type: Annotated[str, f.about("The kind of error, for programs.")]
    message: Annotated[str, f.about("What went wrong, for people.")]
    stack: Annotated[str, f.about("Where it went wrong.")] | None = None
    data: Annotated[Raw, f.about("More about it: any JSON value.")] = ABSENT
    retryable: Annotated[bool, f.about("False: do not try again.")] = True


KeptError: TypeAlias = Annotated[Raw, f.about("What went wrong; only with `failed`."), f.shaped(AckError)]


class ListedAck(Struct, frozen=True, forbid_unknown_fields=True):
    """The end of one attempt, in a list of them."""

    attempt_id: f.AttemptId
    lease_id: f.LeaseId
    terminal_status: Annotated[TerminalStatus, f.about("How the attempt ended.")]
    result: f.Result = ABSENT
    error: KeptError = ABSENT
    retry_policy: (
        Annotated[RetryPolicyRequest, f.about("How to try again this time, instead of the run's own policy.")] | None
    ) = None


class AckRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """One end, or a list of them; with what the worker would take next."""

    attempt_id: f.AttemptId | None = None
    lease_id: f.LeaseId | None = None
    terminal_status: Annotated[TerminalStatus, f.about("How the attempt ended.")] | None = None
    result: f.Result = ABSENT
    error: KeptError = ABSENT
    retry_policy: (
        Annotated[RetryPolicyRequest, f.about("How to try again this time, instead of the run's own policy.")] | None
    ) = None
    acks: Annotated[list[ListedAck], Meta(min_length=1, max_length=100), f.about("The ends, in order.")] | None = None
    poll: Annotated[Fetch, f.about("What to fetch in the same commit; null: nothing.")] | None = None


class ReleaseRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Leases to give back."""

    lease_ids: Annotated[list[Token], Meta(min_length=1, max_length=100), f.about("The leases to give back.")]
    delay_ms: Annotated[
        DurationMs, f.about("How long to wait before the attempts are offered again, in milliseconds.")
    ] = 0


class StepView(Struct, frozen=True):
    """A recorded step."""

    action_id: f.ActionId
    status: Annotated[StepState, f.about("How the step stands.")]
    output: f.Output | UnsetType = UNSET
    error: f.StepError | UnsetType = UNSET


class CheckpointView(Struct, frozen=True):
    """The newest checkpoint."""

    checkpoint_id: f.CheckpointId
    values: f.CheckpointValues


class HandedWait(Struct, frozen=True):
    """A settled wait, as the attempt that goes on is handed it."""

    wait_id: f.WaitId
    kind: Annotated[WaitKindWord, f.about("What it waited for.")]
    key: f.WaitKey
    status: Annotated[WaitWord, f.about("How it was settled.")]
    value: f.Settled


class AttemptView(Struct, frozen=True):
    """All a worker needs to start, or to go on. Steps that were left out are read from `steps_next_after` on; waits
    that were, by raising their keys again.
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
        tuple[StepView, ...], f.about("The steps recorded so far: those that have succeeded are not to be done again.")
    ]
    steps_truncated: Annotated[
        bool, f.about("True: there are more steps than these, and they have to be read before going on.")
    ]
    resumes: Annotated[tuple[HandedWait, ...], f.about("The waits that were settled.")]
    resumes_truncated: Annotated[bool, f.about("True: there are more settled waits than these.")]
    metadata: f.Metadata
    trace: Annotated[TraceView, f.about("Where in the run's trace this lease stands.")]
    steps_next_after: (
        Annotated[int, f.about("Where the other steps begin: the `after` of `list_steps`.")] | UnsetType
    ) = UNSET
    deadline_ms: (
        Annotated[int, f.about("How much time under lease is left to the run, in milliseconds; missing: no limit.")]
        | UnsetType
    ) = UNSET
    checkpoint: Annotated[CheckpointView, f.about("The newest checkpoint; missing: none.")] | UnsetType = UNSET


class ControlView(Struct, frozen=True):
    """What has happened to a lease that the worker holds or has held."""

    type: Annotated[ControlType, f.about("What to do.")]
    attempt_id: f.AttemptId
    lease_id: f.LeaseId
    reason: Annotated[str, f.about("Why.")]


class PollView(Struct, frozen=True):
    """What a poll came to; the last four fields repeat the first attempt."""

    decision: Annotated[PollDecision, f.about("What the poll came to.")]
    attempts: Annotated[tuple[AttemptView, ...], f.about("The attempts that were handed out.")]
    control: Annotated[tuple[ControlView, ...], f.about("What has happened to the worker's leases.")]
    worker_active_leases: Annotated[int, f.about("How many leases the worker holds.")] | UnsetType = UNSET
    worker_limit: Annotated[int, f.about("How many it may hold.")] | UnsetType = UNSET
    reason: Annotated[PollReason, f.about("Why nothing was handed out.")] | UnsetType = UNSET
    tenant_id: f.TenantId | UnsetType = UNSET
    tenant_active_leases: Annotated[int, f.about("How many leases the tenant holds.")] | UnsetType = UNSET
    tenant_limit: Annotated[int, f.about("How many it may hold.")] | UnsetType = UNSET
    retry_after_ms: Annotated[int, f.about("When to poll again, in milliseconds from now.")] | UnsetType = UNSET
    attempt_id: f.AttemptId | UnsetType = UNSET
    lease_id: f.LeaseId | UnsetType = UNSET
    lease_expires_at: f.LeaseExpiresAt | UnsetType = UNSET
    trace: Annotated[TraceView, f.about("Where in its trace the first attempt stands.")] | UnsetType = UNSET


class LeaseBeat(Struct, frozen=True):
    """One lease after a heartbeat."""

    lease_id: f.LeaseId
    state: Annotated[LeaseState, f.about("How the lease stands.")]
    lease_expires_at: f.LeaseExpiresAt | None
    lease_remaining_ms: f.LeaseRemainingMs


class HeartbeatView(Struct, frozen=True):
    """The leases after a heartbeat; the single one's id and end stand beside them."""

    worker_id: f.WorkerId
    leases: Annotated[tuple[LeaseBeat, ...], f.about("The leases, in the order in which they were named.")]
    trace: Annotated[TraceView, f.about("Where in the first lease's trace this stands.")]
    lease_id: f.LeaseId | UnsetType = UNSET
    lease_expires_at: f.LeaseExpiresAt | UnsetType = UNSET


class ReportedView(Struct, frozen=True):
    """A step after its report."""

    attempt_id: f.AttemptId
    status: Annotated[ReportWord, f.about("Whether it was recorded now.")]
    trace: Annotated[TraceView, f.about("Where in the run's trace this stands.")]
    checkpoint_id: f.CheckpointId | UnsetType = UNSET


class AckedView(Struct, frozen=True):
    """An attempt after its ack."""

    attempt_id: f.AttemptId
    status: Annotated[AckWord, f.about("What the ack came to.")]
    next_attempt_no: Annotated[int, f.about("The number that the next attempt has, if there is one.")]
    trace: Annotated[TraceView, f.about("Where in the run's trace this stands.")]
    next_retry_at: Annotated[str, f.about("When it is tried again.")] | UnsetType = UNSET
    next: Annotated[PollView, f.about("What was fetched in the same commit.")] | UnsetType = UNSET


class ErrorView(Struct, frozen=True):
    """Why one item of a list was refused; the same words as the error envelope."""

    code: Annotated[ErrorCodeShown, f.about("The kind of refusal, for programs.")]
    message: Annotated[str, f.about("What is wrong, for people.")]
    details: (
        Annotated[dict[str, str | int | bool | list[str] | None], f.about("More about it, for programs.")] | UnsetType
    ) = UNSET


class ItemOk(Struct, Generic[T], frozen=True):
    """An item of a list that went well."""

    ok: Annotated[T, f.about("What the item came to.")]


class ItemError(Struct, frozen=True):
    """An item of a list that was refused."""

    error: Annotated[ErrorView, f.about("Why it was refused.")]


class ResultsView(Struct, Generic[T], frozen=True):
    """Items in the order they came, each on its own."""

    results: Annotated[tuple[ItemOk[T] | ItemError, ...], f.about("One for each item, in their order.")]


class AckResultsView(Struct, frozen=True):
    """The acks of a list in the order they came, each on its own, with what was fetched in their commit."""

    results: Annotated[tuple[ItemOk[AckedView] | ItemError, ...], f.about("One for each ack, in their order.")]
    next: Annotated[PollView, f.about("What was fetched in the same commit.")] | UnsetType = UNSET


class ReleasedView(Struct, frozen=True):
    """The leases that were given back."""

    released: Annotated[tuple[str, ...], f.about("The leases.")]
