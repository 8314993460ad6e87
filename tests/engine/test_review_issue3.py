"""Found in the review of issue 3: each of these fails."""

from __future__ import annotations

import time

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from oris.core import commands as c
from oris.engine.roster import Roster
from oris.engine.watch import Session, Watch
from oris.errors import Unavailable
from oris.ids import NO_TENANT, WorkerId, worker_key

from .harness import World, running, want

W = worker_key(NO_TENANT, WorkerId("w"))


async def quarantined(world: World) -> None:
    for number in range(5):
        await world.start(f"t{number}", "w", session=f"s{number}")
        await trio.sleep(0.01)
        await world.engine.open_session(W, f"s{number + 1}")
    await trio.sleep(0.5)


async def test_a_poll_for_chosen_threads_gets_its_probe_when_the_window_is_over(autojump_clock: MockClock) -> None:
    async with running(sweeper=True) as world:
        await quarantined(world)
        parked = world.soon(lambda: world.poll("w", wait_s=50, session="s5", threads=["t4"]))
        await trio.sleep(40)
        assert parked.done.is_set(), "t4 is queued, the window of 30 s is over, and the poll waits on"


async def test_a_poll_for_chosen_threads_is_served_when_its_worker_is_cleared(autojump_clock: MockClock) -> None:
    async with running(sweeper=True) as world:
        await quarantined(world)
        parked = world.soon(lambda: world.poll("w", wait_s=50, session="s5", threads=["t4"]))
        await trio.sleep(1)
        await world.ask(c.ClearQuarantine(W))
        await trio.sleep(1)
        assert parked.done.is_set()


async def test_a_watched_poll_that_a_failed_commit_ended_is_no_broken_connection(autojump_clock: MockClock) -> None:
    async with running(sweeper=True, monitor=True) as world:
        await trio.sleep(6)
        job = await world.start("a", "w", session="s1", ttl_ms=3_600_000)

        failed: list[int] = []

        def once(needs: object) -> Unavailable | None:
            failed.append(1)
            return Unavailable("planted") if len(failed) == 1 else None

        world.store.before = once
        error: Unavailable | None = None
        try:
            await world.engine.poll(want("w", 1, session="s1"), 50, watch=True)
        except Unavailable as found:
            error = found
        assert error is not None, "the poll is answered 503, with Retry-After; its connection stands"
        await trio.sleep(3)
        assert (await world.job("a")).lease_id == job.lease_id


async def test_a_poll_that_was_opening_its_session_does_not_park_in_a_drain(autojump_clock: MockClock) -> None:
    async with running() as world:
        gate = world.store.hold()
        parked = world.soon(lambda: world.poll("w", wait_s=50, session="s1"))
        await wait_all_tasks_blocked()
        world.engine.drain()
        gate.set()
        await trio.sleep(1)
        done = parked.done.is_set()
        parked.scope.cancel()
        assert done, "it parked after everybody was sent home, and would be granted work"


def test_a_proxy_that_cuts_four_thousand_polls_does_not_stop_the_loop() -> None:
    watch = Watch(1000)
    watch.begin(0)
    sessions = [Session(worker_key(NO_TENANT, WorkerId(f"w{n}")), "s") for n in range(4_000)]
    for session in sessions:
        watch.stands(session)
    started = time.process_time()  # linear: some 10 ms
    for session in sessions:
        watch.ends(session)
        watch.broke(session, 10_000)
    assert time.process_time() - started < 0.5


def test_a_worker_whose_slots_are_full_is_not_deaf() -> None:
    now = [1_000_000]
    roster = Roster(lambda: now[0])
    with roster.polls(want("w", 4)):  # four slots; it does not say so with max_active_leases
        pass
    for _ in range(10):
        now[0] += 10_000
        roster.heard(W)  # polls with limit 0, as the contract tells it, and heartbeats
    assert not roster.is_deaf(W, 4, 100)
