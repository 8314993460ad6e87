"""Streams of events on virtual time: nothing is missed, told twice, or kept; all ends when the run, the server or the
client does."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from oris.api.auth import Authenticator
from oris.api.dispatch import Admission, Dispatcher
from oris.api.head import Head
from oris.api.http import Answer
from oris.api.routes import route_table
from oris.api.services import ApiBounds, Health, Services
from oris.core.commands import ReportStep
from oris.core.model import Job
from oris.errors import OutcomeUnknown, StoreError, Unavailable
from oris.ids import attempt_of
from oris.storage.reads import Reads

from ..cancel_sweep import Cut, cancel_sweep
from .harness import Later, World, ack, cancel, heartbeat, lease_of, running, submit

HEALTH = Health(True, True, "serving", "ok", "applied", {})


class Api:
    """The read side over a world, without sockets."""

    def __init__(self, world: World, listeners_max: int = 3000) -> None:
        self.world = world
        self.faults: list[BaseException] = []
        bounds = ApiBounds(listeners_max=listeners_max)
        self._dispatcher = Dispatcher(
            route_table(1024 * 1024),
            Services(world.engine, random.Random(3), bounds, lambda: HEALTH, lambda: b"", dict),
            Authenticator(()),
            clock=trio.current_time,
            rng=random.Random(4),
            fault_log=lambda request_id, method, path, error: self.faults.append(error),
            observe=lambda seen: None,
        )

    async def ask(self, path: str, last_event_id: str | None = None) -> Answer:
        """What a handler answers, a stream not yet begun."""
        path, _, query = path.partition("?")
        headers = [] if last_event_id is None else [(b"last-event-id", last_event_id.encode())]
        admitted = self._dispatcher.admit(Head("GET", path, query.encode(), headers))
        assert isinstance(admitted, Admission), admitted
        return await self._dispatcher.run(admitted)

    def follow(self, path: str, last_event_id: str | None = None) -> Reader:
        """Listen in a task of its own."""
        reader = Reader(self, path, last_event_id)
        reader.task = self.world.soon(reader.run)
        return reader


class Reader:
    """Reads a stream, at its own pace."""

    def __init__(self, api: Api, path: str, last_event_id: str | None) -> None:
        self._api, self._path, self._last_event_id = api, path, last_event_id
        self.status = 0
        self.text = ""
        self.comments = 0
        self.slow: trio.Event | None = None
        self.task: Later[None]

    async def run(self) -> None:
        answer = await self._api.ask(self._path, self._last_event_id)
        self.status = answer.status
        if answer.stream is not None:
            await answer.stream(self._take)

    async def _take(self, piece: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.comments += piece.startswith(b":")
        self.text += piece.decode()
        if self.slow is not None:
            await self.slow.wait()

    @property
    def seqs(self) -> list[int]:
        """The events that came, in the order they came in."""
        return [int(line[4:]) for line in self.text.split("\n") if line.startswith("id: ")]

    @property
    def kinds(self) -> list[str]:
        return [line[7:] for line in self.text.split("\n") if line.startswith("event: ")]

    @property
    def done(self) -> bool:
        return self.task.done.is_set()


def step(job: Job, action: str) -> ReportStep:
    assert job.worker_key is not None
    return ReportStep(job.worker_key, attempt_of(job.run_id), lease_of(job), action, "succeeded", "t", b"1", None)


def error(answer: Answer) -> tuple[int, str]:
    found = json.loads(answer.body)["error"]
    return answer.status, (found.get("details") or {}).get("reason") or found["code"]


async def test_a_listener_is_told_each_event_as_it_is_committed_and_ends_with_the_run(
    autojump_clock: MockClock,
) -> None:
    async with running() as world:
        job = await world.start("a", "w")
        reader = Api(world).follow("/v1/jobs/a/events")
        await wait_all_tasks_blocked()
        assert reader.seqs == [1, 2, 3]
        await world.ask(step(job, "s"))
        await wait_all_tasks_blocked()
        assert reader.seqs == [1, 2, 3, 4]
        assert not reader.done
        await world.ask(ack(job, "failed"))
        await reader.task.get()
        assert reader.seqs == [1, 2, 3, 4, 5, 6]
        assert reader.kinds[-2:] == ["failed", "dead_lettered"]
        assert reader.text.startswith("retry: ")
        assert trio.current_time() == 0


async def test_an_event_is_told_as_the_timeline_tells_it(autojump_clock: MockClock) -> None:
    async with running() as world:
        await world.submitted("a", metadata=b'{"a":\n"b",\r"c": "d"}')
        api = Api(world)
        reader = api.follow("/v1/jobs/a/events?after_seq=0")
        await wait_all_tasks_blocked()
        listed = json.loads((await api.ask("/v1/jobs/a/timeline")).body)["data"]["timeline"]
        blocks = [block.split("\n") for block in reader.text.split("\n\n") if block.startswith("id:")]
        told = [json.loads("\n".join(line[6:] for line in block if line.startswith("data: "))) for block in blocks]
        assert told == listed
        await world.ask(cancel("a"))
        await reader.task.get()


async def test_a_stream_ends_at_its_runs_last_event_and_the_next_one_goes_on_behind_it(
    autojump_clock: MockClock,
) -> None:
    async with running() as world:
        api = Api(world)
        await world.submitted("a", timeout_ms=1000)
        await world.grant("w")
        reader = api.follow("/v1/jobs/a/events")
        await wait_all_tasks_blocked()
        await trio.sleep(2)
        await world.submitted("a")  # in one commit a deadline ends the run before, and this one begins
        await reader.task.get()
        assert (reader.seqs, reader.kinds[-2:]) == ([1, 2, 3, 4, 5, 6], ["failed", "dead_lettered"])
        following = api.follow("/v1/jobs/a/events", last_event_id="6")
        await wait_all_tasks_blocked()
        assert (following.seqs, following.done) == ([7, 8], False)
        await world.ask(cancel("a"))
        await following.task.get()
        assert following.kinds[-1] == "cancelled"
        whole = api.follow("/v1/jobs/a/events")
        await whole.task.get()
        assert whole.seqs == list(range(1, following.seqs[-1] + 1))


async def test_a_slow_listener_is_told_everything_in_order_and_nothing_of_a_later_run(
    autojump_clock: MockClock,
) -> None:
    async with running() as world:
        job = await world.start("a", "w")
        reader = Api(world).follow("/v1/jobs/a/events")
        reader.slow = trio.Event()
        await wait_all_tasks_blocked()
        await world.ask(*(step(job, f"s{number}") for number in range(250)))
        await world.ask(ack(job))
        await world.submitted("a")
        assert reader.seqs == []
        reader.slow.set()
        await reader.task.get()
        assert reader.seqs == list(range(1, 255))
        assert reader.kinds[-1] == "completed"
        await world.ask(cancel("a"))


async def test_a_run_that_is_over_and_read_has_no_content(autojump_clock: MockClock) -> None:
    async with running() as world:
        api = Api(world)
        await world.submitted("a")
        await world.ask(cancel("a"))
        last = (await world.job("a")).seq
        for path, last_event_id in (
            (f"/v1/jobs/a/events?after_seq={last}", None),
            ("/v1/jobs/a/events", str(last)),
            ("/v1/jobs/a/events?after_seq=1", str(last)),
            ("/v1/jobs/a/events", str(last + 5)),
        ):
            answer = await api.ask(path, last_event_id)
            assert (answer.status, answer.body, answer.stream) == (204, b"", None)
        reader = api.follow(f"/v1/jobs/a/events?after_seq={last}", last_event_id="1")
        await reader.task.get()
        assert reader.seqs == list(range(2, last + 1))


@pytest.mark.parametrize("last_event_id", ["", "x", "-1", "1.0", "9" * 19, "²", "99"])
async def test_a_place_that_no_stream_has_told_is_the_callers_fault(
    autojump_clock: MockClock, last_event_id: str
) -> None:
    async with running() as world:
        await world.submitted("a")
        sent = last_event_id.encode().decode("latin-1")
        assert error(await Api(world).ask("/v1/jobs/a/events", sent)) == (400, "invalid_argument")


async def test_a_silent_stream_says_so_every_fifteen_seconds(autojump_clock: MockClock) -> None:
    async with running() as world:
        job = await world.start("a", "w", ttl_ms=3_600_000)
        reader = Api(world).follow("/v1/jobs/a/events")
        await trio.sleep(46)
        assert reader.comments == 3
        await world.ask(heartbeat(job))
        await trio.sleep(10)
        await world.ask(step(job, "s"))
        await trio.sleep(14)
        assert reader.comments == 3
        await trio.sleep(2)
        assert reader.comments == 4
        await world.ask(ack(job))
        await reader.task.get()


async def test_a_commit_that_nobody_could_tell_of_shows_at_the_next_comment(autojump_clock: MockClock) -> None:
    async with running() as world:
        job = await world.start("a", "w")
        reader = Api(world).follow("/v1/jobs/a/events")
        await wait_all_tasks_blocked()
        world.store.after = lambda needs: OutcomeUnknown("who knows")
        with pytest.raises(OutcomeUnknown):
            await world.ask(ack(job))
        world.store.after = lambda needs: None
        await wait_all_tasks_blocked()
        assert reader.seqs == [1, 2, 3]
        await reader.task.get()
        assert reader.kinds[-1] == "completed"
        assert trio.current_time() == pytest.approx(15)
        # What the committer was not sure of itself is none of this test's business.
        world.check = lambda: None  # type: ignore[method-assign]


async def test_a_drain_ends_streams_and_lets_no_new_one_begin(autojump_clock: MockClock) -> None:
    async with running() as world:
        api = Api(world)
        await world.submitted("a")
        readers = [api.follow("/v1/jobs/a/events") for _ in range(20)]
        await wait_all_tasks_blocked()
        assert len(world.engine.listeners) == 20
        late = await api.ask("/v1/jobs/a/events")
        world.engine.drain()
        for reader in readers:
            await reader.task.get()
            assert reader.seqs == [1, 2]
        assert trio.current_time() == 0
        assert error(await api.ask("/v1/jobs/a/events")) == (503, "draining")
        # One that was let in just before and begins just after ends as well.
        assert late.stream is not None
        await late.stream(_nowhere)


async def test_more_listeners_than_may_be_are_refused_and_a_place_is_free_again_at_once(
    autojump_clock: MockClock,
) -> None:
    async with running() as world:
        api = Api(world, listeners_max=2)
        await world.submitted("a")
        await world.submitted("b")
        first, second = api.follow("/v1/jobs/a/events"), api.follow("/v1/jobs/b/events")
        await wait_all_tasks_blocked()
        refused = await api.ask("/v1/jobs/a/events")
        assert error(refused) == (503, "inbox_full")
        assert ("retry-after", "1") in refused.headers
        first.task.scope.cancel()
        await first.task.done.wait()
        third = api.follow("/v1/jobs/a/events")
        await wait_all_tasks_blocked()
        assert third.seqs == [1, 2]
        await world.ask(cancel("a"), cancel("b"))
        await second.task.get()
        await third.task.get()


class CountedReads:
    """A store's reads, timelines counted, and refused on demand."""

    def __init__(self, inner: Reads) -> None:
        self._inner = inner
        self.timelines = 0
        self.refuse: Callable[[], StoreError | None] = lambda: None

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    async def timeline(self, *where: object) -> object:
        self.timelines += 1
        refused = self.refuse()
        if refused is not None:
            raise refused
        return await self._inner.timeline(*where)  # type: ignore[arg-type]


