"""The harness of `driver` over the store in memory."""

from __future__ import annotations

from collections.abc import Mapping

from oris.core.invariants import Snapshot
from oris.ids import NodeId
from oris.storage.memory.store import MemoryStore
from oris.storage.memory.tables import Tables, Volume, snapshot_of

from .driver import Action, Ticks

OTHER_NAMES = {
    "runtime_runs": "past_runs",
    "runtime_events": "entries",
    "runtime_closed_leases": "closed",
    "runtime_idempotency": "idempotent",
    "runtime_replay_effects": "claims",
    "runtime_audit_log": "audit",
    "runtime_audit_anchors": "anchors",
}
"""Tables that are called otherwise in memory; the others lack only `runtime_`."""


class Planted(Exception):
    """A commit that was made to fail."""


class PlantedVolume(Volume):
    """Refuses to commit what does a certain thing to a table."""

    def __init__(self, tables: Tables | None = None) -> None:
        super().__init__(tables)
        self.refused: tuple[str, Action] | None = None

    def commit(self, tables: Tables) -> None:
        """The failure comes after all writes: whatever they did to the committed state would be seen."""
        if self.refused is not None:
            table, action = self.refused
            name = OTHER_NAMES.get(table, table.removeprefix("runtime_"))
            if action in done(getattr(self.tables, name), getattr(tables, name)):
                raise Planted("planted")
        super().commit(tables)


def done(before: Mapping[object, object], after: Mapping[object, object]) -> set[Action]:
    """What was done to the rows of a table."""
    found: set[Action] = set()
    if after.keys() - before.keys():
        found.add("insert")
    if before.keys() - after.keys():
        found.add("delete")
    if any(before[key] != after[key] for key in before.keys() & after.keys()):
        found.add("update")
    return found


class MemoryHarness:
    """One volume after another: a crash goes on with a copy."""

    def __init__(self) -> None:
        self.clock = Ticks()
        self.volume = PlantedVolume()
        self.store = self._opened("node-1")

    async def reopen(self, node_id: str = "node-1") -> None:
        """Close the store and open it again."""
        await self.store.aclose()
        self.store = self._opened(node_id)

    async def crash(self) -> None:
        """Go on with a copy of what is committed; the store that was open sees none of it."""
        self.volume = PlantedVolume(self.volume.tables.copy())
        self.store = self._opened("node-1")

    async def snapshot(self) -> Snapshot:
        """All rows."""
        return snapshot_of(self.volume.tables)

    async def refuse(self, table: str, action: Action) -> None:
        """Each such commit fails."""
        self.volume.refused = (table, action)

    async def heal(self) -> None:
        """Take that back."""
        self.volume.refused = None

    def _opened(self, node_id: str) -> MemoryStore:
        return MemoryStore(self.volume, self.clock, NodeId(node_id))
