"""Sessions in the engine: parked polls of a replaced process end, what it held comes back, a silent one is missed."""

from __future__ import annotations

from functools import partial
from itertools import count

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from oris.core import commands as c
from oris.core import dispatch as dispatching
from oris.core.outage import Outage
from oris.core.replies import Acked
from oris.engine.engine import EngineSettings, Polled
from oris.engine.unit import Unit
from oris.errors import Unavailable
from oris.ids import NO_TENANT, LeaseId, RunId, WorkerId, lease_id, worker_key
from oris.patience import Patience

from .harness import World, ack, cancel, granted, heartbeat, reason, running, submits, want

W = worker_key(NO_TENANT, WorkerId("w"))


async def lived(seconds: float = 6.0) -> None:
    """The node is no fresh one any more."""
    await trio.sleep(seconds)


def was_superseded(polled: Polled) -> bool:
    return polled.refusal is not None and reason(polled.refusal) == "session_superseded"


async def test_a_newer_session_ends_the_parked_poll_of_the_one_before(autojump_clock: MockClock) -> None:
    async with running(sweeper=True) as world:
        older = world.soon(lambda: world.poll("w", wait_s=50, session="s1"))
        await wait_all_tasks_blocked()
        newer = world.soon(lambda: world.poll("w", wait_s=1, session="s2"))
        assert was_superseded(await older.get())
        assert (await newer.get()).decision == "noop"
        assert was_superseded(await world.poll("w", session="s1"))


async def test_what_the_older_session_held_goes_to_the_newer_at_once(autojump_clock: MockClock) -> None:
    async with running(sweeper=True) as world:
        await world.engine.ask(submits(*(f"t{n}" for n in range(1200))))
        held = [job for _ in range(12) for job in granted(await world.poll("w", 100, session="s1", worker_limit=5000))]
        assert len(held) == 1000, "the tenant's limit"
        await trio.sleep(0.01)
        started = trio.current_time()
        got: list[str] = []
        while len(got) < 1000:
            polled = await world.poll("w", 100, wait_s=5, session="s2", worker_limit=5000)
            got += [job.thread_id for job in granted(polled)]
        assert trio.current_time() - started < 1, "not the leases' half minute"
        assert len({*got}) == 1000


async def test_a_watched_worker_that_went_away_loses_its_leases_after_the_grace(autojump_clock: MockClock) -> None:
    async with running(sweeper=True, monitor=True) as world:
        await lived()
        bystander = world.soon(lambda: world.engine.poll(want("b", 0, session="b"), 50, watch=True))
        job = await world.start("a", "w", session="s1", ttl_ms=3_600_000)
        parked = world.soon(lambda: world.engine.poll(want("w", 0, session="s1"), 50, watch=True))
        await wait_all_tasks_blocked()
        gone_at = trio.current_time()
        parked.scope.cancel()
        heir = await world.poll("heir", wait_s=50)
        assert [job.thread_id for job in granted(heir)] == ["a"]
        assert 1.0 <= trio.current_time() - gone_at < 1.05
        assert reason((await world.ask(heartbeat(job))).replies[0]) == "lease_lost"
        bystander.scope.cancel()


async def test_a_store_that_fails_when_a_session_is_missed_does_not_save_its_leases(autojump_clock: MockClock) -> None:
    async with running(sweeper=True, monitor=True) as world:
        await lived()
        bystander = world.soon(lambda: world.engine.poll(want("b", 0, session="b"), 50, watch=True))
        await world.start("a", "w", session="s1", ttl_ms=3_600_000)
        parked = world.soon(lambda: world.engine.poll(want("w", 0, session="s1"), 50, watch=True))
        await wait_all_tasks_blocked()
        parked.scope.cancel()
        world.store.before = lambda needs: Unavailable("planted")
        await trio.sleep(1.1)
        world.store.before = lambda needs: None
        assert (await world.job("a")).status == "running"
        await trio.sleep(2.1)
        assert (await world.job("a")).status == "queued", "missed for another grace"
        bystander.scope.cancel()


