"""Held workflows: one whose leases are all lost is given out one probe at a time, and no loss kills its jobs."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from oris.core import commands as c
from oris.core.hold import FORGETS_MS, HoldRules, is_held
from oris.core.limits import Limits
from oris.core.model import Job
from oris.core.replies import HoldCleared
from oris.ids import NO_TENANT

from .world import World, ack, key, submit, the, want

RULES = HoldRules()


def lose(world: World, thread: str, worker: str = "w") -> None:
    """A worker takes this job, whatever the workflow's state, and dies."""
    world.wait_out(thread)
    assert len(world.poll(worker, ttl_ms=1000, threads={thread}).jobs) == 1
    world.later(1000)
    world.sweep(thread)


def crash(world: World, worker: str, limit: int = 10) -> list[Job]:
    """A worker that nobody has heard of takes what it gets, and dies; the jobs that it took."""
    taken = list(world.poll(worker, limit, ttl_ms=1000).jobs)
    world.later(1000)
    sweep_all(world)
    return taken


def sweep_all(world: World) -> None:
    """Apply every deadline that is due."""
    for job in list(world.tables.jobs.values()):
        if job.wake_ms is not None and job.wake_ms <= world.now_ms:
            world.sweep(job.thread_id)


def held(runs: int = 5, limits: Limits | None = None) -> World:
    """A workflow that has come to be held just now."""
    world = World(limits)
    for number in range(runs):
        world.submit(f"t{number}")
    for number in range(RULES.losses):
        lose(world, f"t{number % runs}", f"w{number}")
    assert is_held(world.hold())
    return world


def open_probe(world: World, worker: str = "probing") -> Job:
    """Wait until the next probe may go out; the job it goes to."""
    hold = world.hold()
    assert hold is not None
    world.later(max(0, hold.next_ms - world.now_ms))
    sweep_all(world)
    (job,) = world.poll(worker, 10, ttl_ms=1000).jobs
    return job


def test_twenty_losses_of_five_runs_hold_a_workflow_and_one_less_does_not() -> None:
    world = World()
    for number in range(5):
        world.submit(f"t{number}")
    for number in range(RULES.losses - 1):
        lose(world, f"t{number % 5}", f"w{number}")
    assert not is_held(world.hold())
    lose(world, "t4", "last")
    assert is_held(world.hold())


def test_one_death_or_one_deploy_is_no_crash_loop_however_many_leases_it_costs() -> None:
    world = World()
    for number in range(100):
        world.submit(f"t{number:02}")
    for number in range(10):
        assert len(world.poll(f"old{number}", 10, ttl_ms=1000).jobs) == 10
    world.later(1000)
    sweep_all(world)
    assert not is_held(world.hold())
    for number in range(RULES.again):
        assert not is_held(world.hold())
        lose(world, f"t{number:02}", f"new{number}")
    assert is_held(world.hold()), "the new ones die as well"


def test_four_runs_alone_are_no_reason_to_hold_it() -> None:
    world = World(Limits(max_lease_losses=1000))
    for number in range(4):
        world.submit(f"t{number}")
    for number in range(100):
        lose(world, f"t{number % 4}", f"w{number}")
    assert not is_held(world.hold())


@pytest.mark.parametrize("how", ["ack", "release", "suspend"])
def test_one_normal_close_between_them_makes_it_begin_anew(how: str) -> None:
    world = World(Limits(max_lease_losses=1000))
    for number in range(6):
        world.submit(f"t{number}")
    for number in range(RULES.losses - 1):
        lose(world, f"t{number % 5}", f"w{number}")
    (job,) = world.poll("w", threads={"t5"}).jobs
    if how == "ack":
        world.acked(job, "failed")
    elif how == "release":
        world.released(job)
    else:
        world.suspended(job, c.WaitSpec("interrupt", "key"))
    assert world.hold() is None, "a healthy workflow has no row"
    for number in range(RULES.losses - 1):
        lose(world, f"t{number % 5}", f"w{number}")
    assert not is_held(world.hold())


def test_each_tenant_and_each_workflow_stands_for_itself() -> None:
    world = held()
    world.submit("other", workflow="other")
    world.submit("mine", tenant="acme")
    assert world.got("w", 10) == ["mine", "other"], "what is held delays nobody"


