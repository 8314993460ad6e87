"""Whether a lease is live, as a read is told: the same as a write would be, swept or not, and nothing comes of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from oris.core.decide.holding import refuse_unless_held
from oris.core.facts import Facts
from oris.core.model import Job
from oris.core.needs import Needs
from oris.core.outage import Outage
from oris.core.replies import Beaten, Refusal
from oris.ids import LeaseId, lease_id

from .world import World, heartbeat, key, the


def told(world: World, thread: str, lease: LeaseId | None) -> dict[str, object] | None:
    """What a reader with this lease is told of it; None: that it is live."""
    needs = Needs(jobs={key(thread)}, closed=set() if lease is None else {lease})
    facts = Facts(world.load(needs), world.limits, outages=world.outages)
    refusal = refuse_unless_held(facts, world.job(thread), lease, world.now_ms)
    assert facts.changes.empty
    return None if refusal is None else dict(refusal.details or {})


def expired(world: World, job: Job) -> None:
    world.later(30_000)


def superseded(world: World, job: Job) -> None:
    world.open_session("w1", "s2")


def disconnected(world: World, job: Job) -> None:
    world.later(1)
    world.drop_session("w1", "s1")


def timed_out(world: World, job: Job) -> None:
    world.later(20_000)


def cancelled(world: World, job: Job) -> None:
    world.cancel("a")


def closed(world: World, job: Job) -> None:
    world.ack(job)


def released(world: World, job: Job) -> None:
    world.released(job)


@pytest.mark.parametrize(
    ("end", "state"),
    [
        (expired, "expired"),
        (superseded, "superseded"),
        (disconnected, "expired"),
        (timed_out, "timed_out"),
        (cancelled, "cancelled"),
        (closed, "closed"),
        (released, "released"),
    ],
)
def test_a_reader_is_told_how_its_lease_ended_whether_anybody_has_swept_or_not(
    end: Callable[[World, Job], None], state: str
) -> None:
    world = World()
    world.submit("a", timeout_ms=20_000 if end is timed_out else None)
    world.open_session("w1", "s1")
    job = world.grant("a", session="s1")
    assert told(world, "a", job.lease_id) is None
    end(world, job)
    assert told(world, "a", job.lease_id) == {"reason": "lease_lost", "state": state}
    beaten = world.ask(heartbeat(job))
    assert the(Refusal, beaten).details == {"reason": "lease_lost", "state": state}
    world.sweep("a")
    assert told(world, "a", job.lease_id) == {"reason": "lease_lost", "state": state}


def test_a_lease_that_lives_on_for_an_outage_reads_on() -> None:
    world = World()
    job = world.start("a")
    world.outages = (Outage(world.now_ms + 10_000, world.now_ms + 60_000),)
    world.later(60_000)
    assert told(world, "a", job.lease_id) is None
    assert the(Beaten, world.beat(job)).state == "held"


def test_a_lease_of_another_run_or_none_says_nothing_of_anybody() -> None:
    world = World()
    world.start("a")
    other = world.start("b")
    world.released(other)
    for lease in (other.lease_id, None, LeaseId("lse_?"), lease_id(world.job("a").run_id, 1, 2)):
        assert told(world, "a", lease) == {"reason": "lease_lost"}
