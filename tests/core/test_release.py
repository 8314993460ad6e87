from __future__ import annotations

import pytest

from oris.core import commands as c
from oris.core.replies import Refusal, Released

from .world import World, the


def test_a_released_run_is_queued_at_once_with_nothing_counted() -> None:
    world = World()
    world.released(world.start("t"))
    row = world.job("t")
    assert (row.status, row.attempt_no, row.losses, row.retries) == ("queued", 1, 0, 0)


def test_a_release_with_a_delay_waits_and_keeps_its_place() -> None:
    world = World()
    job = world.start("old")
    world.later(1)
    world.submit("young")
    world.released(job, delay_ms=1_000)
    assert world.job("old").status == "scheduled"
    world.later(999)
    world.sweep("old")
    assert world.job("old").status == "scheduled"
    world.later(1)
    world.sweep("old")
    assert world.got("w2", 2) == ["old", "young"]


@pytest.mark.parametrize("delay_ms", [0, 500])
def test_a_repeated_release_gets_the_first_answer_whatever_has_happened_since(delay_ms: int) -> None:
    world = World()
    job = world.start("t")
    first = world.released(job, delay_ms)
    assert world.released(job, delay_ms) == first
    world.later(500)
    world.sweep("t")
    world.acked(world.grant("t", "w2"))
    assert world.released(job, delay_ms) == first


def test_a_different_release_is_refused() -> None:
    world = World()
    job = world.start("t")
    world.released(job)
    assert the(Refusal, world.release(job, 1)).details == {"reason": "lease_lost", "state": "released"}


def test_a_release_of_an_ended_lease_is_refused_with_its_state() -> None:
    world = World()
    job = world.start("t", ttl_ms=1_000)
    world.later(1_000)
    assert the(Refusal, world.release(job)).details == {"reason": "lease_lost", "state": "expired"}
    assert world.job("t").attempt_no == 2


def test_another_workers_release_is_refused_and_told_nothing() -> None:
    world = World()
    job = world.start("t", "w1")
    assert the(Refusal, world.release(job, worker="w2")).details == {"reason": "lease_lost"}
    world.released(job)
    assert the(Refusal, world.release(job, worker="w2")).details == {"reason": "lease_lost"}


def test_the_server_takes_back_what_a_caller_never_received() -> None:
    world = World()
    job = world.start("t")
    assert job.lease_id is not None
    the(Released, world.ask(c.Release(None, job.lease_id)))
    assert world.got("w2") == ["t"]


def test_the_server_takes_back_nothing_that_was_closed_meanwhile() -> None:
    world = World()
    job = world.start("t")
    assert job.lease_id is not None
    world.acked(job)
    assert the(Refusal, world.ask(c.Release(None, job.lease_id))).details == {"reason": "lease_lost", "state": "closed"}
    assert world.job("t").status == "completed"