def test_one_probe_at_a_time_after_a_pause_that_doubles_up_to_a_minute() -> None:
    world = held(runs=20)
    pauses = []
    for number in range(8):
        hold = world.hold()
        assert hold is not None
        pauses.append(hold.next_ms - world.now_ms)
        world.later(pauses[-1] - 1)
        sweep_all(world)
        assert world.got("w", 10) == []
        world.later(1)
        (job,) = world.poll(f"probe{number}", 10, ttl_ms=1000).jobs
        world.later(999)
        assert world.got("w", 10) == [], "one is out"
        world.later(1)
        world.sweep(job.thread_id)
    assert pauses == [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]


def test_a_probe_goes_to_the_job_that_has_lost_least_and_else_to_the_first() -> None:
    world = held(runs=10)
    world.submit("fresh")
    assert open_probe(world).thread_id == "fresh"
    world.later(1000)
    sweep_all(world)
    assert open_probe(world).thread_id == "fresh", "it has lost once, the others twice"
    world.later(1000)
    sweep_all(world)
    assert open_probe(world).thread_id == "t0"


def test_the_job_to_be_probed_may_stand_behind_all_that_is_read_in_order() -> None:
    world = held(runs=10)
    world.submit("fresh")
    world.heads_read = 1
    probe = open_probe(world)
    assert probe.thread_id == "fresh"
    world.batch([ack(probe)], [want("w", 10)])
    assert [job.thread_id for job in world.last.granted[0].jobs] == ["t0"], "no more than what is known to be first"
    world.heads_read = 1000
    assert world.got("w", 10) == [f"t{number}" for number in range(1, 10)]


def test_a_job_that_comes_with_the_probe_may_be_it() -> None:
    world = held(runs=10)
    world.heads_read = 1
    hold = world.hold()
    assert hold is not None
    world.later(hold.next_ms - world.now_ms)
    sweep_all(world)
    world.batch([submit("fresh")], [want("w", 10)])
    assert [job.thread_id for job in world.last.granted[0].jobs] == ["fresh"]


@pytest.mark.parametrize("read", [1, 2, 1000])
def test_a_job_that_was_to_be_probed_and_is_cancelled_with_the_poll_makes_room_for_the_next_best(read: int) -> None:
    world = held(runs=10)
    for thread in ("fresh1", "fresh2"):
        world.submit(thread)
    hold = world.hold()
    assert hold is not None
    world.later(hold.next_ms - world.now_ms)
    sweep_all(world)
    world.heads_read = read
    world.batch([c.Cancel(key("fresh1"), None, None)], [want("w", 10)])
    expected = [] if read == 1 else ["fresh2"]
    assert [job.thread_id for job in world.last.granted[0].jobs] == expected, "who has lost more does not go first"
    if read == 1:
        assert (world.last.drained, world.last.held) == (set(), {}), "it is looked at again"
        assert world.got("w", 10) == ["fresh2"]


def test_one_normal_close_ends_the_hold() -> None:
    world = held(runs=10)
    world.acked(open_probe(world))
    assert world.hold() is None
    assert len(world.poll("w", 100).jobs) == 9


def test_a_lease_from_before_the_hold_ends_it_too() -> None:
    world = World()
    for number in range(6):
        world.submit(f"t{number}")
    (long_one,) = world.poll("w", ttl_ms=3_600_000, threads={"t5"}).jobs
    for number in range(RULES.losses):
        lose(world, f"t{number % 5}", f"w{number}")
    assert is_held(world.hold())
    world.acked(long_one)
    assert world.hold() is None


def test_a_probe_that_is_taken_away_tells_nothing_and_the_next_may_follow() -> None:
    world = held(runs=10)
    before = world.hold()
    assert before is not None
    world.cancelled(open_probe(world).thread_id)
    after = world.hold()
    assert after is not None
    assert (after.probe, after.probes, after.next_ms) == (None, 0, before.next_ms)
    assert len(world.poll("w", 10).jobs) == 1


def test_the_loss_that_brings_the_hold_about_kills_nobody_and_no_probe_does() -> None:
    world = held()
    assert {job.losses for job in world.tables.jobs.values()} == {4}
    for number in range(40):
        open_probe(world, f"probing{number}")
        world.later(1000)
        sweep_all(world)
    assert {job.losses for job in world.tables.jobs.values()} == {12}
    assert {job.status for job in world.tables.jobs.values()} <= {"queued", "retry_backoff"}


