"""Equal JSON in other bytes is the same request: for acks, steps, suspends and answers; and rows of 0.2.0 are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from oris.core import commands as c
from oris.core.meaning import canonical, compact
from oris.core.model import Job
from oris.core.replies import Acked, Refusal, Reply, Reported, Settled, Suspended
from oris.ids import WaitId, attempt_of

from .world import World, asking, reason, the

SAME = [
    (b'{"a":1,"b":2}', b'{"b":2,"a":1}'),
    (b'{"a":{"x":1,"y":[{"p":1,"q":2}]}}', b'{"a":{"y":[{"q":2,"p":1}],"x":1}}'),
    (b'"caf\\u00e9"', '"café"'.encode()),
    (b'"\\ud83d\\ude00"', '"\U0001f600"'.encode()),
    (b'"a\\/b"', b'"a/b"'),
    (b'"\\u000a\\u0009"', b'"\\n\\t"'),
    (b'{"\\u0061":1}', b'{"a":1}'),
    (b"[1, 2]", b"[1,2]"),
    (b'\n{ "a" : [ ] }\r\n', b'{"a":[]}'),
    (b'{"n":-0,"s":"-0"}', b'{"s":"\\u002d0","n":-0}'),
    (b'{"a":1,"a":2}', b'{"a":2}'),
    (b"[12345678901234567890123, 1.50]", b"[12345678901234567890123,1.50]"),
]
DIFFERENT = [
    (b"[1,2]", b"[2,1]"),
    (b"1", b"1.0"),
    (b"100", b"1e2"),
    (b"1e2", b"1E2"),
    (b"1.5", b"1.50"),
    (b"0", b"-0"),
    (b"-0", b"-0.0"),
    (b"-0", b"-0e0"),
    (b"-0e0", b"-0e00"),
    (b'["-0",1]', b'["0",1]'),
    (b"1e-0", b"1e0"),
    (b"1", b'"1"'),
    (b"null", b"false"),
    (b"{}", b"[]"),
    (b'{"a":null}', b"{}"),
    (b'{"a":1}', b'{"A":1}'),
    (b'{"a":1,"a":2}', b'{"a":2,"a":1}'),
    ('"é"'.encode(), '"e\u0301"'.encode()),
    (b"12345678901234567890123", b"12345678901234567890124"),
    (b"9007199254740993", b"9007199254740992"),
    (b"-9223372036854775809", b"-9223372036854775808"),
    (b"0.1", b"0.1000000000000000055511151231257827"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_these_mean_the_same(one: bytes, other: bytes) -> None:
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_these_differ(one: bytes, other: bytes) -> None:
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize(
    "text",
    [
        b"-0",
        b"-0.0",
        b"-0e0",
        b"[" + b"-0," * 3000 + b"0]",
        b"1e400",
        b"1" * 300,
        b'{"x":[1.0,{"y":-0}]}',
        b'["\\"-0",-0]',
    ],
)
def test_a_canonical_text_is_its_own(text: bytes) -> None:
    assert canonical(text) == text


NUMBERS = st.from_regex(
    r"-?(0|[1-9][0-9]{0,22})(\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?", fullmatch=True
) | st.sampled_from(["-0", "-0e0", "-0e00", "-0E0", "-0.0", "0", "0e0", "1e-0"])


@given(st.lists(NUMBERS, max_size=6), st.lists(NUMBERS, max_size=6))
def test_numbers_are_the_same_when_their_texts_are(ones: list[str], others: list[str]) -> None:
    texts = [f'["-0",{",".join(each)}]'.replace(",]", "]").encode() for each in (ones, others)]
    assert (canonical(texts[0]) == canonical(texts[1])) == (ones == others)
    assert [canonical(text) for text in texts] == texts


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])) | st.just("-0"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('ab-0é"\\', max_size=3), inner, max_size=4),
    max_leaves=30,
)


@given(VALUES, VALUES, st.booleans(), st.sampled_from([None, 1]))
def test_what_one_value_is_written_as_means_the_same(
    value: Any, other: Any, ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(value).encode()
    again = json.dumps(_turned_round(value), ensure_ascii=ascii_only, indent=indent).encode()
    assert canonical(again) == canonical(text)
    assert canonical(canonical(text)) == canonical(text)
    written = json.dumps(other, sort_keys=True), json.dumps(value, sort_keys=True)
    assert (canonical(json.dumps(other).encode()) == canonical(text)) == (written[0] == written[1])


def _turned_round(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _turned_round(inner) for key, inner in reversed(value.items())}
    return [_turned_round(inner) for inner in value] if isinstance(value, list) else value


def test_what_a_request_may_nest_is_compared() -> None:
    deep = b'{"b":1,"a":[' * 64 + b"1" + b"]}" * 64
    turned = b'{"a":[' * 64 + b"1" + b'],"b":1}' * 64
    assert canonical(deep) == canonical(turned)


Send = Callable[[World, Job, bytes], Reply]


def _ack_result(world: World, job: Job, value: bytes) -> Reply:
    return world.ack(job, "completed", body=value)


def _ack_error(world: World, job: Job, value: bytes) -> Reply:
    return world.ack(job, "failed", body=b'{"type":"E","message":"m","data":' + value + b"}", retryable=False)


def _step(world: World, job: Job, value: bytes) -> Reply:
    return world.report(job, "a", body=value)


def _checkpoint(world: World, job: Job, value: bytes) -> Reply:
    return world.report(job, "a", body=None, checkpoint=value)


def _suspend(world: World, job: Job, value: bytes) -> Reply:
    return world.suspend(job, asking(value=value))


def _expire_value(world: World, job: Job, value: bytes) -> Reply:
    return world.suspend(job, asking(on_expire="resume", after_ms=60_000, expire_value=value))


def _suspend_checkpoint(world: World, job: Job, value: bytes) -> Reply:
    return world.suspend(job, asking(), checkpoint=value)


def _answer(world: World, job: Job, value: bytes) -> Reply:
    if world.job("t").lease_id is not None:
        world.suspended(job, asking())
    return world.answer(world.wait("q").wait_id, value)


def _answer_of_thread(world: World, job: Job, value: bytes) -> Reply:
    if world.job("t").lease_id is not None:
        world.suspended(job, asking())
    return world.ask(c.ResumeThread(job.job_key, value, "ann"))


SENDS: dict[str, tuple[Send, type[object], str]] = {
    "ack with a result": (_ack_result, Acked, "lease_lost"),
    "ack with an error": (_ack_error, Acked, "lease_lost"),
    "step with an output": (_step, Reported, "dedupe_mismatch"),
    "step with a checkpoint": (_checkpoint, Reported, "dedupe_mismatch"),
    "suspend with a question": (_suspend, Suspended, "lease_lost"),
    "suspend with a value on expiry": (_expire_value, Suspended, "lease_lost"),
    "suspend with a checkpoint": (_suspend_checkpoint, Suspended, "lease_lost"),
    "answer to a question": (_answer, Settled, "resume_mismatch"),
    "answer to a thread": (_answer_of_thread, Settled, "resume_mismatch"),
}


@pytest.mark.parametrize("named", SENDS)
def test_a_request_in_other_bytes_is_a_repeat_and_the_first_bytes_stay(named: str) -> None:
    send, kind, _ = SENDS[named]
    for one, other in SAME:
        world = World()
        job = world.start("t")
        first = send(world, job, one)
        before = dict(world.tables.payloads)
        again = the(kind, send(world, job, other))
        assert _but_for_status(again) == _but_for_status(the(kind, first)), (one, other)
        assert world.tables.payloads == before
        assert any(one in payload for payload in before.values())


@pytest.mark.parametrize("named", SENDS)
def test_a_request_that_says_something_else_is_refused(named: str) -> None:
    send, _, why = SENDS[named]
    for one, other in DIFFERENT:
        world = World()
        job = world.start("t")
        assert not isinstance(send(world, job, one), Refusal)
        assert reason(send(world, job, other)) == why, (one, other)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b'{"type":"E","message":"m"}', b'{"stack":null,"type":"E","data":null,"message":"m","retryable":null}', True),
        (b'{"type":"E","message":"m","data":{}}', b'{"type":"E","message":"m","data":{},"stack":null}', True),
        (b'{"type":"E","message":"m","data":{}}', b'{"type":"E","message":"m","data":{"a":null}}', False),
        (b'{"type":"E","message":"m","data":{}}', b'{"type":"E","message":"m","data":null}', False),
        (b'{"type":"E","message":"m"}', b'{"type":"E","message":"m","stack":""}', False),
        (b'"a text"', b' "a text"', True),
    ],
)
def test_null_in_a_field_of_an_error_means_that_it_is_not_there(one: bytes, other: bytes, same: bool) -> None:
    for first, second in ((one, other), (other, one)):
        world = World()
        job = world.start("t")
        answer = the(Acked, world.ack(job, "failed", body=first))
        again = world.ack(job, "failed", body=second)
        assert again == answer if same else reason(again) == "lease_lost"


def test_null_in_a_result_is_a_value() -> None:
    world = World()
    job = world.start("t")
    world.ack(job, "completed", body=b'{"a":null}')
    assert reason(world.ack(job, "completed", body=b"{}")) == "lease_lost"


def _but_for_status(reply: object) -> object:
    return replace(reply, status="") if isinstance(reply, Reported) else reply


# What 0.2.0 wrote: the bytes as they came, and for an answer without their white space.


def _of_ack(job: Job, status: str, body: bytes) -> bytes:
    return sha256(f"ack\n{attempt_of(job.run_id)}\n{status}\nTrue\n0\n".encode() + body).digest()


def _of_step(*parts: bytes | None) -> bytes:
    return sha256(b"".join(b"-" if p is None else b"%d:%b" % (len(p), p) for p in parts)).digest()


def _of_suspend(job: Job, *waits: c.WaitSpec) -> bytes:
    said = (attempt_of(job.run_id), "all", waits, None)
    return sha256(b"suspend\n" + msgspec.json.encode(said)).digest()


OLD_TEXT = b'{"b": 1.0, "a": "caf\\u00e9"}'


@pytest.mark.parametrize(("sent", "kept"), [(OLD_TEXT, OLD_TEXT), (None, b"null"), (None, b"")])
def test_an_ack_that_0_2_0_has_kept_is_known(sent: bytes | None, kept: bytes) -> None:
    world = World()
    job = world.start("t")
    first = world.acked(job, "completed", body=sent)
    lease_id = job.lease_id
    assert lease_id is not None
    row = world.tables.closed[lease_id]
    world.tables.closed[lease_id] = replace(row, request_hash=_of_ack(job, "completed", kept))
    assert world.ack(job, "completed", body=sent) == first
    assert reason(world.ack(job, "completed", body=b"3")) == "lease_lost"


@pytest.mark.parametrize(("sent", "kept"), [(OLD_TEXT, OLD_TEXT), (None, b"null"), (None, None)])
def test_a_step_that_0_2_0_has_kept_is_known(sent: bytes | None, kept: bytes | None) -> None:
    world = World()
    job = world.start("t")
    world.reported(job, "a", body=sent, checkpoint=OLD_TEXT)
    ((place, row),) = world.tables.steps.items()
    world.tables.steps[place] = replace(row, digest=_of_step(kept, OLD_TEXT))
    assert world.reported(job, "a", body=sent, checkpoint=OLD_TEXT).status == "reported_idempotent"
    assert reason(world.report(job, "a", body=b"3", checkpoint=OLD_TEXT)) == "dedupe_mismatch"


@pytest.mark.parametrize(("sent", "kept"), [(OLD_TEXT, OLD_TEXT), (None, b"null"), (None, None)])
def test_a_suspend_that_0_2_0_has_kept_is_known(sent: bytes | None, kept: bytes | None) -> None:
    world = World()
    job = world.start("t")
    wait = asking(value=OLD_TEXT, on_expire="resume", after_ms=60_000, expire_value=sent)
    other = asking("other", after_ms=60_000)
    first = world.suspended(job, wait, other)
    lease_id = job.lease_id
    assert lease_id is not None
    row = world.tables.closed[lease_id]
    old = _of_suspend(job, replace(wait, expire_value=kept), other)
    world.tables.closed[lease_id] = replace(row, request_hash=old)
    assert world.suspend(job, wait, other) == first
    assert reason(world.suspend(job, wait)) == "lease_lost"


def test_an_answer_that_0_2_0_has_kept_is_known() -> None:
    world = World()
    job = world.start("t")
    world.suspended(job, asking())
    wait_id: WaitId = world.wait("q").wait_id
    world.answer(wait_id, OLD_TEXT)
    digest = sha256(b"resume\n" + compact(OLD_TEXT)).digest()
    world.tables.waits[wait_id] = replace(world.tables.waits[wait_id], settled_digest=digest)
    the(Settled, world.answer(wait_id, b'\n{"b":1.0,"a":"caf\\u00e9"}'))
    assert reason(world.answer(wait_id, b"3")) == "resume_mismatch"


def test_what_is_kept_is_over_the_canonical_text() -> None:
    world = World()
    job = world.start("t")
    assert job.lease_id is not None
    world.acked(job, "completed", body=b'{"b": 2, "a": 1}')
    assert world.tables.closed[job.lease_id].request_hash == _of_ack(job, "completed", b'{"a":1,"b":2}')
