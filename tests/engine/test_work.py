"""Lanes and polls find each other as if all were walked, and no others are looked at."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

import pytest

from oris.core.dispatch import serves
from oris.core.model import Lane
from oris.core.replies import Granted
from oris.engine.bell import Bell
from oris.engine.demand import MAX_LANES, MAX_WANTS, Demand
from oris.engine.parked import Parked, State
from oris.ids import TenantId, WorkerKey

from .harness import want

NOTHING = Granted((), (), None, 0, 100)
TENANTS = ["a", "b", "c"]
WORKFLOWS = ["x", "y", "z"]


def lane(tenant: str = "", workflow: str = "default") -> Lane:
    return Lane(TenantId(tenant), workflow)


class Model:
    """A demand, and beside it all of its lanes and polls in plain sets."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.demand = Demand(Bell(), 1000)
        self.lanes: set[Lane] = set()
        self.shut: set[str] = set()
        self.polls: list[Parked] = []

    def step(self) -> None:
        """Something happens to a lane, a tenant or a poll."""
        draw = self.random
        each = lane(draw.choice(TENANTS), draw.choice(WORKFLOWS))
        match draw.randrange(6):
            case 0 | 1:
                self.demand.raise_level(each)
                self.lanes.add(each)
            case 2:
                self.demand.lower([each], [])
                self.lanes.discard(each)
            case 3:
                self.demand.lower([], [each])
                self.shut.add(each.tenant_id)
            case 4:
                self.demand.lease_ended(WorkerKey("/nobody"), each.tenant_id)
                self.shut.discard(each.tenant_id)
            case _:
                self.poll_comes_or_goes()

    def poll_comes_or_goes(self) -> None:
        """A poll that nothing can be found for takes its place in line, or one leaves."""
        draw = self.random
        if self.polls and draw.random() < 0.5:
            self.demand.leave(self.polls.pop(draw.randrange(len(self.polls))))
            return
        workflows = draw.choice([None, ["x"], ["y", "z"], ["z"]])
        poll = Parked(want(f"w{draw.random()}", tenant=draw.choice([None, None, "a", "b"]), workflows=workflows), 0)
        poll.state = State.TAKEN  # and it was looked at before
        self.demand.park(poll)
        self.demand.served(poll, NOTHING, {})
        self.polls.append(poll)

    def look(self) -> tuple[list[Parked], dict[Lane, int]]:
        """One dispatch that gives nobody anything."""
        taken, heads = self.demand.take({}, [])
        for poll in taken:
            self.demand.served(poll, NOTHING, {})
        return taken, heads

    def expected(self) -> set[Lane]:
        """The lanes that somebody could be served from."""
        there = {each for each in self.lanes if each.tenant_id not in self.shut}
        return {each for each in there if any(serves(poll.want, each) for poll in self.polls)}

    def check(self) -> None:
        """The next dispatch sees exactly these."""
        expected = self.expected()
        assert self.demand.has_work() == bool(expected)
        taken, heads = self.look()
        assert set(heads) == expected
        assert set(taken) == {poll for poll in self.polls if any(serves(poll.want, each) for each in expected)}
        for each in (lane(t, w) for t in TENANTS for w in WORKFLOWS):
            assert self.demand.may_hold_work(each) == (each in self.lanes or each.tenant_id in self.shut)


@pytest.mark.parametrize("seed", range(40))
def test_lanes_and_polls_meet_as_if_all_were_walked(seed: int) -> None:
    model = Model(seed)
    for number in range(300):
        model.step()
        if model.random.random() < 0.5 or number > 250:
            model.check()


def instructions(work: Callable[[], object]) -> int:
    """How much it takes, in steps of the interpreter."""
    counted = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal counted
        frame.f_trace_opcodes = True
        counted += event == "opcode"
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(None)
    return counted


def crowded(lanes: Iterable[Lane], **wishes: object) -> tuple[Demand, Parked]:
    """Lanes that nobody wants, and a poll that nothing can be found for."""
    demand = Demand(Bell(), 1000)
    demand.learn(lanes)
    poll = Parked(want("w", **wishes), 0)  # type: ignore[arg-type]
    demand.park(poll)
    while demand.has_work():
        for each in demand.take({}, [])[0]:
            demand.served(each, NOTHING, {})
    return demand, poll


@pytest.mark.parametrize("wishes", [{"workflows": ["mine"]}, {"tenant": "me"}, {"workflows": ["mine"], "tenant": "me"}])
@pytest.mark.parametrize("many", ["tenants", "workflows"])
def test_lanes_that_nobody_wants_cost_nothing(many: str, wishes: dict[str, object]) -> None:
    """A job comes, is granted, and its lane is empty again; a worker acks and polls."""

    def others(number: int) -> list[Lane]:
        return [lane(f"t{n}") if many == "tenants" else lane("other", f"flow{n}") for n in range(number)]

    def cost(number: int) -> int:
        demand, poll = crowded(others(number), **wishes)
        mine = lane("me", "mine")

        def once() -> None:
            assert not demand.has_work()
            demand.raise_level(mine)
            assert demand.has_work()
            taken, heads = demand.take({mine: 1}, [want("v", **wishes)])  # type: ignore[arg-type]
            assert (taken, set(heads)) == ([poll], {mine})
            demand.lower([mine], [])
            demand.served(poll, NOTHING, {})

        once()
        return instructions(once)

    assert cost(100) == cost(10_000)


