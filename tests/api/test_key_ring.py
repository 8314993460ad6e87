"""The keys in memory: who gets in, what a stranger can learn, and who is sent away when a key ends."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock, wait_all_tasks_blocked

from oris.api import key_ring
from oris.api.auth import Authenticator, Credential
from oris.api.dispatch import Admission
from oris.api.head import Head
from oris.api.http import Caller, Role
from oris.api.key_ring import NOTED_EVERY_MS, KeyRing, digest_of, new_key
from oris.core.api_key import ApiKey
from oris.errors import ApiError, ErrorCode
from oris.ids import KeyId, TenantId
from oris.storage.reads.cluster import StoredKeys

from .front import make_front

START_MS = 1_000_000
SECRET = "oris_the-secret"


class Rig:
    """A ring, its clock, and the authenticator over it."""

    def __init__(self, *static: Credential) -> None:
        self.now_ms = START_MS
        self.ring = KeyRing(lambda: self.now_ms)
        self.callers = Authenticator(static, keys=self.ring)

    def call(self, key_id: str | None = "key_1", secret: str | None = SECRET, **more: str) -> Caller:
        sent = {"x-api-key-id": key_id, "x-api-key": secret} | more
        return self.callers.authenticate({n.encode(): v.encode() for n, v in sent.items() if v is not None})

    def is_let_in(self, *sent: str | None, **more: str) -> bool:
        try:
            self.call(*sent, **more)
        except ApiError:
            return False
        return True


def stored(key_id: str = "key_1", tenant: str | None = None, **more: Any) -> ApiKey:
    bound = None if tenant is None else TenantId(tenant)
    return ApiKey(KeyId(key_id), "worker", bound, digest_of(SECRET.encode()), START_MS, **more)


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.ring.put(stored(tenant="acme"))
    return rig


def test_a_stored_key_tells_who_calls(rig: Rig) -> None:
    assert rig.call() == Caller(Role.WORKER, "acme", "api_key", "key_1", KeyId("key_1"))


@pytest.mark.parametrize(
    ("key_id", "secret"),
    [
        ("key_1", "wrong"),
        ("key_1", ""),
        ("key_1", None),
        ("key_2", SECRET),
        ("", SECRET),
        (None, SECRET),
        (None, None),
        (SECRET, "key_1"),
    ],
)
def test_half_or_wrong_keys_open_nothing_and_are_answered_alike(
    rig: Rig, key_id: str | None, secret: str | None
) -> None:
    with pytest.raises(ApiError) as caught:
        rig.call(key_id, secret)
    both = {"supported_auth": ["api_key", "bearer"]}
    assert (caught.value.code, caught.value.details) == (ErrorCode.UNAUTHORIZED, both)


def test_a_stored_key_goes_in_one_field_too(rig: Rig) -> None:
    assert rig.call(None, None, authorization=f"Bearer key_1.{SECRET}") == rig.call()
    assert rig.call(None, None, authorization=f"bearer   key_1.{SECRET} ") == rig.call()


@pytest.mark.parametrize("token", ["key_1", f"key_1{SECRET}", "key_1.", f".{SECRET}", f"key_2.{SECRET}", "key_1.wrong"])
def test_half_or_wrong_keys_in_one_field_open_nothing(rig: Rig, token: str) -> None:
    assert not rig.is_let_in(None, None, authorization=f"Bearer {token}")


def test_a_static_token_with_a_dot_is_no_stored_key() -> None:
    rig = Rig(Credential("bearer", f"key_1.{SECRET}", Role.OPERATOR))
    rig.ring.put(stored())
    assert rig.call(None, None, authorization=f"Bearer key_1.{SECRET}").role is Role.OPERATOR


def test_one_right_credential_among_several_lets_in_and_of_several_the_first() -> None:
    rig = Rig(Credential("bearer", "token", Role.ADMIN), Credential("api_key", SECRET, Role.OPERATOR))
    rig.ring.put(stored())
    assert rig.call(authorization="Bearer token").role is Role.ADMIN
    assert rig.call("key_1", "wrong", authorization="Bearer token").role is Role.ADMIN
    assert rig.call("key_1", SECRET, authorization="Bearer wrong").role is Role.WORKER
    assert rig.call("key_1", None, authorization="Bearer token").role is Role.ADMIN
    assert rig.call(None, "wrong", authorization=f"Bearer key_1.{SECRET}").role is Role.WORKER
    assert rig.call("key_1", SECRET, authorization="Basic token").role is Role.WORKER
    assert not rig.is_let_in("key_1", "wrong", authorization="Bearer wrong")
    assert rig.call(None, SECRET).role is Role.OPERATOR
    # With an id it is the stored key's secret first; an id that somebody else has added does no harm.
    assert rig.call().role is Role.WORKER
    assert rig.call("key_2", SECRET).role is Role.OPERATOR


STATIC = "send Authorization: Bearer <token>"
STORED = "Authorization: Bearer <key id>.<secret>, or X-Api-Key-Id: <key id> with X-Api-Key: <secret>"
HALF = "X-Api-Key-Id names a stored key, but its secret is missing; send it as X-Api-Key"
NO_ID = "this is not a static credential, and a stored key needs its id with its secret; "
WRONG = "the credential is wrong, has expired or was revoked; "


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({}, f"credentials are missing; {STATIC}, or {STORED}"),
        (
            {"x-api-key-id": "key_1"},
            HALF,
        ),
        (
            {"x-api-key-id": "key_2"},
            HALF,
        ),
        (
            {"authorization": "Basic eDp5"},
            f"Authorization has to be a bearer token; {STATIC}, or {STORED}",
        ),
        ({"authorization": "Bearer wrong"}, f"{NO_ID}{STATIC}, or {STORED}"),
        ({"authorization": f"Bearer {SECRET}"}, f"{NO_ID}{STATIC}, or {STORED}"),
        (
            {"authorization": "Bearer wrong", "x-api-key-id": "key_1", "x-api-key": "no"},
            f"{WRONG}{STATIC}, or {STORED}",
        ),
        ({"authorization": "Bearer key_1.wrong"}, f"{WRONG}{STATIC}, or {STORED}"),
        ({"authorization": "Bearer key_2.wrong"}, f"{WRONG}{STATIC}, or {STORED}"),
        ({"x-api-key-id": "key_1", "authorization": "Bearer wrong"}, f"{WRONG}{STATIC}, or {STORED}"),
        (
            {"x-api-key": f"key_{'0' * 32}.{SECRET}"},
            f"X-Api-Key cannot have both the id and the secret of a stored key; send {STORED}",
        ),
        ({"x-api-key": "my.static.typo"}, f"{NO_ID}{STATIC}, or {STORED}"),
        ({"x-api-key": SECRET}, f"{NO_ID}{STATIC}, or {STORED}"),
    ],
)
def test_a_401_says_what_is_missing_and_not_whether_a_key_exists(sent: dict[str, str], message: str) -> None:
    rig = Rig(Credential("bearer", "token"))
    rig.ring.put(stored())
    with pytest.raises(ApiError) as caught:
        rig.call(None, None, **sent)
    assert caught.value.message == message


def test_a_401_of_a_server_with_stored_keys_alone_speaks_of_no_other(rig: Rig) -> None:
    with pytest.raises(ApiError) as caught:
        rig.call(None, SECRET)
    assert caught.value.message == f"a stored key needs its id with its secret; send {STORED}"


def test_a_401_of_a_server_whose_last_credential_was_taken_away_says_so() -> None:
    rig = Rig(Credential("bearer", "t"))
    rig.callers.replace([])
    with pytest.raises(ApiError) as caught:
        rig.call(None, None, authorization="Bearer t")
    assert "this server has no valid credential" in caught.value.message


def test_a_server_without_stored_keys_speaks_of_none() -> None:
    rig = Rig(Credential("bearer", "token"))
    for sent, message in (
        ({"x-api-key-id": "x"}, f"credentials are missing; {STATIC}"),
        ({"x-api-key-id": "x", "authorization": "Bearer typo"}, f"{WRONG}{STATIC}"),
        ({"x-api-key": "k.s"}, f"{WRONG}{STATIC}"),
    ):
        with pytest.raises(ApiError) as caught:
            rig.call(None, None, **sent)
        assert caught.value.message == message


def test_a_401_names_only_the_ways_that_there_are() -> None:
    for rig, ways in (
        (Rig(Credential("api_key", "k")), "send X-Api-Key: <key>"),
        (Rig(Credential("bearer", "t"), Credential("api_key", "k")), f"{STATIC}, or X-Api-Key: <key>"),
    ):
        with pytest.raises(ApiError) as caught:
            rig.call(None, None)
        assert caught.value.message == f"credentials are missing; {ways}"


@pytest.mark.parametrize("kind", ["right", "wrong", "unknown", "revoked", "expired"])
def test_each_attempt_costs_one_hash_and_one_comparison_in_constant_time(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """No oracle by time: the work does not depend on whether the id exists."""
    really, compared = hmac.compare_digest, list[tuple[int, int]]()
    hashed: list[bytes] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return really(one, other)

    def digest(secret: bytes) -> bytes:
        hashed.append(secret)
        return digest_of(secret)

    monkeypatch.setattr("oris.api.key_ring.hmac.compare_digest", compare)
    monkeypatch.setattr(key_ring, "digest_of", digest)
    end: dict[str, Callable[[], None]] = {
        "revoked": lambda: rig.ring.put(stored(revoked_ms=START_MS)),
        "expired": lambda: rig.ring.put(stored(expires_ms=START_MS)),
    }
    end.get(kind, lambda: None)()
    key_id, secret = ("key_2" if kind == "unknown" else "key_1"), ("wrong" if kind == "wrong" else SECRET)
    assert (rig.ring.find(key_id.encode(), secret.encode()) is not None) == (kind == "right")
    assert compared == [(32, 32)]
    assert hashed == [secret.encode()]


def test_new_keys_have_ids_and_secrets_of_their_own() -> None:
    one, two = new_key(), new_key()
    assert one.key_id != two.key_id
    assert one.secret != two.secret
    assert one.digest == digest_of(one.secret.encode())
    # 32 random bytes in base64.
    assert len(one.secret.removeprefix("oris_")) == 43


def test_a_server_is_open_until_there_is_a_key_and_never_again() -> None:
    rig = Rig()
    assert rig.call(None, None).actor_type == "anonymous"
    rig.ring.put(stored(expires_ms=START_MS + 1))
    assert not rig.is_let_in(None, None)
    rig.now_ms += 1
    assert not rig.is_let_in()
    rig.ring.put(stored(revoked_ms=START_MS))
    rig.ring.learn(StoredKeys((), any_ever=True), rig.ring.version)
    assert not rig.callers.is_open
    assert not rig.is_let_in(None, None)


def test_static_credentials_that_are_taken_away_do_not_open_the_server() -> None:
    rig = Rig(Credential("bearer", "token"))
    rig.callers.replace(())
    assert not rig.callers.is_open
    assert not rig.is_let_in(None, None)


def test_keys_that_are_all_over_keep_a_server_closed_from_its_start() -> None:
    rig = Rig()
    assert rig.ring.learn(StoredKeys((), any_ever=True), rig.ring.version)
    assert not rig.callers.is_open
    assert rig.callers.supported == ["api_key", "bearer"]


def test_a_reload_of_the_static_credentials_leaves_the_stored_keys(rig: Rig) -> None:
    rig.callers.replace([Credential("bearer", "token")])
    assert rig.is_let_in()
    assert rig.callers.supported == ["api_key", "bearer"]


def test_what_was_read_before_a_revocation_does_not_undo_it(rig: Rig) -> None:
    version = rig.ring.version
    rig.ring.put(stored(revoked_ms=START_MS))
    assert not rig.ring.learn(StoredKeys((stored(),), any_ever=True), version)
    assert not rig.is_let_in()
    assert rig.ring.learn(StoredKeys((stored(),), any_ever=True), rig.ring.version)
    assert rig.is_let_in()


def test_a_last_use_is_written_once_a_minute_at_most(rig: Rig) -> None:
    for _ in range(100):
        rig.call()
        rig.now_ms += 1
    uses = rig.ring.uses(10)
    assert uses == ((KeyId("key_1"), START_MS),)
    rig.ring.put(replace(stored(tenant="acme"), used_ms=START_MS))
    rig.ring.noted(uses)
    rig.now_ms = START_MS + NOTED_EVERY_MS - 1
    rig.call()
    assert rig.ring.uses(10) == ()
    rig.now_ms += 1
    rig.call()
    assert rig.ring.uses(10) == ((KeyId("key_1"), START_MS + NOTED_EVERY_MS),)


def test_uses_that_could_not_be_written_are_given_again_and_so_many_at_a_time() -> None:
    rig = Rig()
    for number in range(5):
        rig.ring.put(stored(f"key_{number}"))
        rig.call(f"key_{number}")
    assert len(rig.ring.uses(3)) == 3
    assert len(rig.ring.uses(10)) == 5
    rig.ring.noted(rig.ring.uses(3))
    assert len(rig.ring.uses(10)) == 2
    assert not rig.is_let_in("key_1", "wrong")


async def stand(rig: Rig, told: list[str]) -> None:
    try:
        with rig.ring.while_valid(KeyId("key_1")):
            await trio.sleep_forever()
    except ApiError as error:
        told.append(error.code)


@pytest.mark.parametrize("by", ["this server", "another"])
async def test_whoever_waits_under_a_revoked_key_is_sent_away(autojump_clock: MockClock, rig: Rig, by: str) -> None:
    told: list[str] = []
    rig.ring.put(stored("key_2"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stand, rig, told)
        nursery.start_soon(stand, rig, told)
        await wait_all_tasks_blocked()
        rig.ring.put(stored("key_2", revoked_ms=START_MS))
        await wait_all_tasks_blocked()
        assert told == []
        if by == "this server":
            rig.ring.put(stored(revoked_ms=START_MS))
        else:
            rig.ring.learn(StoredKeys((), any_ever=True), rig.ring.version)
    assert told == ["unauthorized", "unauthorized"]


async def test_whoever_waits_is_sent_away_when_the_key_expires(autojump_clock: MockClock, rig: Rig) -> None:
    rig.ring.put(stored(expires_ms=START_MS + 5000))
    told: list[str] = []
    await stand(rig, told)
    assert (told, trio.current_time()) == (["unauthorized"], 5.0)


async def test_a_key_that_ended_since_the_head_came_is_found_out(rig: Rig) -> None:
    rig.ring.put(stored(revoked_ms=START_MS))
    with pytest.raises(ApiError), rig.ring.while_valid(KeyId("key_1")):
        raise AssertionError("not reached")
    with pytest.raises(ApiError):
        rig.ring.check(KeyId("key_1"))


async def test_a_cancellation_from_outside_is_no_revocation(autojump_clock: MockClock, rig: Rig) -> None:
    told: list[str] = []
    with trio.move_on_after(1) as scope:
        await stand(rig, told)
    assert scope.cancelled_caught
    assert told == []


@pytest.mark.parametrize("path", ["/v1/things/a", "/v1/park"])
async def test_a_key_that_is_revoked_while_its_request_arrives_reaches_no_handler(rig: Rig, path: str) -> None:
    """The body may take its time; the head was judged before."""
    front = make_front(rig.callers)
    headers = ((b"x-api-key-id", b"key_1"), (b"x-api-key", SECRET.encode()))
    admitted = front.dispatcher.admit(Head("GET", path, b"", headers))
    assert isinstance(admitted, Admission)
    rig.ring.put(stored(revoked_ms=START_MS))
    answer = await front.dispatcher.run(admitted)
    assert answer.status == 401
    assert not front.witness.entered.is_set()
    assert front.faults.seen == []
