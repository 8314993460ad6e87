"""Quarantine: five incidents in a row with nothing closed between them; then one lease as a probe."""

from __future__ import annotations

import pytest

from oris.core import commands as c
from oris.core.facts import Limits
from oris.core.quarantine import QuarantineRules, is_quarantined
from oris.core.replies import QuarantineCleared
from oris.ids import run_of_lease

from .world import World, the, worker_key

MANY_LOSSES = Limits(max_lease_losses=1000)
RULES = QuarantineRules()


def lose(world: World, thread: str, worker: str = "w") -> None:
    """The worker takes a job and dies."""
    world.grant(thread, worker, ttl_ms=1000)
    world.later(1000)
    world.sweep(thread)


def quarantined() -> World:
    """A worker that has just lost its fifth lease."""
    world = World(MANY_LOSSES)
    world.submit("a")
    for _ in range(RULES.after_incidents):
        lose(world, "a")
    assert is_quarantined(world.worker("w"))
    return world


def test_sixteen_leases_lost_together_or_one_by_one_are_one_incident() -> None:
    world = World()
    for number in range(16):
        world.start(f"t{number}", "w", ttl_ms=1000 + 100 * number)
        world.later(1)
    for number in range(16):
        world.later(200)
        world.sweep(f"t{number}")
    world.later(5000)
    for number in range(16):
        world.sweep(f"t{number}")
    assert world.worker("w").incidents == 1
    assert {world.job(f"t{number}").losses for number in range(16)} == {1}


def test_a_session_that_ends_with_leases_is_one_incident_with_all_their_losses() -> None:
    world = World()
    world.open_session("w", "s1")
    for thread in ("a", "b"):
        world.submit(thread)
        world.grant(thread, "w", session="s1")
        world.later(1)
    world.open_session("w", "s2")
    for thread in ("a", "b"):
        world.later(10)
        world.sweep(thread)
    assert world.worker("w").incidents == 1


def test_a_session_that_ends_with_nothing_in_hand_is_no_incident() -> None:
    world = World()
    for number in range(10):
        world.open_session("w", f"s{number}")
    assert world.worker("w").incidents == 0


def test_five_incidents_in_a_row_quarantine_and_polls_are_told() -> None:
    world = quarantined()
    told = world.poll("w")
    assert (told.jobs, told.blocked) == ((), "quarantined")
    assert told.quarantined_until_ms == world.now_ms + RULES.first_window_ms
    assert world.got("other") == ["a"], "the others go on"


@pytest.mark.parametrize("closed_by", ["completed", "failed", "cancelled", "release"])
def test_anything_closed_normally_clears_the_name(closed_by: str) -> None:
    world = World(MANY_LOSSES)
    world.submit("a")
    for _ in range(RULES.after_incidents - 1):
        lose(world, "a")
    job = world.grant("a", "w")
    if closed_by == "release":
        world.released(job)
    else:
        world.acked(job, closed_by)
    assert world.worker("w").incidents == 0


def test_a_step_or_a_cancel_from_outside_clears_nothing() -> None:
    world = World(MANY_LOSSES)
    world.submit("a")
    lose(world, "a")
    job = world.grant("a", "w")
    world.reported(job, "step")
    world.cancelled("a")
    assert world.worker("w").incidents == 1


def test_what_the_server_takes_back_clears_nothing() -> None:
    world = World(MANY_LOSSES)
    world.submit("a")
    lose(world, "a")
    job = world.grant("a", "w")
    assert job.lease_id is not None
    assert run_of_lease(job.lease_id) == job.run_id
    world.ask(c.Release(None, job.lease_id))
    assert world.worker("w").incidents == 1


def test_after_the_window_one_lease_is_a_probe_and_a_good_one_frees() -> None:
    world = quarantined()
    for thread in ("b", "c"):
        world.submit(thread)
    world.later(RULES.first_window_ms)
    probe = world.poll("w", 3)
    assert len(probe.jobs) == 1
    assert world.poll("w").blocked == "quarantined"
    world.acked(probe.jobs[0])
    assert len(world.poll("w", 3).jobs) == 2


def test_each_failed_probe_doubles_the_window_up_to_ten_minutes() -> None:
    world = quarantined()
    windows = []
    for _ in range(7):
        window_ms = world.worker("w").quarantined_until_ms - world.now_ms
        windows.append(window_ms)
        world.later(window_ms)
        lose(world, "a")
    assert windows == [30_000, 60_000, 120_000, 240_000, 480_000, RULES.longest_window_ms, RULES.longest_window_ms]


def test_an_operator_clears_it_and_an_unknown_worker_is_not_found() -> None:
    world = quarantined()
    cleared = the(QuarantineCleared, world.ask(c.ClearQuarantine(worker_key("w"))))
    assert cleared.worker.incidents == 0
    assert world.got("w") == ["a"]
    assert getattr(world.ask(c.ClearQuarantine(worker_key("nobody"))), "code", None) == "not_found"


def test_one_poison_job_does_not_quarantine_a_fleet() -> None:
    world = World()
    fleet = ("w1", "w2", "w3")
    world.submit("poison")
    turn = 0
    while world.job("poison").status == "queued":
        lose(world, "poison", fleet[turn % 3])
        turn += 1
    assert world.job("poison").reason == "lease_losses"
    world.submit("good")
    for worker in fleet:
        assert not is_quarantined(world.worker(worker))
    assert world.got("w1") == ["good"]


def test_a_quarantined_worker_still_writes_under_what_it_holds() -> None:
    world = quarantined()
    world.later(RULES.first_window_ms)
    job = world.grant("a", "w")
    world.reported(job, "step")
    assert world.acked(job).status == "completed"


def test_a_session_is_not_charged_for_leases_from_before_it_that_live_on() -> None:
    world = World()
    world.start("a", "w")
    for number in range(3):
        world.later(1_000)
        world.open_session("w", f"s{number}")
    assert world.worker("w").incidents == 0
    assert world.job("a").status == "running"
