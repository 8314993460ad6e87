"""Requests that are read or compared by their bytes: each such bug is found by callers that repeat themselves in other
bytes, and by those whose serializers write nulls and floats.
"""

from __future__ import annotations

import pytest

from oris.core.meaning import meant
from oris.engine.retention import RetentionRules

from .planting import Bug, Patch, assert_found, bug, keep, module, name_of

SEEDS = 60
"""Within so many seeds a planted bug has to be found."""


def acks_are_compared_by_their_bytes(patch: Patch) -> None:
    patch.setattr(module("core.decide.ack"), "meant", lambda text: text)


def a_null_in_an_error_is_a_value(patch: Patch) -> None:
    patch.setattr(module("core.decide.ack"), "meant_with_nulls", meant)


def nulls_and_floats_are_refused(patch: Patch) -> None:
    patch.setattr(module("api.strict_json"), "meant", lambda text, kind: text)


def steps_are_compared_by_their_bytes(patch: Patch) -> None:
    patch.setattr(module("core.decide.report"), "meant", lambda text: text)


def suspends_are_compared_by_their_bytes(patch: Patch) -> None:
    patch.setattr(module("core.decide.suspend"), "meant", lambda text: text)


def inputs_are_compared_by_their_bytes(patch: Patch) -> None:
    patch.setattr(module("api.handlers.submit"), "canonical", lambda text: text)


def answers_are_compared_by_their_bytes(patch: Patch) -> None:
    patch.setattr(module("core.decide.resume"), "canonical", lambda text: text)


BUGS = [
    bug(acks_are_compared_by_their_bytes, "I13"),
    bug(a_null_in_an_error_is_a_value, "I13"),
    bug(nulls_and_floats_are_refused, "bug"),
    bug(steps_are_compared_by_their_bytes, "I10"),
    bug(suspends_are_compared_by_their_bytes, "I13", seed=5),
    bug(inputs_are_compared_by_their_bytes, "I9", seed=4),
    bug(answers_are_compared_by_their_bytes, "I24", seed=16),
]


@pytest.mark.parametrize("planted", BUGS, ids=name_of)
def test_a_planted_bug_is_found(planted: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(RetentionRules(), monkeypatch)
    assert_found(planted, monkeypatch, SEEDS)
