"""What every store has to do so that runs can be pruned: tell the oldest page by page, and let the found ones go."""

from __future__ import annotations

import pytest

from oris.core import commands as c
from oris.core.decide import add_needs
from oris.core.needs import Needs
from oris.core.old import Old, OldRun, Place
from oris.ids import checkpoint_id, checkpoint_of

from ..cuts import pruning
from .conformance_retention import ended, prune
from .driver import TRACE, Driver, Harness, ack, key, replayed, want


class PruningConformance:
    """The oldest runs of a thread."""

    @pytest.fixture
    def driver(self, harness: Harness) -> Driver:
        return Driver(harness)

    @pytest.mark.parametrize("page", [1, 2, 3, 4, 16])
    async def test_a_line_of_replays_is_read_in_pages_and_goes_whole(self, driver: Driver, page: int) -> None:
        await ended(driver, "other", status="failed", idempotency_key="k1")
        await driver.commit(replayed("other"), wants=[want("busy", ttl_ms=3_600_000)])
        await ended(driver, status="failed", idempotency_key="k2")
        for status in ("failed", "failed", "completed"):
            job = (await driver.commit(replayed("t1"), wants=[want()])).job()
            await driver.commit(ack(job, status, retryable=False))
        driver.harness.clock.ms += 1000
        after = await ended(driver, idempotency_key="k3")
        assert await prune(driver, page=page, before_ms=after.updated_ms) == 4
        rows = await driver.harness.snapshot()
        assert {run.thread_id for run in rows.past_runs.values()} == {"other"}
        assert {row.job_key for row in rows.claims.values()} == {key("other")}
        assert {row.job_key for row in rows.dead_letters.values()} == {key("other")}
        assert {row.key for row in rows.idempotent} == {"acme/k1", "acme/k3"}
        assert {run.job_key for run in rows.pruned_runs.values()} == {key("t1")}
        assert [run.seq for run in sorted(rows.pruned_runs.values(), key=lambda run: run.run_id)][-1] < after.seq

    async def test_the_oldest_runs_are_told_page_by_page_and_the_latest_comes_last(self, driver: Driver) -> None:
        runs = [await ended(driver) for _ in range(3)]
        await ended(driver, "other")
        reads = driver.store.reads
        (whole,) = await reads.oldest_runs([(key("t1"), 0)], 10)
        assert [(run.run_id, run.seq, run.head_hash, run.fence) for run in whole.runs] == [
            (run.run_id, run.seq, run.head_hash, run.fence) for run in runs
        ]
        assert (whole.after, whole.place) == (None, Place(runs[-1].run_id, 0))
        told: list[OldRun] = []
        after = 0
        while True:
            (page,) = await reads.oldest_runs([(key("t1"), after)], 1)
            assert page.place == whole.place
            told += page.runs
            if page.after is None:
                break
            after = page.after
        assert tuple(told) == whole.runs
        none, other = await reads.oldest_runs([(key("nobody"), 0), (key("other"), 0)], 10)
        assert (none.place, none.runs, none.after) == (Place(None, 0), (), None)
        assert len(other.runs) == 1
        await prune(driver, before_ms=runs[1].updated_ms)
        (kept,) = await reads.oldest_runs([(key("t1"), 0)], 10)
        assert (kept.place, kept.runs) == (Place(runs[-1].run_id, runs[0].seq), whole.runs[1:])
        await prune(driver)
        (gone,) = await reads.oldest_runs([(key("t1"), 0)], 10)
        assert (gone.place, gone.runs, gone.after) == (Place(runs[-1].run_id, runs[-1].seq), (), None)

    async def test_old_runs_are_told_with_who_goes_on_from_them_and_their_dead_letters(self, driver: Driver) -> None:
        first = await ended(driver, status="failed")
        reads = driver.store.reads
        (page,) = await reads.oldest_runs([(key("t1"), 0)], 10)
        assert [(run.dead, run.replayed_until) for run in page.runs] == [(True, 0)]
        job = (await driver.commit(replayed("t1"), wants=[want()])).job()
        (page,) = await reads.oldest_runs([(key("t1"), 0)], 10)
        assert [(run.dead, run.replayed_until) for run in page.runs] == [(False, job.seq), (False, 0)]
        await driver.commit(ack(job, "failed", retryable=False))
        replay = await reads.run(job.run_id)
        assert replay is not None
        last = await ended(driver)
        again = c.Replay(key("t1"), TRACE, checkpoint_of(checkpoint_id(first.run_id, first.checkpoint_seq)))
        job = (await driver.commit(again, wants=[want()])).job()
        (page,) = await reads.oldest_runs([(key("t1"), 0)], 10)
        assert [run.run_id for run in page.runs] == [first.run_id, replay.run_id, last.run_id, job.run_id]
        assert [(run.dead, run.replayed_until) for run in page.runs] == [
            (False, job.seq),
            (True, 0),
            (False, 0),
            (False, 0),
        ]

    async def test_the_commit_that_prunes_reads_no_runs(self, driver: Driver) -> None:
        for _ in range(3):
            await ended(driver, idempotency_key=None)
        command = await pruning(driver.store.reads, key("t1"), driver.harness.clock())
        assert command is not None
        needs = Needs()
        add_needs(needs, command)
        assert needs == Needs(jobs={key("t1")})
        loaded = await driver.load(needs)
        assert loaded.jobs.keys() == {key("t1")}
        assert (loaded.past_runs, loaded.old) == ({}, Old())
