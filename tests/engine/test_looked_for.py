"""What one look at others' changes reads: bounded, in turns, and no hint is forgotten."""

from __future__ import annotations

import pytest

from oris.engine import cluster
from oris.engine.cluster import LookedFor


@pytest.fixture(autouse=True)
def three_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "AT_ONCE", 3)


def test_what_was_hinted_first_is_looked_at_first_and_the_rest_stays_for_the_next_look() -> None:
    looked_for = LookedFor[str]()
    looked_for.hint("abcab")
    looked_for.hint("de")
    assert looked_for.hinted("abcdef") == ("a", "b", "c")
    assert looked_for
    assert looked_for.hinted("abcdef") == ("d", "e")
    assert not looked_for


def test_nobody_looks_for_what_nobody_waits_for() -> None:
    looked_for = LookedFor[str]()
    looked_for.hint("abc")
    assert looked_for.hinted("b") == ("b",)
    assert not looked_for


def test_looks_everywhere_take_turns_until_all_have_been_seen() -> None:
    looked_for = LookedFor[str]()
    assert [looked_for.in_turn("abcde") for _ in range(3)] == [("a", "b", "c"), ("d", "e", "a"), ("b", "c", "d")]


def test_a_look_at_all_there_is_answers_every_hint() -> None:
    looked_for = LookedFor[str]()
    looked_for.hint("abc")
    assert looked_for.in_turn("abc") == ("a", "b", "c")
    assert not looked_for


def test_a_look_at_a_part_keeps_the_hints_for_the_rest() -> None:
    looked_for = LookedFor[str]()
    looked_for.hint("e")
    assert looked_for.in_turn("abcde") == ("a", "b", "c")
    assert looked_for.hinted("abcde") == ("e",)
