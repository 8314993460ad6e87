"""The watchdog: a loop that stands still ends the process; a slow one, or one that nobody watches, does not."""

from __future__ import annotations

import threading

from oris.server.watchdog import Watchdog


class Hand:
    """A clock that is moved by hand."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_it_is_armed_by_the_first_beat_and_not_before() -> None:
    clock = Hand()
    dog = Watchdog(10, clock, lambda: None)
    clock.now_s = 100
    assert not dog.stuck
    dog.beat()
    clock.now_s = 110
    assert not dog.stuck
    clock.now_s = 110.1
    assert dog.stuck


def test_each_beat_starts_the_time_anew_and_rest_ends_it() -> None:
    clock = Hand()
    dog = Watchdog(10, clock, lambda: None)
    dog.beat()
    clock.now_s = 9
    dog.beat()
    clock.now_s = 18
    assert not dog.stuck
    dog.rest()
    clock.now_s = 1000
    assert not dog.stuck


def test_a_process_that_was_paused_as_a_whole_is_not_taken_for_a_stuck_loop() -> None:
    clock = Hand()
    dog = Watchdog(10, clock, lambda: None)
    dog.beat()
    clock.now_s = 60
    assert not dog.check(since_last_s=60)
    clock.now_s = 71
    assert dog.check(since_last_s=1)


def test_a_loop_that_stands_still_is_reported_from_another_thread() -> None:
    clock = Hand()
    seen: list[int] = []
    told = threading.Event()

    def on_stuck() -> None:
        seen.append(threading.get_ident())
        told.set()

    with Watchdog(2, clock, on_stuck, check_s=0.001) as dog:
        dog.beat()
        clock.now_s = 4  # a larger leap would be taken for a pause
        assert told.wait(30)
    assert seen
    assert seen != [threading.get_ident()]
