"""Two clocks: dates go by the calendar, also just after it was set; leases and backoffs by the engine's clock."""

from __future__ import annotations

import pytest

from oris.core import commands as c
from oris.core.events import AttemptQueued
from oris.core.model import RetryPolicy

from .world import World, asking, key, submit, timer, want

DAY_MS = 86_400_000
YEAR_MS = 365 * DAY_MS


def a_world_that_was_ahead() -> World:
    """The clock was a year ahead once: the engine's time stays there, and the calendar is right again."""
    world = World()
    world.skew_ms = -YEAR_MS
    return world


@pytest.mark.parametrize("skew_ms", [-YEAR_MS, 7_200_000])
def test_a_run_for_a_date_waits_for_that_date(skew_ms: int) -> None:
    world = World()
    world.skew_ms = skew_ms
    world.submit("t", run_at_ms=world.date_ms + 3_600_000)
    assert world.job("t").status == "scheduled"
    world.later(3_599_999)
    world.sweep("t")
    assert world.job("t").status == "scheduled"
    world.later(1)
    world.sweep("t")
    assert world.job("t").status == "queued"


def test_a_date_comes_at_once_when_the_calendar_is_set_to_it() -> None:
    world = World()
    world.submit("t", delay_ms=7_200_000)
    world.skew_ms = 7_200_000
    world.sweep("t")
    assert world.job("t").status == "queued"
    world.submit("u", delay_ms=1_000)
    world.skew_ms -= DAY_MS
    world.later(2_000)
    world.sweep("u")
    assert world.job("u").status == "scheduled", "and goes away again when it is set back"


def test_what_is_shown_goes_by_the_calendar() -> None:
    world = a_world_that_was_ahead()
    job = world.start("t")
    assert (job.created_ms, job.updated_date_ms) == (world.date_ms, world.date_ms)
    world.acked(job, "failed")
    assert {entry.at_ms for entry in world.entries("t")} == {world.date_ms}
    assert world.tables.dead_letters[job.run_id].dead_ms == world.date_ms
    assert world.tables.workers[job.worker_key or ""].last_seen_ms == world.date_ms  # type: ignore[index]


def test_two_times_of_a_thread_may_step_back_and_its_numbers_never() -> None:
    world = World()
    job = world.start("t")
    world.skew_ms = -DAY_MS
    world.acked(job)
    entries = world.entries("t")
    assert [entry.seq for entry in entries] == [1, 2, 3, 4]
    assert entries[-1].at_ms < entries[0].at_ms


def test_no_lease_moves_when_the_calendar_is_set() -> None:
    for skew_ms in (YEAR_MS, -YEAR_MS):
        world = World()
        job = world.start("t", ttl_ms=30_000)
        world.skew_ms = skew_ms
        world.later(29_999)
        world.sweep("t")
        assert world.job("t").lease_id == job.lease_id
        world.later(1)
        world.sweep("t")
        row = world.job("t")
        assert (row.lease_id, row.attempt_no, row.used_ms) == (None, 2, 30_000)


def test_no_backoff_and_no_grace_gets_longer_or_shorter_when_the_calendar_is_set() -> None:
    for skew_ms in (YEAR_MS, -YEAR_MS):
        world = World()
        job = world.start("t", retry=RetryPolicy("fixed", 60_000, 1))
        world.acked(job, "failed")
        row = world.job("t")
        assert row.due_ms is not None
        wait_ms = row.due_ms - world.now_ms
        world.skew_ms = skew_ms
        world.later(wait_ms - 1)
        world.sweep("t")
        assert world.job("t").status == "retry_backoff"
        world.later(1)
        world.sweep("t")
        assert world.job("t").status == "queued"
        world.acked(world.grant("t"))
        world.start("u")
        world.ask(c.Cancel(key("u"), None, grace_ms=5_000))
        world.skew_ms = -skew_ms
        world.sweep("u")
        assert world.job("u").status == "cancelling"
        world.later(5_000)
        world.sweep("u")
        assert world.job("u").status == "cancelled"


def test_the_next_retry_is_told_by_the_calendar() -> None:
    world = a_world_that_was_ahead()
    job = world.start("t", retry=RetryPolicy("fixed", 60_000, 1))
    answer = world.acked(job, "failed")
    row = world.job("t")
    assert answer.next_retry_ms is not None
    assert row.due_ms is not None
    assert answer.next_retry_ms - world.date_ms == row.due_ms - world.now_ms


def test_timers_and_questions_go_by_the_calendar() -> None:
    world = a_world_that_was_ahead()
    world.suspended(world.start("t"), timer(after_ms=5_000))
    world.suspended(world.start("q"), asking(after_ms=5_000))
    for wait in world.tables.waits.values():
        assert (wait.created_ms, wait.due_ms) == (world.date_ms, world.date_ms + 5_000)
    world.later(4_999)
    world.sweep("t")
    world.sweep("q")
    assert (world.job("t").status, world.job("q").status) == ("suspended", "interrupted")
    world.later(1)
    world.sweep("t")
    world.sweep("q")
    assert (world.job("t").status, world.job("q").status) == ("queued", "cancelled")
    assert {wait.settled_ms for wait in world.tables.waits.values()} == {world.date_ms}


def test_first_in_stays_first_out_when_the_calendar_is_set_back() -> None:
    world = World()
    world.submit("first")
    world.skew_ms = -DAY_MS
    world.later(10)
    world.submit("second")
    assert [job.thread_id for job in world.poll("w", 2).jobs] == ["first", "second"]


def test_a_run_for_a_date_stands_where_that_date_puts_it_among_those_that_came_meanwhile() -> None:
    world = World()
    world.submit("dated", delay_ms=1_000)
    world.later(500)
    world.submit("before")
    world.skew_ms = 100
    world.later(600)
    world.submit("after")
    world.sweep("dated")
    assert [body.available_ms for body in world.bodies("dated", AttemptQueued)] == [world.now_ms - 200]
    assert [job.thread_id for job in world.poll("w", 3).jobs] == ["before", "dated", "after"]


def test_a_delayed_release_keeps_its_place() -> None:
    world = World()
    job = world.start("a")
    world.later(10)
    world.submit("b")
    assert job.lease_id is not None
    world.ask(c.Release(job.worker_key, job.lease_id, 50))
    world.skew_ms = DAY_MS
    world.batch([c.Sweep(key("a"))])
    assert world.bodies("a", AttemptQueued)[-1].available_ms is None
    world.batch([submit("c")], [want("w", 3)])
    assert [job.thread_id for job in world.last.granted[0].jobs] == ["a", "b", "c"]
