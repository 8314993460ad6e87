"""Requests and answers about what a thread has been through."""

from __future__ import annotations

from msgspec import UNSET, Raw, Struct, UnsetType

from oris.wire.jobs import JobView, PendingView, ThreadQuery
from oris.wire.names import PageLimit, Seq, Token
from oris.wire.words import EventType, StepState


class EventView(Struct, frozen=True):
    """One line of a timeline. `data` is the event itself, as it was stored and chained."""

    seq: int
    event_type: EventType
    run_id: str
    attempt_no: int
    data: Raw
    created_at: str
    worker_id: str | UnsetType = UNSET
    payload: Raw | UnsetType = UNSET
    """The client's value that came with it, where it was asked for, if there is one and it was not erased."""
    damaged: bool | UnsetType = UNSET
    """True: the payload in the database is not what was written, and is not shown; or `data` is not, and is empty."""


class ExportedEventView(EventView, frozen=True, kw_only=True):
    """The same with all that the chain needs to be verified elsewhere."""

    payload_digest: str | None
    hash: str
    skew_ms: int | UnsetType = UNSET
    """How far the calendar, by which `created_at` goes, was ahead of the server's clock; where it was not, unset."""


class ExportView(Struct, frozen=True):
    """A whole timeline, with what it takes to verify it elsewhere. It is written piece by piece."""

    thread_id: str
    tenant_id: str
    run_id: str
    timeline: tuple[ExportedEventView, ...]
    events: int
    head_hash: str


class CheckpointRow(Struct, frozen=True):
    """A checkpoint in a list."""

    checkpoint_id: str
    run_id: str
    seq: int
    created_at: str


class CheckpointDetailView(Struct, frozen=True):
    """A checkpoint with its values; `null` when they were erased."""

    thread_id: str
    run_id: str
    checkpoint_id: str
    values: Raw
    created_at: str


class StepSpanView(Struct, frozen=True):
    """One try of a step; null for what was not reported."""

    action_id: str
    status: StepState
    attempt_no: int
    worker_id: str | None
    seq: int
    started_at: str | None
    ended_at: str | None
    duration_ms: int | None


class LeaseSpanView(Struct, frozen=True):
    """One lease; null for what has not happened yet."""

    lease_id: str
    worker_id: str
    fence: int
    attempt_no: int
    granted_at: str
    ended_at: str | None
    ended_by: str | None
    cause: str | None
    held_ms: int


class ReplayCostView(Struct, frozen=True):
    """What a replay from the latest state would be handed, and what it would do again."""

    steps_kept: int
    """Steps that have succeeded: they are handed over and not repeated."""
    steps_repeated: int
    """Steps that were reported, and have not succeeded: they are done again."""
    leased_ms: int
    """Time under lease so far: the most that doing all of it again would take."""


class ObservabilityView(Struct, frozen=True):
    """The latest run as an observer sees it, told from its events after `after_seq`."""

    reasoning_timeline: tuple[StepSpanView, ...]
    lease_graph: tuple[LeaseSpanView, ...]
    replay_cost: ReplayCostView
    interrupt_latency_ms: tuple[int, ...] | None
    after_seq: int


class DetailView(JobView, frozen=True, kw_only=True):
    """A run in full, with its thread's past."""

    history: tuple[CheckpointRow, ...]
    timeline: tuple[EventView, ...]
    pending_interrupts: tuple[PendingView, ...]
    observability: ObservabilityView


class VerifiedView(Struct, frozen=True):
    """Whether a thread's timeline is the one that was written."""

    events: int
    head_hash: str
    valid: bool
    first_bad_seq: int | UnsetType = UNSET


class TimelineQuery(ThreadQuery, frozen=True, forbid_unknown_fields=True):
    """A page of a timeline."""

    after_seq: Seq = 0
    limit: PageLimit = 50
    payloads: bool = False


class ExportQuery(ThreadQuery, frozen=True, forbid_unknown_fields=True):
    """A whole timeline."""

    payloads: bool = False


class EventsQuery(ThreadQuery, frozen=True, forbid_unknown_fields=True):
    """From where to listen on; a `Last-Event-ID` goes before it."""

    after_seq: Seq = 0


class HistoryQuery(ThreadQuery, frozen=True, forbid_unknown_fields=True):
    """A page of a thread's checkpoints."""

    cursor: Token | None = None
    limit: PageLimit = 50
