"""The words that the document gives for the fields of answers are those of the contract, all of them."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from oris.wire import words as w

from ..words import BEYOND, WORDS

KINDS: dict[str, Any] = {
    "run status": w.RunStatus,
    "event": w.EventType,
    "explain": w.ExplainReason,
    "poll": w.PollDecision,
    "poll reason": w.PollReason,
    "control": w.ControlType,
    "lease state": w.LeaseState,
    "step": w.StepState,
    "report": w.ReportWord,
    "suspend": w.SuspendWord,
    "wait kind": w.WaitKindWord,
    "wait status": w.WaitWord,
    "ack": w.AckWord,
    "dead letter": w.DeadLetterWord,
    "dead letter reason": w.DeadLetterReason,
    "audit": w.AuditActionShown,
}
OPENS_A_CHAIN = {"chain.open"}
"""The one record that tells of nobody's action."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_has_the_words_of_the_contract(kind: str) -> None:
    told = get_args(KINDS[kind])[1].extra_json_schema["enum"]
    beside = OPENS_A_CHAIN if kind == "audit" else set()
    assert set(told) == WORDS[kind] | BEYOND.get(kind, set()) | beside
    assert len(told) == len(set(told))
