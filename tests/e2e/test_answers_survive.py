"""Three questions at once, two answered by people and one by nobody: the run goes on or ends as its worker has said,
and the answers are in the hands of whoever goes on with it, however many workers are killed."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from .calls import Caller
from .server_process import ServerProcess, data_of, error_of, until
from .worker_process import WorkerProcess, working

EXPIRES_MS = 3000
"""Long enough for two answers on a busy machine: these have to come first."""
ANSWERS = {"first": {"amount": 12.50}, "second": None}
OUTCOMES = ("cancel", "fail", "resume")


def questions(on_expire: str) -> list[dict[str, Any]]:
    """Two that people answer, and one that nobody does."""
    slow = {"key": "slow", "value": "?", "expires_in_ms": EXPIRES_MS, "on_expire": on_expire}
    return [{"key": key, "value": "?"} for key in ANSWERS] + [
        slow | ({"expire_value": ["nobody"]} if on_expire == "resume" else {})
    ]


class Scene:
    """One thread for each outcome, all of which have asked; the process that asked for them is killed."""

    def __init__(self, server: ServerProcess, http: httpx.Client, folder: Path) -> None:
        self.server = server
        self.http = http
        self.file = folder / "handed.jsonl"
        self.callers = {outcome: Caller(http, f"survive-{outcome}") for outcome in OUTCOMES}
        with ExitStack() as stack:
            for outcome, caller in self.callers.items():
                stack.enter_context(self.worker(outcome, "asks", "hang"))
                caller.submit(input=questions(outcome))
            until(lambda: all(len(self.asked(outcome)) == 3 for outcome in OUTCOMES), "all have asked")
        for outcome in OUTCOMES:
            for key, value in ANSWERS.items():
                data_of(self.answer(outcome, key, value))

    def worker(self, outcome: str, name: str, conduct: str) -> AbstractContextManager[WorkerProcess]:
        """A process that takes the jobs of an outcome."""
        caller = self.callers[outcome]
        return working(self.server, f"{name}-{outcome}", caller.name, self.file, conduct)

    def asked(self, outcome: str) -> dict[str, dict[str, Any]]:
        """The questions of a run by key, as they stand."""
        thread = self.callers[outcome].thread
        found = data_of(self.http.get("/v1/interrupts", params={"thread_id": thread}))["interrupts"]
        return {question["key"]: question for question in found}

    def answer(self, outcome: str, key: str, value: Any) -> httpx.Response:
        """Somebody answers."""
        path = f"/v1/interrupts/{self.asked(outcome)[key]['interrupt_id']}/resume"
        return self.http.post(path, json={"value": value})

    def is_expired(self, outcome: str) -> bool:
        """Whether the time for the third answer is over."""
        return bool(self.asked(outcome)["slow"]["status"] == "expired")

    def ended(self, outcome: str) -> dict[str, Any]:
        """How its run ends."""
        path = f"/v1/jobs/{self.callers[outcome].thread}/result"
        result: dict[str, Any] = data_of(self.http.get(path, params={"wait_ms": 20_000}))
        return result


@pytest.fixture(scope="module")
def scene(server: ServerProcess, http: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(server, http, tmp_path_factory.mktemp("handed"))


def test_the_answers_of_people_stand_whatever_becomes_of_the_run(scene: Scene) -> None:
    for outcome in OUTCOMES:
        until(partial(scene.is_expired, outcome), "nobody has answered in time")
        shown = {key: (one["status"], one["settled_value"]) for key, one in scene.asked(outcome).items()}
        assert shown == {
            **{key: ("resumed", value) for key, value in ANSWERS.items()},
            "slow": ("expired", ["nobody"] if outcome == "resume" else None),
        }
        assert error_of(scene.answer(outcome, "slow", 1))[2]["reason"] == "interrupt_settled"


def test_the_run_is_cancelled_when_its_worker_has_said_so(scene: Scene) -> None:
    assert scene.ended("cancel")["status"] == "cancelled"
    assert scene.callers["cancel"].of_thread()["reason"] == "interrupt_expired"
    with scene.worker("cancel", "late", "finish"):
        assert scene.callers["cancel"].poll()["attempts"] == []


def test_the_run_fails_when_its_worker_has_said_so_and_is_a_dead_letter(scene: Scene) -> None:
    ended = scene.ended("fail")
    assert (ended["status"], ended["error"]["type"]) == ("failed", "interrupt_expired")
    (letter,) = data_of(scene.http.get("/v1/dlq", params={"workflow": scene.callers["fail"].name}))["entries"]
    assert (letter["run_id"], letter["reason"]) == (ended["run_id"], "interrupt_expired")


def test_the_run_goes_on_with_every_value_also_after_its_worker_was_killed_once_more(scene: Scene) -> None:
    expected = {key: ("resumed", value) for key, value in ANSWERS.items()} | {"slow": ("expired", ["nobody"])}

    with scene.worker("resume", "killed", "hang") as killed:
        (first,) = until(killed.handed, "it goes on")
        killed.kill()
        with scene.worker("resume", "heir", "finish") as heir:
            ended = scene.ended("resume")
            (second,) = heir.handed()
    for attempt, number in ((first, 1), (second, 2)):
        assert attempt["attempt_no"] == number
        assert {one["key"]: (one["status"], one["value"]) for one in attempt["resumes"]} == expected
    assert ended["status"] == "completed"
    assert ended["result"]["answers"] == {key: value for key, (_, value) in expected.items()}
    assert ended["result"]["worker"] == heir.name
