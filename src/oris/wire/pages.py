"""Lists as they are answered: the items under the name of their kind, and where the next page begins."""

from __future__ import annotations

from msgspec import Struct

from oris.wire.history import CheckpointRow, EventView
from oris.wire.jobs import JobRow
from oris.wire.keys import KeyView
from oris.wire.operators import AuditView, DeadLetterView, WorkerView
from oris.wire.waits import InterruptView


class JobsPage(Struct, frozen=True):
    """Threads with their latest run, newest first. `next_cursor` is null on the last page."""

    jobs: tuple[JobRow, ...]
    next_cursor: str | None


class RunsPage(Struct, frozen=True):
    """Runs of one thread, newest first."""

    runs: tuple[JobRow, ...]
    next_cursor: str | None


class TimelinePage(Struct, frozen=True):
    """Events of one thread in their order; the next page comes after the last `seq`."""

    timeline: tuple[EventView, ...]


class CheckpointsPage(Struct, frozen=True):
    """Checkpoints of one thread, newest first."""

    checkpoints: tuple[CheckpointRow, ...]
    next_cursor: str | None


class InterruptsPage(Struct, frozen=True):
    """Interrupts, newest first."""

    interrupts: tuple[InterruptView, ...]
    next_cursor: str | None


class KeysPage(Struct, frozen=True):
    """API keys, newest first; revoked ones too."""

    keys: tuple[KeyView, ...]
    next_cursor: str | None


class WorkersPage(Struct, frozen=True):
    """Workers, newest first."""

    workers: tuple[WorkerView, ...]
    next_cursor: str | None


class DeadLettersPage(Struct, frozen=True):
    """Dead letters, newest first."""

    entries: tuple[DeadLetterView, ...]
    next_cursor: str | None


class AuditPage(Struct, frozen=True):
    """Audit records, newest first."""

    logs: tuple[AuditView, ...]
    next_cursor: str | None
