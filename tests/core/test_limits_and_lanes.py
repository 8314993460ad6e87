from __future__ import annotations

from typing import Any

import pytest

from oris.core import commands as c
from oris.core.limits import Limits
from oris.core.model import Lane
from oris.core.replies import Submitted
from oris.ids import TenantId

from .world import World, ack, submit, the, want


def lane(tenant: str = "", workflow: str = "default") -> Lane:
    return Lane(TenantId(tenant), workflow)


def test_a_worker_at_its_limit_gets_nothing_and_is_told_why() -> None:
    world = World()
    world.batch([submit(f"t{n}") for n in range(3)])
    granted = world.poll("w1", 5, worker_limit=2)
    assert (len(granted.jobs), granted.blocked, granted.worker_leased) == (2, "worker_limit", 2)
    assert world.poll("w1", 1, worker_limit=2).blocked == "worker_limit"
    assert world.got("w2", 5, worker_limit=2) == ["t2"]


def test_a_closed_lease_makes_room_under_the_workers_limit() -> None:
    world = World()
    world.batch([submit("a"), submit("b")])
    (job,) = world.poll("w1", worker_limit=1).jobs
    world.acked(job)
    assert world.got("w1", worker_limit=1) == ["b"]


def test_a_tenant_at_its_limit_is_passed_over_and_delays_nobody() -> None:
    world = World()
    world.batch([submit(f"full{n}", tenant="full") for n in range(3)])
    world.later(1)
    world.submit("other", tenant="free")
    granted = world.poll("w1", 5, tenant_limit=1)
    assert sorted(job.thread_id for job in granted.jobs) == ["full0", "other"]
    assert granted.blocked == "tenant_limit"
    assert (granted.tenant_id, granted.tenant_leased, granted.tenant_limit) == ("full", 1, 1)


def test_jobs_without_a_tenant_share_the_limit_of_the_empty_tenant() -> None:
    world = World()
    world.batch([submit("a"), submit("b")])
    granted = world.poll("w1", 5, tenant_limit=1)
    assert (len(granted.jobs), granted.blocked, granted.tenant_id) == (1, "tenant_limit", "")


def test_an_idle_poll_with_nothing_to_take_is_not_blocked() -> None:
    assert World().poll("w1").blocked is None


def test_an_emptied_lane_is_drained() -> None:
    world = World()
    world.batch([submit("a"), submit("b")], [want("w1")])
    assert world.last.drained == set()
    world.poll("w1")
    assert world.last.drained == {lane()}


def test_a_lane_of_which_not_all_was_read_is_never_called_drained() -> None:
    world = World()
    world.batch([submit("a"), submit("b")])
    world.heads_read = 1
    assert world.got("w1", 5) == ["a"]
    assert world.last.drained == set()
    assert world.got("w1", 5) == ["b"]
    assert world.last.drained == {lane()}


def test_a_lane_whose_tenant_is_at_the_servers_limit_is_blocked() -> None:
    world = World()
    world.tenant_limit = 1
    world.batch([submit("a", tenant="x"), submit("b", tenant="x")], [want("w1", 5, tenant_limit=1)])
    assert world.last.blocked == {lane("x")}
    assert world.last.drained == set()


def test_a_lane_is_not_blocked_by_a_limit_that_only_one_worker_asked_for() -> None:
    world = World()
    world.batch([submit("a"), submit("b")], [want("w1", 5, tenant_limit=1)])
    assert world.last.blocked == set()


def test_the_end_of_a_lease_unblocks_its_lane() -> None:
    world = World()
    world.tenant_limit = 1
    job = world.start("a", tenant="x")
    world.submit("b", tenant="x")
    world.batch([ack(job)], [want("w2", tenant_limit=1)])
    assert [granted.thread_id for granted in world.last.granted[0].jobs] == ["b"]
    assert world.last.drained == {lane("x")}


def test_a_lane_that_was_not_read_is_left_alone() -> None:
    world = World()
    the(Submitted, world.submit("a"))
    assert world.last.granted == []
    assert world.last.drained == set()


def sized(thread: str, size: int, **said: Any) -> c.Submit:
    return submit(thread, input=b'"%s"' % (b"x" * (size - 2)), **said)


def test_one_commit_hands_out_so_many_leases_to_all_polls_together() -> None:
    world = World(Limits(commit_grants_max=3))
    world.batch([submit(f"t{n}") for n in range(9)])
    world.batch([], [want(f"w{n}", 2) for n in range(4)])
    assert [len(granted.jobs) for granted in world.last.granted] == [2, 1, 0, 0]
    assert [granted.cut for granted in world.last.granted] == [False, False, True, True]
    assert [granted.blocked for granted in world.last.granted] == [None] * 4
    assert world.last.drained == set()


