"""What one commit hands out is bounded, over all polls; nobody is told that there is nothing because of it."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from oris.core.limits import Limits
from oris.engine import learn
from oris.engine.bounds import CommitBounds
from oris.engine.demand import MAX_LANES
from oris.engine.engine import EngineSettings
from oris.errors import OutcomeUnknown, Unavailable

from .harness import World, granted, running, submits, want


def handed_out(world: World) -> list[int]:
    """How many leases each commit has handed out."""
    return [number for outcome, _ in world.observer.batches if (number := len(outcome.facts.changes.handouts))]


async def test_many_polls_for_many_jobs_are_served_in_several_commits(autojump_clock: MockClock) -> None:
    async with running(EngineSettings(limits=Limits(commit_grants_max=8))) as world:
        await world.engine.ask(submits(*(f"t{n}" for n in range(100))))
        polls = [world.soon(lambda n=n: world.poll(f"w{n}", 5)) for n in range(30)]  # type: ignore[misc]
        got = [len(granted(await poll.get())) for poll in polls]
        # Nobody was told that there is nothing while there was something.
        assert sum(got) == 100
        assert handed_out(world) == [8] * 12 + [4]
        assert trio.current_time() == 0


async def test_parked_polls_that_found_no_room_are_served_by_the_next_commit(autojump_clock: MockClock) -> None:
    async with running(EngineSettings(limits=Limits(commit_grants_max=2))) as world:
        polls = [world.soon(lambda n=n: world.poll(f"w{n}", wait_s=50)) for n in range(7)]  # type: ignore[misc]
        await wait_all_tasks_blocked()
        await world.engine.ask(submits(*(f"t{n}" for n in range(7))))
        assert [len(granted(await poll.get())) for poll in polls] == [1] * 7
        assert handed_out(world) == [2, 2, 2, 1]
        assert trio.current_time() == 0


async def test_the_bytes_of_a_commit_are_bounded_over_all_polls(autojump_clock: MockClock) -> None:
    body = b'"%s"' % (b"x" * 9_998)
    async with running(EngineSettings(limits=Limits(commit_bytes_max=35_000))) as world:
        await world.engine.ask(submits(*(f"t{n}" for n in range(10)), input=body))
        polls = [world.soon(lambda n=n: world.poll(f"w{n}", 2, poll_id="p")) for n in range(5)]  # type: ignore[misc]
        assert sorted([len(granted(await poll.get())) for poll in polls]) == [1, 1, 2, 2, 2]
        assert handed_out(world) == [3, 3, 2]
        # The same once more, because the answers were lost.
        again = [world.soon(lambda n=n: world.poll(f"w{n}", 2, poll_id="p")) for n in range(5)]  # type: ignore[misc]
        got = [polled.granted for poll in again if (polled := await poll.get()).granted is not None]
        assert sorted(len(each.redelivered) for each in got) == [1, 1, 2, 2, 2]
        assert max(handed_out(world)) == 3
        assert len(granted(await world.poll("w9", 9))) == 2


async def test_an_ack_whose_poll_found_no_room_is_answered_with_what_the_next_commit_gives_it(
    autojump_clock: MockClock,
) -> None:
    async with running(EngineSettings(limits=Limits(commit_grants_max=1))) as world:
        jobs = [await world.start(f"t{n}", f"w{n}") for n in range(3)]
        await world.engine.ask(submits("a", "b", "c"))

        world.observer.batches.clear()
        fetched = [world.soon(lambda n=n: world.finish(jobs[n], want(f"w{n}"))) for n in range(3)]  # type: ignore[misc]
        got = [granted(await each.get()) for each in fetched]
        assert sorted([job.thread_id for job in each] for each in got) == [["a"], ["b"], ["c"]]
        assert handed_out(world) == [1, 1, 1]
        assert len(world.observer.batches[0][1].units) == 3, "all acks stand in the first commit"


@pytest.mark.parametrize("known", [True, False])
async def test_an_ack_is_answered_also_when_the_next_commit_cannot_be_made(
    autojump_clock: MockClock, known: bool
) -> None:
    async with running(EngineSettings(limits=Limits(commit_grants_max=1)), check=False) as world:
        jobs = [await world.start(f"t{n}", f"w{n}") for n in range(2)]
        await world.engine.ask(submits("a", "b"))
        fails = [Unavailable("no"), None] if known else [None, OutcomeUnknown("perhaps")]

        def second(which: int) -> BaseException | None:
            """What the commit does that looks at the second one's poll once more."""
            return fails[which] if len(world.store.commits) > first else None

        first = len(world.store.commits) + 1
        world.store.before, world.store.after = lambda _: second(0), lambda _: second(1)
        calls = [world.soon(lambda n=n: world.finish(jobs[n], want(f"w{n}"))) for n in range(2)]  # type: ignore[misc]
        for call in calls:
            await call.done.wait()
        world.store.before = world.store.after = lambda _: None
        assert [(await world.job(f"t{n}")).status for n in range(2)] == ["completed", "completed"]
        decisions = sorted("unknown" if call.error is not None else call.value.decision for call in calls)
        assert decisions == ["dispatched", "noop" if known else "unknown"]
        assert [type(call.error) for call in calls if call.error is not None] == ([] if known else [OutcomeUnknown])


async def test_a_batch_holds_no_more_acks_with_polls_than_its_bound(autojump_clock: MockClock) -> None:
    """Each of them finishes and fetches in one commit all the same."""
    async with running(EngineSettings(bounds=CommitBounds(max_polls=6))) as world:
        jobs = [await world.start(f"t{n}", f"w{n}") for n in range(19)]
        for n in range(19):
            await world.submitted(f"next{n}")
        world.observer.batches.clear()
        calls = [world.soon(lambda n=n: world.finish(jobs[n], want(f"w{n}"))) for n in range(19)]  # type: ignore[misc]
        assert all([granted(await call.get()) for call in calls])
        batches = [batch for _, batch in world.observer.batches]
        assert [len(batch.polls()) for batch in batches] == [6, 6, 6, 1]
        assert [batch.parked for batch in batches] == [[]] * 4, "none had to be looked at twice"


async def test_a_poll_that_does_not_wait_is_shown_all_lanes_before_it_is_told_that_there_is_nothing(
    autojump_clock: MockClock,
) -> None:
    """More tenants than one dispatch reads, all at the poll's own limit for them but the last."""
    async with running(check=False) as world:
        for number in range(2 * MAX_LANES + 10):
            await world.engine.ask(submits("a", "b", "c", tenant=f"t{number}"))
            await world.grant("holder", tenant=f"t{number}", worker_limit=1000)
        await world.engine.ask(submits("z", tenant="free"))
        polled = await world.poll("w", tenant_limit=1)
        assert [job.tenant_id for job in granted(polled)] == ["free"]
        assert (await world.poll("w", tenant_limit=1)).decision == "backpressure"
        polled = await world.finish(granted(polled)[0], want("w", tenant_limit=1))
        assert polled.decision == "backpressure"


@pytest.mark.parametrize("lanes", [5, 6, 7])
async def test_all_lanes_are_learnt_at_the_start_however_many_they_are(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, lanes: int
) -> None:
    monkeypatch.setattr(learn, "LANES_AT_ONCE", 3)
    async with running(check=False) as world:
        for number in range(lanes):
            await world.engine.ask(submits(f"t{number}", workflow=f"flow{number}"))
        database = world.database
    async with running(database=database) as again:
        for number in reversed(range(lanes)):
            (job,) = granted(await again.poll("w", workflows=[f"flow{number}"]))
            assert job.thread_id == f"t{number}"
