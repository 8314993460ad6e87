"""Found in the review of issue 3: each of these fails."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from oris.core.outage import Outage
from oris.engine.outages import Outages
from oris.errors import Unavailable
from oris.ids import JobKey

from .harness import START_MS, Later, World, running, submits


async def test_a_dead_workers_lease_ends_on_a_slow_disk_too(autojump_clock: MockClock) -> None:
    async with running(sweeper=True, monitor=True, check=False) as world:
        await world.start("a", "w", ttl_ms=5_000)
        world.store.takes_s = 0.6
        busy: Later[None] = world.soon(lambda: traffic(world))
        await trio.sleep(120)
        busy.scope.cancel()
        world.store.takes_s = 0
        assert (await world.job("a")).attempt_no > 1, f"{len(world.observer.outages)} outages in two minutes"


async def traffic(world: World) -> None:
    number = 0
    while True:
        number += 1
        await world.engine.ask(submits(f"x{number}", workflow="other"))


def test_outages_that_are_over_are_forgotten_on_a_slow_disk() -> None:
    outages = Outages(lambda outage: None)
    now_ms = 1_000_000
    outages.alive(now_ms)
    for _ in range(2_000):
        owed = outages.owing()
        outages.starts(now_ms)
        now_ms += 600
        outages.ended(now_ms, wrote=True)
        if owed is not None:  # the pass that was under way during this commit
            outages.made_up(owed, now_ms)
    assert len(outages.at(now_ms)) < 200


async def test_deadlines_are_met_though_leases_cannot_be_listed(autojump_clock: MockClock) -> None:
    """`Reads.leased` walks all threads there are; past ten seconds it fails, each time."""
    async with running(sweeper=True, monitor=True) as world:

        async def too_long(before_ms: int, after: int, limit: int) -> list[tuple[int, JobKey]]:
            raise Unavailable("the read took too long")

        world.engine.sweeper._reads.leased = too_long  # type: ignore[method-assign]
        world.engine._outages._add(Outage(START_MS, START_MS + 600))
        await world.submitted("a", delay_ms=1_000)
        await trio.sleep(30)
        assert (await world.job("a")).status == "queued", "due 29 s ago"