async def test_a_worker_that_reconnects_within_the_grace_keeps_them(autojump_clock: MockClock) -> None:
    async with running(sweeper=True, monitor=True) as world:
        await lived()
        bystander = world.soon(lambda: world.engine.poll(want("b", 0, session="b"), 50, watch=True))
        await world.start("a", "w", session="s1", ttl_ms=3_600_000)
        for _ in range(3):
            parked = world.soon(lambda: world.engine.poll(want("w", 0, session="s1"), 50, watch=True))
            await wait_all_tasks_blocked()
            parked.scope.cancel()
            await trio.sleep(0.9)
            world.engine.heard(W, "s1")
        await trio.sleep(5)
        assert (await world.job("a")).status == "running"
        bystander.scope.cancel()


async def test_a_poll_that_just_ends_is_no_broken_connection(autojump_clock: MockClock) -> None:
    async with running(sweeper=True, monitor=True) as world:
        await lived()
        await world.start("a", "w", session="s1", ttl_ms=3_600_000)
        await world.engine.poll(want("w", 0, session="s1"), 1, watch=True)
        await trio.sleep(10)
        assert (await world.job("a")).status == "running"


async def test_an_answer_that_was_not_delivered_is_a_broken_connection(autojump_clock: MockClock) -> None:
    async with running(sweeper=True, monitor=True) as world:
        await lived()
        await world.start("a", "w", session="s1", ttl_ms=3_600_000)
        polled = await world.engine.poll(want("w", 0, session="s1"), 1, watch=True)
        world.engine.undelivered(polled)
        await trio.sleep(1.1)
        assert (await world.job("a")).status == "queued"


@pytest.mark.parametrize("calls_again", [True, False])
async def test_a_watched_poll_whose_client_ended_its_side_is_a_broken_connection_unless_it_calls_again(
    autojump_clock: MockClock, calls_again: bool
) -> None:
    """It may still listen, or be dead: its end looks the same, and a worker that lives is heard of again."""
    async with running(sweeper=True, monitor=True) as world:
        await lived()
        bystander = world.soon(lambda: world.engine.poll(want("b", 0, session="b"), 50, watch=True))
        await world.start("a", "w", session="s1", ttl_ms=3_600_000)
        patience = Patience()
        parked = world.soon(partial(world.engine.poll, want("w", 0, session="s1"), 50, watch=True, patience=patience))
        await wait_all_tasks_blocked()
        patience.end()
        await wait_all_tasks_blocked()
        assert parked.value.decision == "noop"
        if calls_again:
            world.engine.heard(W, "s1")
        await trio.sleep(1.1)
        assert (await world.job("a")).status == ("running" if calls_again else "queued")
        bystander.scope.cancel()


async def test_a_poll_that_a_failed_commit_ended_is_no_broken_connection(autojump_clock: MockClock) -> None:
    async with running(sweeper=True, monitor=True) as world:
        await lived()
        await world.start("a", "w", session="s1", ttl_ms=3_600_000)
        world.store.before = lambda _: Unavailable("planted")
        with pytest.raises(Unavailable, match="planted"):
            await world.engine.poll(want("w", 1, session="s1"), 50, watch=True)
        world.store.before = lambda _: None
        await trio.sleep(3)
        assert (await world.job("a")).status == "running", "it was answered; its connection stands"


async def five_incidents(world: World) -> None:
    """Session s5 of the worker comes into quarantine."""
    for number in range(5):
        await world.submitted(f"t{number}")
        await world.grant("w", session=f"s{number}", threads=[f"t{number}"])
        await trio.sleep(0.01)
        await world.engine.open_session(W, f"s{number + 1}")


async def test_a_quarantined_workers_parked_poll_gets_its_probe_when_the_window_is_over(
    autojump_clock: MockClock,
) -> None:
    async with running(sweeper=True) as world:
        await five_incidents(world)
        parked = world.soon(lambda: world.poll("w", 10, wait_s=50, session="s5"))
        await trio.sleep(29)
        assert not parked.done.is_set()
        await trio.sleep(2)
        assert len(granted(parked.value)) == 1


