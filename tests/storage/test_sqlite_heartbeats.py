"""What heartbeats write: a row for each lease of the commit, however often it was renewed in it, and no event."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from oris.core.invariants import Snapshot

from .driver import Driver, heartbeat, submit, want
from .sqlite_harness import SqliteHarness

pytestmark = pytest.mark.only_store("sqlite")


class Counting(sqlite3.Connection):
    """Counts the rows it has changed."""

    opened: sqlite3.Connection

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        Counting.opened = self


def number_of_events(rows: Snapshot) -> int:
    return sum(map(len, rows.entries.values()))


async def test_a_commit_of_heartbeats_writes_one_row_a_lease_and_no_event(tmp_path: Path) -> None:
    harness = SqliteHarness(tmp_path, inline=True, connection_class=Counting)
    await harness.open()
    try:
        driver = Driver(harness)
        done = await driver.commit(*(submit(f"t{n}") for n in range(3)), wants=[want(limit=3)])
        jobs = done.granted[0].jobs
        harness.clock.ms += 1000
        events, rows = number_of_events(await driver.verify()), Counting.opened.total_changes
        await driver.commit(*(heartbeat(job, ttl_ms) for ttl_ms in (30_000, 40_000) for job in jobs))
        assert Counting.opened.total_changes - rows == len(jobs) + 1, "the leases', and the node's own"
        seen = await driver.verify()
        assert number_of_events(seen) == events
        assert {job.lease_expires_ms for job in seen.jobs.values()} == {harness.clock.ms + 40_000}
    finally:
        await harness.aclose()
