"""Bugs that the simulator has found, each in its smallest form."""

from __future__ import annotations

from oris.core.commands import Want
from oris.core.model import Lane
from oris.engine.demand import Bell, Demand
from oris.engine.parked import Parked
from oris.ids import NO_TENANT, TenantId, WorkerId, worker_key

ACME = TenantId("acme")
MAIL, PAY = Lane(ACME, "mail"), Lane(ACME, "pay")
"""Two lanes of one tenant."""


def a_demand() -> Demand:
    """No poll waits; a tenant may hold one lease."""
    return Demand(Bell(), 1)


def a_want(name: str, workflows: frozenset[str] | None = None) -> Want:
    """One job, please."""
    return Want(worker_key(NO_TENANT, WorkerId(name)), None, 1, 1000, 10, 1, workflows)


def test_a_lane_raised_while_its_tenant_is_at_the_limit_waits_with_the_others() -> None:
    demand = a_demand()
    demand.raise_level(MAIL)
    demand.lower([], [MAIL])
    demand.raise_level(PAY)
    assert demand.may_hold_work(PAY)
    assert demand.take([], []) == ([], {})
    demand.lease_ended(worker_key(NO_TENANT, WorkerId("w")), ACME)
    assert set(demand.take([], [a_want("w")])[1]) == {MAIL, PAY}


def test_a_lane_not_looked_at_waits_too_once_its_tenant_is_found_at_the_limit() -> None:
    demand = a_demand()
    demand.raise_level(MAIL)
    demand.raise_level(PAY)
    demand.lower([], [MAIL])
    assert demand.take([PAY], []) == ([], {})


def test_a_job_queued_now_is_not_granted_before_the_lanes_of_its_tenant_are_read() -> None:
    demand = a_demand()
    demand.raise_level(MAIL)
    demand.lower([], [MAIL])
    assert demand.may_hold_work(PAY)
    assert not demand.may_hold_work(Lane(TenantId("beta"), "pay"))


def test_an_older_poll_that_goes_along_sees_all_lanes_of_the_tenant() -> None:
    demand = a_demand()
    older = Parked(a_want("old"), 0)
    older.looked = True
    demand.park(older)
    demand.put_back(older)
    demand.raise_level(MAIL)
    demand.raise_level(PAY)
    demand.lower([], [MAIL, PAY])
    taken, heads = demand.take([], [a_want("new", frozenset({"pay"}))])
    assert taken == [older]
    assert set(heads) == {MAIL, PAY}
