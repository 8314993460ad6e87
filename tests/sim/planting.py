"""How bugs are planted into what is simulated, and looked for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import pytest

from oris.engine.retention import RetentionRules
from oris.sim import simulate

Patch = pytest.MonkeyPatch


class Bug(NamedTuple):
    """A bug, the invariants that may be the first to tell of it, and a seed that is known to find it."""

    plant: Callable[[Patch], None]
    rules: frozenset[str]
    seed: int


def bug(plant: Callable[[Patch], None], *rules: str, seed: int = 0) -> Bug:
    """A bug. That seed is looked at first, which saves time; it need not be the one that finds it."""
    return Bug(plant, frozenset(rules), seed)


def name_of(planted: Bug) -> str:
    """What its test is called."""
    return planted.plant.__name__


def module(name: str) -> ModuleType:
    """A module by its name: a package may have a function of the same name."""
    return sys.modules[f"oris.{name}"]


def keep(rules: RetentionRules, patch: Patch) -> None:
    """Things are kept for that long in every run, and there is one node. Bugs of retention and of several nodes have
    tests of their own; in others they would only make the runs others."""
    patch.setattr(module("sim.run"), "_nodes", lambda streams: 1)
    patch.setattr(module("sim.run"), "_retention", lambda streams: rules)


def assert_found(planted: Bug, patch: Patch, seeds: int) -> None:
    """Plant the bug: some seed of so many violates what it has to."""
    planted.plant(patch)
    order = [planted.seed, *(seed for seed in range(seeds) if seed != planted.seed)]
    found = next((outcome for outcome in map(simulate, order) if outcome.violations), None)
    assert found is not None, f"not found within {seeds} seeds"
    assert found.violations[0].rule in planted.rules, found
