"""What every store has to do with API keys."""

from __future__ import annotations

import pytest

from oris.core.api_key import ApiKey
from oris.core.commands import CreateKey, NoteKeyUses, RevokeKey
from oris.core.needs import Needs
from oris.core.replies import KeyCreated
from oris.ids import KeyId, TenantId
from oris.storage.pages import Place

from .driver import ACME, START_MS, Driver, Harness, audited


def create(number: int, tenant: TenantId | None = None, expires_ms: int | None = None) -> CreateKey:
    return CreateKey(KeyId(f"key_{number}"), "client", tenant, bytes([number]) * 32, expires_ms)


class KeysConformance:
    """Rows, the list, and what is needed to tell who calls."""

    @pytest.fixture
    def driver(self, harness: Harness) -> Driver:
        return Driver(harness)

    async def test_a_store_without_keys_says_that_there_never_was_one(self, driver: Driver) -> None:
        found = await driver.store.reads.stored_keys(START_MS)
        assert (found.keys, found.any_ever) == ((), False)
        assert (await driver.store.reads.api_keys(None, None, 10)).items == ()

    async def test_a_key_is_there_as_it_was_decided_and_survives(self, driver: Driver) -> None:
        done = await driver.commit(create(1, ACME, START_MS + 1000), audit=[audited("apikey.create")])
        (reply,) = done.replies
        assert isinstance(reply, KeyCreated)
        await driver.harness.crash()
        found = await driver.store.reads.stored_keys(START_MS)
        assert (found.keys, found.any_ever) == ((reply.key,), True)
        loaded = await driver.load(Needs(api_keys={KeyId("key_1"), KeyId("key_2")}))
        assert loaded.api_keys == {"key_1": reply.key}
        assert (await driver.verify()).api_keys == [reply.key]

    async def test_revoked_and_expired_keys_let_nobody_in_and_are_kept(self, driver: Driver) -> None:
        await driver.commit(create(1), create(2, None, START_MS + 5), create(3, None, START_MS + 6))
        await driver.commit(RevokeKey(KeyId("key_1"), None))
        found = await driver.store.reads.stored_keys(START_MS + 5)
        assert ([key.key_id for key in found.keys], found.any_ever) == (["key_3"], True)
        late = await driver.store.reads.stored_keys(START_MS + 6)
        assert (late.keys, late.any_ever) == ((), True)
        rows = {key.key_id: key for key in (await driver.harness.snapshot()).api_keys}
        assert rows.keys() == {"key_1", "key_2", "key_3"}
        assert rows[KeyId("key_1")].revoked_ms == START_MS

    async def test_only_the_end_and_the_last_use_of_a_key_change(self, driver: Driver) -> None:
        await driver.commit(create(1, ACME, START_MS + 1000))
        (before,) = (await driver.harness.snapshot()).api_keys
        await driver.commit(NoteKeyUses(((KeyId("key_1"), START_MS + 7),)))
        await driver.commit(RevokeKey(KeyId("key_1"), ACME))
        assert (await driver.harness.snapshot()).api_keys == [
            ApiKey(before.key_id, "client", ACME, before.digest, START_MS, START_MS + 1000, START_MS, START_MS + 7)
        ]

    @pytest.mark.parametrize("limit", [1, 2, 3, 5])
    async def test_keys_are_listed_newest_first_page_by_page(self, driver: Driver, limit: int) -> None:
        for number in range(1, 6):
            await driver.commit(create(number, ACME if number % 2 else TenantId("b")))
        for tenant, expected in ((None, [5, 4, 3, 2, 1]), (ACME, [5, 3, 1]), (TenantId("b"), [4, 2])):
            seen: list[str] = []
            after: Place | None = None
            while True:
                page = await driver.store.reads.api_keys(tenant, after, limit)
                assert len(page.items) <= limit
                seen += [key.key_id for key in page.items]
                after = page.next
                if after is None:
                    break
            assert seen == [f"key_{number}" for number in expected]
