"""How a pass of retention looks at a thread: in pages, beside the commits; and what happens meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from oris.core import commands as c
from oris.core.needs import Needs
from oris.core.old import OldestRuns
from oris.engine import retention as passes
from oris.engine.engine import EngineSettings
from oris.engine.observer import Passed
from oris.engine.retention import RetentionRules
from oris.ids import NO_TENANT, JobKey, ThreadId, job_key

from .harness import TRACE, VirtualClock, World, ack, running

KEY = job_key(NO_TENANT, ThreadId("a"))
AGE_MS = 60_000
RULES = RetentionRules(runs_ms=AGE_MS, every_ms=10_000)
SETTINGS = EngineSettings(retention=RULES)


async def ended(world: World, status: str = "completed") -> None:
    """A run of the thread that is over."""
    await world.start("a", "w")
    await world.ask(ack(await world.job("a"), status, retryable=False))


async def replayed(world: World, status: str = "completed") -> None:
    """A run that goes on from the latest one, and is over."""
    await world.ask(c.Replay(KEY, TRACE))
    await world.ask(ack(await world.grant("w"), status, retryable=False))


async def line(world: World, count: int) -> None:
    """So many runs that go on from one another."""
    await ended(world, "failed")
    for number in range(2, count + 1):
        await replayed(world, "failed" if number < count else "completed")


async def one_pass(world: World) -> int:
    """A whole pass; how many runs it has let go."""
    before = sum(passed.runs for passed in world.observer.passes)
    world.engine.retention.set_rules(RULES)
    while await world.engine.retention.step():
        pass
    return sum(passed.runs for passed in world.observer.passes) - before


class Pages:
    """The reads of old runs, counted; something may happen after one of them, before anybody knows what was read."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.limits: list[int] = []
        self.then: Callable[[], Awaitable[None]] | None = None
        self._real = world.store.reads.oldest_runs
        monkeypatch.setattr(world.store.reads, "oldest_runs", self._read)

    async def _read(self, threads: Sequence[tuple[JobKey, int]], limit: int) -> Sequence[OldestRuns]:
        self.limits.append(limit)
        found = await self._real(threads, limit)
        if self.then is not None:
            await self.then()
        return found


async def test_a_line_of_hundreds_of_replays_is_read_in_pages_and_goes_in_one_commit(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "LOOKED_AT", 100)
    async with running(SETTINGS) as world:
        await line(world, 350)
        await trio.sleep(AGE_MS / 1000 + 1)
        pages, commits = Pages(world, monkeypatch), len(world.observer.batches)
        assert await one_pass(world) == 350
        assert pages.limits == [16, 100, 100, 100, 100]
        counted = [
            sum(len(each.run_ids) for each in outcome.facts.changes.pruned)
            for outcome, _ in world.observer.batches[commits:]
        ]
        assert [count for count in counted if count] == [350]
        rows = world.rows()
        assert (rows.past_runs, rows.claims, rows.dead_letters, rows.entries) == ({}, {}, {}, {})


async def test_a_line_that_is_longer_than_what_may_go_at_once_stays(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "RUNS_AT_ONCE", 2)
    monkeypatch.setattr(passes, "LOOKED_AT", 2)
    async with running(SETTINGS) as world:
        await line(world, 7)
        await trio.sleep(AGE_MS / 1000 + 1)
        for most in (5, 6):
            monkeypatch.setattr(passes, "RUNS_MOST", most)
            assert await one_pass(world) == 0
        monkeypatch.setattr(passes, "RUNS_MOST", 7)
        assert await one_pass(world) == 7


