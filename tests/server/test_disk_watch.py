"""The watch over the disk tells what changes, cuts a large WAL off, and finds out when a store writes again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from oris.config.levels import parse_levels
from oris.errors import Unavailable
from oris.observability.log_format import render_json
from oris.observability.logs import Logs
from oris.observability.metrics import Metrics
from oris.server.disk import CHECKPOINT_S, LOOK_S, PROBE_S, WAL_LARGE_BYTES, DiskWatch
from oris.storage.open_store import Space

from .test_meter import Lines

WELL = Space(free_bytes=1000, wal_bytes=0, reserve_bytes=100, held_bytes=100, low=False)


@dataclass
class Store:
    """A store whose disk is as the test says."""

    space: Space = WELL
    refuses: Unavailable | None = None
    cut_off: bool | Unavailable = True
    probes: int = 0
    checkpoints: list[float] = field(default_factory=list)

    def no_room(self) -> bool:
        return self.space.low

    async def look(self) -> Space:
        await trio.lowlevel.checkpoint()
        return self.space

    async def probe(self) -> None:
        await trio.lowlevel.checkpoint()
        self.probes += 1
        if self.refuses is not None:
            raise self.refuses

    async def checkpoint(self) -> bool:
        await trio.lowlevel.checkpoint()
        self.checkpoints.append(trio.current_time())
        if isinstance(self.cut_off, Unavailable):
            raise self.cut_off
        return self.cut_off


@dataclass
class Committer:
    """Knows when the store refused a commit last."""

    failed_at_s: float | None = None

    def away(self) -> bool:
        """Whether the store refuses commits, as far as is known."""
        return self.failed_at_s is not None


@dataclass
class Watched:
    """The watch, and what it works on."""

    watch: DiskWatch
    store: Store
    committer: Committer
    metrics: Metrics
    lines: Lines

    def events(self) -> list[Any]:
        """What was told, in order."""
        return [line["event"] for line in self.lines.events if line["level"] != "debug"]

    async def see(self, **changes: Any) -> None:
        """The disk changes, and is looked at."""
        self.store.space = replace(self.store.space, **changes)
        await trio.sleep(LOOK_S * 1.5)


@asynccontextmanager
async def watching() -> AsyncIterator[Watched]:
    store, committer, lines = Store(), Committer(), Lines()
    metrics = Metrics("1.0", trio.current_time)
    logs = Logs(parse_levels("debug"), render_json, lines, lambda: 0)
    watch = DiskWatch(store, committer, metrics, logs)  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.run, lambda: None)
        await trio.sleep(LOOK_S / 2)
        yield Watched(watch, store, committer, metrics, lines)
        nursery.cancel_scope.cancel(reason="the test is over")


async def test_a_disk_that_gets_low_and_well_again_is_told_once_each(autojump_clock: MockClock) -> None:
    async with watching() as w:
        assert w.events() == []
        assert w.watch.words() is None
        await w.see(low=True, free_bytes=99)
        await w.see()
        assert w.events() == ["disk_low"]
        assert (
            w.watch.words() == "new jobs are refused, existing jobs continue: 99 bytes are free; 125 bytes are needed"
        )
        await w.see(held_bytes=50, free_bytes=0)
        assert w.events() == ["disk_low", "disk_reserve_used"]
        assert "0 bytes are free, and 50 bytes left of the reserve" in (w.watch.words() or "")
        await w.see(low=False, held_bytes=100, free_bytes=1000)
        assert w.events()[2:] == ["disk_recovered"]
        assert w.watch.words() is None


async def test_the_gauges_follow_each_look(autojump_clock: MockClock) -> None:
    async with watching() as w:
        await w.see(free_bytes=17, wal_bytes=18, held_bytes=19)
        text = w.metrics.render().decode()
        for line in ("oris_store_free_disk_bytes 17.0", "oris_store_wal_bytes 18.0", "oris_store_reserve_bytes 19.0"):
            assert line in text


@pytest.mark.parametrize("done", [True, False, Unavailable("full")])
async def test_a_large_wal_is_told_of_and_cut_off_at_intervals_until_it_is_small(
    autojump_clock: MockClock, done: bool | Unavailable
) -> None:
    async with watching() as w:
        await w.see(wal_bytes=WAL_LARGE_BYTES - 1)
        assert w.store.checkpoints == []
        w.store.cut_off = done
        await w.see(wal_bytes=WAL_LARGE_BYTES)
        await trio.sleep(CHECKPOINT_S * 2.5)
        assert len(w.store.checkpoints) == 3
        told = w.lines.named("wal_large")
        assert len(told) == 3
        assert told[0].get("cut_off") == (None if isinstance(done, Unavailable) else done)
        await w.see(wal_bytes=0)
        await trio.sleep(CHECKPOINT_S * 2)
        assert len(w.store.checkpoints) == 3


async def test_a_store_that_refuses_is_probed_until_it_writes_again(autojump_clock: MockClock) -> None:
    async with watching() as w:
        await trio.sleep(PROBE_S * 3)
        assert w.store.probes == 0
        w.store.refuses = Unavailable("no", cause="read_only")
        w.committer.failed_at_s = trio.current_time()
        await trio.sleep(PROBE_S * 60)
        assert 40 <= w.store.probes <= 60
        assert w.committer.away()
        w.store.refuses = None
        await trio.sleep(PROBE_S * 2)
        assert not w.committer.away()
        assert w.events() == ["store_recovered"]
        probes = w.store.probes
        await trio.sleep(PROBE_S * 5)
        assert w.store.probes == probes


async def test_a_refusal_that_comes_while_a_probe_succeeds_is_not_forgotten(autojump_clock: MockClock) -> None:
    async with watching() as w:
        w.committer.failed_at_s = trio.current_time()

        async def probe() -> None:
            w.store.probes += 1
            w.committer.failed_at_s = trio.current_time()
            await trio.lowlevel.checkpoint()

        w.store.probe = probe  # type: ignore[method-assign]
        await trio.sleep(PROBE_S * 2)
        assert w.store.probes > 0
        assert w.committer.away()
