"""The demo's worker, as far as it can be told without processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oris.demo.attempt import Attempt
from oris.demo.steps import Document
from oris.demo.worker import MESSAGE_MAX, Journal, LeaseLost, StepFailed, Worker, _failed


class Pages:
    """A server that has two more pages of steps."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def get(self, path: str) -> dict[str, Any]:
        self.asked.append(path)
        name, following = ("b", 9) if len(self.asked) == 1 else ("c", None)
        return {"steps": [{"action_id": name, "status": "succeeded", "output": name}], "next_after": following}


def granted(**more: Any) -> Attempt:
    step = {"action_id": "a", "status": "succeeded", "output": "a"}
    ids = {"attempt_id": "att", "attempt_no": 1, "lease_id": "lea", "thread_id": "t"}
    return Attempt({**ids, "input": {"path": "p"}, "steps": [step], "steps_truncated": bool(more), **more})


def worker(pages: Pages, folder: Path) -> Worker:
    made = Worker("127.0.0.1:9", "w", Journal(folder / "journal"), 10, 0.0)
    made._api = pages  # type: ignore[assignment]
    return made


def test_steps_that_were_cut_off_are_read_from_where_the_answer_ended(tmp_path: Path) -> None:
    pages, attempt = Pages(), granted(steps_next_after=5)
    worker(pages, tmp_path)._read_other_steps(attempt)
    assert pages.asked == [f"/v1/attempts/att/steps?lease_id=lea&after={after}&limit=200" for after in (5, 9)]
    assert attempt.outputs == {"a": "a", "b": "b", "c": "c"}


def test_a_step_that_was_recorded_without_an_output_is_handed_back_without_one() -> None:
    attempt = granted()
    attempt.hand_back([{"action_id": "b", "status": "succeeded"}, {"action_id": "c", "status": "failed", "error": 1}])
    assert attempt.outputs == {"a": "a", "b": None}


@pytest.mark.parametrize("output", [object(), float("nan"), {1, 2}])
def test_a_step_whose_output_is_no_json_has_failed_before_its_effect(tmp_path: Path, output: Any) -> None:
    with pytest.raises(StepFailed):
        worker(Pages(), tmp_path)._do(granted(), "read", lambda document: output)
    assert (tmp_path / "journal").read_bytes() == b""


def test_a_step_during_which_the_lease_was_lost_has_no_effect(tmp_path: Path) -> None:
    attempt = granted()

    def losing(document: Document) -> str:
        attempt.lease.tell("lost")
        return "too late"

    with pytest.raises(LeaseLost):
        worker(Pages(), tmp_path)._do(attempt, "read", losing)
    assert (tmp_path / "journal").read_bytes() == b""


def test_a_fault_that_quotes_the_whole_document_is_told_in_short() -> None:
    assert len(_failed(StepFailed("x" * 10 * MESSAGE_MAX))["error"]["message"]) == MESSAGE_MAX


def test_an_attempt_that_holds_all_its_steps_is_not_asked_about(tmp_path: Path) -> None:
    pages, attempt = Pages(), granted()
    worker(pages, tmp_path)._read_other_steps(attempt)
    assert (pages.asked, attempt.outputs) == ([], {"a": "a"})