async def test_listeners_at_one_place_share_what_is_read_and_none_waits_for_a_slow_one(
    autojump_clock: MockClock,
) -> None:
    async with running() as world:
        counted = CountedReads(world.engine.reads)
        world.engine.reads = counted  # type: ignore[assignment]
        job, api = await world.start("a", "w"), Api(world)
        readers = [api.follow("/v1/jobs/a/events") for _ in range(50)]
        readers[0].slow = trio.Event()
        await wait_all_tasks_blocked()
        for number in range(10):
            await world.ask(step(job, f"s{number}"))
            await wait_all_tasks_blocked()
        assert all(reader.seqs == list(range(1, 14)) for reader in readers[1:])
        assert counted.timelines == 11
        readers[0].slow.set()
        await world.ask(ack(job))
        for reader in readers:
            await reader.task.get()
            assert reader.seqs == list(range(1, 15))


async def test_a_listener_whose_read_fails_or_is_cut_leaves_the_others_theirs(autojump_clock: MockClock) -> None:
    async with running() as world:
        counted = CountedReads(world.engine.reads)
        world.engine.reads = counted  # type: ignore[assignment]
        job, api = await world.start("a", "w"), Api(world)
        readers = [api.follow("/v1/jobs/a/events") for _ in range(3)]
        await wait_all_tasks_blocked()
        faults: list[StoreError | None] = [Unavailable("away"), None]
        counted.refuse = lambda: faults.pop(0) if faults else None
        await world.ask(ack(job))
        for reader in readers:
            await reader.task.done.wait()
        assert sorted(len(reader.seqs) for reader in readers) == [3, 4, 4]
        assert [isinstance(reader.task.error, Unavailable) for reader in readers].count(True) == 1


