"""A hundred seeds, run once for all tests that look at them."""

from __future__ import annotations

import pytest

from oris.sim import Outcome, simulate

SEEDS = 100


@pytest.fixture(scope="session")
def outcomes() -> list[Outcome]:
    """What came of a hundred seeds."""
    return [simulate(seed) for seed in range(SEEDS)]
