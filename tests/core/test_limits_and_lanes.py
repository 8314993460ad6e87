from __future__ import annotations

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
