"""The restart budget: pure arithmetic on the time in which a child was ready."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oris.supervisor.budget import Ledger, RestartBudget


def book(budget: RestartBudget, *ready_for_s: float) -> Ledger:
    ledger = Ledger()
    for seconds in ready_for_s:
        ledger = ledger.after_failure(budget, seconds)
    return ledger


def test_a_budget_of_two_allows_two_restarts_and_refuses_the_third() -> None:
    budget = RestartBudget(restarts=2, window_s=60)
    assert book(budget, 0, 0).allows_restart(budget)
    assert not book(budget, 0, 0, 0).allows_restart(budget)


def test_a_budget_of_none_refuses_the_first() -> None:
    budget = RestartBudget(restarts=0)
    assert not book(budget, 1000).allows_restart(budget)


def test_a_failure_is_forgotten_once_the_child_was_ready_for_a_window() -> None:
    budget = RestartBudget(restarts=1, window_s=60)
    assert not book(budget, 0, 59.9).allows_restart(budget)
    assert book(budget, 0, 60).allows_restart(budget)


def test_the_window_slides_over_several_lives() -> None:
    budget = RestartBudget(restarts=2, window_s=60)
    assert not book(budget, 0, 25, 25).allows_restart(budget)
    assert book(budget, 0, 25, 35).allows_restart(budget)


def test_backoff_doubles_to_its_maximum_and_starts_again_after_a_quiet_window() -> None:
    budget = RestartBudget(restarts=9, window_s=60, backoff_s=1, backoff_max_s=5)
    assert [budget.backoff_ceiling_s(nth) for nth in (1, 2, 3, 4, 5, 10_000)] == [1, 2, 4, 5, 5, 5]
    assert book(budget, 0, 0, 0).backoff_s(budget, 1.0) == 4
    assert book(budget, 0, 0, 61).backoff_s(budget, 1.0) == 1


@given(st.lists(st.floats(0, 100), min_size=1, max_size=20), st.floats(0, 1, exclude_max=True))
def test_jitter_is_full_and_within_the_ceiling(lives_s: list[float], chance: float) -> None:
    budget = RestartBudget(restarts=3, window_s=50, backoff_s=0.5, backoff_max_s=8)
    ledger = book(budget, *lives_s)
    ceiling = budget.backoff_ceiling_s(len(ledger.failures))
    assert ledger.backoff_s(budget, chance) == chance * ceiling <= 8


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30))
def test_no_window_of_ready_time_ever_holds_more_than_the_budget(lives_s: list[float]) -> None:
    budget = RestartBudget(restarts=3, window_s=50)
    ledger, restarted_at = Ledger(), []
    for ready_for_s in lives_s:
        ledger = ledger.after_failure(budget, ready_for_s)
        if not ledger.allows_restart(budget):
            break
        restarted_at.append(ledger.ready_s)
    for stamp in restarted_at:
        assert sum(1 for other in restarted_at if stamp - 50 < other <= stamp) <= 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"restarts": -1},
        {"window_s": 0},
        {"backoff_s": -1},
        {"backoff_s": 2, "backoff_max_s": 1},
        {"multiplier": 0.5},
    ],
)
def test_numbers_that_mean_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        RestartBudget(**wrong)  # type: ignore[arg-type]
