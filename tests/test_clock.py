"""The engine clock: never back, never far off the monotonic clock, and in the end with the wall clock."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oris.clock import SLACK_MS, SLEW, EngineClock, SystemClock

START_MS = 1_700_000_000_000


@dataclass
class Hands:
    """A machine's clocks, moved by hand."""

    wall: int = START_MS
    mono: float = 100.0

    def wall_ms(self) -> int:
        return self.wall

    def monotonic_s(self) -> float:
        return self.mono

    def pass_ms(self, ms: int) -> None:
        self.wall += ms
        self.mono += ms / 1000


def test_it_follows_the_wall_clock_when_that_behaves() -> None:
    hands = Hands()
    clock = EngineClock(hands)
    for _ in range(100):
        hands.pass_ms(37)
        assert abs(clock.now_ms() - hands.wall) <= 1


@pytest.mark.parametrize("jump_ms", [3_600_000, -3_600_000, 1500, -1500])
def test_a_jump_of_the_wall_clock_moves_it_by_a_tenth_at_most(jump_ms: int) -> None:
    hands = Hands()
    clock = EngineClock(hands)
    before = clock.now_ms()
    hands.wall += jump_ms
    assert clock.now_ms() == before
    for _ in range(100):
        hands.pass_ms(10)
        clock.now_ms()
    passed = clock.now_ms() - before
    assert abs(passed - 1000) <= 1000 * SLEW + 1
    assert (passed - 1000) * jump_ms > 0


@pytest.mark.parametrize("jump_ms", [5000, -5000])
def test_after_a_jump_it_comes_back_to_the_wall_clock(jump_ms: int) -> None:
    hands = Hands()
    clock = EngineClock(hands)
    hands.wall += jump_ms
    for _ in range(700):
        hands.pass_ms(100)
        clock.now_ms()
    assert abs(clock.now_ms() - hands.wall) <= 1


def test_it_starts_after_what_the_store_has_seen() -> None:
    hands = Hands()
    clock = EngineClock(hands)
    clock.start_after(START_MS + 60_000)
    assert clock.now_ms() >= START_MS + 60_000
    clock.start_after(START_MS)
    assert clock.now_ms() >= START_MS + 60_000
    hands.pass_ms(1000)
    assert 60_900 <= clock.now_ms() - START_MS <= 61_000


@given(
    st.lists(
        st.tuples(
            st.integers(0, 100_000),
            st.one_of(st.integers(-10, 10), st.sampled_from([-86_400_000, -2000, 2000, 86_400_000])),
        ),
        max_size=50,
    )
)
def test_whatever_the_wall_clock_does_it_never_goes_back_and_keeps_its_pace(moves: list[tuple[int, int]]) -> None:
    hands = Hands()
    clock = EngineClock(hands)
    last = clock.now_ms()
    for passed_ms, jump_ms in moves:
        hands.pass_ms(passed_ms)
        hands.wall += jump_ms
        now = clock.now_ms()
        assert passed_ms * (1 - SLEW) - 1 <= now - last <= passed_ms * (1 + SLEW) + 1
        assert now >= last
        last = now


def test_two_threads_that_read_it_at_once_see_it_rise() -> None:
    """The one that read the machine's clock first is overtaken by the other before it goes on."""
    hands = Hands()
    overtaken = threading.Event()
    asked = threading.Event()

    class Slow(Hands):
        def monotonic_s(self) -> float:
            read = hands.mono
            if threading.current_thread().name == "slow":
                asked.set()
                overtaken.wait(0.2)
            return read

        def wall_ms(self) -> int:
            return hands.wall

    clock = EngineClock(Slow())
    slow = threading.Thread(target=clock.now_ms, name="slow")
    slow.start()
    assert asked.wait(10)
    hands.pass_ms(1000)
    first = clock.now_ms()
    overtaken.set()
    slow.join()
    assert clock.now_ms() >= first >= START_MS + 900


@pytest.mark.parametrize("jump_ms", [1001, -1001, 86_400_000, -86_400_000])
def test_a_jump_of_more_than_a_second_is_told_once(jump_ms: int) -> None:
    hands = Hands()
    clock = EngineClock(hands)
    hands.pass_ms(100)
    assert clock.jump_ms() == 0
    hands.pass_ms(100)
    hands.wall += jump_ms
    assert clock.jump_ms() == jump_ms
    hands.pass_ms(100)
    assert clock.jump_ms() == 0
    hands.wall -= jump_ms
    assert clock.jump_ms() == -jump_ms


def test_a_clock_that_runs_wrong_or_a_process_that_stood_still_is_no_jump() -> None:
    hands = Hands()
    clock = EngineClock(hands)
    for _ in range(100):
        hands.pass_ms(100)
        hands.wall += 900
        assert clock.jump_ms() == 0
    hands.pass_ms(3_600_000)
    assert clock.jump_ms() == 0


def test_a_machine_that_was_suspended_sees_a_jump() -> None:
    """Its monotonic clock stood still meanwhile."""
    hands = Hands()
    clock = EngineClock(hands)
    hands.wall += 60_000
    assert clock.jump_ms() == 60_000


def test_the_machines_clocks_tell_unix_time_and_rise() -> None:
    clock = SystemClock()
    assert clock.wall_ms() > START_MS
    assert clock.monotonic_s() <= clock.monotonic_s()


def test_what_must_not_be_early_goes_by_the_earlier_clock() -> None:
    hands = Hands(wall=START_MS + 10**9)
    clock = EngineClock(hands)
    hands.wall = START_MS  # it is set right
    hands.pass_ms(5)
    assert clock.now_ms() > START_MS + 10**8
    assert clock.cautious_ms() == START_MS + 5
    clock.start_after(START_MS + 10**9)
    hands.wall = START_MS + 2 * 10**9
    assert clock.cautious_ms() == clock.now_ms() < hands.wall


def test_the_calendar_goes_by_the_wall_clock_also_just_after_it_was_set() -> None:
    hands = Hands()
    clock = EngineClock(hands)
    for jump_ms in (400 * 86_400_000, -7_200_000, 900, -300):
        hands.wall += jump_ms
        for _ in range(50):
            assert abs(clock.calendar_ms() - hands.wall) <= SLACK_MS + 1
            hands.pass_ms(100)


def test_the_calendar_does_not_jump_when_the_engine_clock_has_come_up_to_it() -> None:
    hands = Hands()
    clock = EngineClock(hands)
    hands.wall -= 1_000
    last_ms = clock.calendar_ms()
    for _ in range(2_000):
        hands.pass_ms(10)
        now_ms = clock.calendar_ms()
        assert 8 <= now_ms - last_ms <= 12
        last_ms = now_ms
    assert clock.skew_ms() == 0


def test_a_mark_that_is_ahead_holds_the_engine_clock_and_not_the_calendar() -> None:
    hands = Hands()
    clock = EngineClock(hands)
    clock.start_after(START_MS + 400 * 86_400_000)
    assert clock.now_ms() == START_MS + 400 * 86_400_000
    assert abs(clock.calendar_ms() - hands.wall) <= SLACK_MS
