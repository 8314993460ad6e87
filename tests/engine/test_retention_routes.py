"""Reads of a thread that is pruned while they read it: the kept part in order, or an end that nobody takes for one."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from oris.api.dispatch import Admission
from oris.api.handlers import events, timeline
from oris.api.head import Head
from oris.api.http import Answer
from oris.core import commands as c
from oris.core.replies import RunsPruned
from oris.errors import Unavailable
from oris.ids import NO_TENANT, ThreadId, job_key

from ..cuts import pruning
from .harness import World, ack, running, the
from .test_cancellation_routes import Api

KEY = job_key(NO_TENANT, ThreadId("a"))


class Between:
    """The store's reads; before the `at`-th call of one of them something happens."""

    def __init__(self, inner: Any, name: str, at: int, happens: Callable[[], Awaitable[None]]) -> None:
        self._inner, self._name, self._at, self._happens = inner, name, at, happens

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._inner, name)
        if name != self._name:
            return real

        async def hooked(*values: Any) -> Any:
            self._at -= 1
            if self._at == 0:
                await self._happens()
            return await real(*values)

        return hooked


async def two_runs(world: World) -> int:
    """A thread of two runs that are over; the last event of the first."""
    for _ in range(2):
        await world.start("a", "w")
        await world.ask(ack(await world.job("a")))
        await trio.sleep(1)
    return (await world.job("a")).seq // 2


async def prune(world: World, count: int) -> None:
    """Its oldest runs go."""
    runs = (await world.store.reads.runs(KEY, None, 10)).items[::-1]
    before_ms = runs[count - 1].updated_ms + 1
    answered = await world.ask(the(c.Prune, await pruning(world.store.reads, KEY, before_ms)))
    assert the(RunsPruned, answered.replies[0]).count == count


def hook(world: World, name: str, at: int, count: int) -> None:
    """So many runs go before the `at`-th read of this name."""
    world.engine.reads = Between(world.engine.reads, name, at, lambda: prune(world, count))


async def get(world: World, path: str, *headers: tuple[bytes, bytes]) -> Answer:
    admitted = Api(world)._dispatcher.admit(Head("GET", path, b"", list(headers)))
    assert isinstance(admitted, Admission), admitted
    return await Api(world)._dispatcher.run(admitted)


async def streamed(answer: Answer) -> bytes:
    """All that it sends."""
    pieces: list[bytes] = []

    async def write(piece: bytes) -> None:
        await trio.lowlevel.checkpoint()
        pieces.append(piece)

    assert answer.stream is not None
    await answer.stream(write)
    return b"".join(pieces)


@pytest.mark.parametrize(("at", "events_checked"), [(1, 4), (2, 4), (3, 8)])
async def test_a_check_goes_on_with_what_is_kept(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, at: int, events_checked: int
) -> None:
    """What had been looked at before it went counts."""
    monkeypatch.setattr(timeline, "CHECKED", 2)
    async with running() as world:
        await two_runs(world)
        hook(world, "told", at, 1)
        told = json.loads((await get(world, "/v1/jobs/a/verify")).body)["data"]
        assert (told["valid"], told["events"]) == (True, events_checked)


async def test_a_check_of_a_thread_that_goes_finds_none(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "CHECKED", 2)
    async with running() as world:
        await two_runs(world)
        hook(world, "told", 2, 2)
        assert (await get(world, "/v1/jobs/a/verify")).status == 404


@pytest.mark.parametrize(("at", "count"), [(1, 1), (2, 1), (2, 2)])
async def test_an_export_that_loses_its_place_is_cut(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, at: int, count: int
) -> None:
    monkeypatch.setattr(timeline, "LINES", 2)
    async with running() as world:
        await two_runs(world)
        hook(world, "timeline", at, count)
        with pytest.raises(Unavailable):
            await streamed(await get(world, "/v1/jobs/a/timeline/export"))


async def test_an_export_of_what_is_kept_is_whole(autojump_clock: MockClock) -> None:
    async with running() as world:
        last = await two_runs(world)
        await prune(world, 1)
        whole = json.loads(await streamed(await get(world, "/v1/jobs/a/timeline/export")))["data"]
        assert [line["seq"] for line in whole["timeline"]] == list(range(last + 1, 2 * last + 1))
        assert whole["events"] == last


async def test_a_stream_whose_next_event_has_gone_ends_and_goes_on_behind_it(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "SECTION_EVENTS", 2)
    async with running() as world:
        last = await two_runs(world)
        reads = world.engine.reads
        hook(world, "timeline", 2, 1)
        text = (await streamed(await get(world, "/v1/jobs/a/events"))).decode()
        assert [line for line in text.splitlines() if line.startswith("id: ")] == ["id: 1", "id: 2"]
        world.engine.reads = reads
        text = (await streamed(await get(world, "/v1/jobs/a/events", (b"last-event-id", b"2")))).decode()
        told = [int(line[4:]) for line in text.splitlines() if line.startswith("id: ")]
        assert told == list(range(last + 1, 2 * last + 1))


async def test_a_stream_of_a_run_that_has_gone_ends(autojump_clock: MockClock) -> None:
    async with running() as world:
        await two_runs(world)
        hook(world, "run", 1, 2)
        text = (await streamed(await get(world, "/v1/jobs/a/events"))).decode()
        assert "id: " not in text
