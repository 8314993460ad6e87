"""What a submit with `wait_ms` waits for (docs/api.md, "Jobs"): the end of its run, or a question to people."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from oris.core.model import Job
from oris.ids import RunId
from oris.storage.reads import Reads

from .harness import running
from .heard import Api, Ear

WAITED = {"thread_id": "t", "workflow": "t", "idempotency_key": "k"}


async def test_a_repeat_is_answered_at_once_when_its_run_waits_for_people_already(autojump_clock: MockClock) -> None:
    async with running() as world:
        http = Api(world, Ear())
        made = await http.post("/v1/jobs", **WAITED)
        (asked,) = await http.interrupt(await http.take("t"), "q")
        before = trio.current_time()
        told = await http.post("/v1/jobs", **WAITED, wait_ms=20_000)
        assert trio.current_time() == before
        assert (told["run_id"], told["status"], told["idempotent_replay"]) == (made["run_id"], "interrupted", True)
        assert [question["interrupt_id"] for question in told["interrupts"]] == [asked]


class Answered:
    """Reads before the first of which, of a run, somebody answers what that run asks."""

    def __init__(self, inner: Reads, answer: Callable[[], Awaitable[object]]) -> None:
        self._inner = inner
        self._answers = [answer]

    async def run(self, run_id: RunId) -> Job | None:
        while self._answers:
            await self._answers.pop()()
        return await self._inner.run(run_id)

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


async def test_a_repeat_goes_on_waiting_when_somebody_answers_while_it_is_looked_up(autojump_clock: MockClock) -> None:
    async with running() as world:
        http = Api(world, Ear())
        await http.post("/v1/jobs", **WAITED)
        (asked,) = await http.interrupt(await http.take("t"), "q")
        reads = Answered(world.engine.reads, lambda: http.post(f"/v1/interrupts/{asked}/resume", value=1))
        world.engine.reads = cast("Reads", reads)
        waiting = world.soon(lambda: http.post("/v1/jobs", **WAITED, wait_ms=20_000))
        await wait_all_tasks_blocked()
        await http.ack(await http.take("t"), result="done")
        told = await waiting.get()
        assert (told["status"], told["result"]) == ("completed", "done")


async def test_a_run_that_asks_after_a_failed_try_is_not_told_with_that_trys_error(autojump_clock: MockClock) -> None:
    async with running(sweeper=True) as world:
        http = Api(world, Ear())
        policy = {"strategy": "fixed", "backoff_ms": 1, "max_retries": 1}
        waiting = world.soon(lambda: http.post("/v1/jobs", **WAITED, retry_policy=policy, wait_ms=20_000))
        await trio.sleep(1)
        await http.ack(await http.take("t"), "failed", error={"type": "Boom", "message": "no"})
        await trio.sleep(1)
        await http.interrupt(await http.take("t"), "q")
        told = await waiting.get()
        assert told["status"] == "interrupted"
        assert "error" not in told
