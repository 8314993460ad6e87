"""API keys: made, revoked, used; and what a worker of one tenant learns of another's leases."""

from __future__ import annotations

import pytest

from oris.core.api_key import ApiKey
from oris.core.commands import CreateKey, Heartbeat, NoteKeyUses, RevokeKey
from oris.core.replies import Beaten, KeyCreated, KeyRevoked, KeyUsesNoted, Refusal, Reply
from oris.errors import ErrorCode
from oris.ids import KeyId, LeaseId, TenantId

from .world import START_MS, World, reason, the, worker_key

ONE, TWO = KeyId("key_one"), KeyId("key_two")
DIGEST = b"d" * 32


def create(key_id: KeyId = ONE, tenant: str | None = None, **more: int) -> CreateKey:
    return CreateKey(key_id, "worker", None if tenant is None else TenantId(tenant), DIGEST, **more)


def code(reply: Reply) -> ErrorCode:
    return the(Refusal, reply).code


def test_a_key_is_stored_as_it_was_asked_for() -> None:
    world = World()
    made = the(KeyCreated, world.ask(create(tenant="acme", expires_ms=START_MS + 10))).key
    assert made == ApiKey(ONE, "worker", TenantId("acme"), DIGEST, START_MS, expires_ms=START_MS + 10)
    assert world.tables.api_keys == {ONE: made}


def test_two_keys_for_the_same_may_live_at_a_time() -> None:
    world = World()
    world.batch([create(ONE), create(TWO)])
    assert all(key.lets_in(START_MS) for key in world.tables.api_keys.values())
    world.ask(RevokeKey(ONE, None))
    assert [key.lets_in(START_MS) for key in world.tables.api_keys.values()] == [False, True]


@pytest.mark.parametrize("ms", [-1, 0])
def test_a_key_that_would_be_over_at_once_is_not_made(ms: int) -> None:
    world = World()
    refused = the(Refusal, world.ask(create(expires_ms=START_MS + ms)))
    assert (refused.code, refused.details) == (ErrorCode.INVALID_ARGUMENT, {"field": "expires_at"})
    assert world.tables.api_keys == {}


def test_the_same_creation_again_changes_nothing_and_another_of_its_id_is_refused() -> None:
    world = World()
    made = the(KeyCreated, world.ask(create())).key
    world.later(5)
    assert the(KeyCreated, world.ask(create())).key == made
    assert code(world.ask(CreateKey(ONE, "admin", None, b"x" * 32))) is ErrorCode.INTERNAL
    assert world.tables.api_keys == {ONE: made}


def test_a_key_lets_in_until_the_moment_it_expires() -> None:
    key = ApiKey(ONE, "admin", None, DIGEST, 0, expires_ms=10)
    assert (key.lets_in(9), key.lets_in(10)) == (True, False)


def test_a_revocation_stands_and_its_repeat_is_harmless() -> None:
    world = World()
    world.ask(create())
    world.later(7)
    first = the(KeyRevoked, world.ask(RevokeKey(ONE, None))).key
    assert first.revoked_ms == START_MS + 7
    world.later(7)
    assert the(KeyRevoked, world.ask(RevokeKey(ONE, None))).key == first == world.tables.api_keys[ONE]


def test_a_key_that_does_not_exist_cannot_be_revoked() -> None:
    assert code(World().ask(RevokeKey(ONE, None))) is ErrorCode.NOT_FOUND


@pytest.mark.parametrize("tenant", [None, "globex"])
def test_to_an_admin_of_a_tenant_the_keys_of_others_do_not_exist(tenant: str | None) -> None:
    world = World()
    world.ask(create(tenant=tenant))
    missing = World().ask(RevokeKey(ONE, TenantId("acme")))
    assert world.ask(RevokeKey(ONE, TenantId("acme"))) == missing
    assert world.tables.api_keys[ONE].revoked_ms is None
    mine = the(KeyCreated, world.ask(create(TWO, "acme"))).key
    assert the(KeyRevoked, world.ask(RevokeKey(TWO, TenantId("acme")))).key.key_id == mine.key_id


def test_the_last_use_only_goes_forward() -> None:
    world = World()
    world.batch([create(ONE), create(TWO)])
    noted = world.ask(NoteKeyUses(((ONE, 30), (TWO, 10), (KeyId("key_none"), 5))))
    assert the(KeyUsesNoted, noted).count == 2
    assert the(KeyUsesNoted, world.ask(NoteKeyUses(((ONE, 20), (TWO, 11))))).count == 1
    assert [key.used_ms for key in world.tables.api_keys.values()] == [30, 11]


def beat(world: World, worker: str, tenant: str, lease: LeaseId) -> Reply:
    return world.ask(Heartbeat(worker_key(worker, tenant), lease, 30_000, single=True))


@pytest.mark.parametrize("over", [False, True])
def test_to_a_worker_of_a_tenant_the_leases_of_other_tenants_do_not_exist(over: bool) -> None:
    world = World()
    world.submit("t", tenant="acme")
    lease = world.poll(worker="w", tenant="acme").jobs[0].lease_id
    assert lease is not None
    if over:
        world.later(60_000)
    unknown = beat(world, "spy", "globex", LeaseId("lse_none"))
    assert beat(world, "spy", "globex", lease) == unknown
    assert code(unknown) is ErrorCode.NOT_FOUND
    # Within the tenant, and to a worker of none, it is somebody else's.
    assert reason(beat(world, "other", "acme", lease)) == "lease_owner_mismatch"
    assert reason(beat(world, "other", "", lease)) == "lease_owner_mismatch"
    if not over:
        assert isinstance(beat(world, "w", "acme", lease), Beaten)
