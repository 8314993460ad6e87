"""Null is absent wherever a field is optional, and 1.0 is 1 wherever a whole number is asked for: in the bodies of all
routes, however deep, and nowhere in a client's own values.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

import msgspec
import pytest
from msgspec import Raw, Struct

from oris.api.leniency import meant, type_of, whole
from oris.api.routes import route_table
from oris.api.strict_json import decode, decode_part, decoder
from oris.sim.writing import Change, changed, with_floats, with_nulls
from oris.wire.jobs import BatchRequest, JobRequest, is_given
from oris.wire.waits import InterruptRequest, ResumeRequest, SuspendRequest, TimeWait
from oris.wire.workers import AckError, AckRequest, ListedAck

from ..fuzz.bodies import VALID

BODIES = {route.path: route.body for route in route_table(4 * 1024 * 1024).routes if route.body is not None}
ERRORS = msgspec.json.Decoder(AckError)


@pytest.mark.parametrize("change", [with_nulls, with_floats])
@pytest.mark.parametrize("path", sorted(VALID))
def test_serializers_may_write_nulls_and_floats_in_every_body(path: str, change: Change) -> None:
    kind = BODIES[path]
    for seed in range(30):
        body = VALID[path](Random(seed))
        plainly, otherwise = json.dumps(body), json.dumps(changed(body, type_of(kind), change))
        assert taken(kind, otherwise) == taken(kind, plainly), otherwise


def test_the_change_is_one_somewhere() -> None:
    body = {"jobs": [{"thread_id": "t", "input": {"priority": 1}, "priority": 1, "retry_policy": {"backoff_ms": 5}}]}
    floats = changed(body, type_of(BatchRequest), with_floats)
    assert '"priority": 1.0' in json.dumps(floats)
    assert '{"priority": 1}' in json.dumps(floats)
    assert floats["jobs"][0]["retry_policy"]["backoff_ms"] == 5.0
    assert changed(body, type_of(BatchRequest), with_nulls)["jobs"][0]["retry_policy"]["max_backoff_ms"] is None


@pytest.mark.parametrize(
    "field", ["input", "workflow", "priority", "metadata", "delay_ms", "run_at", "wait_ms", "retry_policy"]
)
def test_a_field_that_may_be_left_out_may_be_null(field: str) -> None:
    assert taken(JobRequest, json.dumps({"thread_id": "t", field: None})) == taken(JobRequest, '{"thread_id":"t"}')


@pytest.mark.parametrize("text", ["1.0", "1.000", "1e0", "10e-1", "0.1e1", "1E+0", "1." + "0" * 500])
def test_a_whole_number_may_be_written_in_any_way(text: str) -> None:
    assert taken(JobRequest, f'{{"thread_id":"t","priority":{text}}}')["priority"] == 1


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"-0.0", 0),
        (b"-3", -3),
        (b"9007199254740993", 2**53 + 1),
        (b"9007199254740993.0", 2**53 + 1),
        (b"9007199254740993.1", None),
        (b"1e2", 100),
        (b"0.000000000000000000001", None),
        (b"1.5", None),
        (b"1e400", None),
        (b"9" * 41, None),
    ],
)
def test_what_is_whole(text: bytes, number: int | None) -> None:
    assert whole(text) == number


def test_a_clients_own_value_keeps_its_bytes_beside_a_null() -> None:
    value = b'{ "b": 1.0,  "a": null, "n": 1e2, "s": "\\u00e9" }'
    body = b'{"thread_id": "t", "priority": 5.0, "workflow": null, "input": %b }' % value
    assert bytes(decode(body, decoder(JobRequest).decoder).input) == value


def test_the_kind_of_a_wait_may_be_written_with_escapes() -> None:
    wait = b'{"k\\u0069nd":"tim\\u0065","key":"k","after_ms":5.0}'
    body = decode(b'{"attempt_id":"a","lease_id":"l","waits":[%b]}' % wait, decoder(SuspendRequest).decoder)
    assert body.waits == [TimeWait(key="k", after_ms=5)]


def test_null_is_a_value_where_one_is_asked_for() -> None:
    assert bytes(decode(b'{"value":null}', decoder(ResumeRequest).decoder).value) == b"null"
    asked = b'{"attempt_id":"a","lease_id":"l","checkpoint":null,"interrupts":[{"key":"k","value":null}]}'
    body = decode(asked, decoder(InterruptRequest).decoder)
    assert (bytes(body.interrupts[0].value), body.checkpoint) == (b"null", None)


def test_an_error_may_have_nulls() -> None:
    text = meant(b'{"type":"E","message":"m","stack":null,"data":null,"retryable":null}', AckError)
    assert msgspec.json.decode(text, type=AckError).retryable


@pytest.mark.parametrize("text", [b"{}", b"[]", b"null", b"1", b'"x"', b'{"jobs":[1,null,{"thread_id":1}]}'])
def test_what_is_wrong_in_another_way_stays(text: bytes) -> None:
    assert meant(text, BatchRequest) == text


def taken(kind: type[Struct], body: str) -> Any:
    """What a body is read as; a value that is null is none, where it may be left out."""
    return plain(decode(body.encode(), decoder(kind).decoder), kind)


def plain(value: Any, kind: object = None) -> Any:
    """A decoded body as something that can be compared."""
    if isinstance(value, Raw):
        return bytes(value) if is_given(value) else None
    if isinstance(value, Struct):
        found = {"": type(value).__name__} | {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        if isinstance(value, AckRequest | ListedAck) and is_given(value.error):
            found["error"] = plain(decode_part(value.error, ERRORS))  # kept as it is, and read as this
        return found
    return [plain(each) for each in value] if isinstance(value, list) else value
