"""A store's calls, cancelled anywhere (I19): a transaction is written whole or not at all, and the next call works."""

from __future__ import annotations

from itertools import count

import pytest
import trio

from ..cancel_sweep import Cut, cancel_sweep
from .driver import Done, Driver, Harness, key, submit

LIMIT_S = 30


class CancellationConformance:
    """One sweep for what writes, one for what reads."""

    @pytest.fixture
    def driver(self, harness: Harness) -> Driver:
        return Driver(harness)

    async def test_a_transaction_is_written_whole_or_not_at_all(self, driver: Driver) -> None:
        numbers, reads = count(), driver.store.reads

        async def trial(cut: Cut[Done]) -> None:
            number = next(numbers)
            with trio.fail_after(LIMIT_S):
                await cut.run(lambda: driver.commit(submit(f"cut{number}")))
                written = await reads.job(key(f"cut{number}"))
                assert written is not None or not cut.finished
                await driver.commit(submit(f"next{number}"))
                assert await reads.job(key(f"next{number}")) is not None

        assert await cancel_sweep(trial, "Store.transact", ("inside", "pending")) >= 1
        await driver.verify()

    async def test_a_read_that_is_cut_is_in_nobodys_way(self, driver: Driver) -> None:
        await driver.commit(submit("a"))
        reads = driver.store.reads

        async def trial(cut: Cut[object]) -> None:
            with trio.fail_after(LIMIT_S):
                await cut.run(lambda: reads.job(key("a")))
                for _ in range(4):
                    assert await reads.job(key("a")) is not None

        assert await cancel_sweep(trial, "Store.reads", ("inside", "pending")) >= 1
