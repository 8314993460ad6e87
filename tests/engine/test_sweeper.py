"""The sweeper: at the deadline, in bounded passes, and quiet when there is nothing it can do."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from oris.core import commands as c
from oris.core.decide import decide
from oris.core.outage import LONGEST_GRACE_MS, Outage
from oris.engine import batch as batch_module
from oris.engine.engine import EngineSettings
from oris.engine.sweeper import ASIDE, AT_ONCE, BATCH, LOOK_AGAIN_S, SIGN_OF_LIFE_MS
from oris.engine.unit import Unit
from oris.errors import Unavailable
from oris.ids import NO_TENANT, JobKey, WorkerId, worker_key

from .harness import START_MS, VirtualClock, ack, granted, heartbeat, running, submits


async def test_a_lease_that_is_not_renewed_goes_to_another_workers_parked_poll_at_expiry(
    autojump_clock: MockClock,
) -> None:
    async with running(sweeper=True) as world:
        await world.start("a", "silent", ttl_ms=1000)
        expires_s = trio.current_time() + 1.0
        poll = world.soon(lambda: world.poll("next", wait_s=50))
        (job,) = granted(await poll.get())
        assert (job.thread_id, job.attempt_no) == ("a", 2)
        assert 0 <= trio.current_time() - expires_s <= 0.001
        assert [m.type for m in (await world.poll("silent", 0)).control] == ["lost"]


async def test_a_renewed_lease_stays(autojump_clock: MockClock) -> None:
    async with running(sweeper=True) as world:
        job = await world.start("a", "w", ttl_ms=1000)
        for _ in range(10):
            await trio.sleep(0.9)
            await world.engine.ask(Unit("renew", [heartbeat(job, 1000)]))
        assert (await world.job("a")).lease_id == job.lease_id
        await world.ask(ack(job))


async def test_a_delayed_job_is_dispatched_when_it_is_due(autojump_clock: MockClock) -> None:
    async with running(sweeper=True) as world:
        poll = world.soon(lambda: world.poll("w", wait_s=50))
        await world.submitted("late", delay_ms=10_000)
        await world.submitted("later", delay_ms=20_000)
        assert granted(await poll.get())[0].thread_id == "late"
        assert trio.current_time() == pytest.approx(10, abs=0.001)


async def test_an_earlier_deadline_wakes_a_sweeper_that_sleeps_until_a_later_one(autojump_clock: MockClock) -> None:
    async with running(sweeper=True) as world:
        await world.submitted("late", delay_ms=round(LOOK_AGAIN_S * 900))
        await trio.sleep(0.001)
        poll = world.soon(lambda: world.poll("w", wait_s=50))
        await world.submitted("soon", delay_ms=20)
        assert granted(await poll.get())[0].thread_id == "soon"
        assert trio.current_time() == pytest.approx(0.021, abs=0.001)


async def test_no_commit_has_more_than_a_hundred_threads_of_the_sweepers_and_they_follow_at_once(
    autojump_clock: MockClock,
) -> None:
    async with running(EngineSettings(tenant_limit=5000), sweeper=True) as world:
        await world.engine.ask(submits(*(f"t{n}" for n in range(BATCH + 250)), delay_ms=1000))
        await trio.sleep(1.01)
        assert {job.status for job in world.rows().jobs.values()} == {"queued"}
        passes = [
            len(unit)
            for _, batch in world.observer.batches
            for unit in batch.units
            if isinstance(unit.commands[0], c.Sweep)
        ]
        assert passes == [AT_ONCE] * 7 + [50]


async def test_heartbeats_have_the_most_of_every_commit_while_a_fleet_is_swept(autojump_clock: MockClock) -> None:
    async with running(EngineSettings(tenant_limit=5000), sweeper=True) as world:
        await world.engine.ask(submits(*(f"t{n}" for n in range(2 * BATCH)), delay_ms=1000))
        beat_of = heartbeat(await world.start("live", "w", ttl_ms=60_000))
        await trio.sleep(0.99)
        gate = world.store.hold()
        beats = [world.soon(lambda: world.engine.ask(Unit("renew", [beat_of]))) for _ in range(400)]
        await trio.sleep(0.02)
        world.observer.batches.clear()
        gate.set()
        for beat in beats:
            await beat.get()
        lanes = [(unit.lane, len(unit)) for _, batch in world.observer.batches for unit in batch.units]
        last_beat = max(place for place, (lane, _) in enumerate(lanes) if lane == "renew")
        swept_before = sum(number for lane, number in lanes[:last_beat] if lane == "sweep")
        assert swept_before <= 2 * AT_ONCE


async def test_an_idle_sweeper_makes_no_transactions(autojump_clock: MockClock) -> None:
    async with running(sweeper=True) as world:
        await world.ask(ack(await world.start("a", "w")))
        world.store.commits.clear()
        await trio.sleep(50)
        assert world.store.commits == []


async def test_while_something_is_leased_a_sign_of_life_is_written_every_few_seconds(
    autojump_clock: MockClock,
) -> None:
    async with running(sweeper=True) as world:
        await world.start("a", "w", ttl_ms=60_000)
        world.store.commits.clear()
        await trio.sleep(50)
        assert 10 <= len(world.store.commits) <= 50_000 // SIGN_OF_LIFE_MS
        assert world.engine.clock.now_ms() - await world.store.calm_ms() <= SIGN_OF_LIFE_MS + 1000 * LOOK_AGAIN_S


async def test_a_store_that_is_away_is_asked_again_now_and_then(autojump_clock: MockClock) -> None:
    async with running(sweeper=True) as world:
        await world.start("a", "w", ttl_ms=1000)
        world.store.before = lambda needs: Unavailable("away")
        world.store.commits.clear()
        await trio.sleep(11)
        assert 1 <= len(world.store.commits) <= 10 / LOOK_AGAIN_S
        world.store.before = lambda needs: None
        await trio.sleep(2 * LOOK_AGAIN_S)
        assert (await world.job("a")).status == "queued"


async def test_a_deadline_that_cannot_be_applied_is_tried_again_now_and_then(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def planted(facts: object, command: object, stamp: object) -> object:
        if isinstance(command, c.Sweep) and command.job_key == "/bad":
            raise ZeroDivisionError("planted")
        return decide(facts, command, stamp)  # type: ignore[arg-type]

    monkeypatch.setattr(batch_module, "decide", planted)
    async with running(sweeper=True) as world:
        await world.engine.ask(submits("bad", "good", delay_ms=1000))
        world.store.commits.clear()
        await trio.sleep(6)
        assert 5 <= len(world.store.commits) <= 2 + 5 / LOOK_AGAIN_S
        assert (await world.job("good")).status == "queued"
        assert (await world.job("bad")).status == "scheduled"


async def test_deadlines_are_met_though_leases_cannot_be_listed(autojump_clock: MockClock) -> None:
    async with running(sweeper=True, monitor=True) as world:
        asked: list[int] = []

        async def too_long(before_ms: int, after: int, limit: int) -> list[tuple[int, JobKey]]:
            asked.append(after)
            raise Unavailable("the read took too long")

        world.engine.sweeper._reads.leased = too_long  # type: ignore[method-assign]
        world.engine._outages._add(Outage(START_MS, START_MS + 600))
        poll = world.soon(lambda: world.poll("w", wait_s=50))
        await world.submitted("a", delay_ms=1_000)
        assert granted(await poll.get())[0].thread_id == "a"
        assert trio.current_time() == pytest.approx(1, abs=0.001)
        assert len(asked) < 10, "and what fails is not asked for without end"


async def test_many_leases_are_made_up_for_a_page_in_each_pass(autojump_clock: MockClock) -> None:
    async with running() as world:
        many = BATCH + BATCH // 2
        await world.engine.ask(submits(*(f"t{n}" for n in range(many))))
        for worker in range(8):
            await world.poll(f"w{worker}", 100)
        since_ms = world.engine.clock.now_ms()
        world.engine._outages._add(Outage(since_ms, since_ms + 20_000))
        beats = 0

        def beat() -> None:
            nonlocal beats
            beats += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.engine.sweeper.run, beat)
            await trio.sleep(2 * LOOK_AGAIN_S)
            nursery.cancel_scope.cancel()
        assert beats >= 2
        assert world.engine._outages.owing() is None
        assert {job.lease_expires_ms for job in [await world.job(f"t{n}") for n in range(many)]} == {
            since_ms + 20_000 + LONGEST_GRACE_MS
        }


async def test_another_runs_deadline_is_met_while_the_sessions_of_a_fleet_are_replaced(
    autojump_clock: MockClock,
) -> None:
    fleet = 500
    async with running(EngineSettings(tenant_limit=5000), sweeper=True) as world:
        await world.engine.ask(submits(*(f"t{n}" for n in range(fleet))))
        for n in range(fleet):
            await world.poll(f"w{n}", session="old")
        await world.start("other", "silent", ttl_ms=1000)
        expires_s = trio.current_time() + 1.0
        await trio.sleep(0.9)
        world.store.takes_s = 0.01
        names = [worker_key(NO_TENANT, WorkerId(f"w{n}")) for n in range(fleet)]
        await world.engine.ask(Unit("write", [c.OpenSession(name, "new") for name in names]))
        world.observer.batches.clear()
        while (await world.job("other")).status == "running":
            await trio.sleep(0.001)
        assert trio.current_time() - expires_s <= 0.05
        while any(job.lease_session == "old" for job in world.rows().jobs.values()):
            await trio.sleep(0.01)
        sweeps = [unit for _, batch in world.observer.batches for unit in batch.units if unit.lane == "sweep"]
        assert len(sweeps) <= fleet // ASIDE + 1, "many workers share a commit"


async def test_a_deadline_is_met_in_time_while_the_engines_clock_catches_up(autojump_clock: MockClock) -> None:
    wall = VirtualClock()
    async with running(sweeper=True, wall=wall) as world:
        wall.off_ms = 20_000
        job = await world.start("a", "w", ttl_ms=1_000)
        while (await world.job("a")).lease_id == job.lease_id:
            await trio.sleep(0.001)
        entries = [entry for entry in world.rows().entries[job.job_key] if entry.event_type == "lease_expired"]
        assert entries[0].at_ms - entries[0].skew_ms - job.lease_expires_ms <= 3
