"""Every mutating route, cut at every point of its way through the dispatcher (I19): repeated, it is answered as the
first time, and nothing is left behind."""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from oris.api.auth import Authenticator, Credential
from oris.api.dispatch import Dispatcher, RawRequest
from oris.api.http import Answer
from oris.api.routes import route_table
from oris.api.services import ApiBounds, Health, Services
from oris.core.commands import CreateKey
from oris.core.model import Job
from oris.ids import KeyId, attempt_of

from ..cancel_sweep import Cut, cancel_sweep
from .harness import World, lease_of, running, submits

HEALTH = Health(True, True, "serving", "ok", "applied", {})
Body = dict[str, Any]
Make = Callable[[Job], tuple[str, Body]]


class Api:
    """The whole API over a world, without sockets."""

    def __init__(self, world: World, *credentials: Credential) -> None:
        self.faults: list[BaseException] = []
        self.forbidden: list[str] = []
        services = Services(
            world.engine, random.Random(3), ApiBounds(), lambda: HEALTH, lambda: b"", lambda: {"status": "ok"}
        )
        self._dispatcher = Dispatcher(
            route_table(1024 * 1024),
            services,
            Authenticator(credentials),
            clock=trio.current_time,
            rng=random.Random(4),
            fault_log=lambda request_id, method, path, error: self.faults.append(error),
            observe=lambda seen: None,
            on_forbidden=lambda caller, action, request_id: self.forbidden.append(action),
        )

    async def post(self, path: str, body: Body, *more: tuple[bytes, bytes]) -> Answer:
        return await self.post_bytes(path, json.dumps(body).encode(), *more)

    async def post_bytes(self, path: str, content: bytes, *more: tuple[bytes, bytes]) -> Answer:
        headers = ((b"content-type", b"application/json"), (b"content-length", str(len(content)).encode()), *more)
        return await self._dispatcher.dispatch(RawRequest("POST", path, b"", headers, content))


def data(answer: Answer) -> Any:
    assert answer.status == 200, answer.body
    return json.loads(answer.body)["data"]


def named(job: Job) -> Body:
    return {"attempt_id": attempt_of(job.run_id), "lease_id": lease_of(job)}


NEW = {"thread_id": "new", "idempotency_key": "k"}
STEP = {"action_id": "s", "status": "succeeded", "dedupe_token": "t", "output": 1, "checkpoint": {"values": 2}}
ASKED = {"key": "q", "value": "may I?"}
DONE = {"terminal_status": "completed", "result": 1}

KEY_ID = KeyId("key_" + "0" * 32)
ROUTES: dict[str, Make] = {
    "submit": lambda job: ("/v1/jobs", NEW),
    "run and wait": lambda job: ("/v1/jobs/run", {**NEW, "wait_ms": 200}),
    "batch": lambda job: ("/v1/jobs/batch", {"jobs": [NEW, {"thread_id": "new2", "idempotency_key": "k2"}]}),
    "cancel": lambda job: ("/v1/jobs/held/cancel", {"reason": "enough"}),
    "heartbeat": lambda job: ("/v1/workers/w/heartbeat", {"lease_id": job.lease_id}),
    "heartbeats": lambda job: ("/v1/workers/w/heartbeat", {"lease_ids": [job.lease_id, "lse_none"]}),
    "extend-lease": lambda job: ("/v1/workers/w/extend-lease", {"lease_id": job.lease_id}),
    "report-step": lambda job: ("/v1/workers/w/report-step", {**named(job), **STEP}),
    "report-steps": lambda job: ("/v1/workers/w/report-step", {**named(job), "steps": [STEP]}),
    "ack": lambda job: ("/v1/workers/w/ack", {**named(job), **DONE}),
    "acks": lambda job: ("/v1/workers/w/ack", {"acks": [{**named(job), **DONE}]}),
    "ack and poll": lambda job: ("/v1/workers/w/ack", {**named(job), **DONE, "poll": {"limit": 2}}),
    "release": lambda job: ("/v1/workers/w/release", {"lease_ids": [job.lease_id]}),
    "suspend": lambda job: (
        "/v1/workers/w/suspend",
        {**named(job), "waits": [{"kind": "time", "key": "t", "after_ms": 60_000}, {**ASKED, "kind": "interrupt"}]},
    ),
    "interrupt": lambda job: ("/v1/workers/w/interrupt", {**named(job), "interrupts": [ASKED]}),
    "cancel with a grace": lambda job: ("/v1/jobs/held/cancel", {"mode": "graceful"}),
    "create key": lambda job: ("/v1/api-keys", {"role": "admin"}),
    "revoke key": lambda job: (f"/v1/api-keys/{KEY_ID}/revoke", {}),
    "mode": lambda job: ("/v1/admin/mode", {"submit": False, "dispatch": False, "reason": "upgrade"}),
    "clear-hold": lambda job: ("/v1/workflows/default/clear-hold", {}),
    "clear-quarantine": lambda job: ("/v1/workers/w/clear-quarantine", {}),
    "heartbeat of a session": lambda job: ("/v1/workers/w/heartbeat", {"lease_ids": [], "session": "s1"}),
    "poll of a session": lambda job: (
        "/v1/workers/poll",
        {"worker_id": "w", "session": "s1", "watch": True, "poll_id": "p", "wait_ms": 200},
    ),
    "poll with an id": lambda job: ("/v1/workers/poll", {"worker_id": "w", "poll_id": "p", "wait_ms": 200}),
}
SETTLING = {
    "/v1/jobs/{thread_id}/resume",
    "/v1/interrupts/{interrupt_id}/resume",
    "/v1/interrupts/{interrupt_id}/reject",
}
"""Swept in test_cancellation_waits.py: they need a run that waits for people."""
REPLAYING = {"/v1/jobs/{thread_id}/replay", "/v1/dlq/{attempt_id}/replay"}
"""Swept in test_cancellation_replays.py: they need a run that is over."""
VARIES = frozenset(
    {
        "trace",
        "idempotent_replay",
        "lease_expires_at",
        "lease_remaining_ms",
        "worker_active_leases",
        "last_seen_at",
        "set_at",
    }
    # A key that nobody knows the secret of is of no use and no harm: the repeat makes another.
    | {"key_id", "secret"}
)
"""What a repeat may tell otherwise: spans, times, and that it is one."""
STATUS = {"reported_idempotent": "reported"}