async def test_a_cleared_worker_is_served_at_once(autojump_clock: MockClock) -> None:
    async with running(sweeper=True) as world:
        await five_incidents(world)
        parked = world.soon(lambda: world.poll("w", 10, wait_s=50, session="s5"))
        await trio.sleep(1)
        await world.ask(c.ClearQuarantine(W))
        await wait_all_tasks_blocked()
        assert len(granted(parked.value)) == 5


async def test_a_poll_for_chosen_threads_waits_for_them_alone(autojump_clock: MockClock) -> None:
    async with running() as world:
        chosen = world.soon(lambda: world.poll("admin", 5, wait_s=50, threads=["b"]))
        await wait_all_tasks_blocked()
        await world.submitted("a")
        await trio.sleep(1)
        assert not chosen.done.is_set()
        await world.submitted("b")
        assert [job.thread_id for job in granted(await chosen.get())] == ["b"]
        assert [job.thread_id for job in granted(await world.poll("w"))] == ["a"]


@pytest.mark.parametrize("cleared", [True, False])
async def test_a_poll_for_chosen_threads_is_held_back_and_freed_like_any_other(
    cleared: bool, autojump_clock: MockClock
) -> None:
    async with running(sweeper=True) as world:
        await five_incidents(world)
        await trio.sleep(0.5)
        parked = world.soon(lambda: world.poll("w", wait_s=50, session="s5", threads=["t4"]))
        await trio.sleep(20)
        assert not parked.done.is_set()
        if cleared:
            await world.ask(c.ClearQuarantine(W))
            await wait_all_tasks_blocked()
        else:
            await trio.sleep(12)
        assert [job.thread_id for job in granted(parked.value)] == ["t4"]


