"""Lists as they are answered: the items under the name of their kind, and where the next page begins."""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from oris.wire import fields as f
from oris.wire.history import CheckpointRow, EventView
from oris.wire.jobs import JobRow
from oris.wire.keys import KeyView
from oris.wire.operators import AuditView, DeadLetterView, WorkerView
from oris.wire.waits import InterruptView


class JobsPage(Struct, frozen=True):
    """Threads with their latest run, newest first. `next_cursor` is null on the last page."""

    jobs: Annotated[tuple[JobRow, ...], f.about("The threads.")]
    next_cursor: f.NextCursor | None


class RunsPage(Struct, frozen=True):
    """Runs of one thread, newest first."""

    runs: Annotated[tuple[JobRow, ...], f.about("The runs.")]
    next_cursor: f.NextCursor | None


class TimelinePage(Struct, frozen=True):
    """Events of one thread in their order; the next page comes after the last `seq`."""

    timeline: Annotated[tuple[EventView, ...], f.about("The events.")]


class CheckpointsPage(Struct, frozen=True):
    """Checkpoints of one thread, newest first."""

    checkpoints: Annotated[tuple[CheckpointRow, ...], f.about("The checkpoints.")]
    next_cursor: f.NextCursor | None


class InterruptsPage(Struct, frozen=True):
    """Interrupts, newest first."""

    interrupts: Annotated[tuple[InterruptView, ...], f.about("The interrupts.")]
    next_cursor: f.NextCursor | None


class KeysPage(Struct, frozen=True):
    """API keys, newest first; revoked ones too."""

    keys: Annotated[tuple[KeyView, ...], f.about("The keys.")]
    next_cursor: f.NextCursor | None


class WorkersPage(Struct, frozen=True):
    """Workers, newest first."""

    workers: Annotated[tuple[WorkerView, ...], f.about("The workers.")]
    next_cursor: f.NextCursor | None


class DeadLettersPage(Struct, frozen=True):
    """Dead letters, newest first."""

    entries: Annotated[tuple[DeadLetterView, ...], f.about("The dead letters.")]
    next_cursor: f.NextCursor | None


class AuditPage(Struct, frozen=True):
    """Audit records, newest first."""

    logs: Annotated[tuple[AuditView, ...], f.about("The records.")]
    next_cursor: f.NextCursor | None
