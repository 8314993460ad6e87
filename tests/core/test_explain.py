"""Explain: for each way a run can stand, the one reason, since when, and what to do."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from oris.core import commands as c
from oris.core.explain import Explanation, Surroundings, explain
from oris.core.hold import Hold
from oris.core.model import Job, RetryPolicy
from oris.ids import NO_TENANT, LeaseId

from .world import START_MS, World, asking, key, timer


def around(world: World, **said: object) -> Surroundings:
    """A server that works, with workers that ask for work."""
    usual = Surroundings(world.now_ms, 0, dispatching=True, tenant_leased=0, tenant_limit=1000, is_wanted=True)
    return replace(usual, **said)


def scheduled(world: World) -> Job:
    world.submit("a", delay_ms=5_000)
    return world.job("a")


def queued(world: World) -> Job:
    world.submit("a")
    return world.job("a")


def running(world: World) -> Job:
    return world.start("a", ttl_ms=30_000)


def silent(world: World) -> Job:
    job = world.start("a", ttl_ms=30_000)
    world.later(20_001)
    return job


def asked_to_end(world: World) -> Job:
    world.start("a", ttl_ms=30_000)
    world.ask(c.Cancel(key("a"), None, grace_ms=7_000))
    return world.job("a")


def interrupted(world: World) -> Job:
    world.suspended(world.start("a"), asking("q1"), asking("q2"), timer(after_ms=4_000))
    return world.job("a")


def suspended(world: World) -> Job:
    world.suspended(world.start("a"), timer(after_ms=4_000))
    return world.job("a")


def backing_off(world: World) -> Job:
    world.submit("a", retry=RetryPolicy("fixed", 9_000, 3))
    world.acked(world.grant("a"), "failed")
    return world.job("a")


def lost_twice(world: World) -> Job:
    world.submit("a")
    for _ in range(2):
        world.grant("a", ttl_ms=1_000)
        world.later(1_000)
        world.sweep("a")
    return world.job("a")


HELD = Hold(NO_TENANT, "default", "", 0, 0, 0, held_ms=START_MS - 5, next_ms=START_MS + 8_000)
PROBED = replace(HELD, probe=LeaseId("lse_1"))


def failed(world: World) -> Job:
    world.acked(world.start("a"), "failed")
    return world.job("a")


CASES = [
    pytest.param(scheduled, {}, "delayed", "due in 5.0 s", id="delayed"),
    pytest.param(backing_off, {}, "retry_backoff", "retry 1 is due in 9.0 s", id="retry_backoff"),
    pytest.param(lost_twice, {}, "retry_backoff", "lost 2 leases in a row", id="a pause after losses"),
    pytest.param(queued, {"hold": HELD}, "workflow_held", "is granted as a probe in 8.0 s", id="workflow_held"),
    pytest.param(
        queued, {"hold": PROBED}, "workflow_held", "one lease is granted as a probe", id="workflow_held, probed"
    ),
    pytest.param(
        queued, {"quarantined_until_ms": START_MS + 9_000}, "workers_quarantined", "in 9.0 s", id="workers_quarantined"
    ),
    pytest.param(
        queued, {"quarantined_until_ms": START_MS - 1}, "workers_quarantined", "as a probe", id="quarantined, probed"
    ),
    pytest.param(queued, {}, "waiting_for_worker", "busy", id="waiting_for_worker"),
    pytest.param(queued, {"is_wanted": False}, "no_worker_for_workflow", "'default'", id="no_worker_for_workflow"),
    pytest.param(queued, {"tenant_leased": 1000}, "tenant_limit", "1000 are allowed", id="tenant_limit"),
    pytest.param(queued, {"is_set_aside": True, "tenant_leased": 1000}, "set_aside", "is damaged", id="set_aside"),
    pytest.param(queued, {"dispatching": False}, "dispatch_off", "no work", id="dispatch_off"),
    pytest.param(running, {}, "held", "'w1' works on the run", id="held"),
    pytest.param(silent, {}, "worker_silent", "'w1' has not renewed", id="worker_silent"),
    pytest.param(asked_to_end, {}, "held", "worker 'w1' has 7.0 s left to finish", id="cancelling"),
    pytest.param(interrupted, {}, "interrupted", "2 answers from people", id="interrupted"),
    pytest.param(suspended, {}, "suspended", "the next one is in 4.0 s", id="suspended"),
    pytest.param(failed, {}, "done", "failed (failed)", id="done"),
]


def explained(make: object, said: dict[str, object]) -> tuple[World, Job, Explanation]:
    world = World()
    job = make(world)  # type: ignore[operator]
    return world, job, explain(job, around(world, **said))


@pytest.mark.parametrize(("make", "said", "reason", "told"), CASES)
def test_each_state_has_its_reason_and_says_what_to_do(
    make: object, said: dict[str, object], reason: str, told: str
) -> None:
    world, _, found = explained(make, said)
    assert found.reason == reason
    assert told in found.detail
    assert found.suggestion
    assert found.since_ms <= world.now_ms


def test_what_keeps_it_most_is_told_first() -> None:
    _, _, found = explained(queued, {"dispatching": False, "tenant_leased": 1000, "is_wanted": False})
    assert found.reason == "dispatch_off"
    _, _, found = explained(queued, {"tenant_leased": 1000, "is_wanted": False})
    assert found.reason == "tenant_limit"


def test_a_run_that_was_lost_is_queued_since_then() -> None:
    world = World()
    world.start("a", ttl_ms=1_000)
    world.later(1_000)
    world.sweep("a")
    assert explain(world.job("a"), around(world)).since_ms == world.now_ms


def test_what_clears_it_is_said() -> None:
    _, _, found = explained(queued, {"hold": HELD, "tenant_leased": 1000})
    assert "closes ends the hold" in found.suggestion
    assert found.suggestion.endswith("/v1/workflows/{workflow}/clear-hold")
    world = World()
    world.submit("t", tenant="acme")
    held = explain(world.job("t", "acme"), around(world, hold=HELD))
    assert held.suggestion.endswith("clear-hold with tenant_id 'acme'"), "a hold is one tenant's"
    _, _, found = explained(queued, {"quarantined_until_ms": 1})
    assert "clear-quarantine" in found.suggestion
