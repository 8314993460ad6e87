from __future__ import annotations

import pytest

from oris.core import commands as c
from oris.core.decide import decide
from oris.core.facts import Facts
from oris.core.model import RetryPolicy
from oris.core.needs import Needs
from oris.core.replies import Acked, CancelledRun
from oris.core.stamp import Stamp

from .world import World, ack, key, submit, the, want


def test_the_same_poll_id_gets_its_live_leases_again() -> None:
    world = World()
    world.batch([submit(f"t{n}") for n in range(4)])
    first = world.poll("w1", 2, poll_id="p")
    again = world.poll("w1", 2, poll_id="p")
    assert again.jobs == ()
    assert again.redelivered == first.jobs
    assert world.lanes()[first.jobs[0].lane][0].thread_id == "t2"


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


def test_a_run_whose_end_was_asked_for_is_not_delivered_again_once_the_time_for_that_is_over() -> None:
    world = World()
    world.submit("a")
    world.poll("w1", poll_id="p", ttl_ms=60_000)
    world.ask(c.Cancel(key("a"), None, grace_ms=1_000))
    world.later(999)
    assert len(world.poll("w1", poll_id="p").redelivered) == 1
    world.later(1)
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


def test_an_ack_that_fetches_sent_twice_in_one_batch_takes_one_lease() -> None:
    world = World()
    job = world.start("a")
    world.batch([submit("b"), submit("c")])
    asked = want("w1", poll_id=job.lease_id)
    first, second = world.batch([ack(job), ack(job)], [asked, asked])
    assert the(Acked, first) == the(Acked, second)
    given, again = world.last.granted
    assert [each.thread_id for each in given.jobs] == ["b"]
    assert (again.jobs, again.redelivered) == ((), given.jobs)
    assert (again.worker_leased, again.tenant_leased) == (given.worker_leased, given.tenant_leased) == (1, 1)
    assert world.worker("w1").leased == 1


def test_a_batch_that_holds_a_poll_three_times_grants_once() -> None:
    world = World()
    world.batch([submit(f"t{n}") for n in range(6)])
    world.batch([], [want("w1", 2, poll_id="p")] * 3)
    first, *others = world.last.granted
    assert [job.thread_id for job in first.jobs] == ["t0", "t1"]
    assert [(other.jobs, other.redelivered) for other in others] == [((), first.jobs)] * 2
    assert world.poll("w1", 2, poll_id="p").redelivered == first.jobs


def test_one_poll_id_of_two_workers_or_sessions_is_not_one_poll_in_a_batch_either() -> None:
    world = World()
    world.open_session("w1", "s")
    world.batch([submit(f"t{n}") for n in range(3)])
    world.batch([], [want("w1", poll_id="p"), want("w2", poll_id="p"), want("w1", poll_id="p", session="s")])
    assert [[job.thread_id for job in granted.jobs] for granted in world.last.granted] == [["t0"], ["t1"], ["t2"]]


def test_a_lease_granted_before_the_batch_and_closed_in_it_makes_room_for_one_grant() -> None:
    world = World()
    world.batch([submit("a"), submit("b"), submit("c")])
    job = world.grant("a", "w1", poll_id="p")
    world.batch([ack(job)], [want("w1", poll_id="p")] * 2)
    given, again = world.last.granted
    assert [each.thread_id for each in given.jobs] == ["b"]
    assert (again.jobs, again.redelivered) == ((), given.jobs)


@pytest.mark.parametrize("how", ["release", "retry"])
def test_a_job_that_comes_back_and_goes_out_again_in_one_batch_is_answered_once(how: str) -> None:
    world = World()
    world.submit("a", retry=RetryPolicy("fixed", 0, 1))
    job = world.grant("a", "w1", poll_id="p")
    assert job.worker_key is not None
    assert job.lease_id is not None
    back = c.Release(job.worker_key, job.lease_id, 0) if how == "release" else ack(job, "failed")
    world.batch([back], [want("w1", 5, poll_id="p")] * 2)
    given, again = world.last.granted
    assert [each.thread_id for each in given.jobs] == ["a"]
    assert (again.jobs, again.redelivered) == ((), given.jobs)


def test_a_run_that_the_batch_has_replaced_is_no_threads_current_run() -> None:
    world = World()
    first = world.start("a")
    facts = Facts(world.load(Needs(jobs={key("a")}, runs={first.run_id})), world.limits)
    for command in (c.Cancel(key("a"), None), submit("a")):
        facts.apply(decide(facts, command, Stamp(world.now_ms, 5)), world.now_ms)
    assert facts.job_of(first.run_id) is None
    assert facts.job_of(facts.jobs[key("a")].run_id) is facts.jobs[key("a")]
