"""Fields that mean what absent ones mean are the same for an idempotency key; an ack's poll takes what a poll takes."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from oris.api.handlers.submit import _request_hash
from oris.core.model import Job
from oris.engine.unit import Unit
from oris.ids import TenantId, attempt_of
from oris.wire.jobs import JobRequest

from .harness import lease_of, running, submit, want
from .test_cancellation_routes import Api, data

PLAIN = {"thread_id": "t", "workflow": "t", "idempotency_key": "k"}
NOTHING: list[dict[str, Any]] = [{"delay_ms": 0}, {"metadata": {}}, {"delay_ms": 0, "metadata": {}}]
"""What means as much as saying nothing."""


@pytest.mark.parametrize("said", NOTHING)
@pytest.mark.parametrize("said_first", [True, False])
async def test_a_delay_of_nothing_and_metadata_of_nothing_are_absent_ones(
    autojump_clock: MockClock, said: dict[str, Any], *, said_first: bool
) -> None:
    async with running() as world:
        api = Api(world)
        first, second = (PLAIN | said, PLAIN) if said_first else (PLAIN, PLAIN | said)
        made = data(await api.post("/v1/jobs", first))
        told = data(await api.post("/v1/jobs", second))
        assert (made["idempotent_replay"], told["idempotent_replay"]) == (False, True)
        assert told["run_id"] == made["run_id"]


@pytest.mark.parametrize("said", [{"delay_ms": 1}, {"metadata": {"a": ""}}])
async def test_what_means_something_is_told_from_nothing(autojump_clock: MockClock, said: dict[str, Any]) -> None:
    async with running() as world:
        api = Api(world)
        data(await api.post("/v1/jobs", PLAIN))
        refused = await api.post("/v1/jobs", PLAIN | said)
        assert (refused.status, json.loads(refused.body)["error"]["details"]["reason"]) == (409, "idempotency_mismatch")


@pytest.mark.parametrize("said", NOTHING)
async def test_a_key_that_0_1_0_has_bound_to_them_literally_is_still_known(
    autojump_clock: MockClock, said: dict[str, Any]
) -> None:
    body = PLAIN | said
    request = msgspec.convert(body, JobRequest)
    metadata = b"{}" if "metadata" in said else None
    literal = _request_hash(TenantId(""), request, None, metadata)
    async with running() as world:
        old = msgspec.structs.replace(submit("t", workflow="t", key="k", input=None), request_hash=literal)
        await world.engine.ask(Unit("submit", [old]))
        assert data(await Api(world).post("/v1/jobs", body))["idempotent_replay"]


async def test_the_poll_of_an_ack_takes_the_fields_of_a_poll(autojump_clock: MockClock) -> None:
    async with running(sweeper=True, monitor=True) as world:
        await trio.sleep(6)  # the node is no fresh one any more
        bystander = world.soon(lambda: world.engine.poll(want("b", 0, session="b"), 50, watch=True))
        job = await world.start("a", "w", session="s", ttl_ms=3_600_000)
        await world.submitted("b")
        poll = {"session": "s", "watch": True, "limit": 1, "workflows": ["default"], "lease_ttl_seconds": 60}
        answer = await Api(world).post("/v1/workers/w/ack", _ack(job) | {"poll": poll})
        (fetched,) = data(answer)["next"]["attempts"]
        assert fetched["thread_id"] == "b"
        assert answer.on_undelivered is not None
        answer.on_undelivered()
        gone_at = trio.current_time()
        heir = await world.poll("heir", wait_s=50)
        assert heir.granted is not None
        assert [each.thread_id for each in heir.granted.jobs] == ["b"]
        assert trio.current_time() - gone_at < 1.05, "after the grace, not after its ttl"
        bystander.scope.cancel()


async def test_an_ack_without_watch_whose_answer_is_lost_waits_for_the_retry(autojump_clock: MockClock) -> None:
    async with running(sweeper=True, monitor=True) as world:
        await trio.sleep(6)
        job = await world.start("a", "w", session="s")
        await world.submitted("b")
        body = _ack(job) | {"poll": {"session": "s", "lease_ttl_seconds": 60}}
        api = Api(world)
        answer = await api.post("/v1/workers/w/ack", body)
        if answer.on_undelivered is not None:
            answer.on_undelivered()
        await trio.sleep(5)
        again = data(await api.post("/v1/workers/w/ack", body))
        assert again["next"]["attempts"][0]["lease_id"] == data(answer)["next"]["attempts"][0]["lease_id"]


async def test_the_poll_of_an_ack_watches_a_session_or_nothing(autojump_clock: MockClock) -> None:
    async with running() as world:
        job = await world.start("a", "w")
        refused = await Api(world).post("/v1/workers/w/ack", _ack(job) | {"poll": {"watch": True}})
        assert refused.status == 400
        assert json.loads(refused.body)["error"]["details"]["field"] == "poll.watch"
        assert (await world.job("a")).lease_id == job.lease_id, "nothing was written"


def _ack(job: Job) -> dict[str, Any]:
    return {"attempt_id": attempt_of(job.run_id), "lease_id": lease_of(job), "terminal_status": "completed"}


STEP = {"action_id": "s", "status": "succeeded", "dedupe_token": "t"}
QUESTION = {"key": "q", "value": "?", "expires_in_ms": 60_000, "on_expire": "resume"}
FAILURE = {"type": "E", "message": "m", "stack": None, "data": None, "retryable": None}


@pytest.mark.parametrize(
    ("call", "said", "nulls"),
    [
        ("ack", {"terminal_status": "completed"}, ("result", "error", "retry_policy", "acks", "poll")),
        ("ack", {"terminal_status": "failed"}, ("result", "error")),
        ("ack", {"terminal_status": "failed", "error": FAILURE}, ("result",)),
        ("report-step", STEP, ("output", "error", "checkpoint", "steps")),
        ("report-step", {**STEP, "status": "failed"}, ("output", "error")),
        ("suspend", {"waits": [{"kind": "time", "key": "k", "after_ms": 5, "at": None}]}, ("mode", "checkpoint")),
        ("suspend", {"waits": [{**QUESTION, "kind": "interrupt", "expire_value": None}]}, ()),
        ("interrupt", {"interrupts": [{"key": "q", "value": None, "expire_value": None}]}, ("checkpoint",)),
    ],
)
async def test_null_beside_a_status_is_as_good_as_nothing(
    autojump_clock: MockClock, call: str, said: dict[str, Any], nulls: tuple[str, ...]
) -> None:
    async with running() as world:
        job = await world.start("a", "w")
        api = Api(world)
        named = {"attempt_id": attempt_of(job.run_id), "lease_id": lease_of(job)}
        body = named | said
        first = data(await api.post(f"/v1/workers/w/{call}", body | dict.fromkeys(nulls)))
        again = data(await api.post(f"/v1/workers/w/{call}", body))
        assert {**again, "trace": 0, "status": 0} == {**first, "trace": 0, "status": 0}


async def test_a_list_of_acks_and_steps_takes_nulls_beside_it(autojump_clock: MockClock) -> None:
    async with running() as world:
        job = await world.start("a", "w")
        api = Api(world)
        named = {"attempt_id": attempt_of(job.run_id), "lease_id": lease_of(job)}
        beside = dict.fromkeys(("action_id", "status", "dedupe_token", "output", "error", "checkpoint"))
        (step,) = data(await api.post("/v1/workers/w/report-step", named | beside | {"steps": [STEP]}))["results"]
        assert step["ok"]["status"] == "reported"
        beside = dict.fromkeys(("attempt_id", "lease_id", "terminal_status", "result", "error", "retry_policy"))
        (ack,) = data(await api.post("/v1/workers/w/ack", beside | {"acks": [_ack(job)]}))["results"]
        assert ack["ok"]["status"] == "completed"


async def test_null_is_a_value_of_a_checkpoint_and_of_an_answer(autojump_clock: MockClock) -> None:
    async with running() as world:
        job = await world.start("a", "w")
        api = Api(world)
        named = {"attempt_id": attempt_of(job.run_id), "lease_id": lease_of(job)}
        body = named | {"interrupts": [{"key": "q", "value": None}], "checkpoint": {"values": None}}
        (raised,) = data(await api.post("/v1/workers/w/interrupt", body))["interrupts"]
        answered = data(await api.post(f"/v1/interrupts/{raised['interrupt_id']}/resume", {"value": None}))
        assert (answered["status"], answered["settled_value"]) == ("resumed", None)
        assert (await world.job("a")).checkpoint_id is not None


@pytest.mark.parametrize(
    ("call", "said", "field"),
    [
        ("ack", {"terminal_status": "completed", "error": FAILURE}, "error"),
        ("ack", {"terminal_status": "failed", "result": 0}, "result"),
        ("ack", {"terminal_status": "failed", "error": {"type": "E"}}, "error.message"),
        ("ack", {"terminal_status": "failed", "error": {**FAILURE, "stak": "x"}}, "error.stak"),
        ("ack", {"terminal_status": "failed", "error": "no"}, "error"),
        ("report-step", {**STEP, "error": False}, "error"),
        ("report-step", {"action_id": "s", "status": None, "dedupe_token": "t"}, "status"),
    ],
)
async def test_what_does_not_belong_there_is_refused_all_the_same(
    autojump_clock: MockClock, call: str, said: dict[str, Any], field: str
) -> None:
    async with running() as world:
        job = await world.start("a", "w")
        named = {"attempt_id": attempt_of(job.run_id), "lease_id": lease_of(job)}
        refused = await Api(world).post(f"/v1/workers/w/{call}", named | said)
        assert (refused.status, json.loads(refused.body)["error"]["details"]["field"]) == (400, field)
