"""What every store has to keep of workflows whose leases were lost, and of whose losses a worker's incidents are."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from oris.core import commands as c
from oris.core.hold import FORGETS_MS, PROBE_HEADS, HoldRules, is_held
from oris.core.limits import Limits
from oris.core.model import Lane
from oris.core.needs import Needs

from .driver import ACME, Driver, ack, key, submit, want, worker

LANE = Lane(ACME, "default")


async def lose(driver: Driver, thread: str, name: str = "w1") -> None:
    """A worker takes the lane's first job, which is this one, and dies."""
    done = await driver.commit(wants=[want(name, ttl_ms=1000)])
    assert done.job().thread_id == thread
    driver.harness.clock.ms += 1000
    await driver.commit(c.Sweep(key(thread)))


def soon(driver: Driver) -> None:
    """Two losses of two runs hold a workflow."""
    driver.limits = Limits(hold=HoldRules(losses=2, runs=2, again=0))


class HoldsConformance:
    """Rows that are there only while there are losses."""

    async def test_losses_are_kept_until_a_lease_is_closed(self, driver: Driver) -> None:
        await driver.commit(submit("t1"))
        assert (await driver.load(Needs(lanes={LANE}))).holds == {}
        await lose(driver, "t1")
        job = (await driver.load(Needs(jobs={key("t1")}))).jobs[key("t1")]
        hold = (await driver.load(Needs(lanes={LANE}))).holds[LANE]
        now_ms = driver.harness.clock.ms
        assert (hold.lost, hold.first_ms, hold.changed_ms, hold.again, hold.held_ms) == (
            job.run_id,
            now_ms,
            now_ms,
            0,
            0,
        )
        assert (await driver.load(Needs(jobs={key("t1")}))).holds == {LANE: hold}, "it comes with its jobs"
        assert await driver.store.reads.hold(LANE) == hold
        await driver.harness.reopen()
        assert await driver.store.reads.hold(LANE) == hold
        await driver.commit(ack((await driver.commit(wants=[want()])).job()))
        assert await driver.store.reads.hold(LANE) is None
        await driver.verify()

    async def test_a_held_workflow_and_its_probe_are_kept_and_counted(self, driver: Driver) -> None:
        soon(driver)
        await driver.commit(submit("t1"), submit("t2"))
        jobs = (await driver.commit(wants=[want(limit=2, ttl_ms=1000)])).granted[0].jobs
        assert len(jobs) == 2
        driver.harness.clock.ms += 1000
        await driver.commit(c.Sweep(key("t1")), c.Sweep(key("t2")))
        assert (await driver.store.reads.statistics()).workflows_held == 1
        driver.harness.clock.ms += 1000
        probe = (await driver.commit(wants=[want(limit=2)])).job()
        hold = await driver.store.reads.hold(LANE)
        assert hold is not None
        assert is_held(hold)
        assert hold.probe == probe.lease_id
        await driver.verify()
        await driver.commit(c.ClearHold(ACME, "default"))
        assert await driver.store.reads.hold(LANE) is None
        assert (await driver.store.reads.statistics()).workflows_held == 0

    async def test_of_a_held_lane_what_has_lost_least_is_read_and_little_else(self, driver: Driver) -> None:
        soon(driver)
        await driver.commit(*(submit(f"t{number}") for number in range(9)))
        await driver.commit(wants=[want(limit=8, ttl_ms=1000)])
        driver.harness.clock.ms += 1000
        await driver.commit(*(c.Sweep(key(f"t{number}")) for number in range(8)))
        assert PROBE_HEADS >= 9
        others = [f"t{number}" for number in range(8)]
        for wanted, first in ((1, ["t8"]), (3, ["t8", "t0", "t1"]), (9, ["t8", *others])):
            heads = (await driver.load(Needs(heads={LANE: wanted}))).heads[LANE]
            assert [job.thread_id for job in heads.least] == first
            assert ([job.thread_id for job in heads.jobs], heads.complete) == (["t0"], False)
        heads = (await driver.load(Needs(heads={LANE: 10}))).heads[LANE]
        assert [job.thread_id for job in heads.least] == ["t8", *others]
        assert ([job.thread_id for job in heads.jobs], heads.complete) == ([*others, "t8"], True), "these are all"
        driver.harness.clock.ms += 1000
        assert (await driver.commit(wants=[want()])).job().thread_id == "t8"

    async def test_losses_of_long_ago_leave_no_rows(self, driver: Driver) -> None:
        await driver.commit(submit("t1", workflow="old"))
        lanes = [Lane(ACME, "old")]
        await driver.commit(wants=[want(ttl_ms=1000)], lanes=lanes)
        driver.harness.clock.ms += 1000
        await driver.commit(c.Sweep(key("t1")))
        assert await driver.store.reads.hold(lanes[0]) is not None
        driver.harness.clock.ms += FORGETS_MS + 1
        await driver.commit(submit("t2"))
        await lose(driver, "t2")
        assert await driver.store.reads.hold(lanes[0]) is None

    async def test_all_who_lost_a_run_are_loaded_with_its_lease(self, driver: Driver) -> None:
        await driver.commit(submit("t1"))
        for name in ("w1", "w2"):
            await lose(driver, "t1", name)
        driver.harness.clock.ms += 1000
        await driver.commit(c.Sweep(key("t1")))
        await driver.commit(wants=[want("w3")])
        loaded = await driver.load(Needs(jobs={key("t1")}))
        assert {worker(name) for name in ("w1", "w2", "w3")} <= loaded.workers.keys()
        run = loaded.jobs[key("t1")].run_id
        assert loaded.workers[worker("w1")].incident_runs == f"{run};"
        assert await driver.store.reads.worker(worker("w1")) == loaded.workers[worker("w1")]

    async def test_a_failed_write_of_a_hold_undoes_the_whole_batch(self, driver: Driver) -> None:
        await driver.commit(submit("t1"))
        await driver.commit(wants=[want(ttl_ms=1000)])
        driver.harness.clock.ms += 1000
        before = await driver.harness.snapshot()
        await driver.harness.refuse("runtime_holds", "insert")
        with pytest.raises(Exception, match="planted"):
            await driver.commit(c.Sweep(key("t1")))
        assert await driver.harness.snapshot() == before
        await driver.harness.heal()
        await driver.commit(c.Sweep(key("t1")))
        rows = await driver.verify()
        assert rows.holds[LANE] == replace(rows.holds[LANE], lost=rows.jobs[key("t1")].run_id)
