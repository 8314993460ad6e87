"""What a node has to know of the whole store: where work may be, what is switched, who may call, how much there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from oris.core.api_key import ApiKey
from oris.core.audit import AuditHead
from oris.core.hold import Hold
from oris.core.mode import Mode
from oris.core.model import Job, Lane, Worker
from oris.core.tenant import Tenant
from oris.ids import JobKey, TenantId, WorkerKey


class StoredKeys(Struct, frozen=True):
    """The keys that let anybody in, and whether there ever was one."""

    keys: tuple[ApiKey, ...]
    any_ever: bool


class Statistics(Struct, frozen=True):
    """What the gauges show; counted by the store."""

    waiting: int
    """Runs scheduled, queued or backing off."""
    leased: int
    dead_letters: int
    """Those that nobody has replayed yet."""
    oldest_queued_ms: int | None
    """Since when the longest-waiting due run has been available."""
    pending_interrupts: int = 0
    delayed: int = 0
    """Those of the waiting runs that are not due yet: scheduled, or backing off."""

    workflows_held: int = 0

    @property
    def due(self) -> int:
        """Those that could run now."""
        return self.waiting - self.delayed


class Glance(Struct, frozen=True):
    """What a node wants to see of what others may have changed, all in one read."""

    lanes: int = 0
    """How many lanes with due jobs, behind `lanes_after`."""
    lanes_after: Lane | None = None
    threads: tuple[JobKey, ...] = ()
    """Threads whose latest run is wanted."""
    workers: tuple[WorkerKey, ...] = ()
    holders: tuple[WorkerKey, ...] = ()
    """Workers whose live leases are wanted."""
    tenants: tuple[TenantId, ...] = ()
    holds: tuple[Lane, ...] = ()


class Seen(Struct, frozen=True):
    """What was found; what is missing does not exist."""

    modes: tuple[Mode, ...]
    lanes: tuple[Lane, ...] = ()
    threads: tuple[Job, ...] = ()
    workers: tuple[Worker, ...] = ()
    leases: tuple[Job, ...] = ()
    """The jobs that the wanted workers hold."""
    tenants: tuple[Tenant, ...] = ()
    holds: tuple[Hold, ...] = ()


class ClusterReads(Protocol):
    """What all nodes have in common. See `Reads`."""

    async def lanes(self, limit: int, after: Lane | None = None) -> Sequence[Lane]:
        """The first lanes with a due job behind this one, in their order; found by a loose scan."""

    async def glance(self, wanted: Glance) -> Seen:
        """All that a node wants to see of what others may have changed."""

    async def modes(self) -> Sequence[Mode]:
        """What operators have switched, for the cluster and for single nodes."""

    async def nodes(self) -> Sequence[tuple[str, int]]:
        """Nodes that have committed anything, each with when it did so last; at most 100."""

    async def audit_head(self, chain_id: str) -> AuditHead | None:
        """The end of one audit chain; None: it has not begun."""

    async def audit_heads(self) -> Sequence[AuditHead]:
        """The ends of all audit chains, the newest 100."""

    async def stored_keys(self, now_ms: int) -> StoredKeys:
        """What is needed to tell who calls: the keys that are neither revoked nor expired."""

    async def statistics(self) -> Statistics:
        """Counts for the gauges."""
