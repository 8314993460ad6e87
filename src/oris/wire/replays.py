"""Requests and answers of replays."""

from __future__ import annotations

from msgspec import UNSET, Raw, Struct, UnsetType

from oris.wire.jobs import TraceView
from oris.wire.names import TenantName, Token
from oris.wire.words import RunStatus


class ReplayRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """From where to go on: a checkpoint, or the latest run's state. `run_id` is a precondition."""

    checkpoint_id: Token | None = None
    run_id: Token | None = None
    tenant_id: TenantName | None = None


class ReplayDeadLetterRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """There is nothing to say."""


class ReplayedView(Struct, frozen=True):
    """The run that a replay has made, or that an earlier one had."""

    thread_id: str
    run_id: str
    attempt_id: str
    status: RunStatus
    idempotent_replay: bool
    trace: TraceView
    checkpoint_id: str | UnsetType = UNSET
    result: Raw | UnsetType = UNSET


class DeadLetterReplayedView(Struct, frozen=True):
    """The run that a dead letter has come to."""

    thread_id: str
    run_id: str
    attempt_id: str
    status: RunStatus
    replay_count: int
