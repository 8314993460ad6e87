"""Ten thousand hostile inputs against a real server, and what makes sure that they are hostile and judged."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest
import trio

from oris.api.routes import route_table

from ..e2e.server_process import serving
from . import bodies, runner
from .campaign import SETTINGS, campaign
from .replies import Reply, Wrong, judge, take_reply
from .requests import case

ROOT = Path(__file__).parents[2]
SEED = 1
INPUTS = 10_000


def test_ten_thousand_hostile_inputs_break_nothing(tmp_path: Path) -> None:
    """No status of a bug, no hang, no socket left, no memory kept, every invariant on the rows (`make fuzz`: more)."""
    told = campaign(tmp_path, SEED, INPUTS)
    assert sum(told.kinds.values()) == INPUTS
    # They come as far as they should: into handlers, and to every refusal there is.
    assert {200, 400, 401, 404, 405, 409, 413, 415, 429, 431} <= set(told.statuses)
    assert told.statuses[200] > INPUTS / 10


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("raises", "status 500"),
        ("hangs", "(is not answered|neither closed nor answered)"),
        ("no_envelope", "request_id"),
    ],
)
def test_a_planted_bug_is_found_and_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, found: str
) -> None:
    # Longer than the server waits for a head: silent inputs are no hang.
    monkeypatch.setattr(runner, "DEADLINE_S", 8.0)
    program = ("-m", "tests.fuzz.planted")
    with serving(tmp_path, program=program, ORIS_TEST_FAULT=fault, PYTHONPATH=str(ROOT), **SETTINGS) as server:
        fuzzer = runner.Fuzzer(server.address, SEED)
        trio.run(fuzzer.prepare)
        with pytest.raises(BaseExceptionGroup) as caught:
            trio.run(fuzzer.run, iter(range(3000)))
        assert caught.group_contains(runner.Failed, match=f"{found}(.|\n)*repeat: python -m tests.fuzz --seed 1 --only")


def test_an_input_is_decided_by_its_number_and_the_seed() -> None:
    first = [case(SEED, number) for number in range(300)]
    assert [case(SEED, number) for number in reversed(range(300))] == first[::-1]
    assert [case(SEED + 1, number).data for number in range(300)] != [one.data for one in first]
    assert {one.shape for one in first} == {"framed", "loose", "silent"}


def test_every_route_that_takes_a_body_is_known() -> None:
    posts = {route.path: route for route in route_table(1024 * 1024).routes if route.method == "POST"}
    assert set(bodies.VALID) == set(posts)


def test_placeholders_are_as_long_as_what_they_stand_for() -> None:
    names = {text for number in range(bodies.LEASES) for text in (bodies.lease(number), bodies.attempt(number))}
    assert Counter(map(len, names)) == {56: bodies.LEASES, 36: bodies.LEASES}


def test_bodies_stay_small_enough_to_send() -> None:
    sizes = [len(bodies.body(Random(seed), path)) for seed in range(60) for path in bodies.VALID]
    assert max(sizes) <= 5 * 1024 * 1024


ENVELOPE = {"content-type": "application/json", "x-request-id": "r"}


def _refusal(status: int, code: str, **headers: str) -> Reply:
    body = {"request_id": "r", "error": {"code": code, "message": "m", "details": {"reason": "inbox_full"}}}
    return Reply(status, ENVELOPE | headers, json.dumps(body).encode())


@pytest.mark.parametrize(
    "reply",
    [
        _refusal(500, "internal"),
        _refusal(502, "unavailable"),
        _refusal(503, "unavailable"),
        _refusal(429, "backpressure"),
        _refusal(400, "unheard_of"),
        _refusal(400, "invalid_argument", server="hypercorn-h11"),
        Reply(400, {"content-length": "0"}, b""),
        Reply(500, {"content-type": "text/plain"}, b"Internal Server Error"),
        Reply(404, {"content-type": "text/html"}, b"<html>"),
        Reply(200, ENVELOPE, b'{"request_id":"another","meta":{},"data":{}}'),
        Reply(200, ENVELOPE, b'{"request_id":"r","data":{}}'),
    ],
    ids=repr,
)
def test_an_answer_that_must_not_be_is_found(reply: Reply) -> None:
    with pytest.raises(Wrong):
        judge(reply)


def test_answers_in_order_are_lawful() -> None:
    judge(_refusal(400, "invalid_argument"))
    judge(_refusal(503, "unavailable", **{"retry-after": "1"}))
    judge(Reply(200, ENVELOPE, b'{"request_id":"r","meta":{},"data":{}}'))
    judge(Reply(200, {"content-type": "text/plain; version=0.0.4"}, b"up 1"))


def test_answers_are_taken_one_by_one_and_only_whole() -> None:
    whole = b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nhi"
    for cut in range(len(whole)):
        assert take_reply(bytearray(whole[:cut])) is None
    buffer = bytearray(b"HTTP/1.1 100 \r\n\r\n" + whole + b"HTTP/1.1 404 ")
    taken = take_reply(buffer)
    assert taken is not None
    assert (taken.status, taken.body, bytes(buffer)) == (200, b"hi", b"HTTP/1.1 404 ")
    with pytest.raises(Wrong):
        take_reply(bytearray(b"SSH-2.0 x\r\n\r\n"))
    with pytest.raises(Wrong):
        take_reply(bytearray(b"HTTP/1.1 400 \r\nconnection: close\r\n\r\n"))
