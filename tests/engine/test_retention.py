"""Retention: what the sweeper lets go, when, and in how small pieces."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from oris.core import commands as c
from oris.core.audit import Audit
from oris.core.audit_anchor import AnchorKey
from oris.core.model import Job
from oris.core.replies import Submitted
from oris.engine import retention as passes
from oris.engine.engine import EngineSettings
from oris.engine.observer import Passed
from oris.engine.retention import RetentionRules
from oris.engine.unit import Unit
from oris.errors import Unavailable

from ..cancel_sweep import Cut, cancel_sweep
from ..stores import new_database
from .harness import World, ack, running, the

KEY = AnchorKey("k" * 32)
AGE_MS = 60_000
RULES = RetentionRules(runs_ms=AGE_MS, audit_ms=AGE_MS, anchor_key=KEY, every_ms=10_000)
SETTINGS = EngineSettings(retention=RULES)
AGE_S = AGE_MS / 1000


async def ended(world: World, thread: str = "a", worker: str = "w", status: str = "completed", steps: int = 0) -> Job:
    """A run that is over."""
    job = await world.start(thread, worker)
    for number in range(steps):
        await world.ask(step(job, number))
    await world.ask(ack(job, status, retryable=False))
    return await world.job(thread)


def step(job: Job, number: int) -> c.ReportStep:
    assert job.worker_key is not None
    assert job.lease_id is not None
    name, attempt = f"s{number}", "att_" + job.run_id[4:]
    return c.ReportStep(job.worker_key, attempt, job.lease_id, name, "succeeded", name, b"1", None)  # type: ignore[arg-type]


def audited(number: int) -> Unit:
    """Something that is audited and changes nothing."""
    line = Audit("api_key", "ops", "admin", "", "http", "job.cancel", "thread", "t", f"r{number}", refusal="forbidden")
    return Unit("write", [], audit=line)


async def test_a_run_is_there_until_it_is_too_old_and_then_it_is_gone_with_all_that_it_had(
    autojump_clock: MockClock,
) -> None:
    async with running(SETTINGS, sweeper=True) as world:
        job = await ended(world, steps=3)
        await trio.sleep(AGE_S - 1)
        assert (await world.job("a")).run_id == job.run_id
        await trio.sleep(12)
        rows = world.rows()
        assert (rows.entries, rows.payloads, rows.steps, rows.closed, rows.pruned_runs) == ({}, {}, {}, {}, {})
        assert [row.is_pruned for row in rows.jobs.values()] == [True]
        assert Passed(runs=1, workers=1) in world.observer.passes
        assert (await world.submitted("a")).seq == job.seq + 2


async def test_a_pass_that_finds_nothing_says_nothing(autojump_clock: MockClock) -> None:
    async with running(SETTINGS, sweeper=True) as world:
        await world.submitted("a")
        await trio.sleep(5 * AGE_S)
        assert world.observer.passes == []


@pytest.mark.parametrize("rules", [replace(RULES, hold=True), RetentionRules(every_ms=10_000)])
async def test_nothing_goes_while_it_is_held_or_to_be_kept_for_ever(
    autojump_clock: MockClock, rules: RetentionRules
) -> None:
    async with running(EngineSettings(retention=rules), sweeper=True) as world:
        await ended(world)
        await world.engine.ask(audited(1))
        before = world.rows()
        await trio.sleep(5 * AGE_S)
        after = world.rows()
        assert (after.entries, after.audit, after.workers) == (before.entries, before.audit, before.workers)
        assert world.observer.passes == []


async def test_a_hold_stops_what_is_under_way_and_its_end_lets_it_go_on(autojump_clock: MockClock) -> None:
    async with running(SETTINGS) as world:
        await ended(world, steps=5)
        await trio.sleep(AGE_S + 1)
        retention = world.engine.retention
        while not world.rows().pruned_runs:
            assert await retention.step()
        retention.set_rules(replace(RULES, hold=True))
        before = world.rows()
        for _ in range(20):
            assert not await retention.step()
        assert world.rows() == before
        assert before.pruned_runs
        retention.set_rules(RULES)
        while await retention.step():
            pass
        assert world.rows().pruned_runs == {}


async def test_rules_that_change_in_the_middle_of_a_step_are_gone_by_at_once(autojump_clock: MockClock) -> None:
    async with running(SETTINGS) as world:
        await ended(world, "a")
        await ended(world, "b", steps=3)
        await trio.sleep(AGE_S + 1)
        retention = world.engine.retention
        for _ in ("past runs are looked for", "latest ones are"):
            assert await retention.step()
        gate = world.store.hold()
        stepping = world.soon(retention.step)
        await world.store.entered.wait()
        retention.set_rules(replace(RULES, every_ms=3_600_000))
        gate.set()
        assert await stepping.get()
        started = trio.current_time()
        while await retention.step():
            pass
        rows = world.rows()
        assert (rows.entries, rows.pruned_runs) == ({}, {})
        assert trio.current_time() == started


async def test_a_hold_that_comes_while_old_sessions_are_looked_for_keeps_them(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(SETTINGS) as world:
        for session in ("s1", "s2"):
            await world.poll("w", session=session)
        await trio.sleep(AGE_S + 1)
        retention = world.engine.retention
        real = world.store.reads.old_sessions

        async def held(before_ms: int, limit: int) -> Any:
            retention.set_rules(replace(RULES, hold=True))
            return await real(before_ms, limit)

        monkeypatch.setattr(world.store.reads, "old_sessions", held)
        while await retention.step():
            pass
        assert retention.rules.hold
        assert len(await real(2**62, 10)) == 1


async def test_a_pass_waits_out_the_time_it_was_told_to_whatever_the_rules_become(autojump_clock: MockClock) -> None:
    async with running(SETTINGS, sweeper=True) as world:
        await ended(world)
        world.engine.retention.wait(4 * AGE_MS)
        await trio.sleep(2 * AGE_S)
        world.engine.retention.set_rules(RULES)
        await trio.sleep(1.9 * AGE_S)
        assert world.observer.passes == []
        await trio.sleep(AGE_S / 2)
        assert Passed(runs=1, workers=1) in world.observer.passes


async def test_nothing_goes_while_the_server_drains(autojump_clock: MockClock) -> None:
    async with running(SETTINGS, sweeper=True) as world:
        await ended(world)
        world.engine.drain()
        await trio.sleep(5 * AGE_S)
        assert world.rows().entries != {}


async def test_many_threads_and_long_runs_go_in_small_commits(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "LOOKED_AT", 3)
    monkeypatch.setattr(passes, "THREADS_AT_ONCE", 2)
    monkeypatch.setattr(passes, "RUNS_AT_ONCE", 2)
    monkeypatch.setattr(passes, "ERASED_RUNS", 2)
    monkeypatch.setattr(passes, "ERASED_ROWS", 8)
    async with running(SETTINGS) as world:
        for thread in ("a", "b", "c", "d", "e"):
            await ended(world, thread, steps=10)
        for _ in range(6):
            await ended(world, "often")
        await trio.sleep(AGE_S + 1)
        retention, store = world.engine.retention, world.store
        while True:
            rows, commits = world.rows(), len(store.commits)
            more = await retention.step()
            left = world.rows()
            assert len(store.commits) - commits <= 1
            gone = sum(map(len, rows.entries.values())) - sum(map(len, left.entries.values()))
            assert gone <= 8
            assert len(left.pruned_runs.keys() - rows.pruned_runs.keys()) <= 4
            if not more:
                break
        assert (left.entries, left.past_runs, left.pruned_runs) == ({}, {}, {})
        assert world.observer.passes == [Passed(runs=11, workers=1)]


async def test_a_dead_letter_keeps_its_run_and_does_not_stand_in_the_way_of_others(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "LOOKED_AT", 1)
    async with running(SETTINGS, sweeper=True) as world:
        for number in range(5):
            await ended(world, f"dead{number}", status="failed")
        await ended(world, "fine")
        await trio.sleep(AGE_S + 12)
        rows = world.rows()
        assert {job.thread_id for job in rows.jobs.values() if job.is_pruned} == {"fine"}
        assert len(rows.dead_letters) == 5


async def test_a_store_that_refuses_is_asked_again(autojump_clock: MockClock) -> None:
    async with running(SETTINGS, sweeper=True) as world:
        await ended(world)
        refused = 0

        def refuse(needs: Any) -> BaseException | None:
            nonlocal refused
            if (needs.jobs or needs.pruned_runs) and trio.current_time() > AGE_S and refused < 5:
                refused += 1
                return Unavailable("not now")
            return None

        world.store.before = refuse
        await trio.sleep(AGE_S + 15)
        assert refused == 5
        assert world.rows().entries == {}


async def test_what_was_pruned_before_a_crash_is_erased_after_it(autojump_clock: MockClock) -> None:
    database = new_database()
    async with running(SETTINGS, database=database) as world:
        await ended(world, steps=5)
        await trio.sleep(AGE_S + 1)
        while not world.rows().pruned_runs:
            await world.engine.retention.step()
        assert world.rows().entries != {}
    # Without an age, so that only what has been begun is finished.
    async with running(EngineSettings(), database=database.copy(), sweeper=True) as world:
        await trio.sleep(1)
        assert (world.rows().entries, world.rows().pruned_runs) == ({}, {})


async def test_a_worker_that_only_asks_is_heard_of_in_memory_and_stays(autojump_clock: MockClock) -> None:
    async with running(SETTINGS, sweeper=True) as world:
        await ended(world, "a", "gone")
        await ended(
            world,
            "b",
            "asks",
        )
        for _ in range(4):
            world.engine.heard(("/asks"), None)  # type: ignore[arg-type]
            await world.poll("asks", wait_s=AGE_S / 2)
        assert list(world.rows().workers) == ["/asks"]


async def test_a_worker_that_was_forgotten_opens_its_session_again(autojump_clock: MockClock) -> None:
    async with running(SETTINGS, sweeper=True) as world:
        await world.start("a", "w", session="s1")
        await world.ask(ack(await world.job("a")))
        await trio.sleep(2 * AGE_S)
        assert world.rows().workers == {}
        await world.submitted("b")
        job = await world.grant("w", session="s1")
        assert world.rows().workers[job.worker_key or ""].session == "s1"  # type: ignore[index]
        await world.ask(ack(job))


async def test_sessions_that_ended_long_ago_are_forgotten(autojump_clock: MockClock) -> None:
    async with running(SETTINGS, sweeper=True) as world:
        for session in ("s1", "s2", "s3"):
            await world.poll("w", session=session)
        await trio.sleep(2 * AGE_S)
        assert Passed(sessions=2, workers=1) in world.observer.passes


async def test_an_audit_chain_is_cut_from_its_beginning_and_goes_on(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "RECORDS_AT_ONCE", 2)
    async with running(SETTINGS, sweeper=True) as world:
        for number in range(5):
            await world.engine.ask(audited(number))
        await trio.sleep(AGE_S + 12)
        rows = world.rows()
        (anchor,) = rows.anchors.values()
        assert (rows.audit, anchor.seq, KEY.has_signed(anchor)) == ([], 6, True)
        await world.engine.ask(audited(9))
        assert [line.seq for line in world.rows().audit] == [7]
        assert sum(passed.audit_records for passed in world.observer.passes) == 6


async def test_a_chain_goes_on_after_a_commit_of_unknown_outcome_although_all_of_it_has_gone(
    autojump_clock: MockClock,
) -> None:
    async with running(SETTINGS, sweeper=True) as world:
        await world.engine.ask(audited(1))
        await trio.sleep(AGE_S + 12)
        assert world.rows().audit == []
        await world.engine.committer._learn()
        await world.engine.ask(audited(2))
        assert [line.seq for line in world.rows().audit] == [3]


async def test_a_chain_that_is_not_in_order_is_not_cut_and_is_told_of(autojump_clock: MockClock) -> None:
    database = new_database()
    async with running(SETTINGS, database=database) as world:
        for number in range(3):
            await world.engine.ask(audited(number))
    other = EngineSettings(retention=replace(RULES, anchor_key=AnchorKey("j" * 32)))
    async with running(SETTINGS, database=database.copy(), sweeper=True) as world:
        await world.engine.ask(audited(8))
        await trio.sleep(AGE_S + 12)
        assert world.rows().audit == []
        await world.engine.ask(audited(9))
        copy = world.database.copy()
    async with running(other, database=copy, sweeper=True) as world:
        await trio.sleep(AGE_S + 12)
        assert world.observer.uncut
        assert "not signed" in world.observer.uncut[0].what


async def test_a_key_may_be_used_again_once_its_run_has_gone(autojump_clock: MockClock) -> None:
    async with running(SETTINGS, sweeper=True) as world:
        first = await world.submitted("a", key="k")
        await world.ask(ack(await world.grant("w")))
        assert (await world.submitted("a", key="k")).run_id == first.run_id
        await trio.sleep(AGE_S + 12)
        again = the(Submitted, await world.submit("a", key="k"))
        assert not again.replay
        assert again.run_id != first.run_id


async def test_a_pass_that_is_cut_anywhere_is_finished_by_the_next_one(autojump_clock: MockClock) -> None:
    async def trial(cut: Cut[None]) -> None:
        async with running(SETTINGS) as world:
            await ended(world, "a", steps=2)
            await ended(world, "a")
            await world.poll("w", session="s1")
            await world.poll("w", session="s2")
            await world.engine.ask(audited(1))
            await trio.sleep(AGE_S + 1)
            retention = world.engine.retention

            async def all_of_it() -> None:
                while await retention.step():
                    pass

            await cut.run(all_of_it)
            retention.set_rules(RULES)
            await all_of_it()
            rows = world.rows()
            assert (rows.entries, rows.past_runs, rows.pruned_runs, rows.audit) == ({}, {}, {}, [])
            assert rows.workers == {}

    assert await cancel_sweep(trial, "a pass of retention") >= 10
