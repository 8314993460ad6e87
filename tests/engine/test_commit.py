"""Asking: one commit for many, every answer to its asker, and nobody harmed by another's failure."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from oris.core.audit import Audit
from oris.core.decide import decide
from oris.core.replies import Refusal, Submitted
from oris.core.stamp import Stamp
from oris.engine import batch as batch_module
from oris.engine.bounds import CommitBounds
from oris.engine.engine import EngineSettings, Polled
from oris.engine.unit import Answered, Unit
from oris.errors import ErrorCode, OutcomeUnknown, Unavailable

from .harness import Later, World, ack, granted, heartbeat, reason, running, submit, the, want


async def batch_of(world: World, units: list[Unit]) -> list[Later[Answered]]:
    """Have all of them committed together: they queue up behind a commit that is held."""
    gate = world.store.hold()
    first = world.soon(lambda: world.submit("in-front"))
    await world.store.entered.wait()
    later = [world.soon(lambda unit=unit: world.engine.ask(unit)) for unit in units]  # type: ignore[misc]
    await wait_all_tasks_blocked()
    world.store.commits.clear()
    world.store.made.clear()
    world.store.gate = None
    gate.set()
    await first.get()
    return later


async def test_a_submit_and_its_grant_share_one_commit(autojump_clock: MockClock) -> None:
    async with running() as world:
        poll = world.soon(lambda: world.poll("w", wait_s=50))
        await wait_all_tasks_blocked()
        world.store.commits.clear()
        await world.submitted("a")
        (job,) = granted(await poll.get())
        assert job.thread_id == "a"
        assert len(world.store.commits) == 1
        assert trio.current_time() == 0


async def test_an_ack_and_the_next_grant_share_one_commit(autojump_clock: MockClock) -> None:
    async with running() as world:
        job = await world.start("a", "w")
        await world.submitted("b")
        world.store.commits.clear()
        assert [job.thread_id for job in granted(await world.finish(job, want("w", poll_id="p")))] == ["b"]
        assert len(world.store.commits) == 1


async def test_a_worker_whose_tenant_is_at_its_limit_finishes_and_fetches_in_one_commit(
    autojump_clock: MockClock,
) -> None:
    async with running(EngineSettings(tenant_limit=1)) as world:
        job = await world.start("a", "w", tenant_limit=1)
        await world.submitted("b")
        assert (await world.poll("w2", tenant_limit=1)).decision == "backpressure"
        polled = await world.finish(job, want("w", poll_id="p", tenant_limit=1))
        assert [job.thread_id for job in granted(polled)] == ["b"]


async def test_two_hundred_submits_with_one_key_make_one_run(autojump_clock: MockClock) -> None:
    async with running() as world:
        calls = [world.soon(lambda: world.submitted("a", key="k")) for _ in range(200)]
        replies = [await call.get() for call in calls]
        assert len({reply.run_id for reply in replies}) == 1
        assert sum(not reply.replay for reply in replies) == 1
        assert len(world.rows().jobs) == 1


async def test_fifty_pollers_get_each_of_ten_thousand_jobs_once(autojump_clock: MockClock) -> None:
    threads = {f"t{number}" for number in range(10_000)}
    async with running(EngineSettings(tenant_limit=10_000)) as world:
        got: list[str] = []

        async def work(worker: str) -> None:
            while len(got) < len(threads):
                jobs = granted(await world.poll(worker, 10, wait_s=1, tenant_limit=10_000))
                got.extend(job.thread_id for job in jobs)
                if jobs:
                    await world.ask(*map(ack, jobs))

        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(work, f"w{number}")
            for number in range(0, 10_000, 100):
                commands = [submit(f"t{n}", tenant=f"tenant{n % 7}") for n in range(number, number + 100)]
                await world.engine.ask(Unit("submit", commands))
        assert sorted(got) == sorted(threads)
        assert {job.status for job in world.rows().jobs.values()} == {"completed"}


async def test_a_command_whose_decision_raises_fails_alone_in_a_full_batch(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def planted(facts: object, command: object, stamp: Stamp) -> object:
        if getattr(command, "thread_id", "") == "t40":
            raise ZeroDivisionError("planted")
        return decide(facts, command, stamp)  # type: ignore[arg-type]

    monkeypatch.setattr(batch_module, "decide", planted)
    async with running() as world:
        calls = await batch_of(world, [Unit("submit", [submit(f"t{n}")]) for n in range(100)])
        replies = [(await call.get()).replies[0] for call in calls]
        assert [n for n, reply in enumerate(replies) if not isinstance(reply, Submitted)] == [40]
        assert the(Refusal, replies[40]).code is ErrorCode.INTERNAL
        assert len(world.observer.bugs) == 1
        assert len(world.store.commits) == 1


async def test_a_batch_that_fails_for_good_is_halved_until_the_guilty_stands_alone(autojump_clock: MockClock) -> None:
    async with running() as world:
        guilty = submit("t11").job_key
        world.store.before = lambda needs: ValueError("planted") if guilty in needs.jobs else None
        calls = await batch_of(world, [Unit("submit", [submit(f"t{n}")]) for n in range(16)])
        answers = [await call.get() for call in calls]
        replies = [answer.replies[0] for answer in answers]
        assert [n for n, reply in enumerate(replies) if not isinstance(reply, Submitted)] == [11]
        assert the(Refusal, replies[11]).code is ErrorCode.INTERNAL
        assert guilty not in world.rows().jobs
        made = {run for runs in world.store.made for run in runs}
        assert len(made) == 16, "a unit that is decided again makes the same run"
        assert world.rows().total.due == 16


async def test_a_failing_unit_costs_the_polls_of_its_batch_nothing(autojump_clock: MockClock) -> None:
    async with running() as world:
        guilty = submit("bad").job_key
        world.store.before = lambda needs: ValueError("planted") if guilty in needs.jobs else None
        polls = [world.soon(lambda n=n: world.poll(f"w{n}", wait_s=5)) for n in range(3)]  # type: ignore[misc]
        await wait_all_tasks_blocked()
        calls = await batch_of(world, [Unit("submit", [submit(name)]) for name in ("good", "bad", "better")])
        assert [isinstance((await call.get()).replies[0], Submitted) for call in calls] == [True, False, True]
        got = [job.thread_id for poll in polls for job in granted(await poll.get())]
        assert sorted(got) == ["better", "good", "in-front"]


@pytest.mark.parametrize("error", [Unavailable("away"), OutcomeUnknown("who knows")])
async def test_a_store_that_is_away_fails_that_batch_and_nothing_else(
    autojump_clock: MockClock, error: Exception
) -> None:
    async with running(check=isinstance(error, Unavailable)) as world:
        idle = world.soon(lambda: world.poll("idle", wait_s=20, workflows=["other"]))
        await wait_all_tasks_blocked()
        bad = submit("t1").job_key
        world.store.before = lambda needs: error if bad in needs.jobs else None
        calls = await batch_of(world, [Unit("submit", [submit(f"t{n}")]) for n in range(3)])
        await wait_all_tasks_blocked()
        for call in calls:
            with pytest.raises(type(error)):
                await call.get()
        assert not idle.done.is_set()
        world.store.before = lambda needs: None
        assert isinstance(await world.submit("after"), Submitted)
        assert world.rows().total.due == 2
        await world.submitted("other", workflow="other")
        assert [job.thread_id for job in granted(await idle.get())] == ["other"]


async def test_a_poll_whose_dispatch_could_not_be_committed_is_told_so_at_once(autojump_clock: MockClock) -> None:
    async with running() as world:
        world.store.before = lambda needs: Unavailable("away") if needs.workers else None
        with pytest.raises(Unavailable):
            await world.poll("w", wait_s=50)
        assert trio.current_time() < 1


async def test_after_an_unknown_outcome_the_engine_learns_again_what_the_store_holds(
    autojump_clock: MockClock,
) -> None:
    async with running() as world:
        poll = world.soon(lambda: world.poll("w", wait_s=50, workflows=["flow"]))
        await wait_all_tasks_blocked()
        lost = submit("lost", workflow="flow").job_key
        world.store.after = lambda needs: OutcomeUnknown("planted") if lost in needs.jobs else None
        with pytest.raises(OutcomeUnknown):
            await world.submit("lost", workflow="flow", delay_ms=0)
        with pytest.raises(OutcomeUnknown):
            await poll.get()
        world.store.after = lambda needs: None
        # The poll that was in the unknown batch may hold the job; whoever asks next is decided on the truth.
        await world.submitted("next", workflow="flow")
        assert world.rows().total.due == sum(job.status == "queued" for job in world.rows().jobs.values())


async def test_audit_chains_go_on_after_an_unknown_outcome(autojump_clock: MockClock) -> None:
    async with running() as world:
        audit = Audit("bearer", "me", "admin", "", "http", "job.run", "thread", "t", "r1")
        key = submit("b").job_key
        world.store.after = lambda needs: OutcomeUnknown("planted") if key in needs.jobs else None
        await world.engine.ask(Unit("submit", [submit("a")], audit=audit))
        with pytest.raises(OutcomeUnknown):
            await world.engine.ask(Unit("submit", [submit("b")], audit=audit))
        await world.engine.ask(Unit("submit", [submit("c")], audit=audit))
        assert [record.seq for record in world.rows().audit] == [1, 2, 3, 4]


async def test_a_withdrawn_unit_is_never_committed(autojump_clock: MockClock) -> None:
    async with running() as world:
        gate = world.store.hold()
        first = world.soon(lambda: world.submit("first"))
        await world.store.entered.wait()
        second = world.soon(lambda: world.submit("second"))
        await wait_all_tasks_blocked()
        second.scope.cancel()
        await second.done.wait()
        world.store.commits.clear()
        gate.set()
        await first.get()
        await wait_all_tasks_blocked()
        assert [job.thread_id for job in world.rows().jobs.values()] == ["first"]
        assert world.store.commits == [], "an inbox of withdrawn units makes no transaction"


@pytest.mark.parametrize("decided", [True, False])
async def test_a_unit_whose_asker_has_gone_is_committed_whole_and_its_poll_takes_nothing(
    autojump_clock: MockClock, *, decided: bool
) -> None:
    async with running() as world:
        job = await world.start("a", "w")
        await world.submitted("b")
        if decided:
            world.store.hold_answers()
        else:
            world.store.hold()
        asking = world.soon(lambda: world.finish(job, want("w")))
        await world.store.entered.wait()
        asking.scope.cancel()
        await asking.done.wait()
        assert (await world.job("b")).status == ("running" if decided else "queued")
        world.store.let_go()
        await wait_all_tasks_blocked()
        assert (await world.job("a")).status == "completed"
        assert (await world.job("b")).status == "queued"
        assert (await world.grant("w2")).thread_id == "b"


@pytest.mark.parametrize("with_ack", [True, False])
async def test_what_a_poll_id_was_granted_whose_asker_has_gone_waits_for_the_retry(
    autojump_clock: MockClock, *, with_ack: bool
) -> None:
    async with running() as world:
        job = await world.start("a", "w")
        await world.submitted("b")

        async def ask() -> Polled:
            return await (world.finish(job, want("w", poll_id="p")) if with_ack else world.poll("w", poll_id="p"))

        world.store.hold_answers()
        asking = world.soon(ask)
        await world.store.entered.wait()
        asking.scope.cancel()
        await asking.done.wait()
        world.store.let_go()
        await wait_all_tasks_blocked()
        again = await ask()
        assert again.granted is not None
        assert [job.thread_id for job in again.granted.redelivered] == ["b"]


async def test_what_a_poll_was_granted_whose_asker_has_gone_since_goes_back(autojump_clock: MockClock) -> None:
    async with running() as world:
        await world.submitted("a")
        world.store.hold_answers()
        asking = world.soon(lambda: world.poll("w"))
        await world.store.entered.wait()
        asking.scope.cancel()
        await asking.done.wait()
        world.store.let_go()
        await wait_all_tasks_blocked()
        assert (await world.grant("w2")).thread_id == "a"


async def test_releasing_what_nobody_received_needs_no_room_in_the_inbox(autojump_clock: MockClock) -> None:
    async with running(EngineSettings(inbox_max_commands=1)) as world:
        await world.submitted("a")
        gate = world.store.hold()
        poll = world.soon(lambda: world.poll("w", wait_s=5))
        await world.store.entered.wait()
        world.engine.committer.post(Unit("write", [submit("filler")]))
        poll.scope.cancel()
        await poll.done.wait()
        assert poll.error is None
        world.store.gate = None
        gate.set()
        await wait_all_tasks_blocked()
        assert (await world.job("a")).status == "queued"


async def test_a_flood_of_large_submits_delays_a_renewal_by_one_batch(autojump_clock: MockClock) -> None:
    async with running() as world:
        job = await world.start("a", "w")
        world.store.takes_s = 1.0
        floods = [Unit("submit", [submit(f"f{number}-{n}") for n in range(1000)]) for number in range(8)]
        calls = [world.soon(lambda unit=unit: world.engine.ask(unit)) for unit in floods]  # type: ignore[misc]
        await wait_all_tasks_blocked(0.01)
        began = trio.current_time()
        await world.engine.ask(Unit("renew", [heartbeat(job)]))
        assert trio.current_time() - began <= 2.0
        world.store.takes_s = 0.0
        for call in calls:
            assert len((await call.get()).replies) == 1000


async def test_a_full_lane_refuses_only_its_own(autojump_clock: MockClock) -> None:
    settings = EngineSettings(inbox_max_commands=5, bounds=CommitBounds(max_commands=2))
    async with running(settings) as world:
        job = await world.start("a", "w")
        gate = world.store.hold()
        calls = [world.soon(lambda n=n: world.submit(f"t{n}")) for n in range(9)]  # type: ignore[misc]
        await wait_all_tasks_blocked()
        beat = world.soon(lambda: world.engine.ask(Unit("renew", [heartbeat(job)])))
        done = world.soon(lambda: world.ask(ack(job)))
        await wait_all_tasks_blocked()
        gate.set()
        await beat.get()
        await done.get()
        refused = 0
        for call in calls:
            await call.done.wait()
            if call.error is not None:
                assert isinstance(call.error, Unavailable)
                assert call.error.reason == "inbox_full"
                refused += 1
        assert 0 < refused < 5


async def test_stopping_commits_what_is_queued_and_refuses_what_comes_later(autojump_clock: MockClock) -> None:
    async with running() as world:
        calls = await batch_of(world, [Unit("submit", [submit(f"t{n}")]) for n in range(3)])
        gate = world.store.hold()
        last = world.soon(lambda: world.submit("last"))
        poll = world.soon(lambda: world.poll("w", wait_s=50, workflows=["none"]))
        await wait_all_tasks_blocked()
        world.engine.committer.stop()
        gate.set()
        for call in calls:
            assert isinstance((await call.get()).replies[0], Submitted)
        assert isinstance(await last.get(), Submitted)
        assert (await poll.get()).decision == "draining"
        with pytest.raises(Unavailable):
            await world.submit("late")
        with pytest.raises(Unavailable):
            await world.poll("late", wait_s=50)
        assert trio.current_time() < 1


async def test_drain_refuses_new_runs_and_answers_repeats_polls_and_waits(autojump_clock: MockClock) -> None:
    async with running() as world:
        first = await world.submitted("a", key="k")
        await world.grant("w")
        poll = world.soon(lambda: world.poll("w2", wait_s=50))
        await wait_all_tasks_blocked()
        with world.engine.waiters.register(submit("a").job_key) as waiter:
            waiting = world.soon(lambda: waiter.ended(first.run_id))
            await wait_all_tasks_blocked()
            world.engine.drain()
            assert await waiting.get() is None
        assert (await poll.get()).decision == "draining"
        assert (await world.poll("w3", wait_s=50)).decision == "draining"
        assert reason(await world.submit("b")) == "draining"
        assert (await world.submitted("a", key="k")).replay
        with world.engine.waiters.register(submit("a").job_key) as late:
            assert await late.ended(first.run_id) is None


@pytest.mark.parametrize("refused", [True, False])
async def test_a_renewal_that_the_server_itself_refuses_costs_no_lease(
    autojump_clock: MockClock, refused: bool
) -> None:
    async with running(EngineSettings(inbox_max_commands=1)) as world:
        await world.submitted("a")
        job = await world.grant("w")
        await trio.sleep((job.lease_expires_ms - world.engine.clock.now_ms() - 1_000) / 1000)
        if refused:
            gate = world.store.hold()
            world.soon(lambda: world.ask(submit("b")))
            await world.store.entered.wait()
            await wait_all_tasks_blocked()
            beats = [world.soon(lambda: world.engine.ask(Unit("renew", [heartbeat(job)]))) for _ in range(2)]
            await wait_all_tasks_blocked()
            assert [type(beat.error) for beat in beats if beat.error is not None] == [Unavailable]
            for beat in beats:
                beat.scope.cancel()  # the other one is not heard either
            world.store.gate = None
            gate.set()
        await trio.sleep(2.0)
        answer = await world.engine.ask(Unit("renew", [heartbeat(job)]))
        assert [type(reply).__name__ for reply in answer.replies] == ["Beaten" if refused else "Refusal"]
