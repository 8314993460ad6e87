"""The store's transaction, cut anywhere (I19): written whole or not at all, and free for the next one."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from itertools import count
from pathlib import Path

import pytest
import trio

from oris.core.changes import Changes, Handed
from oris.core.decide import add_needs, decide
from oris.core.facts import Facts
from oris.core.invariants import check_all
from oris.core.limits import Limits
from oris.core.needs import Loaded, Needs
from oris.core.stamp import Stamp
from oris.ids import NodeId, RunId
from oris.storage.sqlite.snapshot import read_snapshot
from oris.storage.sqlite.store import SqliteStore

from ..cancel_sweep import Cut, cancel_sweep
from .harness import START_MS, submit

NUMBERS = count()
HANDED = Mapping[RunId, Handed]


async def write(store: SqliteStore, thread: str, seed: int) -> HANDED:
    """One run, in a transaction of its own."""
    command = submit(thread)
    needs = Needs()
    add_needs(needs, command)

    def work(loaded: Loaded, now_ms: int) -> Changes:
        facts = Facts(loaded, Limits())
        facts.apply(decide(facts, command, Stamp(now_ms, seed << 16)), now_ms)
        return facts.changes

    return await store.transact(needs, work, f"{seed:032x}")


@asynccontextmanager
async def opened(folder: Path, *, inline: bool) -> AsyncIterator[SqliteStore]:
    path = folder / f"{next(NUMBERS)}.db"
    async with await SqliteStore.open(path, lambda: START_MS, node_id=NodeId("node"), inline=inline) as store:
        yield store
    with closing(sqlite3.connect(path)) as connection:
        assert check_all(read_snapshot(connection)) == []


@pytest.mark.parametrize("inline", [True, False], ids=["inline", "threaded"])
async def test_a_transaction_is_written_whole_or_not_at_all(tmp_path: Path, inline: bool) -> None:
    async def trial(cut: Cut[HANDED]) -> None:
        with trio.fail_after(30):
            async with opened(tmp_path, inline=inline) as store:
                await cut.run(lambda: write(store, "cut", 1))
                written = await store.reads.job(submit("cut").job_key)
                assert written is not None or not cut.finished
                await write(store, "next", 2)
                assert await store.reads.job(submit("next").job_key) is not None
                assert store.failure is None

    points = await cancel_sweep(
        trial, f"SqliteStore.transact, {'inline' if inline else 'threaded'}", ("inside", "pending")
    )
    assert points >= 1


async def test_a_read_that_is_cut_leaves_its_reader_free(tmp_path: Path) -> None:
    async def trial(cut: Cut[object]) -> None:
        with trio.fail_after(30):
            async with opened(tmp_path, inline=False) as store:
                await write(store, "a", 1)
                await cut.run(lambda: store.reads.job(submit("a").job_key))
                for _ in range(4):
                    assert await store.reads.job(submit("a").job_key) is not None

    assert await cancel_sweep(trial, "SqliteStore.reads", ("inside", "pending")) >= 1
