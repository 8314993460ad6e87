"""`Store` in memory: a transaction works on a copy of the dicts, and to commit is to put the copy in their place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType

import trio

from oris.core.changes import Handed
from oris.core.handouts import read_handout
from oris.core.lookups import answered
from oris.core.needs import Needs
from oris.errors import Unavailable
from oris.ids import NodeId, RunId
from oris.storage.hints import Hints, NoHints
from oris.storage.memory.load import load
from oris.storage.memory.lookups import MemoryLookups
from oris.storage.memory.reads import MemoryReads
from oris.storage.memory.tables import Tables, Volume
from oris.storage.memory.write import note_commit, write
from oris.storage.reads import Reads
from oris.storage.store import Work


class MemoryStore:
    """One open store on a volume. Each of its calls is one checkpoint, before anything is read or written."""

    def __init__(self, volume: Volume, now_ms: Callable[[], int], node_id: NodeId, hints: Hints | None = None) -> None:
        """`now_ms` is the engine's clock: called inside each transaction. `hints`: others work on the volume too."""
        self.shared = hints is not None
        self.hints: Hints = hints or NoHints()
        self._volume = volume
        self._now_ms = now_ms
        self._node_id = node_id
        self._closed = False
        self._reads = MemoryReads(self._committed)

    @property
    def reads(self) -> Reads:
        """Lists, pages, statistics."""
        return self._reads

    async def transact(self, needs: Needs, work: Work, batch_id: str) -> Mapping[RunId, Handed]:
        """See `Store.transact`. Its outcome is always known."""
        await trio.lowlevel.checkpoint()
        return self.transact_nowait(needs, work, batch_id)

    def transact_nowait(self, needs: Needs, work: Work, batch_id: str) -> Mapping[RunId, Handed]:
        """The same without a checkpoint, for tests that have no tasks."""
        self._check_open()
        tables = self._volume.tables.copy()
        now_ms, loaded = self._now_ms(), load(tables, needs)
        if self.shared:
            now_ms = max(now_ms, *(row.now_ms for row in tables.nodes.values()), 0)
            others = (row.calm_ms for node, row in tables.nodes.items() if node != self._node_id)
            loaded.others_calm_ms = max(others, default=0)
        changes = work(loaded, now_ms)
        write(tables, changes, self._node_id)
        lookups = MemoryLookups(tables)
        handed = {each.run_id: answered(read_handout(each), lookups) for each in changes.handouts}
        if not changes.empty:
            note_commit(tables, self._node_id, batch_id, now_ms, changes)
            self._volume.commit(tables)
        return handed

    async def high_water_ms(self) -> int:
        """The latest time any batch was committed at; 0 in a new store."""
        return max((row.now_ms for row in (await self._committed()).nodes.values()), default=0)

    async def calm_ms(self) -> int:
        """Until when no lease was owed anything; 0 in a new store."""
        return max((row.calm_ms for row in (await self._committed()).nodes.values()), default=0)

    async def aclose(self) -> None:
        """Nothing can be asked any more; the volume keeps what was committed. Again is harmless."""
        self._closed = True
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def __aenter__(self) -> MemoryStore:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _committed(self) -> Tables:
        """The last committed state."""
        await trio.lowlevel.checkpoint()
        self._check_open()
        return self._volume.tables

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("the store is closed")
