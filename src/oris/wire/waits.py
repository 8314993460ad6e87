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
    """A wait for a time: a moment, or so long from now."""

    key: f.WaitKey
    at: Annotated[Moment, f.about("The moment, with its zone. Not together with `after_ms`.")] | None = None
    after_ms: Annotated[DurationMs, f.about("So long from now, in milliseconds. Not together with `at`.")] | None = None


class InterruptSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A question to somebody. Without `expires_in_ms` it waits for ever."""

    key: f.WaitKey
    value: f.Question
    expires_in_ms: (
        Annotated[PositiveMs, f.about("How long the question stands, in milliseconds; null: for ever.")] | None
    ) = None
    on_expire: Annotated[OnExpire, f.about("What becomes of the run when nobody answers in time.")] = "cancel"
    expire_value: Annotated[
        Raw, f.about('The answer that counts when nobody answers in time; only with `on_expire: "resume"`.')
    ] = ABSENT
    on_reject: Annotated[OnReject, f.about("What becomes of the run when the answer is no.")] = "cancel"


class InterruptWait(InterruptSpec, frozen=True, forbid_unknown_fields=True, tag="interrupt", tag_field="kind"):
    """A wait for an answer to a question, among waits of several kinds."""


class SuspendRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What to wait for before the attempt goes on: all of these, or any. A key that is raised again is answered with
    its value, also when `resumes` has left it out.
    """

    attempt_id: f.AttemptId
    lease_id: f.LeaseId
    waits: Annotated[list[TimeWait | InterruptWait], Meta(min_length=1, max_length=100), f.about("What to wait for.")]
    mode: Annotated[SuspendMode, f.about("Whether to wait for all of them, or for any.")] = "all"
    checkpoint: Annotated[CheckpointRequest, f.about("State to go on from.")] | None = None


class InterruptRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The questions that people have to answer before the attempt goes on."""

    attempt_id: f.AttemptId
    lease_id: f.LeaseId
    interrupts: Annotated[list[InterruptSpec], Meta(min_length=1, max_length=100), f.about("The questions.")]
    checkpoint: Annotated[CheckpointRequest, f.about("State to go on from.")] | None = None


class WaitView(Struct, frozen=True):
    """A wait after it was raised; one that was settled before carries its value."""

    wait_id: f.WaitId
    kind: Annotated[WaitKindWord, f.about("What it waits for.")]
    key: f.WaitKey
    status: Annotated[WaitWord, f.about("How it stands.")]
    value: f.Settled | UnsetType = UNSET


class SuspendedView(Struct, frozen=True):
    """The attempt after a suspend."""

    attempt_id: f.AttemptId
    status: Annotated[SuspendWord, f.about("How the run stands now.")]
    waits: Annotated[tuple[WaitView, ...], f.about("The waits, in the order in which they were named.")]
    trace: Annotated[TraceView, f.about("Where in the run's trace this stands.")]


class RaisedInterruptView(Struct, frozen=True):
    """An interrupt after it was raised."""

    interrupt_id: f.InterruptId
    key: f.WaitKey
    status: Annotated[WaitWord, f.about("How it stands.")]
    value: f.Settled | UnsetType = UNSET


class InterruptedView(Struct, frozen=True):
    """The attempt after an interrupt."""

    attempt_id: f.AttemptId
    status: Annotated[SuspendWord, f.about("How the run stands now.")]
    interrupts: Annotated[
        tuple[RaisedInterruptView, ...], f.about("The interrupts, in the order in which they were named.")
    ]
    trace: Annotated[TraceView, f.about("Where in the run's trace this stands.")]


class InterruptView(Struct, frozen=True):
    """An interrupt, as people see it."""

    interrupt_id: f.InterruptId
    thread_id: f.ThreadId
    run_id: f.RunId
    attempt_id: f.AttemptId
    workflow: f.Workflow
    tenant_id: f.TenantId
    key: f.WaitKey
    value: f.Question
    status: Annotated[WaitWord, f.about("How it stands.")]
    on_expire: Annotated[OnExpireShown, f.about("What becomes of the run when nobody answers in time.")]
    on_reject: Annotated[OnRejectShown, f.about("What becomes of the run when the answer is no.")]
    expires_at: Annotated[str, f.about("When the question expires; null: never.")] | None
    created_at: f.CreatedAt
    settled_at: Annotated[str, f.about("When it was answered, or came to another end; null: it is open.")] | None
    settled_by: Annotated[str, f.about("Who answered; null: nobody did.")] | None
    settled_value: Annotated[Raw, f.about("The answer: any JSON value; null: none.")]
    damaged: f.Damaged | UnsetType = UNSET


class ResumeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The answer to an interrupt."""

    value: Annotated[Raw, f.about("The answer: any JSON value.")]


class ResumeThreadRequest(ResumeRequest, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The answer to the only interrupt of a thread, or to the one with this key."""

    key: Annotated[Name, f.about("Which question is answered; null: the only one.")] | None = None
    run_id: f.ExpectedRunId | None = None
    tenant_id: f.AskedTenantId | None = None


class RejectRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Says no to a question."""

    reason: Annotated[Text, f.about("Why.")] | None = None


class InterruptsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which interrupts to list."""

    status: Annotated[WaitStatusAsked, f.about("Only interrupts that stand so.")] | None = None
    run_id: Annotated[Token, f.about("Only those of this run.")] | None = None
    thread_id: Annotated[Name, f.about("Only those of this thread.")] | None = None
    workflow: Annotated[Name, f.about("Only those of this kind of work.")] | None = None
    tenant_id: f.AskedTenantId | None = None
    cursor: f.Cursor | None = None
    limit: f.PageLimit = 50
