"""What retention looks for: what is old enough to go, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from msgspec import Struct

from oris.core.audit import AuditRecord
from oris.core.audit_anchor import AuditAnchor
from oris.core.model import PrunedRun
from oris.core.old import OldestRuns
from oris.ids import JobKey, NodeId, WorkerKey

OldPlace: TypeAlias = tuple[int, int, int]
"""Where a walk over old runs goes on."""


class OldThreads(Struct, frozen=True):
    """Threads whose oldest run may go, as can be told at a glance, and where the walk goes on; None: at the end."""

    threads: tuple[JobKey, ...]
    after: OldPlace | None


class OldWorkers(Struct, frozen=True):
    """Workers that hold nothing and were granted nothing for long, and where the walk goes on; None: at the end."""

    workers: tuple[WorkerKey, ...]
    after: tuple[int, WorkerKey] | None


class OldAudit(Struct, frozen=True):
    """The beginning of an audit chain."""

    chain_id: str
    anchor: AuditAnchor | None
    records: tuple[AuditRecord, ...]


class RetentionReads(Protocol):
    """Walks over what is old. See `Reads`."""

    async def old_threads(self, before_ms: int, after: OldPlace | None, limit: int) -> OldThreads:
        """Threads whose oldest run was over before this time, the oldest first. `limit` runs are looked at."""

    async def oldest_runs(self, threads: Sequence[tuple[JobKey, int]], limit: int) -> Sequence[OldestRuns]:
        """A page of each thread's kept runs, the oldest first: from the beginning (0), or where a page before ended."""

    async def pruned_runs(self, limit: int) -> Sequence[PrunedRun]:
        """Pruned runs that have left rows, the oldest first."""

    async def old_workers(self, before_ms: int, after: tuple[int, WorkerKey] | None, limit: int) -> OldWorkers:
        """Workers that hold nothing and were granted nothing since this time. `limit` workers are looked at."""

    async def old_sessions(self, before_ms: int, limit: int) -> Sequence[tuple[WorkerKey, str]]:
        """Sessions that ended before this time, the oldest first."""

    async def old_nodes(self, before_ms: int, limit: int) -> Sequence[NodeId]:
        """Starts of nodes that have committed nothing since this time. The newest one of a node for which something is
        switched is kept."""

    async def old_audit(self, after: str, limit: int) -> OldAudit | None:
        """The first records that are kept of the next audit chain; None: there is none."""
