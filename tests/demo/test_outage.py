"""The demo's heartbeat while the server is away, on a clock that the test moves."""

from __future__ import annotations

import json
from http.client import HTTPException, RemoteDisconnected
from itertools import pairwise
from typing import Any

import pytest

from oris.demo.control import Control
from oris.demo.heartbeat import BEATS_A_TTL, Heartbeat
from oris.demo.http_client import RETRY_S, Api, CallError
from oris.demo.lease import Lease, Slot

TTL_S = 10
AWAY_FROM_S, AWAY_S = 12.0, 60.0
ROUNDING_S = 1e-6


class Server:
    """Knows one lease, is away for a minute, and gives the lease back the time in which it could not commit."""

    def __init__(self, hang_s: float, silence: Exception) -> None:
        self.now_s = 0.0
        self.expires_s = float(TTL_S)
        self.beats: list[float] = []
        self.unanswered: list[float] = []
        self._hang_s = hang_s
        self._silence = silence
        self._was_away = False

    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        assert path == "/v1/workers/w/heartbeat"
        assert body == {"lease_ids": ["lea"], "session": "s", "lease_ttl_seconds": TTL_S}
        if AWAY_FROM_S <= self.now_s < AWAY_FROM_S + AWAY_S:
            self._was_away = True
            self.unanswered.append(self.now_s)
            self.pass_time(self._hang_s)
            raise self._silence
        if self._was_away:
            self._was_away = False
            self.expires_s += AWAY_S
        state = "held" if self.now_s < self.expires_s else "lost"
        if state == "held":
            self.expires_s = self.now_s + TTL_S
            self.beats.append(self.now_s)
        return {"leases": [{"lease_id": "lea", "state": state}]}


class OverError(Exception):
    """The test has seen enough."""


def beat_for(server: Server, seconds: float) -> Lease:
    """A heartbeat at work for so long."""
    slot, lease = Slot(), Lease("lea")
    slot.fill(lease)

    def pause(wanted_s: float) -> None:
        server.pass_time(wanted_s)
        if server.now_s > seconds:
            raise OverError

    with pytest.raises(OverError):
        Heartbeat(server, "w", "s", TTL_S, slot, pause)._run()  # type: ignore[arg-type]
    return lease


@pytest.mark.parametrize(
    ("hang_s", "silence"),
    [
        (0.0, OSError("refused")),
        (TTL_S / BEATS_A_TTL, OSError("timed out")),
        (0.0, CallError(503, {"code": "unavailable", "message": "no", "details": {"reason": "store_unavailable"}})),
        (0.0, KeyError("leases")),
    ],
    ids=["down", "frozen", "without its store", "behind what answers something else"],
)
def test_the_lease_is_held_over_an_outage_of_a_minute(hang_s: float, silence: Exception) -> None:
    server = Server(hang_s, silence)
    lease = beat_for(server, 2 * AWAY_S)
    assert not lease.lost.is_set()
    assert not lease.cancelling.is_set()
    back_s = next(beat for beat in server.beats if beat > AWAY_FROM_S)
    tries = [*server.unanswered, back_s]
    assert max(later - earlier for earlier, later in pairwise(tries)) <= hang_s + RETRY_S + ROUNDING_S
    assert back_s - (AWAY_FROM_S + AWAY_S) <= hang_s + RETRY_S + ROUNDING_S
    assert server.beats[-1] > 2 * AWAY_S - TTL_S


@pytest.mark.parametrize(
    ("word", "lost", "cancelling"),
    [
        ("held", False, False),
        ("cancelling", False, True),
        ("graceful_cancel", False, True),
        ("cancelled", True, False),
        ("cancel", True, False),
        ("timed_out", True, False),
        ("lost", True, False),
    ],
)
def test_every_word_about_a_lease_means_going_on_or_ending_it_or_dropping_it(
    word: str, lost: bool, cancelling: bool
) -> None:
    lease = Lease("lea")
    lease.tell(word)
    assert (lease.lost.is_set(), lease.cancelling.is_set()) == (lost, cancelling)


class Polls:
    """Answers control polls from a script."""

    def __init__(self, *script: dict[str, Any] | Exception) -> None:
        self.script = list(script)
        self.asked: list[dict[str, Any]] = []

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        assert path == "/v1/workers/poll"
        self.asked.append(body)
        answer = self.script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_a_control_poll_asks_for_no_work_and_repeats_its_id_until_it_is_answered() -> None:
    message = {"type": "cancel", "lease_id": "lea", "attempt_id": "att", "reason": "terminate"}
    other = {**message, "lease_id": "before"}
    polls = Polls(
        {"decision": "noop", "control": [other]},
        OSError("broken"),
        {"decision": "draining", "control": []},
        {},
        {"decision": "noop", "control": [message]},
    )
    slot, lease = Slot(), Lease("lea")
    pauses: list[float] = []
    slot.fill(lease)
    control = Control(polls, "w", "s", slot, pauses.append)  # type: ignore[arg-type]
    seen = []
    for _ in range(5):
        control.listen()
        seen.append(lease.lost.is_set())
    assert seen == [False, False, False, False, True]
    assert {(body["limit"], body["wait_ms"], body["session"]) for body in polls.asked} == {(0, 20_000, "s")}
    ids = [body["poll_id"] for body in polls.asked]
    assert ids[1] == ids[2]
    assert ids[3] == ids[4]
    assert len(set(ids)) == 3
    assert pauses == [RETRY_S, RETRY_S, RETRY_S]


