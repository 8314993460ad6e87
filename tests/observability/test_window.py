"""Shares over the last ten minutes."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from oris.observability.window import SlidingShare


@dataclass
class FakeTime:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_nothing_at_all_is_a_share_of_zero() -> None:
    assert SlidingShare(FakeTime()).share() == 0.0


def test_the_share_is_parts_of_the_whole() -> None:
    window = SlidingShare(FakeTime())
    window.add(1, 1)
    window.add(0, 3)
    assert window.share() == 0.25


def test_what_is_ten_minutes_old_is_forgotten_and_what_is_younger_is_not() -> None:
    time = FakeTime(1_000_003.0)
    window = SlidingShare(time)
    window.add(1, 1)
    time.now_s += 300
    window.add(0, 1)
    time.now_s += 289
    assert window.share() == 0.5
    time.now_s += 11
    assert window.share() == 0.0
    window.add(1, 1)
    assert window.share() == 0.5


def test_after_a_long_silence_nothing_old_is_left() -> None:
    time = FakeTime()
    window = SlidingShare(time)
    window.add(5, 5)
    time.now_s += 10_000_000
    window.add(0, 1)
    assert window.share() == 0.0


@given(st.lists(st.tuples(st.floats(0, 400), st.booleans()), max_size=60))
def test_it_agrees_with_counting_every_event(steps: list[tuple[float, bool]]) -> None:
    time = FakeTime()
    window = SlidingShare(time)
    events: list[tuple[int, bool]] = []
    for pause_s, hit in steps:
        time.now_s += pause_s
        window.add(int(hit), 1)
        events.append((int(time.now_s) // 10, hit))
    oldest = int(time.now_s) // 10 - 60
    kept = [hit for bucket, hit in events if bucket > oldest]
    assert window.share() == (sum(kept) / len(kept) if kept else 0.0)
