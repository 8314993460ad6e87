"""A caller's patience: a wait under it ends in time, or when the caller has said all that it will say."""

from __future__ import annotations

from math import inf

import trio
from trio.testing import MockClock

from oris.patience import Patience


async def test_a_wait_ends_after_its_time(autojump_clock: MockClock) -> None:
    patience = Patience()
    with patience.at_most(5.0) as wait:
        await trio.sleep(1000)
    assert wait.cancelled_caught
    assert (trio.current_time(), patience.over) == (5.0, False)


async def test_the_end_ends_every_wait_and_each_that_comes_later(autojump_clock: MockClock) -> None:
    patience = Patience()

    async def wait() -> None:
        with patience.at_most(inf), patience.at_most(100.0):
            await trio.sleep(1000)
        with patience.at_most(inf):
            await trio.sleep(1000)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        nursery.start_soon(wait)
        await trio.sleep(1)
        patience.end()
        patience.end()
    assert trio.current_time() == 1.0


async def test_a_wait_that_is_over_is_not_cancelled_by_the_end() -> None:
    patience = Patience()
    with patience.at_most(inf) as wait:
        pass
    patience.end()
    assert not wait.cancel_called


async def test_a_cancelled_wait_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    patience = Patience()
    with trio.move_on_after(1) as outer, patience.at_most(inf) as inner:
        await trio.sleep(1000)
    assert (outer.cancelled_caught, inner.cancelled_caught) == (True, False)
    patience.end()
    assert not inner.cancel_called
