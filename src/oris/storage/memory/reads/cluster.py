"""`ClusterReads` in memory."""

from __future__ import annotations

from collections.abc import Sequence

from oris.core.audit import AuditHead
from oris.core.audit_check import head_of
from oris.core.hold import is_held
from oris.core.mode import Mode
from oris.core.model import Lane
from oris.storage.memory.find import latest_run
from oris.storage.memory.reads.committed import CommittedReads
from oris.storage.memory.tables import Tables
from oris.storage.reads.cluster import Glance, Seen, Statistics, StoredKeys

NODES_MAX = 100
HEADS_MAX = 100
"""Audit chains whose ends are told."""


class MemoryClusterReads(CommittedReads):
    """See `ClusterReads`."""

    async def glance(self, wanted: Glance) -> Seen:
        """See there."""
        tables = await self._committed()
        held = (job for job in tables.jobs.values() if job.worker_key in wanted.holders)
        threads = (latest_run(tables, key) for key in wanted.threads)
        return Seen(
            modes=tuple(_modes(tables)),
            lanes=tuple(_lanes(tables, wanted.lanes, wanted.lanes_after)),
            threads=tuple(job for job in threads if job is not None),
            workers=tuple(tables.workers[key] for key in wanted.workers if key in tables.workers),
            leases=tuple(held),
            tenants=tuple(tables.tenants[each] for each in wanted.tenants if each in tables.tenants),
            holds=tuple(tables.holds[lane] for lane in wanted.holds if lane in tables.holds),
        )

    async def lanes(self, limit: int, after: Lane | None = None) -> Sequence[Lane]:
        """See there."""
        return _lanes(await self._committed(), limit, after)

    async def modes(self) -> Sequence[Mode]:
        """See there."""
        return _modes(await self._committed())

    async def nodes(self) -> Sequence[tuple[str, int]]:
        """See there."""
        found: dict[str, int] = {}
        for row in (await self._committed()).nodes.values():
            found[row.name] = max(found.get(row.name, 0), row.now_ms + row.skew_ms)
        return sorted(found.items())[:NODES_MAX]

    async def audit_head(self, chain_id: str) -> AuditHead | None:
        """See there."""
        return _audit_heads(await self._committed()).get(chain_id)

    async def audit_heads(self) -> Sequence[AuditHead]:
        """See there. Of a chain of which no record is kept, its anchor is the end."""
        heads = _audit_heads(await self._committed())
        return [heads[chain] for chain in sorted(heads, reverse=True)[:HEADS_MAX]]

    async def stored_keys(self, now_ms: int) -> StoredKeys:
        """See there."""
        keys = (await self._committed()).api_keys.values()
        return StoredKeys(tuple(key for key in keys if key.lets_in(now_ms)), any_ever=bool(keys))

    async def statistics(self) -> Statistics:
        """See there."""
        tables = await self._committed()
        queued = (job.available_ms for job in tables.jobs.values() if job.status == "queued")
        open_waits = (wait for wait in tables.waits.values() if (wait.kind, wait.status) == ("interrupt", "pending"))
        return Statistics(
            waiting=tables.total.waiting,
            leased=tables.total.leased,
            dead_letters=sum(letter.replay_status == "pending" for letter in tables.dead_letters.values()),
            oldest_queued_ms=min(queued, default=None),
            pending_interrupts=sum(1 for _ in open_waits),
            delayed=tables.total.delayed,
            workflows_held=sum(is_held(hold) for hold in tables.holds.values()),
        )


def _lanes(tables: Tables, limit: int, after: Lane | None) -> list[Lane]:
    due = {job.lane for job in tables.jobs.values() if job.status == "queued"}
    return sorted(lane for lane in due if after is None or lane > after)[:limit]


def _modes(tables: Tables) -> list[Mode]:
    return sorted(tables.modes.values(), key=lambda mode: mode.node)


def _audit_heads(tables: Tables) -> dict[str, AuditHead]:
    """The end of each chain. Of one of which no record is kept, its anchor is the end."""
    heads = {chain: anchor.head for chain, anchor in tables.anchors.items()}
    return heads | {record.chain_id: head_of(record) for record in tables.audit.values()}
