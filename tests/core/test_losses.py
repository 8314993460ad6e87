from __future__ import annotations

from collections.abc import Callable

from oris.core.limits import Limits
from oris.core.model import Job, RetryPolicy

from .world import World


def lose(world: World, work: Callable[[Job], object] | None = None, worker: str = "w1") -> None:
    """Have the only job granted, perhaps worked on, and its lease lost."""
    world.wait_out("t")
    (job,) = world.poll(worker, ttl_ms=1_000).jobs
    if work is not None:
        work(job)
    world.later(1_000)
    world.sweep("t")


def test_a_lost_lease_is_a_new_attempt_number_of_the_same_attempt() -> None:
    world = World()
    world.submit("t")
    lose(world)
    job = world.grant("t", "w2")
    assert (job.attempt_no, job.losses, job.retries) == (2, 1, 0)


def test_five_losses_end_among_the_dead_letters() -> None:
    world = World()
    world.submit("t")
    for _ in range(4):
        lose(world)
        assert world.wait_out("t").status == "queued"
    lose(world)
    assert (world.job("t").status, world.job("t").reason) == ("failed", "lease_losses")
    (dead,) = world.tables.dead_letters.values()
    assert (dead.reason, dead.thread_id, dead.dead_ms) == ("lease_losses", "t", world.now_ms)
    assert world.got("w1") == []


def test_the_cap_is_the_servers() -> None:
    world = World(Limits(max_lease_losses=2))
    world.submit("t")
    lose(world)
    lose(world)
    assert world.job("t").status == "failed"


def test_a_newly_succeeded_step_resets_the_losses() -> None:
    world = World()
    world.submit("t")
    for n in range(12):
        lose(world, lambda job, n=n: world.reported(job, f"step{n}"), worker=f"w{n}")  # type: ignore[misc]
    assert (world.job("t").status, world.job("t").losses) == ("queued", 1)


def test_a_step_that_was_recorded_before_is_no_progress() -> None:
    world = World()
    world.submit("t")
    for _ in range(6):
        if world.wait_out("t").status == "queued":
            lose(world, lambda job: world.reported(job, "first"))
    assert world.job("t").status == "failed"


def test_a_retry_resets_the_losses() -> None:
    world = World()
    world.submit("t", retry=RetryPolicy("fixed", 0, 3))
    for _ in range(4):
        lose(world)
    world.wait_out("t")
    world.acked(world.grant("t"), "failed")
    assert (world.job("t").losses, world.job("t").attempt_no) == (0, 6)


def test_a_release_is_not_a_loss_and_does_not_forgive_one() -> None:
    world = World()
    world.submit("t")
    lose(world)
    world.released(world.grant("t"))
    assert (world.job("t").losses, world.job("t").attempt_no) == (1, 2)


def test_a_job_that_reports_a_start_and_dies_every_time_is_not_tried_for_ever() -> None:
    world = World()
    world.submit("t")
    for n in range(20):
        if world.wait_out("t").status == "queued":
            lose(world, lambda job, n=n: world.reported(job, "poison", "started", token=f"try{n}"))  # type: ignore[misc]
    assert (world.job("t").status, world.job("t").reason) == ("failed", "lease_losses")


def test_a_run_that_no_worker_ended_says_why_in_its_error() -> None:
    world = World(Limits(max_lease_losses=1))
    world.submit("t")
    lose(world)
    job = world.job("t")
    assert b'"type":"lease_losses"' in world.tables.payloads[job.job_key, job.error_seq]
