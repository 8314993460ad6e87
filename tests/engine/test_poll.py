"""Polls: the first work or control message ends them, and what nobody received goes back."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from oris.core.replies import CancelledRun
from oris.engine.control import MAX_HOLDERS, MAX_MESSAGES, Control, Holder, Mailboxes
from oris.engine.engine import EngineSettings
from oris.errors import Unavailable
from oris.ids import AttemptId, LeaseId, WorkerKey

from .harness import ack, cancel, granted, lease_of, running, submits, the, want


@pytest.mark.parametrize("limit", [0, 3])
async def test_the_parked_poll_of_a_cancelled_jobs_worker_returns_at_once(
    autojump_clock: MockClock, limit: int
) -> None:
    async with running() as world:
        job = await world.start("a", "w")
        poll = world.soon(lambda: world.poll("w", limit, wait_s=50))
        await wait_all_tasks_blocked()
        the(CancelledRun, (await world.ask(cancel("a"))).replies[0])
        polled = await poll.get()
        assert trio.current_time() == 0
        assert polled.decision == "noop"
        assert [(message.type, message.lease_id, message.reason) for message in polled.control] == [
            ("cancel", lease_of(job), "not wanted")
        ]


async def test_a_control_message_is_given_once_and_again_to_the_same_poll_id(autojump_clock: MockClock) -> None:
    async with running() as world:
        await world.start("a", "w")
        await world.ask(cancel("a"))
        assert len((await world.poll("w", 0, poll_id="p")).control) == 1
        assert (await world.poll("w", 0)).control == ()
        assert (await world.poll("w", 0, poll_id="q")).control == ()
        assert len((await world.poll("w", 0, poll_id="p")).control) == 1


async def test_a_message_that_did_not_arrive_goes_to_another_parked_poll(autojump_clock: MockClock) -> None:
    async with running() as world:
        await world.start("a", "w")
        await world.ask(cancel("a"))
        lost = await world.poll("w", 0)
        other = world.soon(lambda: world.poll("w", 0, wait_s=50))
        await wait_all_tasks_blocked()
        world.engine.undelivered(lost)
        assert (await other.get()).control == lost.control
        assert trio.current_time() == 0


async def test_the_retry_of_a_lost_answer_gets_its_leases_beside_a_newer_message(autojump_clock: MockClock) -> None:
    async with running() as world:
        await world.engine.ask(submits("a", "b"))
        first = await world.poll("w", 1, poll_id="p0")
        assert [job.thread_id for job in granted(first)] == ["a"]
        assert [job.thread_id for job in granted(await world.poll("w", 1, poll_id="p"))] == ["b"]
        await world.ask(cancel("a"))
        retry = await world.poll("w", 1, wait_s=50, poll_id="p")
        assert [message.type for message in retry.control] == ["cancel"]
        assert retry.granted is not None
        assert [job.thread_id for job in retry.granted.redelivered] == ["b"]
        assert trio.current_time() == 0


async def test_a_newer_poll_ends_an_older_one_of_its_id(autojump_clock: MockClock) -> None:
    async with running() as world:
        older = world.soon(lambda: world.poll("w", wait_s=50, poll_id="p"))
        await wait_all_tasks_blocked()
        newer = world.soon(lambda: world.poll("w", wait_s=50, poll_id="p"))
        assert (await older.get()).decision == "noop"
        assert trio.current_time() == 0
        await world.submitted("a")
        assert [job.thread_id for job in granted(await newer.get())] == ["a"]


async def test_two_polls_of_one_id_in_one_breath_get_one_grant(autojump_clock: MockClock) -> None:
    async with running() as world:
        await world.engine.ask(submits("a", "b"))
        older = world.soon(lambda: world.poll("w", poll_id="p"))
        newer = world.soon(lambda: world.poll("w", poll_id="p"))
        await older.get()
        await newer.get()
        assert sum(job.status == "running" for job in world.rows().jobs.values()) == 1


async def test_a_poll_that_is_superseded_during_its_commit_leaves_its_grant_to_the_newer(
    autojump_clock: MockClock,
) -> None:
    async with running() as world:
        await world.engine.ask(submits("a", "b"))
        gate = world.store.hold()
        older = world.soon(lambda: world.poll("w", poll_id="p"))
        await world.store.entered.wait()
        newer = world.soon(lambda: world.poll("w", poll_id="p"))
        await wait_all_tasks_blocked()
        gate.set()
        assert (await older.get()).decision == "noop"
        polled = await newer.get()
        assert polled.granted is not None
        assert [job.thread_id for job in polled.granted.redelivered] == ["a"]
        assert sum(job.status == "running" for job in world.rows().jobs.values()) == 1


async def test_an_ack_that_fetches_sent_twice_at_once_takes_one_lease(autojump_clock: MockClock) -> None:
    async with running() as world:
        job = await world.start("a", "w")
        await world.engine.ask(submits("b", "c"))
        asked = want("w", poll_id=job.lease_id)
        answers = [world.soon(lambda: world.finish(job, asked)) for _ in range(2)]
        polled = [await answer.get() for answer in answers]
        assert world.observer.batches[-1][1].units[1:], "both are in one batch"
        # Which of them came first is the scheduler's.
        first, second = sorted(polled, key=lambda each: each.granted is None or not each.granted.jobs)
        assert first.granted is not None
        assert second.granted is not None
        assert [each.thread_id for each in first.granted.jobs] == ["b"]
        assert second.granted.redelivered == first.granted.jobs
        assert first.handed == second.handed
        assert sum(each.status == "running" for each in world.rows().jobs.values()) == 1


@pytest.mark.parametrize("parked_first", [True, False])
async def test_a_poll_beside_the_poll_of_an_ack_with_its_id_takes_nothing_more(
    autojump_clock: MockClock, *, parked_first: bool
) -> None:
    async with running() as world:
        job = await world.start("a", "w")
        await world.engine.ask(submits("b", "c"))
        asked = want("w", poll_id="p")
        gate = world.store.hold()
        other = world.soon(lambda: world.poll("other", 0, wait_s=1))
        await world.store.entered.wait()
        calls = [lambda: world.engine.poll(asked, 5), lambda: world.finish(job, asked)]
        for call in calls if parked_first else reversed(calls):
            world.soon(call)
            await wait_all_tasks_blocked()
        gate.set()
        await other.get()
        assert [each.thread_id for each in world.rows().jobs.values() if each.status == "running"] == ["b"]
        again = await world.poll("w", poll_id="p")
        assert again.granted is not None
        assert [each.thread_id for each in again.granted.redelivered] == ["b"]


async def test_the_poll_of_an_ack_ends_an_older_parked_one_of_its_id(autojump_clock: MockClock) -> None:
    async with running() as world:
        job = await world.start("a", "w")
        older = world.soon(lambda: world.poll("w", poll_id="p", wait_s=50))
        bystander = world.soon(lambda: world.poll("w", poll_id="q", wait_s=1))
        await wait_all_tasks_blocked()
        polled = await world.finish(job, want("w", poll_id="p"))
        assert (await older.get()).decision == "noop"
        assert trio.current_time() < 1
        assert polled.granted is not None
        await bystander.get()
        assert trio.current_time() >= 1, "another id is another poll"


async def test_the_poll_of_a_refused_ack_takes_no_work_and_no_messages(autojump_clock: MockClock) -> None:
    async with running() as world:
        job = await world.start("a", "w")
        await world.submitted("b")
        await world.ask(cancel("a"))
        polled = await world.finish(job, want("w", poll_id="p"))
        assert (polled.decision, polled.granted, polled.control) == ("noop", None, ())
        assert (await world.job("b")).status == "queued"
        assert len((await world.poll("w", 0)).control) == 1


@pytest.mark.parametrize("in_its_commit", [True, False])
async def test_the_poll_of_an_ack_is_told_what_there_is_and_again_when_the_ack_is_repeated(
    autojump_clock: MockClock, *, in_its_commit: bool
) -> None:
    async with running() as world:
        job, other = await world.start("a", "w"), await world.start("b", "w")
        if in_its_commit:
            gate = world.store.hold()
            world.soon(lambda: world.poll("x"))
            await world.store.entered.wait()
        cancelled = world.soon(lambda: world.ask(cancel("b")))
        await wait_all_tasks_blocked()
        call = world.soon(lambda: world.finish(job, want("w", poll_id="p")))
        await wait_all_tasks_blocked()
        if in_its_commit:
            gate.set()
        await cancelled.get()
        for polled in (await call.get(), await world.finish(job, want("w", poll_id="p"))):
            assert [message.lease_id for message in polled.control] == [lease_of(other)]


async def test_a_poll_that_ends_during_its_commit_waits_for_it_without_running(autojump_clock: MockClock) -> None:
    async with running() as world:
        gate = world.store.hold()
        poll = world.soon(lambda: world.poll("w", wait_s=50))
        await world.store.entered.wait()
        world.engine.drain()
        # This returns only when no task is runnable: a poll that spins would keep it waiting for ever.
        await wait_all_tasks_blocked()
        assert not poll.done.is_set()
        gate.set()
        assert (await poll.get()).decision == "draining"


async def test_a_poll_without_patience_still_gets_one_dispatch(autojump_clock: MockClock) -> None:
    async with running() as world:
        await world.submitted("a")
        world.store.takes_s = 0.5
        assert (await world.grant("w")).thread_id == "a"
        world.store.takes_s = 0.0


async def test_a_poll_that_waits_in_vain_ends_with_noop_in_time(autojump_clock: MockClock) -> None:
    async with running() as world:
        assert (await world.poll("w", wait_s=3)).decision == "noop"
        assert trio.current_time() == 3


async def test_an_answer_that_never_arrived_gives_its_jobs_back(autojump_clock: MockClock) -> None:
    async with running() as world:
        await world.submitted("a")
        polled = await world.poll("w")
        world.engine.undelivered(polled)
        await wait_all_tasks_blocked()
        assert (await world.job("a")).status == "queued"


async def test_an_answer_with_a_poll_id_that_never_arrived_is_redelivered(autojump_clock: MockClock) -> None:
    async with running() as world:
        await world.submitted("a")
        polled = await world.poll("w", poll_id="p")
        world.engine.undelivered(polled)
        again = await world.poll("w", poll_id="p")
        assert again.decision == "dispatched"
        assert again.granted is not None
        assert [job.lease_id for job in again.granted.redelivered] == [job.lease_id for job in granted(polled)]
        assert again.handed[granted(polled)[0].run_id].input == b'{"n":1}'


async def test_every_poll_on_a_tenant_at_its_limit_is_told_of_it(autojump_clock: MockClock) -> None:
    async with running(EngineSettings(tenant_limit=1)) as world:
        await world.start("a", "w", tenant_limit=1)
        await world.submitted("b")
        for worker in ("w1", "w2", "w3"):
            polled = await world.poll(worker, wait_s=1, tenant_limit=1)
            assert polled.decision == "backpressure"
            assert polled.granted is not None
            assert polled.granted.blocked == "tenant_limit"


async def test_a_poll_before_the_start_and_after_the_end_is_refused(autojump_clock: MockClock) -> None:
    async with running(committer=False) as world:
        with pytest.raises(Unavailable):
            await world.poll("w", wait_s=50)
        assert trio.current_time() == 0


def holder(worker: str, session: str | None = None) -> Holder:
    return Holder(WorkerKey(worker), session)


def message(number: int) -> Control:
    return Control("cancel", AttemptId(f"att_{number}"), LeaseId(f"lse_{number}"), "why")


def test_a_worker_that_never_polls_keeps_its_newest_messages_only() -> None:
    boxes = Mailboxes()
    for number in range(MAX_MESSAGES + 5):
        boxes.post(holder("/w"), message(number))
    kept = boxes.collect(holder("/w"), None)
    assert [m.lease_id for m in kept] == [f"lse_{n}" for n in range(5, MAX_MESSAGES + 5)]
    assert boxes.collect(holder("/w"), None) == ()


def test_a_poll_id_that_is_used_for_ever_gathers_no_more_than_that() -> None:
    boxes = Mailboxes()
    for number in range(3 * MAX_MESSAGES):
        boxes.post(holder("/w"), message(number))
        kept = boxes.collect(holder("/w"), "always")
    assert len(kept) == 2
    assert kept[-1].lease_id == f"lse_{3 * MAX_MESSAGES - 1}"


def test_mailboxes_are_bounded_in_workers_and_the_longest_silent_goes_first() -> None:
    boxes = Mailboxes()
    for number in range(MAX_HOLDERS + 1):
        boxes.post(holder(f"/w{number}"), message(number))
    assert boxes.collect(holder("/w0"), None) == ()
    assert len(boxes.collect(holder("/w1"), None)) == 1


async def test_a_finished_jobs_worker_is_told_nothing(autojump_clock: MockClock) -> None:
    async with running() as world:
        job = await world.start("a", "w")
        await world.ask(ack(job))
        assert (await world.poll("w", 0)).control == ()


async def test_a_poll_that_was_opening_its_session_does_not_park_in_a_drain(autojump_clock: MockClock) -> None:
    async with running() as world:
        world.store.hold()
        parked = world.soon(lambda: world.poll("w", wait_s=50, session="s1"))
        await wait_all_tasks_blocked()
        world.engine.drain()
        world.store.let_go()
        await wait_all_tasks_blocked()
        assert parked.value.decision == "draining"


@pytest.mark.parametrize("tenant", ["zz", None])
async def test_a_poll_finds_a_thread_that_it_names_among_many_tenants_with_one_of_that_name(tenant: str | None) -> None:
    async with running() as world:
        for number in range(101):
            await world.submitted("t", tenant=f"a{number:03}", workflow="other")
            if tenant is None:
                await world.ask(cancel("t", tenant=f"a{number:03}"))
        await world.submitted("t", tenant="zz")
        (job,) = granted(await world.poll("w", 3, tenant=tenant, workflows=["default"], threads=["t"]))
        assert (job.tenant_id, job.thread_id) == ("zz", "t")