async def test_a_thread_that_gets_a_new_run_between_the_read_and_the_commit_is_looked_at_again(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(SETTINGS) as world:
        await line(world, 3)
        await trio.sleep(AGE_MS / 1000 + 1)
        pages = Pages(world, monkeypatch)

        async def once() -> None:
            pages.then = None
            await world.submitted("a")

        pages.then = once
        assert await one_pass(world) == 3
        assert len(pages.limits) == 2
        assert (await world.job("a")).status == "queued"


async def test_a_line_that_somebody_goes_on_from_between_the_read_and_the_commit_stays(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(SETTINGS) as world:
        for _ in range(3):
            await ended(world)
        await trio.sleep(AGE_MS / 1000 + 1)
        pages = Pages(world, monkeypatch)

        async def once() -> None:
            pages.then = None
            await world.ask(c.Replay(KEY, TRACE))

        pages.then = once
        assert await one_pass(world) == 2
        kept = await world.job("a")
        assert world.rows().past_runs.keys() == {kept.replay_of}


async def test_a_thread_that_moves_whenever_it_is_looked_at_is_left_to_the_next_pass(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "RUNS_AT_ONCE", 2)
    async with running(SETTINGS) as world:
        await line(world, 5)
        await trio.sleep(AGE_MS / 1000 + 1)
        pages = Pages(world, monkeypatch)
        pages.then = lambda: ended(world)
        assert await one_pass(world) == 0
        assert len(world.rows().past_runs) == 4 + len(pages.limits)
        assert pages.limits.count(2) == passes.TRIES
        pages.then = None
        assert await one_pass(world) == 5


async def test_what_the_latest_run_does_between_the_read_and_the_commit_is_in_nobodys_way(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(SETTINGS) as world:
        await ended(world)
        await trio.sleep(AGE_MS / 1000 + 1)
        await world.start("a", "w")
        pages = Pages(world, monkeypatch)

        async def acked() -> None:
            pages.then = None
            await world.ask(ack(await world.job("a")))

        pages.then = acked
        assert await one_pass(world) == 1
        assert (await world.job("a")).status == "completed"


@pytest.mark.parametrize("rules", [replace(RULES, hold=True), replace(RULES, runs_ms=10 * AGE_MS)])
async def test_what_was_found_by_other_rules_does_not_go(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, rules: RetentionRules
) -> None:
    async with running(SETTINGS) as world:
        await ended(world)
        await trio.sleep(AGE_MS / 1000 + 1)
        pages, retention = Pages(world, monkeypatch), world.engine.retention

        async def changed() -> None:
            retention.set_rules(rules)

        pages.then = changed
        while await retention.step():
            pass
        assert pages.limits
        assert not (await world.job("a")).is_pruned


async def test_what_was_old_enough_a_page_ago_stays_when_the_clock_was_set_back(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "RUNS_AT_ONCE", 2)
    monkeypatch.setattr(passes, "LOOKED_AT", 2)
    wall = VirtualClock()
    async with running(SETTINGS, wall=wall) as world:
        await ended(world, "failed")
        await trio.sleep(1)
        for number in range(4):
            await replayed(world, "completed" if number == 3 else "failed")
        await trio.sleep(AGE_MS / 1000 + 1)
        pages = Pages(world, monkeypatch)

        async def set_back() -> None:
            if len(pages.limits) == 1:
                wall.off_ms = -AGE_MS

        pages.then = set_back
        assert await one_pass(world) == 0
        assert len(pages.limits) > 1
        wall.off_ms = 0
        assert await one_pass(world) == 5


async def test_a_commit_that_fails_lets_the_thread_be_looked_at_again(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(SETTINGS, sweeper=True) as world:
        await line(world, 3)
        failed: list[Any] = []

        def refuse(needs: Needs) -> BaseException | None:
            if needs.jobs == {KEY} and trio.current_time() > AGE_MS / 1000 and not failed:
                failed.append(needs)
                return RuntimeError("planted")
            return None

        world.store.before = refuse
        await trio.sleep(AGE_MS / 1000 + 30)
        assert failed
        assert sum(passed.runs for passed in world.observer.passes) == 3
        assert Passed(runs=3) in [replace(passed, workers=0) for passed in world.observer.passes]
