"""Lists as they are answered: the items under the name of their kind, and where the next page begins."""

from __future__ import annotations

from msgspec import Struct

from oris.wire.jobs import EventView, JobRow
from oris.wire.operators import AuditView, DeadLetterView, WorkerView


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
