"""Watched polls: a dead worker is missed after the grace; a proxy, a start or an own standstill is no dead worker."""

from __future__ import annotations

import time

from oris.engine.watch import FRESH_GRACES, Session, Watch
from oris.ids import NO_TENANT, WorkerId, worker_key

GRACE_MS = 1000
LATER_MS = FRESH_GRACES * GRACE_MS


def session(name: str, of: str = "s") -> Session:
    return Session(worker_key(NO_TENANT, WorkerId(name)), of)


def watching(*names: str, grace_ms: int = GRACE_MS) -> Watch:
    """A node that is no fresh one, with a watched poll for each of these."""
    watch = Watch(grace_ms)
    watch.begin(0)
    for name in names:
        watch.stands(session(name))
    return watch


def cut(watch: Watch, at_ms: int, *names: str) -> None:
    """The connections of these break."""
    for name in names:
        watch.ends(session(name))
        watch.broke(session(name), at_ms)


def test_a_session_is_missed_once_the_grace_is_over_and_once_only() -> None:
    watch = watching("a", "b", "c")
    cut(watch, LATER_MS, "a")
    assert watch.next_due_ms() == LATER_MS + GRACE_MS
    assert watch.due(LATER_MS + GRACE_MS - 1) == []
    assert watch.due(LATER_MS + GRACE_MS) == [session("a")]
    assert watch.due(LATER_MS + GRACE_MS) == []
    assert watch.next_due_ms() is None


def test_a_session_that_could_not_be_dropped_gets_another_grace_unless_it_is_heard_of_meanwhile() -> None:
    watch = watching("a", "b", "c", "d", "e")
    cut(watch, LATER_MS, "a", "b")
    assert watch.due(LATER_MS + GRACE_MS) == [session("a"), session("b")]
    watch.heard(session("a").worker_key, None)
    watch.in_vain(LATER_MS + GRACE_MS + 5)
    assert watch.due(LATER_MS + 2 * GRACE_MS + 4) == []
    assert watch.due(LATER_MS + 2 * GRACE_MS + 5) == [session("b")]
    watch.stands(session("b"))
    watch.in_vain(LATER_MS + 2 * GRACE_MS + 5)
    assert watch.next_due_ms() is None, "it is parked again"


def test_of_two_one_may_die() -> None:
    watch = watching("a", "b")
    cut(watch, LATER_MS, "a")
    assert watch.due(LATER_MS + GRACE_MS) == [session("a")]


def test_the_only_one_may_die_too() -> None:
    watch = watching("a")
    cut(watch, LATER_MS, "a")
    assert watch.due(LATER_MS + GRACE_MS) == [session("a")]


def test_who_calls_again_is_not_missed() -> None:
    for name in ("s", None):
        watch = watching("a", "b", "c")
        cut(watch, LATER_MS, "a")
        watch.heard(session("a").worker_key, name)
        assert watch.due(LATER_MS + GRACE_MS) == []


def test_a_call_of_another_session_of_the_worker_does_not_speak_for_it() -> None:
    watch = watching("a", "b", "c")
    cut(watch, LATER_MS, "a")
    watch.heard(session("a").worker_key, "another")
    assert watch.due(LATER_MS + GRACE_MS) == [session("a")]


def test_another_poll_of_the_session_speaks_for_it() -> None:
    watch = watching("a", "a", "b")
    cut(watch, LATER_MS, "a")
    assert watch.due(LATER_MS + GRACE_MS) == []
    cut(watch, LATER_MS + 10, "a")
    assert watch.due(LATER_MS + 10 + GRACE_MS) == [session("a")]


def test_more_than_half_at_once_are_a_proxys_doing() -> None:
    names = [f"w{number}" for number in range(1000)]
    watch = watching(*names)
    cut(watch, LATER_MS, *names[:501])
    assert watch.due(LATER_MS + GRACE_MS) == []


def test_half_at_once_are_dead() -> None:
    names = [f"w{number}" for number in range(1000)]
    watch = watching(*names)
    cut(watch, LATER_MS, *names[:500])
    assert len(watch.due(LATER_MS + GRACE_MS)) == 500


def test_breaks_a_grace_apart_are_not_together() -> None:
    watch = watching("a", "b", "c")
    cut(watch, LATER_MS, "a")
    cut(watch, LATER_MS + GRACE_MS, "b")
    assert watch.due(LATER_MS + 2 * GRACE_MS) == [session("a"), session("b")]


def test_those_that_came_back_still_count_as_broken_together() -> None:
    watch = watching("a", "b", "c")
    cut(watch, LATER_MS, "a")
    watch.heard(session("a").worker_key, "s")
    cut(watch, LATER_MS + 1, "b")
    assert watch.due(LATER_MS + 1 + GRACE_MS) == []


def test_a_fresh_node_misses_nobody() -> None:
    watch = watching("a", "b", "c")
    cut(watch, LATER_MS - 1, "a")
    assert watch.due(LATER_MS + GRACE_MS) == []


def test_a_node_that_stood_still_misses_nobody_whose_word_it_may_have_missed() -> None:
    for held_up_ms in (LATER_MS - GRACE_MS, LATER_MS, LATER_MS + GRACE_MS):
        watch = watching("a", "b", "c")
        watch.held_up(held_up_ms)
        cut(watch, LATER_MS, "a")
        watch.held_up(held_up_ms)
        assert watch.due(LATER_MS + GRACE_MS) == []


def test_without_a_grace_nobody_is_watched() -> None:
    watch = watching("a", "b", "c", grace_ms=0)
    cut(watch, LATER_MS, "a")
    assert watch.next_due_ms() is None


def test_those_that_came_back_and_stand_are_counted_once() -> None:
    watch = watching("a", "b", "c", "d")
    cut(watch, LATER_MS, "a")
    watch.heard(session("a").worker_key, "s")
    watch.stands(session("a"))
    cut(watch, LATER_MS + 1, "b")
    assert watch.due(LATER_MS + 1 + GRACE_MS) == [session("b")], "two of four, of whom one is back"


def test_a_proxy_that_cuts_thousands_of_polls_does_not_stop_the_loop() -> None:
    names = [f"w{number}" for number in range(4_000)]
    watch = watching(*names)
    started = time.process_time()  # some 10 ms; at each break a look at all the others would take 2 s
    cut(watch, LATER_MS, *names)
    assert time.process_time() - started < 0.5
    assert watch.due(LATER_MS + GRACE_MS) == []
