"""Found in the review of issue 3: each of these fails."""

from __future__ import annotations

from oris.core import commands as c
from oris.core.facts import Limits

from .world import World, worker_key


def test_a_poll_for_chosen_threads_takes_only_its_workflows() -> None:
    world = World()
    world.submit("t", workflow="mail")
    got = world.poll("w", workflows={"print"}, threads={"t"})
    assert got.jobs == ()


def test_the_answer_to_a_poll_for_chosen_threads_is_bounded_too() -> None:
    world = World(Limits(answer_max_bytes=1_000))
    for number in range(10):
        world.submit(f"t{number}", input=b'"' + b"x" * 800 + b'"')
    got = world.poll("w", 10, threads={f"t{number}" for number in range(10)})
    plain = world.poll("v", 10)
    assert len(plain.jobs) <= 2
    assert len(got.jobs) <= 2


def test_a_process_is_not_told_of_what_the_one_before_it_held() -> None:
    """The message is made from the closed lease's state; see `engine.control.control_of`."""
    from oris.engine.control import control_of

    world = World()
    world.ask(c.OpenSession(worker_key("w"), "a"))
    world.submit("t")
    (job,) = world.poll("w", session="a", ttl_ms=1_000).jobs
    world.later(1_500)  # a late sweeper: its pass comes after the new session
    world.ask(c.OpenSession(worker_key("w"), "b"))
    world.ask(c.Sweep(job.job_key))
    assert job.lease_id is not None
    closed = world.tables.closed[job.lease_id]
    assert control_of(closed, "") is None, closed.state
