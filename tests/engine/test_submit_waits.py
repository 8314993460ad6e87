"""What a submit with `wait_ms` waits for: the end of its run, or that it asks people something (API 3)."""

from __future__ import annotations

import trio
from trio.testing import MockClock

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


async def test_a_repeat_goes_on_waiting_when_somebody_answers_while_it_is_looked_up(autojump_clock: MockClock) -> None:
    async with running() as world:
        http = Api(world, Ear())
        await http.post("/v1/jobs", **WAITED)
        (asked,) = await http.interrupt(await http.take("t"), "q")
        world.store.takes_s = 1.0
        waiting = world.soon(lambda: http.post("/v1/jobs", **WAITED, wait_ms=20_000))
        answering = world.soon(lambda: http.post(f"/v1/interrupts/{asked}/resume", value=1))
        await answering.get()
        world.store.takes_s = 0.0
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