def test_a_tenant_at_its_limit_with_many_lanes_costs_as_much_as_one_with_few() -> None:
    def cost(number: int) -> int:
        demand, _ = crowded([lane("t", f"flow{n}") for n in range(number)], workflows=["mine"])

        def once() -> None:
            demand.lower([], [lane("t", "flow0")])
            demand.lease_ended(WorkerKey("/v"), TenantId("t"))
            assert not demand.has_work()

        once()
        return instructions(once)

    assert cost(100) == cost(10_000)


def test_wishes_that_nobody_can_fulfil_cost_nothing() -> None:
    def cost(number: int) -> int:
        demand, _ = crowded([lane("t", f"flow{n}") for n in range(number)], workflows=["mine"])
        for n in range(number):
            demand.park(Parked(want(f"w{n}", workflows=[f"other{n}"]), 0))
        while demand._new:
            for each in demand.take({}, [])[0]:
                demand.served(each, NOTHING, {})
        return instructions(demand.has_work)

    assert cost(10) == cost(5_000)


def test_of_many_tenants_each_has_a_lane_read_before_anybody_has_a_second() -> None:
    """A tenant with a thousand lanes is no more in sight than one with a single one."""
    demand = Demand(Bell(), 1000)
    demand.learn(lane("big", f"flow{n}") for n in range(1000))
    demand.learn(lane(f"t{n:02}") for n in range(20))
    shown = [set(demand.take({}, [want("w")])[1]) for _ in range(22)]
    for lanes in shown:
        assert {f"t{n:02}" for n in range(20)} <= {each.tenant_id for each in lanes}
        assert len(lanes) == MAX_LANES
    # And in turn: of the big one's lanes none comes again before all were there.
    big = [each for lanes in shown for each in lanes if each.tenant_id == "big"]
    assert len(set(big)) == len(big) == 22 * (MAX_LANES - 20)


def test_more_tenants_than_are_read_at_once_come_in_turn() -> None:
    demand = Demand(Bell(), 1000)
    demand.learn(lane(f"t{n}", workflow) for n in range(10 * MAX_LANES) for workflow in ("x", "y"))
    for wishes in ({}, {"workflows": ["y"]}):
        shown = [each.tenant_id for _ in range(10) for each in demand.take({}, [want("w", **wishes)])[1]]  # type: ignore[arg-type]
        assert len(set(shown)) == 10 * MAX_LANES


def test_a_rare_wish_is_served_beside_one_with_many_lanes() -> None:
    demand = Demand(Bell(), 1000)
    demand.learn(lane("t", f"flow{n}") for n in range(1000))
    demand.learn([lane("u", "rare")])
    for _ in range(20):
        heads = demand.take({}, [want("any", 100, tenant="t"), want("w", workflows=["rare"])])[1]
        assert lane("u", "rare") in heads
        assert sum(heads.values()) <= 1024
        assert len(heads) == MAX_LANES


def test_more_wishes_than_lanes_are_read_at_once_come_in_turn() -> None:
    demand = Demand(Bell(), 1000)
    polls = [Parked(want(f"w{n}", workflows=[f"flow{n}"]), 0) for n in range(5 * MAX_LANES)]
    for poll in polls:
        demand.park(poll)
    while demand.has_work():
        for each in demand.take({}, [])[0]:
            demand.served(each, NOTHING, {})
    demand.learn(lane("t", f"flow{n}") for n in range(5 * MAX_LANES))
    seen: set[Parked] = set()
    for _ in range(5):
        taken, _ = demand.take({}, [])
        assert len(taken) == MAX_WANTS
        seen |= set(taken)
        for each in taken:
            demand.served(each, NOTHING, {})
    assert seen == set(polls)


def test_a_poll_for_many_workflows_without_work_costs_little_for_each() -> None:
    """Each of a fleet's polls is looked at when it comes, and may name a hundred."""

    def cost(names: int) -> int:
        demand, _ = crowded([lane("t", f"flow{n}") for n in range(200)], workflows=["mine"])
        polls = [Parked(want(f"w{n}", workflows=[f"other{n}-{k}" for k in range(names)]), 0) for n in range(40)]
        for poll in polls:
            demand.park(poll)
        return instructions(lambda: demand.take({}, [])) // 40

    assert cost(100) - cost(10) < 90 * 100
