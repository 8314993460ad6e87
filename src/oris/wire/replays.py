"""Requests and answers of replays."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Struct, UnsetType

from oris.wire import fields as f
from oris.wire.jobs import TraceView
from oris.wire.names import Token
from oris.wire.words import RunStatus


class ReplayRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Where to continue: from a checkpoint, or from the state of the latest run. `run_id` is a precondition."""

    checkpoint_id: (
        Annotated[Token, f.about("The checkpoint to continue from; null: the state in which the latest run ended.")]
        | None
    ) = None
    run_id: f.ExpectedRunId | None = None
    tenant_id: f.AskedTenantId | None = None


class ReplayDeadLetterRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Empty: the path names the dead letter."""


class ReplayedView(Struct, frozen=True):
    """The run of this replay, or of an earlier one that has completed."""

    thread_id: f.ThreadId
    run_id: f.RunId
    attempt_id: f.AttemptId
    status: Annotated[RunStatus, f.about("The status of the run now.")]
    idempotent_replay: f.IdempotentReplay
    trace: Annotated[TraceView, f.about("The run's position in its trace.")]
    checkpoint_id: f.CheckpointId | UnsetType = UNSET
    result: f.Result | UnsetType = UNSET


class DeadLetterReplayedView(Struct, frozen=True):
    """The new run that replays a dead letter."""

    thread_id: f.ThreadId
    run_id: f.RunId
    attempt_id: f.AttemptId
    status: Annotated[RunStatus, f.about("The status of the run now.")]
    replay_count: Annotated[int, f.about("How often the dead letter was replayed.")]
