"""The limit on failed authentication, and the one line a minute that tells of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from oris.api.auth_limiter import (
    FAILURES_PER_ADDRESS,
    FAILURES_PER_KEY_ID,
    OTHERS,
    TOLD_MAX,
    WINDOW_S,
    AuthLimiter,
    Buckets,
)
from oris.api.presented import named_keys


@dataclass
class World:
    """A limiter with a clock that stands, and what it said."""

    now_s: float = 1000.0
    counted: int = 0
    told: list[tuple[str, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.limiter = AuthLimiter(lambda: self.now_s, lambda *line: self.told.append(line), self.count)

    def count(self) -> None:
        self.counted += 1

    def fail(self, times: int, address: str = "203.0.113.5", *key_ids: bytes) -> list[int | None]:
        return [self.limiter.failed(address, key_ids) for _ in range(times)]


def test_an_address_may_fail_so_often_and_then_has_to_wait() -> None:
    world = World()
    assert world.fail(FAILURES_PER_ADDRESS) == [None] * FAILURES_PER_ADDRESS
    assert world.fail(2) == [3, 3]
    assert world.fail(1, "203.0.113.6") == [None]
    world.now_s += 2.9
    assert world.fail(1) == [1]
    world.now_s += 0.11
    assert world.fail(2) == [None, 3]
    world.now_s += WINDOW_S
    assert world.fail(FAILURES_PER_ADDRESS + 1) == [None] * FAILURES_PER_ADDRESS + [3]


def test_a_key_id_is_limited_from_wherever_it_is_tried() -> None:
    world = World()
    tries = [world.limiter.failed(f"203.0.113.{i}", (b"the-id",)) for i in range(FAILURES_PER_KEY_ID + 1)]
    assert tries == [None] * FAILURES_PER_KEY_ID + [6]
    assert world.fail(1, "203.0.113.200", b"another-id") == [None]
    assert world.fail(1, "203.0.113.201") == [None]


def test_no_other_id_beside_it_hides_the_one_that_is_tried() -> None:
    world = World()
    tries = [
        world.limiter.failed(f"203.0.113.{i}", named_keys(guess_beside(b"other-%d" % i)))
        for i in range(FAILURES_PER_KEY_ID + 1)
    ]
    assert tries == [None] * FAILURES_PER_KEY_ID + [6]


def guess_beside(other: bytes) -> dict[bytes, bytes]:
    """A key in one field, and another in two."""
    return {b"authorization": b"Bearer the-id.guess", b"x-api-key-id": other, b"x-api-key": b"x"}


def test_an_ipv6_client_is_its_network() -> None:
    world = World()
    for i in range(FAILURES_PER_ADDRESS):
        assert world.limiter.failed(f"2001:db8:0:1::{i:x}", ()) is None
    assert world.fail(1, "2001:db8:0:1:ffff::1") == [3]
    assert world.fail(1, "2001:db8:0:2::1") == [None]


def test_a_clock_that_steps_back_gives_and_takes_nothing() -> None:
    world = World()
    world.fail(FAILURES_PER_ADDRESS)
    world.now_s -= 500
    assert world.fail(1) == [3]
    world.now_s += 500
    assert world.fail(1) == [3]


def test_memory_is_bounded_and_the_oldest_is_forgotten() -> None:
    buckets: Buckets[int] = Buckets(1, remembered_max=3)
    for key in (1, 2, 3):
        assert buckets.take(key, 0.0) == 0.0
    assert buckets.take(1, 0.0) == pytest.approx(WINDOW_S)  # and is the newest again
    assert buckets.take(4, 0.0) == 0.0
    assert len(buckets) == 3
    assert buckets.take(2, 0.0) == 0.0  # was forgotten
    assert buckets.take(1, 0.0) > 0.0


def test_each_failure_counts_and_a_minute_of_them_is_one_line() -> None:
    world = World()
    world.fail(FAILURES_PER_ADDRESS + 5)
    world.fail(1, "203.0.113.6")
    world.limiter.tick()
    assert world.told == []
    world.now_s += WINDOW_S - 0.001
    world.limiter.tick()
    assert world.told == []
    world.now_s += 0.001
    world.limiter.tick()
    assert world.told == [("203.0.113.5", FAILURES_PER_ADDRESS + 5, 5), ("203.0.113.6", 1, 0)]
    world.limiter.tick()
    world.limiter.flush()
    assert len(world.told) == 2
    assert world.counted == FAILURES_PER_ADDRESS + 6


def test_a_failure_after_the_minute_begins_the_next_line() -> None:
    world = World()
    world.fail(2)
    world.now_s += 2 * WINDOW_S
    world.fail(1)
    assert world.told == [("203.0.113.5", 2, 0)]
    world.limiter.flush()
    assert world.told[1:] == [("203.0.113.5", 1, 0)]


def test_addresses_beyond_a_thousand_share_a_line() -> None:
    world = World()
    for i in range(TOLD_MAX + 7):
        world.fail(1, f"10.0.{i // 250}.{i % 250}")
    world.limiter.flush()
    assert len(world.told) == TOLD_MAX + 1
    assert world.told[-1] == (OTHERS, 7, 0)
