from __future__ import annotations

from oris.core import commands as c
from oris.core.replies import CancelledRun

from .world import World, key, submit, the, want


def test_the_same_poll_id_gets_its_live_leases_again() -> None:
    world = World()
    world.batch([submit(f"t{n}") for n in range(4)])
    first = world.poll("w1", 2, poll_id="p")
    again = world.poll("w1", 2, poll_id="p")
    assert again.jobs == ()
    assert again.redelivered == first.jobs
    assert world.tables.lanes()[first.jobs[0].lane][0].thread_id == "t2"


def test_another_poll_id_gets_other_work() -> None:
    world = World()
    world.batch([submit("a"), submit("b")])
    world.poll("w1", poll_id="p")
    assert world.got("w1", poll_id="q") == ["b"]


def test_another_workers_equal_poll_id_is_another_poll() -> None:
    world = World()
    world.batch([submit("a"), submit("b")])
    world.poll("w1", poll_id="p")
    granted = world.poll("w2", poll_id="p")
    assert [job.thread_id for job in granted.jobs] == ["b"]
    assert granted.redelivered == ()


def test_closed_leases_are_not_delivered_again() -> None:
    world = World()
    world.batch([submit("a"), submit("b")])
    first, second = world.poll("w1", 2, poll_id="p").jobs
    world.acked(first)
    assert world.poll("w1", 2, poll_id="p").redelivered == (second,)
    world.acked(second)
    world.submit("c")
    assert world.got("w1", poll_id="p") == ["c"]


def test_an_expired_lease_is_not_delivered_again_before_the_sweeper_ran() -> None:
    world = World()
    world.submit("a")
    world.poll("w1", poll_id="p", ttl_ms=1_000)
    world.later(999)
    assert len(world.poll("w1", poll_id="p").redelivered) == 1
    world.later(1)
    granted = world.poll("w1", poll_id="p")
    assert (granted.redelivered, granted.jobs) == ((), ())


def test_a_run_out_of_time_is_not_delivered_again_before_the_sweeper_ran() -> None:
    world = World()
    world.submit("a", timeout_ms=500)
    world.poll("w1", poll_id="p")
    world.later(500)
    assert world.poll("w1", poll_id="p").redelivered == ()


def test_a_lease_cancelled_in_the_same_batch_is_not_delivered_again() -> None:
    world = World()
    world.submit("a")
    world.poll("w1", poll_id="p")
    (reply,) = world.batch([c.Cancel(key("a"), None)], [want("w1", poll_id="p")])
    the(CancelledRun, reply)
    assert world.last.granted[0].redelivered == ()


def test_a_redelivery_shows_a_renewed_lease_as_it_stands() -> None:
    world = World()
    world.submit("a")
    (job,) = world.poll("w1", poll_id="p").jobs
    world.later(10_000)
    world.beat(job, 60_000)
    (again,) = world.poll("w1", poll_id="p").redelivered
    assert again.lease_expires_ms == world.now_ms + 60_000