async def test_a_timeline_that_lacks_its_events_ends_the_stream(autojump_clock: MockClock) -> None:
    async with running(check=False, unchecked="its events are taken away") as world:
        await world.submitted("a")
        world.database.lose_events()
        reader = Api(world).follow("/v1/jobs/a/events")
        await reader.task.get()
        assert reader.seqs == []


async def test_a_stream_that_is_cut_anywhere_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    async def trial(cut: Cut[None]) -> None:
        async with running() as world:
            job = await world.start("a", "w")
            reader = Reader(Api(world), "/v1/jobs/a/events", None)

            async def work() -> None:
                await trio.sleep(0.5)
                await world.ask(step(job, "s"))
                await trio.sleep(0.5)
                await world.ask(ack(job))

            world.nursery.start_soon(work)
            await cut.run(reader.run)
            await trio.sleep(2)
            assert len(world.engine.listeners) == 0
            assert reader.seqs == list(range(1, len(reader.seqs) + 1))
            if cut.finished:
                assert reader.seqs == [1, 2, 3, 4, 5]

    assert await cancel_sweep(trial, "GET events") >= 8


async def _nowhere(piece: bytes) -> None:
    await trio.lowlevel.checkpoint()


async def test_listeners_of_other_threads_are_left_alone(autojump_clock: MockClock) -> None:
    """A commit costs nothing for those it is no news to."""
    async with running() as world:
        await world.submitted("a")
        with world.engine.listeners.register(submit("a").job_key, (await world.job("a")).run_id) as listener:
            await world.submitted("b")
            assert listener.seq == 0
            await world.ask(cancel("a"))
            assert listener.seq == listener.last_seq == 4
