"""Every route that knows a repeat knows it in other bytes: keys in another order, escapes, white space, fields that say
what absent ones say. The first bytes stay, and a key or a lease that 0.2.0 has written is known.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from trio.testing import MockClock

from oris.api.handlers.submit import _request_hash
from oris.core.model import Job
from oris.engine.unit import Unit
from oris.ids import TenantId, attempt_of
from oris.wire.jobs import JobRequest

from .harness import World, lease_of, running, submit
from .test_cancellation_routes import Api, data

VALUE = b'{"a": [1.0, {"x": "caf\\u00e9", "y": "a\\/b"}], "b": null}'
AGAIN = '{"b":null,"a":[1.0,{"y":"a/b","x":"café"}]}'.encode()
OTHERS = [
    b'{"a": [1, {"x": "caf\\u00e9", "y": "a\\/b"}], "b": null}',
    b'{"a": [{"x": "caf\\u00e9", "y": "a\\/b"}, 1.0], "b": null}',
    b'{"a": [1.0, {"x": "caf\\u00e9", "y": "a\\/b"}]}',
    b'{"a": [1.0, {"x": "cafe\\u0301", "y": "a\\/b"}], "b": null}',
]
"""Another number, another order of a list, a key less, another text."""

Fields = Callable[[bytes], dict[str, bytes]]


def _named(job: Job) -> dict[str, bytes]:
    return {"attempt_id": b'"%s"' % attempt_of(job.run_id).encode(), "lease_id": b'"%s"' % lease_of(job).encode()}


def _job(value: bytes, thread: bytes = b'"new"', key: bytes = b'"k"') -> dict[str, bytes]:
    policy = _object({"strategy": b'"fixed"', "backoff_ms": b"5", "max_retries": b"2"})
    fields = {"thread_id": thread, "idempotency_key": key, "input": value, "retry_policy": policy}
    return {**fields, "metadata": b'{"b":"\\u0062","a":"\\/"}'}


def _step(value: bytes) -> dict[str, bytes]:
    said = {"action_id": b'"s"', "status": b'"succeeded"', "dedupe_token": b'"t"', "output": value}
    return {**said, "checkpoint": _object({"values": value})}


def _error(value: bytes) -> bytes:
    return _object({"type": b'"E"', "message": b'"caf\\u00e9"', "data": value, "retryable": b"false"})


def _question(value: bytes, *, kind: bool = False) -> bytes:
    named = {"kind": b'"interrupt"'} if kind else {}
    expiry = {"expires_in_ms": b"60000", "on_expire": b'"resume"', "expire_value": value}
    return _object({**named, "key": b'"q"', "value": value, **expiry})


ROUTES: dict[str, Callable[[Job, bytes], tuple[str, dict[str, bytes]]]] = {
    "submit": lambda job, value: ("/v1/jobs", _job(value)),
    "batch": lambda job, value: (
        "/v1/jobs/batch",
        {"jobs": b"[%b,%b]" % (_object(_job(value)), _object(_job(b"1", b'"new2"', b'"k2"')))},
    ),
    "report-step": lambda job, value: ("/v1/workers/w/report-step", {**_named(job), **_step(value)}),
    "report-steps": lambda job, value: (
        "/v1/workers/w/report-step",
        {**_named(job), "steps": b"[%b]" % _object(_step(value))},
    ),
    "ack": lambda job, value: (
        "/v1/workers/w/ack",
        {**_named(job), "terminal_status": b'"completed"', "result": value},
    ),
    "ack of a failure": lambda job, value: (
        "/v1/workers/w/ack",
        {**_named(job), "terminal_status": b'"failed"', "error": _error(value)},
    ),
    "acks": lambda job, value: (
        "/v1/workers/w/ack",
        {"acks": b"[%b]" % _object({**_named(job), "terminal_status": b'"completed"', "result": value})},
    ),
    "suspend": lambda job, value: (
        "/v1/workers/w/suspend",
        {**_named(job), "waits": b"[%b]" % _question(value, kind=True), "checkpoint": _object({"values": value})},
    ),
    "interrupt": lambda job, value: (
        "/v1/workers/w/interrupt",
        {**_named(job), "interrupts": b"[%b]" % _question(value)},
    ),
}
VARIES = {"trace", "idempotent_replay", "status"}


@pytest.mark.parametrize("route", ROUTES)
async def test_a_repeat_in_other_bytes_is_known(autojump_clock: MockClock, route: str) -> None:
    async with running() as world:
        job = await world.start("held", "w")
        api = Api(world)
        path, fields = ROUTES[route](job, VALUE)
        first = data(await api.post_bytes(path, _object(fields)))
        # Another program writes it: what stands in a list stays, what has a name may stand anywhere.
        _, otherwise = ROUTES[route](job, AGAIN)
        again = data(await api.post_bytes(path, _object(dict(reversed(otherwise.items())), b" ,\n ")))
        assert _lasting(again) == _lasting(first)
        assert _stored(world, VALUE), "the first bytes are what is kept"
        assert not _stored(world, AGAIN)


@pytest.mark.parametrize("route", ROUTES)
async def test_what_says_something_else_is_no_repeat(autojump_clock: MockClock, route: str) -> None:
    async with running() as world:
        job = await world.start("held", "w")
        api = Api(world)
        path, fields = ROUTES[route](job, VALUE)
        data(await api.post_bytes(path, _object(fields)))
        for other in OTHERS:
            _, fields = ROUTES[route](job, other)
            answer = await api.post_bytes(path, _object(fields))
            found = json.loads(answer.body)
            error = found["error"] if answer.status != 200 else found["data"]["results"][0]["error"]
            assert error["details"]["reason"] in ("idempotency_mismatch", "dedupe_mismatch", "lease_lost"), other


@pytest.mark.parametrize("path", ["/v1/interrupts/{interrupt_id}/resume", "/v1/jobs/held/resume"])
async def test_an_answer_in_other_bytes_is_the_same_answer(autojump_clock: MockClock, path: str) -> None:
    async with running() as world:
        job = await world.start("held", "w")
        api = Api(world)
        asked = _object({**_named(job), "interrupts": b"[%b]" % _question(b"1")})
        (raised,) = data(await api.post_bytes("/v1/workers/w/interrupt", asked))["interrupts"]
        path = path.format(interrupt_id=raised["interrupt_id"])
        first = await api.post_bytes(path, b'{"value": %b}' % VALUE)
        again = await api.post_bytes(path, b'{"value":%b}' % AGAIN)
        assert VALUE in first.body
        assert data(again) == data(first)
        assert VALUE in again.body, "the first bytes are what is shown"
        for other in OTHERS:
            refused = json.loads((await api.post_bytes(path, b'{"value":%b}' % other)).body)
            assert refused["error"]["details"]["reason"] == "resume_mismatch"


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
async def test_nothing_said_and_null_are_one(autojump_clock: MockClock, order: slice) -> None:
    async with running() as world:
        api = Api(world)
        plain: dict[str, Any] = {"thread_id": "t", "workflow": "t", "idempotency_key": "k"}
        said: list[dict[str, Any]] = [plain, {**plain, "input": None}]
        first, second = said[order]
        made, told = data(await api.post("/v1/jobs", first)), data(await api.post("/v1/jobs", second))
        assert (told["idempotent_replay"], told["run_id"]) == (True, made["run_id"])


@pytest.mark.parametrize("sent", [VALUE, AGAIN])
async def test_a_key_that_0_2_0_has_bound_is_known(autojump_clock: MockClock, sent: bytes) -> None:
    """It kept the hash over the text of the input without white space."""
    body = _object(_job(sent))
    request = msgspec.json.decode(body, type=JobRequest)
    metadata = b'{"a":"/","b":"b"}'
    bound = _request_hash(TenantId(""), request, msgspec.json.format(sent, indent=-1), metadata)
    async with running() as world:
        old = msgspec.structs.replace(submit("new", workflow="new", key="k", input=sent), request_hash=bound)
        await world.engine.ask(Unit("submit", [old]))
        api = Api(world)
        assert data(await api.post_bytes("/v1/jobs", body))["idempotent_replay"]
        refused = json.loads((await api.post_bytes("/v1/jobs", _object(_job(OTHERS[0])))).body)
        assert refused["error"]["details"]["reason"] == "idempotency_mismatch"


def _object(fields: dict[str, bytes], between: bytes = b", ") -> bytes:
    return b"{%b}" % between.join(b'"%s": %b' % (name.encode(), text) for name, text in fields.items())


def _lasting(answer: Any) -> Any:
    """What an answer says, but for what says that it is a repeat."""
    if isinstance(answer, list):
        return [_lasting(each) for each in answer]
    if not isinstance(answer, dict):
        return answer
    return {name: _lasting(value) for name, value in answer.items() if name not in VARIES}


def _stored(world: World, value: bytes) -> bool:
    return any(value in payload for payload in world.rows().payloads.values())
