"""Requests and answers about what a thread has been through."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Raw, Struct, UnsetType

from oris.wire import fields as f
from oris.wire.jobs import JobView, PendingView, ThreadQuery
from oris.wire.words import EventType, StepState


class EventView(Struct, frozen=True):
    """One line of a timeline. `data` is the event itself, as it was stored and chained."""

    seq: f.EventSeq
    event_type: Annotated[EventType, f.about("What happened.")]
    run_id: f.RunId
    attempt_no: f.AttemptNo
    data: Annotated[Raw, f.about("The event itself, as it was stored.")]
    created_at: Annotated[str, f.about("When it happened.")]
    worker_id: f.WorkerId | UnsetType = UNSET
    payload: (
        Annotated[
            Raw, f.about("The client's value that came with it, where it was asked for, exists and was not erased.")
        ]
        | UnsetType
    ) = UNSET
    damaged: (
        Annotated[bool, f.about("True: what is in the database is not what was written, and is not shown.")] | UnsetType
    ) = UNSET


class ExportedEventView(EventView, frozen=True, kw_only=True):
    """One event of an export, with all that the chain needs to be verified elsewhere."""

    payload_digest: (
        Annotated[str, f.about("The SHA-256 of the client's value that came with it; null: there was none.")] | None
    )
    hash: Annotated[str, f.about("The hash over this event and the one before it.")]
    skew_ms: (
        Annotated[
            int,
            f.about(
                "How far the calendar, by which `created_at` goes, was ahead of the server's clock, in milliseconds."
            ),
        ]
        | UnsetType
    ) = UNSET


class ExportView(Struct, frozen=True):
    """A whole timeline, with what it takes to verify it elsewhere. It is written piece by piece."""

    thread_id: f.ThreadId
    tenant_id: f.TenantId
    run_id: Annotated[str, f.about("The latest run.")]
    timeline: Annotated[tuple[ExportedEventView, ...], f.about("All events, in their order.")]
    events: Annotated[int, f.about("How many they are.")]
    head_hash: Annotated[str, f.about("The hash of the last one.")]


class CheckpointRow(Struct, frozen=True):
    """A checkpoint in a list."""

    checkpoint_id: f.CheckpointId
    run_id: f.RunId
    seq: Annotated[int, f.about("The number of its event in the thread.")]
    created_at: f.CreatedAt


class CheckpointDetailView(Struct, frozen=True):
    """A checkpoint with its values; `null` when they were erased."""

    thread_id: f.ThreadId
    run_id: f.RunId
    checkpoint_id: f.CheckpointId
    values: f.CheckpointValues
    created_at: f.CreatedAt


class StepSpanView(Struct, frozen=True):
    """One try of a step; null for what was not reported."""

    action_id: f.ActionId
    status: Annotated[StepState, f.about("How the step stands.")]
    attempt_no: f.AttemptNo
    worker_id: Annotated[str, f.about("The worker that reported it.")] | None
    seq: Annotated[int, f.about("The number of its last event in the thread.")]
    started_at: Annotated[str, f.about("When it was reported as started.")] | None
    ended_at: Annotated[str, f.about("When its end was reported.")] | None
    duration_ms: Annotated[int, f.about("How long it took, in milliseconds.")] | None


class LeaseSpanView(Struct, frozen=True):
    """One lease; null for what has not happened yet."""

    lease_id: f.LeaseId
    worker_id: f.WorkerId
    fence: f.Fence
    attempt_no: f.AttemptNo
    granted_at: Annotated[str, f.about("When it was granted.")]
    ended_at: Annotated[str, f.about("When it ended.")] | None
    ended_by: Annotated[str, f.about("The event that ended it.")] | None
    cause: Annotated[str, f.about("Why it ended.")] | None
    held_ms: Annotated[int, f.about("How long it was held, in milliseconds.")]


class ReplayCostView(Struct, frozen=True):
    """What a replay from the latest state would be handed, and what it would do again."""

    steps_kept: Annotated[int, f.about("Steps that have succeeded: they are handed over and not repeated.")]
    steps_repeated: Annotated[int, f.about("Steps that were reported and have not succeeded: they are done again.")]
    leased_ms: Annotated[
        int, f.about("Time under lease so far, in milliseconds: the most that doing all of it again would take.")
    ]


class ObservabilityView(Struct, frozen=True):
    """The latest run as an observer sees it, told from its events after `after_seq`."""

    reasoning_timeline: Annotated[tuple[StepSpanView, ...], f.about("The steps, each with its times.")]
    lease_graph: Annotated[tuple[LeaseSpanView, ...], f.about("The leases, each with its times.")]
    replay_cost: Annotated[ReplayCostView, f.about("What a replay would keep and repeat.")]
    interrupt_latency_ms: (
        Annotated[tuple[int, ...], f.about("How long each answered interrupt was open, in milliseconds.")] | None
    )
    after_seq: Annotated[int, f.about("Told from the events after this one.")]


class DetailView(JobView, frozen=True, kw_only=True):
    """A run in full, with its thread's past."""

    history: Annotated[tuple[CheckpointRow, ...], f.about("The newest checkpoints.")]
    timeline: Annotated[tuple[EventView, ...], f.about("The latest 200 events.")]
    pending_interrupts: Annotated[tuple[PendingView, ...], f.about("The questions that the run waits for.")]
    observability: Annotated[ObservabilityView, f.about("The run as an observer sees it.")]


class VerifiedView(Struct, frozen=True):
    """Whether a thread's timeline is the one that was written."""

    events: Annotated[int, f.about("How many events there are.")]
    head_hash: Annotated[str, f.about("The hash of the last one.")]
    valid: Annotated[bool, f.about("True: the timeline is as it was written.")]
    first_bad_seq: Annotated[int, f.about("The first event that is not as it was written.")] | UnsetType = UNSET


class TimelineQuery(ThreadQuery, frozen=True, forbid_unknown_fields=True):
    """A page of a timeline."""

    after_seq: f.AfterSeq = 0
    limit: f.PageLimit = 50
    payloads: Annotated[bool, f.about("True: with the clients' values.")] = False


class ExportQuery(ThreadQuery, frozen=True, forbid_unknown_fields=True):
    """A whole timeline."""

    payloads: Annotated[bool, f.about("True: with the clients' values.")] = False


class EventsQuery(ThreadQuery, frozen=True, forbid_unknown_fields=True):
    """From where to listen on; a `Last-Event-ID` goes before it."""

    after_seq: f.AfterSeq = 0


class HistoryQuery(ThreadQuery, frozen=True, forbid_unknown_fields=True):
    """A page of a thread's checkpoints."""

    cursor: f.Cursor | None = None
    limit: f.PageLimit = 50