async def test_a_chosen_job_that_cannot_be_granted_costs_the_poll_nothing_else(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as world:
        await world.engine.ask(submits("poison", "good"))
        poisoned = (await world.job("poison")).run_id

        def failing(run: RunId, fence: int, salt: int) -> LeaseId:
            if run == poisoned:
                raise RuntimeError("poison")
            return lease_id(run, fence, salt)

        monkeypatch.setattr(dispatching, "lease_id", failing)
        polled = await world.poll("admin", 5, threads=["poison", "good"])
        assert [job.thread_id for job in granted(polled)] == ["good"]
        assert [str(error) for error in world.observer.bugs] == ["poison"]


async def test_a_message_waits_for_the_session_that_held_the_lease(autojump_clock: MockClock) -> None:
    async with running() as world:
        await world.start("a", "w")
        await world.engine.open_session(W, "s1")
        await world.start("b", "w", session="s1")
        of_session = world.soon(lambda: world.poll("w", 0, wait_s=50, session="s1"))
        await wait_all_tasks_blocked()
        await world.ask(cancel("a"))
        await world.engine.open_session(W, "s1")
        await wait_all_tasks_blocked()
        assert not of_session.done.is_set(), "that lease was granted to no session"
        await world.ask(cancel("b"))
        await wait_all_tasks_blocked()
        assert len(of_session.value.control) == 1
        await world.engine.open_session(W, "s2")
        assert len((await world.poll("w", 0)).control) == 1, "a new session does not touch what waits for no session"


async def test_a_process_is_told_nothing_of_what_the_one_before_it_held(autojump_clock: MockClock) -> None:
    async with running() as world:
        await world.submitted("a", timeout_ms=1_000)
        await world.grant("w", session="s1")
        await trio.sleep(2)
        await world.engine.open_session(W, "s2")
        await world.ask(c.Sweep((await world.job("a")).job_key))
        assert (await world.job("a")).status == "failed"
        assert (await world.poll("w", 0, session="s2")).control == ()


async def test_a_fetch_of_a_session_that_is_over_is_told_so_and_takes_no_messages(autojump_clock: MockClock) -> None:
    async with running() as world:
        await world.start("a", "w")
        job = await world.start("b", "w")
        await world.ask(cancel("a"))
        await world.engine.open_session(W, "s1")
        await world.engine.open_session(W, "s2")
        asked = want("w", session="s1")
        answer, polled = await world.engine.ask_and_poll(Unit("write", [ack(job)]), asked)
        assert isinstance(answer.replies[0], Acked)
        assert was_superseded(polled)
        assert len((await world.poll("w", 0)).control) == 1


async def test_an_ack_with_a_watched_poll_whose_connection_breaks_is_a_broken_connection(
    autojump_clock: MockClock,
) -> None:
    async with running(sweeper=True, monitor=True) as world:
        await lived()
        jobs = [await world.start(thread, "w", session="s1", ttl_ms=3_600_000) for thread in "ab"]
        world.store.hold()
        unit, asked = Unit("write", [ack(jobs[0])]), want("w", 0, session="s1")
        call = world.soon(lambda: world.engine.ask_and_poll(unit, asked, watch=True))
        await world.store.entered.wait()
        call.scope.cancel()
        await call.done.wait()
        world.store.let_go()
        await trio.sleep(1.1)
        assert [(await world.job(thread)).status for thread in "ab"] == ["completed", "queued"]


async def outage(world: World, seconds: float) -> None:
    """The store refuses everything for so long, and the node notices."""
    world.store.before = lambda needs: Unavailable("planted")
    with pytest.raises(Unavailable):
        await world.ask(c.Sweep((await world.job("a")).job_key))
    await trio.sleep(seconds)
    world.store.before = lambda needs: None


async def test_a_store_that_could_not_commit_costs_no_lease(autojump_clock: MockClock) -> None:
    async with running(sweeper=True, monitor=True) as world:
        job = await world.start("a", "w", ttl_ms=5_000)
        await outage(world, 20)
        held = (await world.ask(heartbeat(job, 5_000))).replies[0]
        assert getattr(held, "state", None) == "held"
        assert (await world.job("a")).attempt_no == 1
        (told,) = [each for each in world.observer.outages if isinstance(each, Outage)]
        assert told.to_ms - told.from_ms >= 19_000


async def test_a_lease_not_renewed_after_an_outage_is_lost_when_its_grace_is_over(autojump_clock: MockClock) -> None:
    async with running(sweeper=True, monitor=True) as world:
        await world.start("a", "w", ttl_ms=5_000)
        await outage(world, 20)
        back_at = trio.current_time()
        assert [job.attempt_no for job in granted(await world.poll("heir", wait_s=50))] == [2]
        assert 4.999 < trio.current_time() - back_at < 5.6


async def test_a_dead_workers_lease_ends_on_a_slow_disk_too(autojump_clock: MockClock) -> None:
    async with running(sweeper=True, monitor=True, check=False) as world:
        await world.start("a", "w", ttl_ms=5_000)
        world.store.takes_s = 0.6
        busy = world.soon(lambda: traffic(world))
        await trio.sleep(8)
        busy.scope.cancel()
        world.store.takes_s = 0
        assert len(world.observer.outages) > 5
        assert (await world.job("a")).attempt_no == 2


async def traffic(world: World) -> None:
    """Commits, one after the other."""
    for number in count():
        await world.engine.ask(submits(f"x{number}", workflow="other"))


async def test_settings_may_switch_the_watch_off(autojump_clock: MockClock) -> None:
    async with running(EngineSettings(disconnect_grace_ms=0), sweeper=True, monitor=True) as world:
        await lived()
        await world.start("a", "w", session="s1", ttl_ms=3_600_000)
        parked = world.soon(lambda: world.engine.poll(want("w", 0, session="s1"), 50, watch=True))
        await wait_all_tasks_blocked()
        parked.scope.cancel()
        await trio.sleep(30)
        assert (await world.job("a")).status == "running"