def test_one_commit_hands_out_so_many_bytes_to_all_polls_together() -> None:
    world = World(Limits(commit_bytes_max=1000))
    world.batch([sized("a", 400), sized("b", 500), sized("c", 300), sized("d", 90)])
    world.batch([], [want(f"w{n}") for n in range(4)])
    # The order is kept: what is small does not go before what is first in line.
    assert [[job.thread_id for job in granted.jobs] for granted in world.last.granted] == [["a"], ["b"], [], []]
    assert [granted.cut for granted in world.last.granted] == [False, False, True, True]


def test_a_job_larger_than_a_commit_may_hand_out_goes_alone() -> None:
    world = World(Limits(commit_bytes_max=100))
    world.batch([sized("a", 400), sized("b", 10)])
    world.batch([], [want("w1"), want("w2")])
    assert [len(granted.jobs) for granted in world.last.granted] == [1, 0]


def test_a_poll_for_named_threads_is_bounded_too() -> None:
    world = World(Limits(commit_grants_max=1))
    world.batch([submit("a"), submit("b")])
    world.batch([], [want("w1", 2, threads={"a", "b"}), want("w2", 2, threads={"b"})])
    assert [len(granted.jobs) for granted in world.last.granted] == [1, 0]
    assert [granted.cut for granted in world.last.granted] == [False, True]


def test_leases_of_a_lost_answer_count_to_what_a_commit_hands_out() -> None:
    world = World(Limits(commit_bytes_max=1000))
    world.batch([sized("a", 600), sized("b", 600)])
    world.batch([], [want("w1", poll_id="p")])
    world.batch([], [want("w2", poll_id="q")])
    world.batch([], [want("w1", poll_id="p"), want("w2", poll_id="q")])
    assert [len(granted.redelivered) for granted in world.last.granted] == [1, 0]
    assert [granted.cut for granted in world.last.granted] == [False, True]
    assert len(world.poll("w2", poll_id="q").redelivered) == 1


def test_who_has_nothing_to_take_is_not_told_that_there_was_no_room() -> None:
    world = World(Limits(commit_grants_max=1))
    world.batch([submit("a"), submit("b", tenant="full"), submit("c", tenant="full")])
    world.got("w9", tenant="full")
    wants = [want("w1"), want("w2", workflows={"other"}), want("w3", tenant="full", tenant_limit=1)]
    world.batch([], wants)
    assert [granted.cut for granted in world.last.granted] == [False, False, False]
    assert [granted.blocked for granted in world.last.granted] == [None, None, "tenant_limit"]


def test_polls_that_come_with_acks_have_half_of_what_a_commit_hands_out() -> None:
    world = World(Limits(commit_grants_max=4))
    world.batch([submit(f"t{n}") for n in range(20)])
    wants = [want("parked1", 3), want("parked2", 3), want("acks1"), want("acks2", 3)]
    world.batch([], wants, parked=2)
    assert [len(granted.jobs) for granted in world.last.granted] == [2, 0, 1, 1]
    world.batch([], wants[:2], parked=2)
    assert [len(granted.jobs) for granted in world.last.granted] == [3, 1]
    world.batch([], wants[2:], parked=0)
    assert [len(granted.jobs) for granted in world.last.granted] == [1, 3]


@pytest.mark.parametrize("fairness", ["fifo", "round_robin"])
def test_what_stands_behind_jobs_that_were_not_read_waits_for_them(fairness: Any) -> None:
    """Of each lane one head is read: the second of the first lane goes before all of the other."""
    world = World(Limits(fairness=fairness))
    world.batch([submit("a1"), submit("a2"), submit("a3")])
    world.later(1)
    world.batch([submit("b1", workflow="other"), submit("b2", workflow="other")])
    world.heads_read = 1
    assert [world.got("w1", 5) for _ in range(5)] == [["a1"], ["a2"], ["a3", "b1"], ["b2"], []]


def test_a_poll_that_cannot_take_the_unread_jobs_does_not_wait_for_them() -> None:
    world = World()
    world.batch([submit("a1"), submit("a2")])
    world.later(1)
    world.submit("b1", workflow="other")
    world.heads_read = 1
    world.batch([], [want("w1"), want("w2", workflows={"other"}), want("w3")])
    assert [[job.thread_id for job in granted.jobs] for granted in world.last.granted] == [["a1"], ["b1"], []]


def test_between_tenants_nobody_is_served_twice_for_what_was_not_read() -> None:
    world = World()
    world.batch([submit(f"a{n}", tenant="a") for n in range(3)] + [submit(f"b{n}", tenant="b") for n in range(3)])
    world.heads_read = 1
    assert [sorted(world.got("w1", 6)) for _ in range(3)] == [["a0", "b0"], ["a1", "b1"], ["a2", "b2"]]