def test_a_cancel_that_is_heard_before_its_lease_is_known_counts() -> None:
    slot, before, lease = Slot(), Lease("before"), Lease("lea")
    slot.fill(before)
    slot.tell("lea", "cancel")
    slot.clear()
    assert not before.lost.is_set()
    slot.fill(lease)
    assert lease.lost.is_set()


class Line:
    """A connection of the client that breaks as told, and then answers."""

    def __init__(self, *script: Exception | tuple[int, bytes], kept: bool) -> None:
        self.script = list(script)
        self.sent: list[tuple[str, str, bytes | None]] = []
        self.sock: object | None = object() if kept else None
        self.status = 0

    def request(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> None:
        self.sock = object()
        self.sent.append((method, path, body))

    def getresponse(self) -> Line:
        answer = self.script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        self.status, self.content = answer
        return self

    def read(self) -> bytes:
        return self.content

    def close(self) -> None:
        self.sock = None


OK = 200, json.dumps({"data": {"n": 1}}).encode()


def refused(status: int, reason: str | None = None) -> tuple[int, bytes]:
    details = {} if reason is None else {"details": {"reason": reason}}
    return status, json.dumps({"error": {"code": "c", "message": "m", **details}}).encode()


BUSY = refused(503)


def api_over(line: Line, patience_s: float, pauses: list[float]) -> Api:
    api = Api("127.0.0.1:9", patience_s=patience_s, pause=pauses.append)
    api._connection = line  # type: ignore[assignment]
    return api


@pytest.mark.parametrize(
    ("script", "kept", "patience_s", "pauses"),
    [
        ([OK], False, 0, 0),
        ([RemoteDisconnected("idle for long"), OK], True, 0, 0),
        ([TimeoutError("hangs"), OK], True, 60, 1),
        ([HTTPException("half"), OSError("gone"), BUSY, OK], False, 60, 3),
        ([(502, b"<html>bad gateway</html>"), OK], False, 60, 1),
        ([(502, b'{"message":"bad gateway"}'), (200, b"[]"), (200, b"{}"), OK], False, 60, 3),
        ([refused(408), refused(429), refused(500), OK], False, 60, 3),
        ([(503, b'{"error":{"code":503,"message":"down","details":[{"@type":"x"}]}}'), OK], False, 60, 1),
    ],
)
def test_a_call_without_an_answer_is_sent_again_as_it_was(
    script: list[Exception | tuple[int, bytes]], kept: bool, patience_s: float, pauses: int
) -> None:
    line = Line(*script, kept=kept)
    paused: list[float] = []
    sends = len(script)
    assert api_over(line, patience_s, paused).post("/v1/x", {"a": 1}) == {"n": 1}
    assert line.sent == [("POST", "/v1/x", b'{"a": 1}')] * sends
    assert len(paused) == pauses


@pytest.mark.parametrize("answer", [OSError("gone"), TimeoutError("hangs"), HTTPException("half"), BUSY])
def test_a_call_without_patience_is_sent_once(answer: Exception | tuple[int, bytes]) -> None:
    line = Line(answer, kept=False)
    with pytest.raises((OSError, CallError)):
        api_over(line, 0, []).post("/v1/x", {})
    assert len(line.sent) == 1


@pytest.mark.parametrize(
    ("answer", "of_job", "of_lease"),
    [
        (refused(400), True, False),
        (refused(413), True, False),
        (refused(409, "dedupe_mismatch"), True, False),
        (refused(409, "lease_lost"), False, True),
        (refused(404), False, True),
        (refused(409, "session_superseded"), False, False),
        (refused(401), False, False),
        (refused(403), False, False),
    ],
)
def test_a_refusal_is_the_jobs_fault_or_the_end_of_the_lease_or_of_the_worker(
    answer: tuple[int, bytes], of_job: bool, of_lease: bool
) -> None:
    line = Line(answer, kept=False)
    with pytest.raises(CallError) as caught:
        api_over(line, 60, []).post("/v1/x", {})
    assert (caught.value.is_of_job, caught.value.is_of_lease, len(line.sent)) == (of_job, of_lease, 1)
