"""Requests and answers about waits: what workers wait for, and what people say."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from oris.wire import fields as f
from oris.wire.jobs import ABSENT, TraceView
from oris.wire.names import DurationMs, Name, PositiveMs, Text, Token
from oris.wire.words import (
    OnExpire,
    OnExpireShown,
    OnReject,
    OnRejectShown,
    SuspendMode,
    SuspendWord,
    WaitKindWord,
    WaitStatusAsked,
    WaitWord,
)
from oris.wire.workers import CheckpointRequest

Moment = Annotated[datetime, Meta(tz=True)]


class TimeWait(Struct, frozen=True, forbid_unknown_fields=True, tag="time", tag_field="kind"):
    """A wait for a time: a point in time, or a duration from now."""

    key: f.WaitKey
    at: Annotated[Moment, f.about("The time to wait for, with its zone. Not together with `after_ms`.")] | None = None
    after_ms: Annotated[DurationMs, f.about("How long to wait, in milliseconds. Not together with `at`.")] | None = None


class InterruptSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A question to people. Without `expires_in_ms` it never expires."""

    key: f.WaitKey
    value: f.Question
    expires_in_ms: (
        Annotated[PositiveMs, f.about("When the question expires, in milliseconds from now; null: never.")] | None
    ) = None
    on_expire: Annotated[OnExpire, f.about("What happens to the run if the question expires.")] = "cancel"
    expire_value: Annotated[Raw, f.about('The answer if the question expires; only with `on_expire: "resume"`.')] = (
        ABSENT
    )
    on_reject: Annotated[OnReject, f.about("What happens to the run if the question is rejected.")] = "cancel"


class InterruptWait(InterruptSpec, frozen=True, forbid_unknown_fields=True, tag="interrupt", tag_field="kind"):
    """A wait for an answer to a question, among waits of several kinds."""


class SuspendRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What to wait for before the attempt continues: all of these waits, or any. A key that is sent again is answered
    with its value, also if `resumes` has left it out.
    """

    attempt_id: f.AttemptId
    lease_id: f.LeaseId
    waits: Annotated[list[TimeWait | InterruptWait], Meta(min_length=1, max_length=100), f.about("What to wait for.")]
    mode: Annotated[SuspendMode, f.about("Whether to wait for all waits, or for any of them.")] = "all"
    checkpoint: Annotated[CheckpointRequest, f.about("State from which the job can continue.")] | None = None


class InterruptRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The questions that people must answer before the attempt continues."""

    attempt_id: f.AttemptId
    lease_id: f.LeaseId
    interrupts: Annotated[list[InterruptSpec], Meta(min_length=1, max_length=100), f.about("The questions.")]
    checkpoint: Annotated[CheckpointRequest, f.about("State from which the job can continue.")] | None = None


class WaitView(Struct, frozen=True):
    """A wait after the request. A wait that was already settled has its value."""

    wait_id: f.WaitId
    kind: Annotated[WaitKindWord, f.about("The kind of the wait.")]
    key: f.WaitKey
    status: Annotated[WaitWord, f.about("The status of the wait.")]
    value: f.Settled | UnsetType = UNSET


class SuspendedView(Struct, frozen=True):
    """The attempt after a suspend."""

    attempt_id: f.AttemptId
    status: Annotated[SuspendWord, f.about("The status of the run now.")]
    waits: Annotated[tuple[WaitView, ...], f.about("The waits, in the order of the request.")]
    trace: Annotated[TraceView, f.about("The position of this request in the run's trace.")]


class RaisedInterruptView(Struct, frozen=True):
    """An interrupt after the request."""

    interrupt_id: f.InterruptId
    key: f.WaitKey
    status: Annotated[WaitWord, f.about("The status of the wait.")]
    value: f.Settled | UnsetType = UNSET


class InterruptedView(Struct, frozen=True):
    """The attempt after an interrupt."""

    attempt_id: f.AttemptId
    status: Annotated[SuspendWord, f.about("The status of the run now.")]
    interrupts: Annotated[tuple[RaisedInterruptView, ...], f.about("The interrupts, in the order of the request.")]
    trace: Annotated[TraceView, f.about("The position of this request in the run's trace.")]


class InterruptView(Struct, frozen=True):
    """An interrupt: a question of a run to people."""

    interrupt_id: f.InterruptId
    thread_id: f.ThreadId
    run_id: f.RunId
    attempt_id: f.AttemptId
    workflow: f.Workflow
    tenant_id: f.TenantId
    key: f.WaitKey
    value: f.Question
    status: Annotated[WaitWord, f.about("The status of the wait.")]
    on_expire: Annotated[OnExpireShown, f.about("What happens to the run if the question expires.")]
    on_reject: Annotated[OnRejectShown, f.about("What happens to the run if the question is rejected.")]
    expires_at: Annotated[str, f.about("When the question expires; null: never.")] | None
    created_at: f.CreatedAt
    settled_at: Annotated[str, f.about("When the question was settled; null: it is open.")] | None
    settled_by: Annotated[str, f.about("Who settled the question; null: nobody.")] | None
    settled_value: Annotated[Raw, f.about("The answer: any JSON value; null: none.")]
    damaged: f.Damaged | UnsetType = UNSET


class ResumeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The answer to an interrupt."""

    value: Annotated[Raw, f.about("The answer: any JSON value.")]


class ResumeThreadRequest(ResumeRequest, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The answer to the only interrupt of a thread, or to the one with this key."""

    key: Annotated[Name, f.about("The key of the question; null: the only open question.")] | None = None
    run_id: f.ExpectedRunId | None = None
    tenant_id: f.AskedTenantId | None = None


class RejectRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The rejection of a question."""

    reason: Annotated[Text, f.about("Why the question is rejected.")] | None = None


class InterruptsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which interrupts to list."""

    status: Annotated[WaitStatusAsked, f.about("Only interrupts with this status.")] | None = None
    run_id: Annotated[Token, f.about("Only interrupts of this run.")] | None = None
    thread_id: Annotated[Name, f.about("Only interrupts of this thread.")] | None = None
    workflow: Annotated[Name, f.about("Only interrupts of this workflow.")] | None = None
    tenant_id: f.AskedTenantId | None = None
    cursor: f.Cursor | None = None
    limit: f.PageLimit = 50
