"""Quarantine: five incidents in a row with nothing closed between them; then one lease as a probe."""

from __future__ import annotations

import pytest

from oris.core import commands as c
from oris.core.limits import Limits
from oris.core.quarantine import QuarantineRules, is_quarantined
from oris.core.replies import QuarantineCleared
from oris.ids import run_of_lease

from .world import World, the, worker_key

MANY_LOSSES = Limits(max_lease_losses=1000)
RULES = QuarantineRules()


def lose(world: World, thread: str, worker: str = "w") -> None:
    """The worker takes this job and dies."""
    world.wait_out(thread)
    assert len(world.poll(worker, ttl_ms=1000, threads={thread}).jobs) == 1
    world.later(1000)
    world.sweep(thread)


def quarantined() -> World:
    """A worker that has just lost its fifth job."""
    world = World(MANY_LOSSES)
    for thread in "abcde":
        world.submit(thread)
        lose(world, thread)
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


def test_sessions_that_were_granted_nothing_end_in_peace_whatever_their_name_holds_without_one() -> None:
    world = World()
    for number in range(6):
        world.later(1)
        world.open_session("w", f"s{number}")
        world.later(1)
        world.start(f"t{number}", "w", ttl_ms=600_000)
    assert world.worker("w").incidents == 0


def test_a_session_that_is_replaced_in_the_millisecond_of_its_last_grant_is_one_incident() -> None:
    world = World()
    world.open_session("w", "s1")
    world.submit("a")
    world.grant("a", "w", session="s1")
    world.open_session("w", "s2")
    assert world.worker("w").incidents == 1
    world.later(1)
    world.open_session("w", "s3")
    assert world.worker("w").incidents == 1, "the second session was granted nothing"
    world.sweep("a")
    assert world.worker("w").incidents == 1, "it is what the first session has lost"
    world.submit("b")
    lose(world, "b")
    assert world.worker("w").incidents == 2


def test_a_lease_that_is_granted_in_the_millisecond_of_an_incident_is_a_new_one() -> None:
    world = World()
    for thread in "ab":
        world.submit(thread)
    lose(world, "a")
    lose(world, "b")
    assert world.worker("w").incidents == 2


def test_five_incidents_in_a_row_quarantine_and_polls_are_told() -> None:
    world = quarantined()
    told = world.poll("w")
    assert (told.jobs, told.blocked) == ((), "quarantined")
    assert told.quarantined_until_ms == world.now_ms + RULES.first_window_ms
    assert world.got("other") == ["a"], "the others go on"


def test_losses_of_one_run_are_one_incident_and_do_not_lengthen_the_window() -> None:
    world = World(MANY_LOSSES)
    world.submit("poison")
    for _ in range(20):
        lose(world, "poison")
    assert world.worker("w").incidents == 1
    world = quarantined()
    before = world.worker("w")
    world.later(RULES.first_window_ms)
    lose(world, "e")
    assert world.worker("w").incidents == before.incidents
    assert world.got("w") == ["a"], "the next probe may be of another run"


def test_runs_that_are_lost_by_one_death_are_known_by_all_the_deaths_that_follow() -> None:
    world = World(MANY_LOSSES)
    for thread in "ab":
        world.submit(thread)
    for turn in range(6):
        world.wait_out("a")
        world.wait_out("b")
        assert len(world.poll("w", 2, ttl_ms=1000).jobs) == 2
        world.later(1000)
        for thread in "ab" if turn % 2 else "ba":
            world.sweep(thread)
    assert world.worker("w").incidents == 1


def test_sessions_that_end_with_the_same_run_are_one_incident() -> None:
    world = World(MANY_LOSSES)
    world.submit("poison")
    for number in range(8):
        world.wait_out("poison")
        world.later(1)
        world.open_session("w", f"s{number}")
        assert len(world.poll("w", session=f"s{number}").jobs) == 1
        world.later(1)
        world.open_session("w", f"s{number}'")
        world.sweep("poison")
    assert world.worker("w").incidents == 1


def test_a_dead_letter_for_its_losses_takes_the_incidents_of_all_its_workers_back() -> None:
    world = World()
    for thread in ("poison", *"abcd"):
        world.submit(thread)
    for thread in "abcd":
        lose(world, thread, "w1")
    for worker in ("w1", "w2", "w2", "w3"):
        lose(world, "poison", worker)
    assert is_quarantined(world.worker("w1"))
    lose(world, "poison", "w4")
    assert world.job("poison").reason == "lease_losses"
    assert [world.worker(name).incidents for name in ("w1", "w2", "w3", "w4")] == [4, 0, 0, 0]
    assert not is_quarantined(world.worker("w1"))


def test_a_run_that_fails_otherwise_takes_nothing_back() -> None:
    world = World()
    world.submit("a")
    lose(world, "a", "w1")
    world.acked(world.grant("a", "w2"), "failed")
    assert world.worker("w1").incidents == 1


def test_what_is_remembered_of_incidents_is_bounded() -> None:
    world = World(Limits(max_lease_losses=1000, quarantine=QuarantineRules(after_incidents=1000)))
    for number in range(100):
        world.submit(f"t{number}")
        lose(world, f"t{number}")
    assert world.worker("w").incidents == 19, "with the twentieth its workflow is held"
    for number in range(100):
        world.submit(f"u{number}", workflow=f"f{number}")
        lose(world, f"u{number}")
    assert world.worker("w").incidents == 119
    assert len(world.worker("w").incident_runs) < 2000


@pytest.mark.parametrize("closed_by", ["completed", "failed", "cancelled", "release"])
def test_anything_closed_normally_clears_the_name(closed_by: str) -> None:
    world = World(MANY_LOSSES)
    world.submit("a")
    for thread in "bcd":
        world.submit(thread)
        lose(world, thread)
    lose(world, "a")
    assert world.worker("w").incidents == RULES.after_incidents - 1
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
    world.later(RULES.first_window_ms)
    probe = world.poll("w", 3)
    assert len(probe.jobs) == 1
    assert world.poll("w").blocked == "quarantined"
    world.acked(probe.jobs[0])
    assert len(world.poll("w", 3).jobs) == 3


def test_each_failed_probe_doubles_the_window_up_to_ten_minutes() -> None:
    world = quarantined()
    windows = []
    for thread in "fghijkl":
        world.submit(thread)
        window_ms = world.worker("w").quarantined_until_ms - world.now_ms
        windows.append(window_ms)
        world.later(window_ms)
        lose(world, thread)
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
    while world.wait_out("poison").status == "queued":
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
