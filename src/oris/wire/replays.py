"""Requests and answers of replays."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Struct, UnsetType

from oris.wire import fields as f
from oris.wire.jobs import TraceView
from oris.wire.names import Token
from oris.wire.words import RunStatus


class ReplayRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """From where to go on: a checkpoint, or the latest run's state. `run_id` is a precondition."""

    checkpoint_id: Annotated[Token, f.about("From which checkpoint; null: from where the latest run ended.")] | None = (
        None
    )
    run_id: f.ExpectedRunId | None = None
    tenant_id: f.AskedTenantId | None = None


class ReplayDeadLetterRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Empty: the path names the dead letter."""


class ReplayedView(Struct, frozen=True):
    """The run that a replay has made, or that an earlier one had."""

    thread_id: f.ThreadId
    run_id: f.RunId
    attempt_id: f.AttemptId
    status: Annotated[RunStatus, f.about("How the run stands now.")]
    idempotent_replay: f.IdempotentReplay
    trace: Annotated[TraceView, f.about("Where in its trace the run stands.")]
    checkpoint_id: f.CheckpointId | UnsetType = UNSET
    result: f.Result | UnsetType = UNSET


class DeadLetterReplayedView(Struct, frozen=True):
    """The new run that a dead letter is replayed in."""

    thread_id: f.ThreadId
    run_id: f.RunId
    attempt_id: f.AttemptId
    status: Annotated[RunStatus, f.about("How the run stands now.")]
    replay_count: Annotated[int, f.about("How often the dead letter was replayed.")]
