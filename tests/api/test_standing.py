"""Nobody goes on working under a credential that would not let him in again, whatever it is: polls and streams end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from oris.api.auth import Authenticator, Credential
from oris.api.dispatch import Admission
from oris.api.head import Head
from oris.api.http import NOBODY, Answer
from oris.api.key_ring import KeyRing, digest_of
from oris.core.api_key import ApiKey
from oris.errors import ApiError, ErrorCode
from oris.ids import KeyId
from oris.storage.reads.cluster import StoredKeys

from .front import Front, Witness, make_front

KEY = ApiKey(KeyId("key_1"), "admin", None, digest_of(b"secret"), 1)
OLD, NEW = Credential("bearer", "old", actor_id="static"), Credential("bearer", "new", actor_id="static-next")
OTHER = Credential("api_key", "old")
Change = Callable[[Authenticator], object]
CLOSINGS: dict[str, Change] = {
    "the first key": lambda callers: callers.keys.put(KEY),
    "the first key, on another node": lambda callers: callers.keys.learn(StoredKeys((KEY,), any_ever=True), 0),
    "a key that is over, on another node": lambda callers: callers.keys.learn(StoredKeys((), any_ever=True), 0),
    "a static credential": lambda callers: callers.replace([OLD]),
}
BY_OLD, BY_OTHER = (b"authorization", b"Bearer old"), (b"x-api-key", b"old")
ENDINGS: dict[str, tuple[list[Credential], tuple[tuple[bytes, bytes], ...], Change]] = {
    **{name: ([], (), change) for name, change in CLOSINGS.items()},
    "another token": ([OLD], (BY_OLD,), lambda callers: callers.replace([NEW])),
    "another key": ([OTHER, OLD], (BY_OTHER,), lambda callers: callers.replace([OLD])),
}


class Admissions:
    """Requests of one caller."""

    def __init__(self, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        self.headers = headers

    def to(self, front: Front, path: str) -> Admission[Witness]:
        admitted = front.dispatcher.admit(Head("GET", path, b"", self.headers))
        assert isinstance(admitted, Admission)
        return admitted


Ending = tuple[Front, Admissions, Callable[[], object]]


@pytest.fixture(params=ENDINGS)
def ending(request: pytest.FixtureRequest) -> Ending:
    """A front, what lets the caller in, and what ends that."""
    known, headers, change = ENDINGS[request.param]
    callers = Authenticator(known, keys=KeyRing(lambda: 1))
    return make_front(callers), Admissions(headers), lambda: change(callers)


async def test_a_parked_call_ends_with_401(ending: Ending) -> None:
    front, admissions, end = ending
    answers: list[Answer] = []

    async def park() -> None:
        answers.append(await front.dispatcher.run(admissions.to(front, "/v1/park")))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(park)
        await wait_all_tasks_blocked()
        assert answers == []
        end()
    assert [answer.status for answer in answers] == [401]
    assert front.witness.cancelled.is_set()
    assert front.faults.seen == []


async def test_a_stream_is_cut_off(ending: Ending) -> None:
    front, admissions, end = ending
    answer = await front.dispatcher.run(admissions.to(front, "/v1/stream/waits"))
    written: list[bytes] = []
    errors: list[ApiError] = []

    async def write(piece: bytes) -> None:
        written.append(piece)

    async def read() -> None:
        assert answer.stream is not None
        try:
            await answer.stream(write)
        except ApiError as error:
            errors.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        end()
    assert written == [b"[1,"]
    assert [error.code for error in errors] == [ErrorCode.UNAUTHORIZED]


@pytest.mark.parametrize("path", ["/v1/things/a", "/v1/park", "/v1/stream/waits"])
async def test_a_request_whose_body_comes_too_late_reaches_no_handler(ending: Ending, path: str) -> None:
    front, admissions, end = ending
    admitted = admissions.to(front, path)
    end()
    assert (await front.dispatcher.run(admitted)).status == 401
    assert not front.witness.entered.is_set()


async def test_a_stream_that_was_asked_for_in_time_and_begins_too_late_says_nothing(ending: Ending) -> None:
    front, admissions, end = ending
    answer = await front.dispatcher.run(admissions.to(front, "/v1/stream/waits"))
    end()

    async def write(piece: bytes) -> None:
        raise AssertionError("nothing is to be written")

    assert answer.stream is not None
    with pytest.raises(ApiError, match="credential"):
        await answer.stream(write)


@pytest.mark.parametrize(
    "after",
    [
        [OLD],
        [OLD, NEW],
        [NEW, Credential("bearer", "old", actor_id="static-next")],
        [Credential("api_key", "other"), OLD],
    ],
    ids=["unchanged", "a next one", "it is the next one now", "another scheme"],
)
async def test_a_reload_that_keeps_a_credential_disturbs_nobody_under_it(after: list[Credential]) -> None:
    callers = Authenticator([OLD, OTHER])
    caller = callers.authenticate({b"authorization": b"Bearer old"})
    with trio.CancelScope() as outer, callers.while_valid(caller):
        callers.replace(after)
        callers.check(caller)
        callers.keys.put(KEY)
        outer.cancel()
        await trio.lowlevel.checkpoint()
    assert outer.cancelled_caught


async def test_of_two_equal_secrets_one_may_go() -> None:
    callers = Authenticator([NEW, OLD, Credential("bearer", "old", actor_id="static-next")])
    caller = callers.authenticate({b"authorization": b"Bearer old"})
    callers.replace([OLD])
    callers.check(caller)
    callers.replace([NEW])
    with pytest.raises(ApiError):
        callers.check(caller)
    # The same secret in force again is a new beginning, and no other's number.
    callers.replace([NEW, OTHER])
    with pytest.raises(ApiError):
        callers.check(caller)


@pytest.mark.parametrize("change", CLOSINGS.values(), ids=CLOSINGS)
async def test_public_routes_are_for_everybody_still(change: Change) -> None:
    callers = Authenticator((), keys=KeyRing(lambda: 1))
    front = make_front(callers)
    admitted = front.dispatcher.admit(Head("GET", "/healthz", b"", ()))
    assert isinstance(admitted, Admission)
    change(callers)
    assert (await front.dispatcher.run(admitted)).status == 200
    with callers.while_valid(NOBODY):
        change(callers)
        await trio.lowlevel.checkpoint()
