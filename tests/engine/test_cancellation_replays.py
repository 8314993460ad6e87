"""The replays, cut at every point of their way through the dispatcher: one run is made, and everybody is told of it."""

from __future__ import annotations

import json

import pytest
from trio.testing import MockClock

from oris.api.http import Answer
from oris.core.model import Job
from oris.ids import attempt_of

from ..cancel_sweep import Cut, cancel_sweep
from .harness import World, ack
from .test_cancellation_routes import Api, data, with_api

ROUTES = ("/v1/jobs/held/replay", "/v1/dlq/{attempt}/replay")


@pytest.mark.parametrize("route", ROUTES)
async def test_a_replay_that_was_cut_makes_one_run_however_often_it_is_sent(
    autojump_clock: MockClock, route: str
) -> None:
    async def trial(cut: Cut[Answer]) -> None:
        async def steps(world: World, api: Api, job: Job) -> None:
            await world.ask(ack(job, "failed"))
            path = route.format(attempt=attempt_of(job.run_id))
            await cut.run(lambda: api.post(path, {}))
            await api.post(path, {})
            again = json.loads((await api.post(path, {})).body)["error"]["details"]
            made = await world.job("held")
            assert (again["reason"], again["run_id"]) == ("replay_in_progress", made.run_id)
            if cut.finished:
                assert data(cut.value)["run_id"] == made.run_id
            rows = world.rows()
            mine = [run for run in (*rows.jobs.values(), *rows.past_runs.values()) if run.thread_id == "held"]
            assert len(mine) == 2
            assert [(letter.replay_count, letter.replay_run_id) for letter in rows.dead_letters.values()] == [
                (1, made.run_id)
            ]

        await with_api(steps)

    assert await cancel_sweep(trial, f"POST {route}") >= 4
