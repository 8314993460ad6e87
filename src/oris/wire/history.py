"""Requests and answers about the history of a thread."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Raw, Struct, UnsetType

from oris.wire import fields as f
from oris.wire.jobs import JobView, PendingView, ThreadQuery
from oris.wire.words import EventType, StepState


class EventView(Struct, frozen=True):
    """One line of a timeline. `data` is the event itself, as it was stored and chained."""

    seq: f.EventSeq
    event_type: Annotated[EventType, f.about("The type of the event.")]
    run_id: f.RunId
    attempt_no: f.AttemptNo
    data: Annotated[Raw, f.about("The event itself, as it was stored.")]
    created_at: Annotated[str, f.about("When it happened.")]
    worker_id: f.WorkerId | UnsetType = UNSET
    payload: (
        Annotated[Raw, f.about("The client's value of the event, if it was asked for, exists and was not erased.")]
        | UnsetType
    ) = UNSET
    damaged: Annotated[bool, f.about("True: the stored event is damaged and is not shown.")] | UnsetType = UNSET


class ExportedEventView(EventView, frozen=True, kw_only=True):
    """One event of an export, with all values that are needed to verify the chain."""

    payload_digest: (
        Annotated[str, f.about("The SHA-256 of the client's value of the event; null: there is no value.")] | None
    )
    hash: Annotated[str, f.about("The hash over this event and the hash of the event before it.")]
    skew_ms: (
        Annotated[
            int,
            f.about("How far the wall clock (`created_at`) was ahead of the clock of leases, in milliseconds."),
        ]
        | UnsetType
    ) = UNSET


class ExportView(Struct, frozen=True):
    """A whole timeline, with all values that are needed to verify it. It is sent piece by piece."""

    thread_id: f.ThreadId
    tenant_id: f.TenantId
    run_id: Annotated[str, f.about("The latest run.")]
    timeline: Annotated[tuple[ExportedEventView, ...], f.about("All events, in their order.")]
    events: Annotated[int, f.about("The number of events.")]
    head_hash: Annotated[str, f.about("The hash of the last event.")]


class CheckpointRow(Struct, frozen=True):
    """A checkpoint in a list."""

    checkpoint_id: f.CheckpointId
    run_id: f.RunId
    seq: Annotated[int, f.about("The number of its event in the thread.")]
    created_at: f.CreatedAt


class CheckpointDetailView(Struct, frozen=True):
    """A checkpoint with its values; they are `null` if they were erased."""

    thread_id: f.ThreadId
    run_id: f.RunId
    checkpoint_id: f.CheckpointId
    values: f.CheckpointValues
    created_at: f.CreatedAt


class StepSpanView(Struct, frozen=True):
    """One try of a step. Values that were not reported are null."""

    action_id: f.ActionId
    status: Annotated[StepState, f.about("The status of the step.")]
    attempt_no: f.AttemptNo
    worker_id: Annotated[str, f.about("The worker that reported it.")] | None
    seq: Annotated[int, f.about("The number of its last event in the thread.")]
    started_at: Annotated[str, f.about("When the start of the step was reported.")] | None
    ended_at: Annotated[str, f.about("When the end of the step was reported.")] | None
    duration_ms: Annotated[int, f.about("How long the step took, in milliseconds.")] | None


class LeaseSpanView(Struct, frozen=True):
    """One lease. Values that do not exist yet are null."""

    lease_id: f.LeaseId
    worker_id: f.WorkerId
    fence: f.Fence
    attempt_no: f.AttemptNo
    granted_at: Annotated[str, f.about("When the lease was granted.")]
    ended_at: Annotated[str, f.about("When the lease ended.")] | None
    ended_by: Annotated[str, f.about("The event that ended the lease.")] | None
    cause: Annotated[str, f.about("Why the lease ended.")] | None
    held_ms: Annotated[int, f.about("How long the lease was held, in milliseconds.")]


class ReplayCostView(Struct, frozen=True):
    """What a replay from the latest state would keep, and what it would do again."""

    steps_kept: Annotated[int, f.about("How many steps have succeeded: they are kept and not repeated.")]
    steps_repeated: Annotated[int, f.about("How many steps were reported but have not succeeded: they are done again.")]
    leased_ms: Annotated[
        int, f.about("Time under lease so far, in milliseconds. A full repeat would take about as long.")
    ]


class ObservabilityView(Struct, frozen=True):
    """Figures about the latest run, computed from its events after `after_seq`."""

    reasoning_timeline: Annotated[tuple[StepSpanView, ...], f.about("The steps, each with its times.")]
    lease_graph: Annotated[tuple[LeaseSpanView, ...], f.about("The leases, each with its times.")]
    replay_cost: Annotated[ReplayCostView, f.about("What a replay would keep and repeat.")]
    interrupt_latency_ms: (
        Annotated[tuple[int, ...], f.about("How long each answered interrupt was open, in milliseconds.")] | None
    )
    after_seq: Annotated[int, f.about("The figures are computed from the events after this one.")]


class DetailView(JobView, frozen=True, kw_only=True):
    """A run in full, with its thread's past."""

    history: Annotated[tuple[CheckpointRow, ...], f.about("The newest checkpoints.")]
    timeline: Annotated[tuple[EventView, ...], f.about("The latest 200 events.")]
    pending_interrupts: Annotated[tuple[PendingView, ...], f.about("The questions that the run waits for.")]
    observability: Annotated[ObservabilityView, f.about("Figures about the run.")]


class VerifiedView(Struct, frozen=True):
    """Whether the stored timeline of a thread is unchanged."""

    events: Annotated[int, f.about("How many events there are.")]
    head_hash: Annotated[str, f.about("The hash of the last event.")]
    valid: Annotated[bool, f.about("True: the timeline is unchanged.")]
    first_bad_seq: Annotated[int, f.about("The first event that differs from what was written.")] | UnsetType = UNSET


class TimelineQuery(ThreadQuery, frozen=True, forbid_unknown_fields=True):
    """A page of a timeline."""

    after_seq: f.AfterSeq = 0
    limit: f.PageLimit = 50
    payloads: Annotated[bool, f.about("True: the answer includes the clients' values.")] = False


class ExportQuery(ThreadQuery, frozen=True, forbid_unknown_fields=True):
    """A whole timeline."""

    payloads: Annotated[bool, f.about("True: the answer includes the clients' values.")] = False


class EventsQuery(ThreadQuery, frozen=True, forbid_unknown_fields=True):
    """Where the stream begins. A `Last-Event-ID` header has precedence."""

    after_seq: f.AfterSeq = 0


class HistoryQuery(ThreadQuery, frozen=True, forbid_unknown_fields=True):
    """A page of a thread's checkpoints."""

    cursor: f.Cursor | None = None
    limit: f.PageLimit = 50
