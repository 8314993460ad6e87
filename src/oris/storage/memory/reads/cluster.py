"""`ClusterReads` in memory."""

from __future__ import annotations

from collections.abc import Sequence

from oris.core.audit import AuditHead
from oris.core.audit_check import head_of
from oris.core.hold import is_held
from oris.core.mode import Mode
from oris.core.model import Lane
from oris.storage.memory.reads.committed import CommittedReads
from oris.storage.reads.cluster import Statistics, StoredKeys

NODES_MAX = 100
HEADS_MAX = 100
"""Audit chains whose ends are told."""


class MemoryClusterReads(CommittedReads):
    """See `ClusterReads`."""

    async def lanes(self, limit: int, after: Lane | None = None) -> Sequence[Lane]:
        """See there."""
        jobs = (await self._committed()).jobs.values()
        due = {job.lane for job in jobs if job.status == "queued"}
        return sorted(lane for lane in due if after is None or lane > after)[:limit]

    async def modes(self) -> Sequence[Mode]:
        """See there."""
        return sorted((await self._committed()).modes.values(), key=lambda mode: mode.node_id)

    async def nodes(self) -> Sequence[tuple[str, int]]:
        """See there."""
        nodes = (await self._committed()).nodes
        return sorted((node, row.now_ms + row.skew_ms) for node, row in nodes.items())[:NODES_MAX]

    async def audit_heads(self) -> Sequence[AuditHead]:
        """See there. Of a chain of which no record is kept, its anchor is the end."""
        tables = await self._committed()
        heads = {chain: anchor.head for chain, anchor in tables.anchors.items()}
        heads |= {record.chain_id: head_of(record) for record in tables.audit.values()}
        return [heads[chain] for chain in sorted(heads, reverse=True)[:HEADS_MAX]]

    async def stored_keys(self, now_ms: int) -> StoredKeys:
        """See there."""
        keys = (await self._committed()).api_keys.values()
        return StoredKeys(tuple(key for key in keys if key.lets_in(now_ms)), any_ever=bool(keys))

    async def statistics(self) -> Statistics:
        """See there."""
        tables = await self._committed()
        tenants = tables.tenants.values()
        queued = (job.available_ms for job in tables.jobs.values() if job.status == "queued")
        open_waits = (wait for wait in tables.waits.values() if (wait.kind, wait.status) == ("interrupt", "pending"))
        return Statistics(
            waiting=sum(tenant.waiting for tenant in tenants),
            leased=sum(tenant.leased for tenant in tenants),
            dead_letters=sum(letter.replay_status == "pending" for letter in tables.dead_letters.values()),
            oldest_queued_ms=min(queued, default=None),
            pending_interrupts=sum(1 for _ in open_waits),
            delayed=sum(tenant.delayed for tenant in tenants),
            workflows_held=sum(is_held(hold) for hold in tables.holds.values()),
        )
