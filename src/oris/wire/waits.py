"""Requests and answers about waits: what workers wait for, and what people say."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from oris.wire.jobs import ABSENT, TraceView
from oris.wire.names import DurationMs, Name, PageLimit, PositiveMs, TenantName, Text, Token
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

    key: Name
    at: Moment | None = None
    after_ms: DurationMs | None = None


class InterruptSpec(Struct, frozen=True, forbid_unknown_fields=True):
    """A question to somebody. Without `expires_in_ms` it waits for ever."""

    key: Name
    value: Raw
    expires_in_ms: PositiveMs | None = None
    on_expire: OnExpire = "cancel"
    expire_value: Raw = ABSENT
    on_reject: OnReject = "cancel"


class InterruptWait(InterruptSpec, frozen=True, forbid_unknown_fields=True, tag="interrupt", tag_field="kind"):
    """The same among waits of several kinds."""


class SuspendRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to do until these are settled: all of them, or any. A key that is raised again is answered with its
    value, also when `resumes` has left it out.
    """

    attempt_id: Token
    lease_id: Token
    waits: Annotated[list[TimeWait | InterruptWait], Meta(min_length=1, max_length=100)]
    mode: SuspendMode = "all"
    checkpoint: CheckpointRequest | None = None


class InterruptRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to do until people have answered all of these."""

    attempt_id: Token
    lease_id: Token
    interrupts: Annotated[list[InterruptSpec], Meta(min_length=1, max_length=100)]
    checkpoint: CheckpointRequest | None = None


class WaitView(Struct, frozen=True):
    """A wait after it was raised; one that was settled before carries its value."""

    wait_id: str
    kind: WaitKindWord
    key: str
    status: WaitWord
    value: Raw | UnsetType = UNSET


class SuspendedView(Struct, frozen=True):
    """The attempt after a suspend."""

    attempt_id: str
    status: SuspendWord
    waits: tuple[WaitView, ...]
    trace: TraceView


class RaisedInterruptView(Struct, frozen=True):
    """An interrupt after it was raised."""

    interrupt_id: str
    key: str
    status: WaitWord
    value: Raw | UnsetType = UNSET


class InterruptedView(Struct, frozen=True):
    """The attempt after an interrupt."""

    attempt_id: str
    status: SuspendWord
    interrupts: tuple[RaisedInterruptView, ...]
    trace: TraceView


class InterruptView(Struct, frozen=True):
    """An interrupt, as people see it."""

    interrupt_id: str
    thread_id: str
    run_id: str
    attempt_id: str
    workflow: str
    tenant_id: str
    key: str
    value: Raw
    status: WaitWord
    on_expire: OnExpireShown
    on_reject: OnRejectShown
    expires_at: str | None
    created_at: str
    settled_at: str | None
    settled_by: str | None
    settled_value: Raw
    damaged: bool | UnsetType = UNSET
    """True: a value in the database is not what was written, and neither is shown."""


class ResumeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The answer to an interrupt."""

    value: Raw


class ResumeThreadRequest(ResumeRequest, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The answer to the only interrupt of a thread, or to the one with this key."""

    key: Name | None = None
    run_id: Token | None = None
    tenant_id: TenantName | None = None


class RejectRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A no."""

    reason: Text | None = None


class InterruptsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which interrupts to list."""

    status: WaitStatusAsked | None = None
    run_id: Token | None = None
    thread_id: Name | None = None
    workflow: Name | None = None
    tenant_id: TenantName | None = None
    cursor: Token | None = None
    limit: PageLimit = 50
