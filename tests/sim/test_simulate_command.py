"""`python -m oris simulate`."""

from __future__ import annotations

import sys

import msgspec
import pytest

from oris.cli.group import main
from oris.core.counters import Counters


def test_a_seed_that_holds_ends_with_0_and_tells_what_happened(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--seed", "1"]) == 0
    said = capsys.readouterr().out
    assert "seed 1: " in said
    assert "all invariants hold" in said


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--seeds", "2", "--first", "3", "--json"]) == 0
    found = msgspec.json.decode(capsys.readouterr().out)
    assert (found["seeds"], found["failed"]) == (2, [])
    assert found["commits"] > 0


def test_a_violation_ends_with_1_and_the_command_that_repeats_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Counters, "put_worker", lambda self, worker: None)
    assert main(["simulate", "--seeds", "1"]) == 1
    said = capsys.readouterr().out
    assert "python -m oris simulate --seed 0" in said
    assert "I20" in said


def test_seed_and_seeds_together_are_a_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--seed", "1", "--seeds", "2"]) == 2
    assert "--seed" in capsys.readouterr().err


def test_no_progress_is_shown_when_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    assert not sys.stderr.isatty()
    main(["simulate", "--seeds", "2"])
    assert capsys.readouterr().err == ""
