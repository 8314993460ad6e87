"""Answers to interrupts, cut at every point of their way: repeated, they are answered as the first time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from oris.api.http import Answer
from oris.core import commands as c
from oris.core.replies import Suspended
from oris.ids import attempt_of

from ..cancel_sweep import Cut, cancel_sweep
from .harness import lease_of, running, the
from .test_cancellation_routes import SETTLING, Api, Body, data

ROUTES: dict[str, Callable[[str], tuple[str, Body]]] = {
    "/v1/jobs/{thread_id}/resume": lambda wait: ("/v1/jobs/held/resume", {"value": 1}),
    "/v1/interrupts/{interrupt_id}/resume": lambda wait: (f"/v1/interrupts/{wait}/resume", {"value": {"a": 1}}),
    "/v1/interrupts/{interrupt_id}/reject": lambda wait: (f"/v1/interrupts/{wait}/reject", {"reason": "no"}),
}


@pytest.mark.parametrize("route", ROUTES)
async def test_an_answer_that_was_cut_is_answered_as_the_first_time(autojump_clock: MockClock, route: str) -> None:
    async def trial(cut: Cut[Answer]) -> None:
        async with running() as world:
            job = await world.start("held", "w")
            assert job.worker_key is not None
            spec = c.WaitSpec("interrupt", "q", value=b'"?"')
            suspend = c.Suspend(job.worker_key, attempt_of(job.run_id), lease_of(job), (spec,), "all")
            raised = the(Suspended, (await world.ask(suspend)).replies[0]).waits[0]
            world.store.takes_s = 0.01
            api = Api(world)
            path, body = ROUTES[route](raised.wait_id)
            await cut.run(lambda: api.post(path, body))
            await trio.sleep(0.1)
            again = data(await api.post(path, body))
            if cut.finished:
                assert again == data(cut.value)
            assert again["status"] == ("rejected" if route.endswith("reject") else "resumed")
            await trio.sleep(0.1)
            assert api.faults == []

    assert await cancel_sweep(trial, f"POST {route}") >= 4


def test_every_answering_route_is_swept() -> None:
    assert set(ROUTES) == SETTLING