def test_a_probe_that_is_lost_is_no_incident_of_its_worker() -> None:
    world = held()
    incidents = world.worker("w0").incidents
    for _ in range(10):
        open_probe(world, "w0")
        world.later(1000)
        sweep_all(world)
    assert world.worker("w0").incidents == incidents
    for number in range(10):
        world.later(1)
        world.open_session("sessions", f"s{number}")
        hold = world.hold()
        assert hold is not None
        world.later(hold.next_ms - world.now_ms)
        sweep_all(world)
        assert len(world.poll("sessions", session=f"s{number}").jobs) == 1
        world.later(1)
        world.open_session("sessions", f"s{number}'")
        sweep_and_take_back(world)
    assert world.worker("sessions").incidents == 0


def sweep_and_take_back(world: World) -> None:
    """What the sweeper does with the leases of sessions that are over."""
    for job in list(world.tables.jobs.values()):
        if job.lease_id is not None:
            world.sweep(job.thread_id)


def test_losses_that_were_spared_are_not_held_against_a_run_afterwards() -> None:
    world = held()
    for number in range(10):
        open_probe(world, f"probing{number}")
        world.later(1000)
        sweep_all(world)
    spared = world.tables.jobs[next(key for key, job in world.tables.jobs.items() if job.losses >= 5)]
    world.submit("good")
    world.acked(open_probe(world))
    lose(world, spared.thread_id)
    assert (world.job(spared.thread_id).status, world.job(spared.thread_id).losses) == ("queued", 1)


def test_a_poison_job_in_a_healthy_workflow_still_dies_at_its_fifth_loss() -> None:
    world = World()
    world.submit("poison")
    for number in range(5):
        world.acked(good(world, number))
        lose(world, "poison", f"w{number}")
    assert (world.job("poison").status, world.job("poison").reason) == ("failed", "lease_losses")


def good(world: World, number: int) -> Job:
    """A job that its worker can do."""
    world.submit(f"good{number}")
    (job,) = world.poll("good", threads={f"good{number}"}).jobs
    return job


def test_a_workflow_that_stays_held_for_a_day_holds_nothing_but_poison() -> None:
    world = held()
    world.later(RULES.spares_ms)
    lost = open_probe(world)
    world.later(1000)
    world.sweep(lost.thread_id)
    assert world.job(lost.thread_id).reason == "lease_losses"


def test_losses_of_long_ago_are_forgotten_but_not_a_hold() -> None:
    world = World(Limits(max_lease_losses=1000))
    for number in range(5):
        world.submit(f"t{number}")
    for number in range(RULES.losses - 1):
        lose(world, f"t{number % 5}", f"w{number}")
    world.later(FORGETS_MS + 60_000)
    lose(world, "t0")
    assert not is_held(world.hold())
    world = held()
    world.later(FORGETS_MS + 60_000)
    sweep_all(world)
    assert len(world.poll("w", 10).jobs) == 1


def test_an_operator_clears_it_and_it_counts_from_nothing_again() -> None:
    world = held()
    again = c.ClearHold(NO_TENANT, "default")
    assert the(HoldCleared, world.ask(again)).was_held
    assert world.hold() is None
    assert not the(HoldCleared, world.ask(again)).was_held
    world.later(60_000)
    sweep_all(world)
    assert len(world.poll("w", 10).jobs) == 5


def test_a_poll_that_names_its_threads_is_served_beside_the_probe() -> None:
    world = held(runs=10)
    hold = world.hold()
    assert hold is not None
    probe = open_probe(world)
    (job,) = world.poll("operator", threads={"t5"}).jobs
    assert world.hold() == replace(hold, probe=probe.lease_id)
    world.acked(job)
    assert world.hold() is None


def test_a_tenant_at_its_limit_is_not_probed() -> None:
    world = held()
    world.later(60_000)
    sweep_all(world)
    assert world.poll("w", tenant_limit=0).jobs == ()
    assert world.last.held == {}, "it may still be probed"


def test_the_forty_jobs_survive_a_fleet_that_crashes_for_ten_minutes() -> None:
    world = World()
    for number in range(40):
        world.submit(f"t{number:02}")
    until_ms, worker = world.now_ms + 600_000, 0
    while world.now_ms < until_ms:
        worker += 1
        if not crash(world, f"pod{worker}"):
            world.later(500)
    assert {job.status for job in world.tables.jobs.values()} <= {"queued", "retry_backoff"}
    assert max(job.losses for job in world.tables.jobs.values()) < 5
    for _ in range(400):
        for job in world.poll("mended", 10).jobs:
            world.acked(job)
        world.later(500)
        sweep_all(world)
    assert {job.status for job in world.tables.jobs.values()} == {"completed"}
