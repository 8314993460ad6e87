"""The task that watches the store's disk: free room, the size of the WAL, and whether a refused store writes again."""

from __future__ import annotations

from collections.abc import Callable

import trio

from oris.engine.committer import Committer
from oris.errors import Unavailable
from oris.observability.logs import Logs
from oris.observability.metrics import Metrics
from oris.storage.open_store import OpenStore, Space

LOOK_S = 0.25
PROBE_S = 1.0
"""Between two tries to write, while the store refuses commits."""
WAL_LARGE_BYTES = 128 * 1024 * 1024
"""Twice what is kept of it; the checkpoints of the commits do not get through."""
CHECKPOINT_S = 10.0
"""Between two tries to cut it off."""


class DiskWatch:
    """Looks, tells what has changed, and tries what may help."""

    def __init__(self, store: OpenStore, committer: Committer, metrics: Metrics, logs: Logs) -> None:
        self._store = store
        self._committer = committer
        self._metrics = metrics
        self._log = logs.get("oris.storage")
        self._probe_at_s = 0.0
        self._checkpoint_at_s = 0.0
        self.space: Space | None = None
        """The last look; None before the first."""

    async def run(self, beat: Callable[[], None]) -> None:
        """Watch until cancelled."""
        while True:
            beat()
            space = await self._store.look()
            if space is not None:
                self._told(space)
                await self._cut_wal(space)
            await self._probe()
            await trio.sleep(LOOK_S)

    def words(self) -> str | None:
        """What is the matter with the disk; None when nothing is."""
        space = self.space
        if space is None or not self._store.no_room():
            return None
        held = "" if space.held_bytes == space.reserve_bytes else f", and {space.held_bytes} bytes left of the reserve"
        return (
            f"new jobs are refused, existing jobs continue: {space.free_bytes} bytes are free{held}; "
            f"{space.reserve_bytes * 5 // 4} bytes are needed"
        )

    def _told(self, space: Space) -> None:
        before, self.space = self.space, space
        metrics = self._metrics
        metrics.store_wal_bytes.set(space.wal_bytes)
        metrics.store_free_disk_bytes.set(space.free_bytes)
        metrics.store_reserve_bytes.set(space.held_bytes)
        sizes = {"free_bytes": space.free_bytes, "reserve_bytes": space.reserve_bytes, "held_bytes": space.held_bytes}
        was_low, was_held = (False, space.reserve_bytes) if before is None else (before.low, before.held_bytes)
        if space.held_bytes < was_held:
            self._log.warning("disk_reserve_used", **sizes)
        if space.low and not was_low:
            self._log.warning("disk_low", **sizes)
        elif was_low and not space.low:
            self._log.info("disk_recovered", **sizes)

    async def _cut_wal(self, space: Space) -> None:
        """A reader of another program, or one of ours, keeps the WAL from being used again from its beginning."""
        now_s = trio.current_time()
        if space.wal_bytes < WAL_LARGE_BYTES or now_s < self._checkpoint_at_s:
            return
        self._checkpoint_at_s = now_s + CHECKPOINT_S
        try:
            done = await self._store.checkpoint()
        except Unavailable as error:
            self._log.warning("wal_large", wal_bytes=space.wal_bytes, error=str(error))
        else:
            self._log.warning("wal_large", wal_bytes=space.wal_bytes, cut_off=done)

    async def _probe(self) -> None:
        """Nobody may ask for a commit while the server is not ready: so that it is again, one is tried."""
        failed_at_s, now_s = self._committer.failed_at_s, trio.current_time()
        if failed_at_s is None or now_s < max(self._probe_at_s, failed_at_s + PROBE_S):
            return
        self._probe_at_s = now_s + PROBE_S
        try:
            await self._store.probe()
        except Unavailable as error:
            self._log.debug("store_refuses", error=str(error), cause=error.cause)
            if error.again:
                self._probe_at_s = now_s
        else:
            if self._committer.failed_at_s == failed_at_s:
                self._committer.failed_at_s = None
                self._log.info("store_recovered")
