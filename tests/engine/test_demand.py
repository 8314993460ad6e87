"""Demand: work finds its poll, no wake-up is lost, and waiting costs no transactions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from oris.core.limits import Limits
from oris.core.model import Lane
from oris.core.replies import Granted
from oris.engine.bell import Bell
from oris.engine.demand import MAX_LANES, MAX_NAMED, MAX_WANTS, Demand
from oris.engine.engine import EngineSettings
from oris.engine.parked import Parked, State
from oris.ids import TenantId

from .harness import ack, granted, running, submits, want

NOTHING = Granted((), (), None, 0, 100)


def lane(tenant: str = "", workflow: str = "default") -> Lane:
    return Lane(TenantId(tenant), workflow)


def parked(demand: Demand, worker: str, limit: int = 1, **said: object) -> Parked:
    poll = Parked(want(worker, limit, **said), 0)  # type: ignore[arg-type]
    demand.park(poll)
    return poll


def look(demand: Demand, coming: Sequence[Lane] = (), granted: Granted = NOTHING) -> list[Parked]:
    """One dispatch that gives nobody anything."""
    taken, _ = demand.take(dict.fromkeys(coming, 1000), [])
    for poll in taken:
        demand.served(poll, granted, {})
    return taken


async def test_a_thousand_idle_polls_cost_no_transactions(autojump_clock: MockClock) -> None:
    async with running() as world:
        polls = [world.soon(lambda n=n: world.poll(f"w{n}", wait_s=60)) for n in range(1000)]  # type: ignore[misc]
        await wait_all_tasks_blocked()
        assert len(world.store.commits) == -(-1000 // MAX_WANTS), "each is looked at once"
        world.store.commits.clear()
        await trio.sleep(50)
        assert world.store.commits == []
        await world.submitted("a")
        await wait_all_tasks_blocked()
        assert len(world.store.commits) == 1
        assert sum(bool(granted(poll.value)) for poll in polls if poll.done.is_set()) == 1
        for poll in polls:
            await poll.get()


async def test_a_worker_at_its_limit_costs_nothing_until_a_lease_of_it_ends(autojump_clock: MockClock) -> None:
    async with running() as world:
        job = await world.start("a", "w", worker_limit=1)
        other = await world.start("x", "other")
        await world.submitted("b")
        poll = world.soon(lambda: world.poll("w", wait_s=50, worker_limit=1))
        await wait_all_tasks_blocked()
        world.store.commits.clear()
        await trio.sleep(10)
        assert world.store.commits == []
        await world.ask(ack(other))
        await wait_all_tasks_blocked()
        assert not poll.done.is_set()
        await world.ask(ack(job))
        assert [job.thread_id for job in granted(await poll.get())] == ["b"]
        assert trio.current_time() == 10


@pytest.mark.parametrize(("server", "own"), [(1, 1000), (1000, 1)])
async def test_a_tenant_at_its_limit_costs_nothing_and_delays_no_other(
    autojump_clock: MockClock, server: int, own: int
) -> None:
    async with running(EngineSettings(tenant_limit=server)) as world:
        limit = min(server, own)
        await world.submitted("a", tenant="full")
        job = await world.grant("w", tenant_limit=limit)
        await world.submitted("b", tenant="full")
        first = world.soon(lambda: world.poll("w1", wait_s=50, tenant_limit=limit))
        await wait_all_tasks_blocked()
        world.store.commits.clear()
        await trio.sleep(10)
        assert world.store.commits == []
        await world.submitted("c", tenant="other")
        assert [job.thread_id for job in granted(await first.get())] == ["c"]
        second = world.soon(lambda: world.poll("w2", wait_s=50, tenant_limit=limit, workflows=["default"]))
        await wait_all_tasks_blocked()
        assert not second.done.is_set()
        await world.ask(ack(job))
        assert [job.thread_id for job in granted(await second.get())] == ["b"]
        assert trio.current_time() == 10


async def test_work_of_more_lanes_than_one_dispatch_reads_is_all_found(autojump_clock: MockClock) -> None:
    async with running() as world:
        workflows = [f"flow{number}" for number in range(3 * MAX_LANES)]
        for workflow in workflows:
            await world.engine.ask(submits(workflow, workflow=workflow))
        got = Counter[str]()
        while sum(got.values()) < len(workflows):
            jobs = granted(await world.poll("w", 7, wait_s=1, worker_limit=1000))
            got.update(job.thread_id for job in jobs)
            assert jobs
        assert set(got.values()) == {1}
        assert trio.current_time() == 0


async def test_one_servable_lane_behind_a_thousand_others_is_found_at_once(autojump_clock: MockClock) -> None:
    async with running() as world:
        for number in range(0, 1000, 250):
            units = [submits(f"t{n}", workflow=f"flow{n}") for n in range(number, number + 250)]
            for unit in units:
                world.engine.committer.post(unit)
            await wait_all_tasks_blocked()
        world.store.commits.clear()
        assert [job.thread_id for job in granted(await world.poll("w", workflows=["flow999"]))] == ["t999"]
        assert len(world.store.commits) == 1


async def test_a_lane_behind_many_of_tenants_at_a_polls_own_limit_is_found_at_once(autojump_clock: MockClock) -> None:
    async with running() as world:
        tenants = [f"t{number}" for number in range(2 * MAX_LANES)]
        for tenant in tenants:
            await world.engine.ask(submits(f"{tenant}-held", f"{tenant}-more", tenant=tenant))
            await world.grant("w", tenant=tenant)
        await world.engine.ask(submits("free", tenant="free"))
        poll = world.soon(lambda: world.poll("w2", wait_s=50, tenant_limit=1))
        assert [job.thread_id for job in granted(await poll.get())] == ["free"]
        other = world.soon(lambda: world.poll("w3", wait_s=50, tenant_limit=1))
        await wait_all_tasks_blocked()
        world.store.commits.clear()
        await trio.sleep(10)
        assert world.store.commits == []
        await world.engine.ask(submits("free2", tenant="free2"))
        assert [job.thread_id for job in granted(await other.get())] == ["free2"]
        assert trio.current_time() == 10


async def test_tenants_are_served_in_turn(autojump_clock: MockClock) -> None:
    async with running() as world:
        await world.engine.ask(submits(*(f"big{n}" for n in range(50)), tenant="big"))
        await world.engine.ask(submits("small0", "small1", tenant="small"))
        got = [job.thread_id for job in granted(await world.poll("w", 4))]
        assert got == ["big0", "small0", "big1", "small1"]


async def test_jobs_that_were_there_before_the_start_are_found(autojump_clock: MockClock) -> None:
    async with running() as world:
        await world.submitted("old")
        database = world.database
    async with running(database=database) as again:
        assert (await again.grant("w")).thread_id == "old"
        assert again.rows().total.due == 0


def test_polls_for_other_lanes_are_not_looked_at() -> None:
    demand = Demand(Bell(), 1000)
    polls = [parked(demand, f"w{n}", workflows=[f"flow{n % 100}"]) for n in range(10_000)]
    while demand.has_work():
        look(demand)
    assert {poll.state for poll in polls} == {State.IN_LINE}
    demand.raise_level(lane("", "flow7"))
    assert demand.has_work()
    taken, heads = demand.take({}, [])
    assert heads == {lane("", "flow7"): len(taken)}
    assert [poll.want.worker_key for poll in taken] == [f"/w{7 + 100 * n}" for n in range(MAX_WANTS)]
    for poll in polls:
        demand.leave(poll)
    assert len(demand) == 0
    assert not demand.has_work()


def test_an_endless_stream_of_new_polls_keeps_no_older_one_from_its_turn() -> None:
    demand = Demand(Bell(), 1000)
    old = parked(demand, "old")
    look(demand)
    demand.raise_level(lane())
    for number in range(10 * MAX_WANTS):
        parked(demand, f"new{number}")
    assert old in look(demand)


def test_waiting_polls_keep_no_new_one_from_its_first_look() -> None:
    demand = Demand(Bell(), 1000)
    for number in range(10 * MAX_WANTS):
        parked(demand, f"old{number}")
    while demand.has_work():
        look(demand)
    demand.raise_level(lane())
    new = parked(demand, "new")
    assert new in look(demand)


def test_polls_that_were_looked_at_in_vain_go_behind_those_that_were_not() -> None:
    demand = Demand(Bell(), 1000)
    polls = [parked(demand, f"w{n}") for n in range(2 * MAX_WANTS)]
    while demand.has_work():
        look(demand)
    demand.raise_level(lane())
    assert {*look(demand), *look(demand)} == {*polls}


def test_a_poll_that_has_ended_is_not_looked_at_again() -> None:
    demand = Demand(Bell(), 1000)
    seen, fresh = parked(demand, "seen"), parked(demand, "fresh")
    look(demand)
    fresh = parked(demand, "fresh2")
    demand.raise_level(lane())
    demand.end_all("draining")
    assert look(demand) == []
    assert (seen.ending, fresh.ending) == ("draining", "draining")
    assert not demand.has_work()


def test_a_poll_that_left_during_its_commit_is_not_put_back() -> None:
    demand = Demand(Bell(), 1000)
    poll = parked(demand, "w")
    assert demand.take({}, [])[0] == [poll]
    demand.leave(poll)
    assert not poll.is_in_batch, "the batch answers it no more"
    demand.raise_level(lane())
    assert not demand.has_work()


def test_a_poll_for_several_workflows_is_taken_once() -> None:
    demand = Demand(Bell(), 1000)
    poll = parked(demand, "w", workflows=["a", "b"])
    look(demand)
    demand.raise_level(lane("", "a"))
    demand.raise_level(lane("", "b"))
    taken, heads = demand.take({}, [])
    assert taken == [poll]
    assert heads == {lane("", "a"): 1, lane("", "b"): 1}


def test_lanes_without_a_poll_are_not_read() -> None:
    demand = Demand(Bell(), 1000)
    for number in range(200):
        demand.raise_level(lane(f"t{number}"))
    parked(demand, "w", 5, tenant="t150")
    _, heads = demand.take({}, [])
    assert heads == {lane("t150"): 5}


def test_a_control_poll_is_looked_at_once_and_then_costs_nothing() -> None:
    demand = Demand(Bell(), 1000)
    poll = parked(demand, "w", 0)
    demand.raise_level(lane())
    assert demand.take({}, []) == ([poll], {})
    demand.served(poll, NOTHING, {})
    assert not demand.has_work()
    assert demand.take({}, [])[0] == []


def test_a_poll_id_is_its_sessions_own() -> None:
    demand = Demand(Bell(), 1000)
    first, other, again = (parked(demand, "w", poll_id="p", session=session) for session in ("s1", None, "s1"))
    assert [poll.ending for poll in (first, other, again)] == ["superseded", None, None]


def test_a_quarantined_workers_polls_are_freed_with_it_and_no_others() -> None:
    demand, until = Demand(Bell(), 1000), Granted((), (), "quarantined", 0, 100, quarantined_until_ms=1_000)
    of_w, of_v = parked(demand, "w"), parked(demand, "v")
    look(demand, granted=until)
    demand.worker_freed(of_w.want.worker_key)
    assert look(demand, [lane()], granted=until) == [of_w]
    demand.quarantine_over(999)
    assert look(demand, [lane()]) == []
    demand.quarantine_over(1_000)
    assert look(demand, [lane()]) == [of_v, of_w]
    for poll in (of_w, of_v):
        demand.leave(poll)
    assert len(demand) == 0


def test_polls_that_name_threads_are_bounded_by_what_they_name_and_hold_up_no_others() -> None:
    demand = Demand(Bell(), 1000)
    polls = [parked(demand, f"w{n}", threads=[f"t{n}-{k}" for k in range(100)]) for n in range(MAX_NAMED // 100 + 1)]
    other = parked(demand, "w")
    assert look(demand) == [*polls[:-1], other]
    assert look(demand) == [polls[-1]]
    larger = parked(demand, "w", threads=[f"t{n}" for n in range(MAX_NAMED + 1)])
    assert look(demand) == [larger], "whatever it names, its turn comes"


async def test_a_poll_that_names_its_threads_costs_nothing_until_one_of_them_is_queued(
    autojump_clock: MockClock,
) -> None:
    async with running() as world:
        job = await world.start("other", "w")
        poll = world.soon(lambda: world.poll("admin", wait_s=50, threads=["mine"]))
        await wait_all_tasks_blocked()
        world.store.commits.clear()
        await world.ask(ack(job))
        await world.submitted("another")
        await wait_all_tasks_blocked()
        assert len(world.store.commits) == 2, "neither the end of a lease nor another job is a reason to look again"
        await world.submitted("mine")
        assert [job.thread_id for job in granted(await poll.get())] == ["mine"]
        assert trio.current_time() == 0


async def test_a_poll_that_names_its_threads_is_looked_at_again_when_a_commit_had_no_room_for_it(
    autojump_clock: MockClock,
) -> None:
    """Also the second time: nothing else would wake it."""
    async with running(EngineSettings(limits=Limits(commit_grants_max=1))) as world:
        polls = [world.soon(lambda n=n: world.poll(f"w{n}", wait_s=50, threads=["a", "b"])) for n in range(2)]  # type: ignore[misc]
        await wait_all_tasks_blocked()
        await world.engine.ask(submits("a", "b"))
        got = [job.thread_id for poll in polls for job in granted(await poll.get())]
        assert sorted(got) == ["a", "b"]
        assert trio.current_time() == 0
