"""What the sweeper looks for: deadlines that are due, and leases that are over before theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from oris.ids import JobKey, WorkerKey


class Earliest(Struct, frozen=True):
    """The next deadline of any thread, by either clock; None: there is none."""

    wake_ms: int | None
    """By the engine's clock."""
    due_ms: int | None
    """By the calendar."""


class SweeperReads(Protocol):
    """Threads about which something has to be decided. See `Reads`."""

    async def due(self, now_ms: int, date_ms: int, limit: int) -> Sequence[JobKey]:
        """Threads whose wake-up time, by the engine's clock, or whose date, by the calendar, has come: of each kind the
        earliest first."""

    async def earliest(self) -> Earliest:
        """When the sweeper has to look next."""

    async def dead_leases(self, workers: Sequence[WorkerKey] | None, limit: int) -> Sequence[JobKey]:
        """Threads whose lease is of a session that is over, of these workers or (None) of all; in no order."""

    async def leased(self, before_ms: int, after: int, limit: int) -> Sequence[tuple[int, JobKey]]:
        """Threads whose lease ends before this time, each with a number; those after a number, in its order."""