def said(value: Any) -> Any:
    """An answer without what a repeat may tell otherwise."""
    if isinstance(value, dict):
        return {key: said(item) for key, item in value.items() if key not in VARIES}
    if isinstance(value, list):
        return [said(item) for item in value]
    return STATUS.get(value, value) if isinstance(value, str) else value


async def with_api(trial: Callable[[World, Api, Job], Awaitable[None]]) -> None:
    """A held job, two queued ones, and a store that takes a little time."""
    async with running() as world:
        job = await world.start("held", "w")
        await world.engine.ask(submits("queued1", "queued2"))
        await world.ask(CreateKey(KEY_ID, "worker", None, bytes(32)))
        world.store.takes_s = 0.01
        api = Api(world)
        await trial(world, api, job)
        await trio.sleep(0.1)
        assert api.faults == []


@pytest.mark.parametrize("name", ROUTES)
async def test_a_route_that_was_cut_answers_its_repeat_as_the_first_time(autojump_clock: MockClock, name: str) -> None:
    async def trial(cut: Cut[Answer]) -> None:
        async def steps(world: World, api: Api, job: Job) -> None:
            path, body = ROUTES[name](job)
            await cut.run(lambda: api.post(path, body))
            await trio.sleep(0.1)
            again = data(await api.post(path, body))
            if cut.finished:
                assert said(again) == said(data(cut.value))
            runs = [job.thread_id for job in world.rows().jobs.values()]
            assert len(runs) == len({*runs})

        await with_api(steps)

    assert await cancel_sweep(trial, f"POST {name}") >= 4


@pytest.mark.parametrize("wait_ms", [0, 200])
async def test_a_poll_that_was_cut_or_not_delivered_leaves_its_work_to_others(
    autojump_clock: MockClock, wait_ms: int
) -> None:
    async def trial(cut: Cut[Answer]) -> None:
        async def steps(world: World, api: Api, job: Job) -> None:
            body = {"worker_id": "w2", "limit": 2, "wait_ms": wait_ms}
            await cut.run(lambda: api.post("/v1/workers/poll", body))
            if cut.finished and cut.reached:
                # Its client is gone, and the adapter learns of it when it sends.
                assert cut.value.on_undelivered is not None
                cut.value.on_undelivered()
            await trio.sleep(0.1)
            if cut.finished and not cut.reached:
                assert [a["thread_id"] for a in data(cut.value)["attempts"]] == ["queued1", "queued2"]
            else:
                other = data(await api.post("/v1/workers/poll", {"worker_id": "w3", "limit": 2}))
                assert [a["thread_id"] for a in other["attempts"]] == ["queued1", "queued2"]
                assert [a["attempt_no"] for a in other["attempts"]] == [1, 1]

        await with_api(steps)

    assert await cancel_sweep(trial, f"POST poll, wait {wait_ms} ms") >= 4


async def test_every_mutating_route_is_swept() -> None:
    async with running() as world:
        job = await world.start("held", "w")
        paths = {ROUTES[name](job)[0] for name in ROUTES}
    named = (("/w/", "/{worker_id}/"), ("held", "{thread_id}"), (KEY_ID, "{key_id}"), ("default", "{workflow}"))
    for what, parameter in named:
        paths = {path.replace(what, parameter) for path in paths}
    posts = {route.path for route in route_table(1024).routes if route.method == "POST"}
    assert paths | SETTLING | REPLAYING == posts
