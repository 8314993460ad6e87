"""Nothing new is given out while answers that nobody has read fill the room for them; nobody waits longer for that."""

from __future__ import annotations

from collections import Counter

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from oris.ids import TenantId

from .harness import World, granted, running, submits, want


class Answers:
    """Answers that nobody has read yet, and room for so many bytes."""

    def __init__(self, world: World, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.unread: Counter[TenantId | None] = Counter()
        self._engine = world.engine
        world.engine.answers_have_room(self._left)

    def _left(self, tenant_id: TenantId | None) -> int:
        left = self.limit_bytes - self.unread.total()
        return left if tenant_id is None else left - self.unread[tenant_id]

    def fill(self) -> None:
        self.unread[None] += self.limit_bytes

    def read(self) -> None:
        self.unread.clear()
        self._engine.answers_taken()

    async def poll(self, world: World, worker: str, tenant: str | None = None) -> None:
        """A poll whose answer nobody reads."""
        polled = await world.poll(worker, wait_s=5, tenant=tenant)
        assert polled.granted is not None
        self.unread[polled.want.tenant_id] += polled.granted.carried_bytes


@pytest.mark.parametrize("parked_first", [True, False])
@pytest.mark.parametrize("threads", [None, ["a"]])
async def test_nothing_is_given_out_until_there_is_room_for_answers(
    autojump_clock: MockClock, *, parked_first: bool, threads: list[str] | None
) -> None:
    """All else goes on meanwhile, also an ack, which is told of nothing new at once."""
    async with running() as world:
        answers = Answers(world, 1000)
        held = await world.start("held", "v")
        if parked_first:
            poll = world.soon(lambda: world.poll("w", wait_s=50, threads=threads))
            await wait_all_tasks_blocked()
        answers.fill()
        if not parked_first:
            poll = world.soon(lambda: world.poll("w", wait_s=50, threads=threads))
        await world.engine.ask(submits("a"))
        assert (await world.finish(held, want("v"))).decision == "noop"
        assert (await world.poll("busy", 0)).decision == "noop", "it takes no work, and is told what there is to tell"
        await wait_all_tasks_blocked()
        assert [(await world.job(thread)).status for thread in ("held", "a")] == ["completed", "queued"]
        answers.read()
        assert [job.thread_id for job in granted(await poll.get())] == ["a"]
        assert trio.current_time() == 0


@pytest.mark.parametrize("threads", [None, ["a"]])
async def test_a_poll_that_finds_no_room_ends_when_it_has_waited_as_long_as_it_would(
    autojump_clock: MockClock, threads: list[str] | None
) -> None:
    async with running() as world:
        answers = Answers(world, 1000)
        answers.fill()
        await world.engine.ask(submits("a"))
        assert (await world.poll("w", threads=threads)).decision == "noop"
        assert trio.current_time() == 0
        assert (await world.poll("w", wait_s=3, threads=threads)).decision == "noop"
        assert trio.current_time() == 3
        answers.read()
        assert [job.thread_id for job in granted(await world.poll("w", threads=threads))] == ["a"]


async def test_what_a_poll_id_was_granted_comes_again_without_room(autojump_clock: MockClock) -> None:
    """To a poll, and to an ack that is sent again."""
    async with running() as world:
        answers = Answers(world, 1000)
        done = await world.start("done", "v")
        await world.engine.ask(submits("a", "b"))
        first = await world.poll("w", poll_id="p")
        asked = want("v", poll_id="q")
        fetched = await world.finish(done, asked)
        assert fetched.granted is not None
        answers.fill()
        again = await world.poll("w", poll_id="p")
        assert again.granted is not None
        assert again.granted.redelivered == granted(first) != ()
        polled = await world.finish(done, asked)
        assert polled.decision == "dispatched"
        assert polled.granted is not None
        assert polled.granted.redelivered == fetched.granted.jobs != ()
        assert trio.current_time() == 0


async def test_one_attempt_at_most_goes_out_beyond_the_room(autojump_clock: MockClock) -> None:
    """What is granted counts from its commit on, before anybody has made an answer of it."""
    body = b'"%s"' % (b"x" * 98)
    async with running() as world:
        answers = Answers(world, 250)
        polls = [world.soon(lambda n=n: answers.poll(world, f"w{n}")) for n in range(6)]  # type: ignore[misc]
        await wait_all_tasks_blocked()
        await world.engine.ask(submits(*(f"t{n}" for n in range(6)), input=body))
        await wait_all_tasks_blocked()
        assert answers.unread.total() == 300
        answers.read()
        for poll in polls:
            await poll.get()
        assert trio.current_time() == 0


async def test_what_is_granted_counts_until_its_answer_is_made(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the poll of an ack as with a parked one; and not when whoever asked has gone."""
    async with running(check=False) as world:
        Answers(world, 1000)
        left: list[int] = []
        committed = world.observer.committed

        def look(*args: object) -> None:
            committed(*args)  # type: ignore[arg-type]
            left.append(world.engine.demand.room.left_for(None))

        held = await world.start("held", "v")
        await world.engine.ask(submits("a", "b", "c"))
        monkeypatch.setattr(world.observer, "committed", look)
        size = len(b'{"n":1}')
        await world.poll("w")
        assert left.pop() == 1000 - size
        await world.finish(held, want("v"))
        assert left.pop() == 1000 - size
        gate = world.store.hold()
        poll = world.soon(lambda: world.poll("w"))
        await world.store.entered.wait()
        poll.scope.cancel()
        await wait_all_tasks_blocked()
        gate.set()
        await wait_all_tasks_blocked()
        world.store.let_go()
        assert left[0] == 1000
        assert world.engine.demand.room.left_for(None) == 1000


async def test_a_tenant_that_does_not_read_leaves_room_to_the_others(autojump_clock: MockClock) -> None:
    body = b'"%s"' % (b"x" * 98)
    async with running() as world:
        answers = Answers(world, 1000)
        for tenant in ("slow", "quick"):
            await world.engine.ask(submits(*(f"t{n}" for n in range(7)), tenant=tenant, input=body))
        late = [world.soon(lambda n=n: answers.poll(world, f"w{n}", tenant="slow")) for n in range(7)]  # type: ignore[misc]
        await wait_all_tasks_blocked()
        assert answers.unread == {"slow": 500}
        assert [granted(await world.poll("w", tenant="quick")) != () for _ in range(7)] == [True] * 7
        assert (await world.poll("v", tenant="slow")).decision == "noop"
        assert sum(poll.done.is_set() for poll in late) == 5
        answers.read()
        for poll in late:
            await poll.get()
        assert trio.current_time() == 0


async def test_who_waits_for_room_is_looked_at_once(autojump_clock: MockClock) -> None:
    """The committer does not turn in circles over a tenant without room while others have some."""
    async with running() as world:
        answers = Answers(world, 1000)
        answers.unread[TenantId("slow")] = 600
        await world.engine.ask(submits("a", tenant="slow"))
        poll = world.soon(lambda: world.poll("w", tenant="slow", wait_s=5))
        await wait_all_tasks_blocked()
        commits = len(world.store.commits)
        await world.engine.ask(submits("b", tenant="slow"))
        assert (await world.poll("v", 0)).decision == "noop"
        assert len(world.store.commits) == commits + 2
        assert (await poll.get()).decision == "noop"
        assert trio.current_time() == 5


async def test_an_ack_that_shares_its_commit_with_polls_takes_what_room_is_left(autojump_clock: MockClock) -> None:
    async with running() as world:
        held = [await world.start(f"held{n}", f"v{n}") for n in range(2)]
        await world.engine.ask(submits("a", "b"))
        Answers(world, 1)

        finished = [world.soon(lambda n=n: world.finish(held[n], want(f"v{n}"))) for n in range(2)]  # type: ignore[misc]
        assert sorted([(await each.get()).decision for each in finished]) == ["dispatched", "noop"]
        assert trio.current_time() == 0


async def test_room_that_comes_up_while_the_store_reads_lets_nothing_pass_older_work(
    autojump_clock: MockClock,
) -> None:
    """Without room no lane is read; what this very batch queues must not be granted before what is stored."""
    async with running() as world:
        answers = Answers(world, 1000)
        await world.engine.ask(submits("old", workflow="mail"))
        answers.fill()
        gate = world.store.hold()
        young = world.soon(lambda: world.engine.ask(submits("young", workflow="pay")))
        await world.store.entered.wait()
        poll = world.soon(lambda: world.poll("w", wait_s=5))
        more = world.soon(lambda: world.engine.ask(submits("youngest", workflow="else")))
        await wait_all_tasks_blocked()
        world.store.entered = trio.Event()
        gate.set()
        gate = world.store.hold()
        await world.store.entered.wait()
        answers.read()
        gate.set()
        assert [job.thread_id for job in granted(await poll.get())] == ["old"]
        await young.get()
        await more.get()
        assert trio.current_time() == 0
