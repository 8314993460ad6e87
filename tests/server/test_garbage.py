"""Looks among all objects: what has no other end is found, and they take no more than their part of the time."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from oris.server.garbage import AT_THE_LATEST, REST_PARTS, WORTH, Garbage

LOOK_S = 0.25


class Ring:
    """Refers to itself: only a look frees it."""

    def __init__(self) -> None:
        self.itself = self


class SlowClock:
    """Each look takes as long; time passes when it is read."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.looks = 0

    def __call__(self) -> float:
        return self.now_s

    def note(self, phase: str, info: dict[str, int]) -> None:
        if info["generation"] == 2 and phase == "stop":
            self.looks += 1
            self.now_s += LOOK_S


@pytest.fixture
def clock() -> Iterator[SlowClock]:
    """A clock that looks among all objects move on; what a test does to the collector is undone."""
    thresholds, clock = gc.get_threshold(), SlowClock()
    gc.collect()
    gc.callbacks.append(clock.note)
    yield clock
    gc.callbacks.remove(clock.note)
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def age(looks: int) -> None:
    """So many looks among middle-aged objects."""
    for _ in range(looks):
        gc.collect(1)


def test_it_frees_what_refers_to_itself_and_then_rests_for_its_part(clock: SlowClock) -> None:
    garbage = Garbage(clock)
    gc.disable()
    try:
        ring = Ring()
        found = weakref.ref(ring)
        age(WORTH)  # it is among the old ones by now
        del ring
        gc.collect(1)
        assert found() is not None
        assert garbage.look()
        assert found() is None
        age(WORTH)
        clock.now_s += REST_PARTS * LOOK_S - 0.1
        assert not garbage.look(), "it rests"
        clock.now_s += 0.1
        assert garbage.look()
    finally:
        gc.enable()
    assert clock.looks == 2


def test_there_is_none_while_little_has_grown_old(clock: SlowClock) -> None:
    gc.disable()
    try:
        age(WORTH - 1)
        assert not Garbage(clock).look()
    finally:
        gc.enable()
    assert clock.looks == 0


def test_at_the_start_all_there_is_is_left_out_and_python_waits_for_longer(clock: SlowClock) -> None:
    young, middle_aged, _ = gc.get_threshold()
    frozen = gc.get_freeze_count()
    Garbage(clock).begin()
    assert gc.get_freeze_count() > frozen
    assert gc.get_threshold() == (young, middle_aged, AT_THE_LATEST)
