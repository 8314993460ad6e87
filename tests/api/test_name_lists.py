"""A large body with too many names is refused before each name is looked at, and in the same words."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from oris.api import strict_json
from oris.api.name_lists import LARGE_BYTES, has_too_many_names
from oris.errors import ApiError
from oris.wire.workers import AckRequest, HeartbeatRequest, PollRequest

ACK = b'"attempt_id":"a","lease_id":"b","terminal_status":"completed"'
LARGE = b'"%s"' % (b"x" * LARGE_BYTES)


def names(number: int) -> bytes:
    return b"[%s]" % b",".join([b'"%s"' % (b"n" * 200)] * number)


def refused(body: bytes, kind: type[msgspec.Struct]) -> dict[str, Any]:
    with pytest.raises(ApiError) as caught:
        strict_json.decode(body, strict_json.decoder(kind).decoder)
    return {"message": caught.value.message, **(caught.value.details or {})}


@pytest.mark.parametrize(
    ("kind", "body", "field"),
    [
        (AckRequest, b'{%b,"poll":{"workflows":%%b}}' % ACK, "poll.workflows"),
        (PollRequest, b'{"worker_id":"w","workflows":%b}', "workflows"),
        (PollRequest, b'{"worker_id":"w","only_threads":%b}', "only_threads"),
    ],
)
def test_a_list_of_names_is_refused_in_the_same_words_however_long_it_is(
    kind: type[msgspec.Struct], body: bytes, field: str
) -> None:
    assert len(body % names(101)) < LARGE_BYTES < len(body % names(2_000))
    assert refused(body % names(2_000), kind) == refused(body % names(101), kind)
    assert refused(body % names(101), kind)["field"] == field


def test_names_are_not_looked_at_when_there_are_too_many() -> None:
    body = b'{"worker_id":"w","workflows":%b}' % names(2_000)

    class Counted:
        """A decoder that must not be asked."""

        type = PollRequest

    with pytest.raises(ApiError, match="the list has to have 1 to 100 items"):
        strict_json.decode(body, Counted())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (AckRequest, b'{%b,"result":%b,"poll":{"workflows":%b}}' % (ACK, LARGE, names(100))),
        (AckRequest, b'{%b,"result":%b,"poll":{"workflows":null,"limit":2.0}}' % (ACK, LARGE)),
        (AckRequest, b'{%b,"result":%b,"poll":null}' % (ACK, LARGE)),
        (AckRequest, b'{%b,"result":%b}' % (ACK, LARGE)),
        (AckRequest, b' {%b,"result":%b} ' % (ACK, b"[%s]" % b",".join([b'"a"'] * LARGE_BYTES))),
        (HeartbeatRequest, b'{"lease_ids":%b}' % names(1000)),
    ],
)
def test_a_large_body_with_as_many_as_there_may_be_is_read(kind: type[msgspec.Struct], body: bytes) -> None:
    assert len(body) > LARGE_BYTES
    assert not has_too_many_names(body, kind)
    strict_json.decode(body, strict_json.decoder(kind).decoder)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{%b,"result":%b,"poll":7}', "an object is expected"),
        (b'{%b,"result":%b,"poll":{"workflows":"all"}}', "a list is expected"),
        (b'{%b,"result":%b,"poll":{"workflows":[', "not JSON"),
        (b"[{%b},%b]", "a JSON object is expected"),
    ],
)
def test_what_else_is_wrong_with_a_large_body_is_told(body: bytes, message: str) -> None:
    assert refused(body % (ACK, LARGE), AckRequest)["message"].startswith(message)


def test_a_long_list_that_another_one_of_its_name_hides_is_refused() -> None:
    long = names(2_000)
    assert refused(b'{"worker_id":"w","workflows":%b,"workflows":["a"]}' % long, PollRequest)
    twice = b'{%b,"poll":{"workflows":%b,"workflows":["a"]}}' % (ACK, long)
    assert refused(twice, AckRequest)
