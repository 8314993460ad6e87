"""Every status, reason, event and audit action of the contract is told by a real engine through the whole API, no other
is, and the source knows the same ones."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import trio
from trio.testing import MockClock

import oris
from oris.api.envelope import STATUS
from oris.api.http import Role
from oris.api.limits import HttpLimits
from oris.api.routes import route_table
from oris.core import events, explain, model, replies
from oris.engine.control import Control
from oris.engine.engine import Decision
from oris.errors import BackpressureReason, ConflictReason, UnavailableReason
from oris.wire.words import StepWord

from ..api.front import connect, request
from ..api.front import running as served
from ..words import BEYOND, UNHEARD, WORDS
from . import said_in_refusals, said_of_runs
from .heard import Ear, Words

NOTHING: frozenset[str] = frozenset()
SOURCES = Path(oris.__file__).parent
EXAMPLES = SOURCES / "api" / "openapi" / "examples.py"
"""Reasons that callers give are no words of the contract."""
SCENARIOS = (*said_of_runs.SCENARIOS, *said_in_refusals.SCENARIOS)


async def on_the_wire(ear: Ear) -> None:
    """What only a socket can show."""
    async with served(limits=HttpLimits(body_timeout_s=0.05, linger_s=0.05)) as front:
        client = await connect(front)
        head = (("Content-Length", "9"), ("Content-Type", "application/json"))
        late = await client.ask(request("POST", "/v1/echo", b"", *head))
        assert late.status == 408
        ear.error(late.status, late.error)


@pytest.fixture(scope="module")
def heard() -> Words:
    """All words of all scenarios."""
    ear = Ear()
    for scenario in SCENARIOS:
        trio.run(scenario, ear, clock=MockClock(autojump_threshold=0))
    trio.run(on_the_wire, ear)
    return ear.words


@pytest.mark.parametrize("kind", WORDS)
def test_every_word_of_a_kind_is_told_and_no_other(heard: Words, kind: str) -> None:
    assert heard[kind] == WORDS[kind] | BEYOND.get(kind, NOTHING)


def test_all_words_are_counted(heard: Words, record_property: Callable[[str, object], None]) -> None:
    assert heard.keys() == WORDS.keys()
    count = sum(map(len, WORDS.values()))
    beyond = sum(map(len, BEYOND.values()))
    record_property("words of the contract", f"{count} of {len(WORDS)} kinds heard, all there are; {beyond} beyond it")
    assert sum(len(found) for found in heard.values()) == count + beyond


def field(struct: type, name: str) -> frozenset[str]:
    """The words that a field of a struct may hold."""
    return frozenset(get_args(get_type_hints(struct)[name]))


IN_THE_SOURCE: dict[str, frozenset[str]] = {
    "error": frozenset(f"{status} {code}" for code, status in STATUS.items()),
    "conflict": frozenset(get_args(ConflictReason)),
    "backpressure": frozenset(get_args(BackpressureReason)),
    "unavailable": frozenset(get_args(UnavailableReason)),
    "lease_lost": frozenset(get_args(model.ClosedState)),
    "run status": frozenset(get_args(model.Status)),
    "explain": frozenset(get_args(explain.ReasonWord)),
    "event": frozenset(str(body.__struct_config__.tag) for body in get_args(events.Body)),
    "poll": frozenset(get_args(Decision)),
    "poll reason": frozenset(get_args(replies.Blocked)),
    "control": field(Control, "type"),
    "lease state": field(replies.Beaten, "state"),
    "step": frozenset(get_args(StepWord)),
    "report": field(replies.Reported, "status"),
    "suspend": field(replies.Suspended, "status"),
    "wait kind": frozenset(get_args(model.WaitKind)),
    "wait status": frozenset(get_args(model.WaitStatus)),
    "ack": field(replies.Acked, "status"),
    "retry strategy": field(model.RetryPolicy, "strategy"),
    "audit": frozenset(route.audit_action for route in route_table(1024).routes if route.audit_action is not None),
    "role": frozenset(map(str, Role)),
}
"""Where the source has one place for the words of a kind."""


@pytest.mark.parametrize("kind", IN_THE_SOURCE)
def test_the_source_knows_the_words_of_a_kind_and_no_other(kind: str) -> None:
    assert IN_THE_SOURCE[kind] == WORDS[kind] | BEYOND.get(kind, NOTHING)


def reasons_in(source: str) -> set[str]:
    """The words that a source gives as reasons: to `conflict`, to `Unavailable`, or under the name `reason`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        given: list[ast.expr] = []
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("conflict", "_unavailable"):
            given = node.args[:1]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "Unavailable":
            given = node.args[1:2]
        elif isinstance(node, ast.Dict):
            given = [value for key, value in zip(node.keys, node.values, strict=True) if _is_reason(key)]
        elif isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["reason"]:
            given = [node.value]
        found |= {str(value.value) for value in given if isinstance(value, ast.Constant)}
    return found


def _is_reason(key: ast.expr | None) -> bool:
    return isinstance(key, ast.Constant) and key.value == "reason"


def test_a_reason_that_the_source_gives_is_one_of_the_contract() -> None:
    """The words of refusals stand where they are given: all of them are found, and none that nobody has heard of."""
    found: set[str] = set()
    for path in sorted(SOURCES.rglob("*.py")):
        if path != EXAMPLES:
            found |= reasons_in(path.read_text())
    refusals = WORDS["conflict"] | WORDS["backpressure"] | WORDS["unavailable"]
    assert refusals - found == set()
    # Beside refusals: why a run ended, and how a worker's misfortune is told.
    others = WORDS["dead letter reason"] | BEYOND["dead letter reason"] | WORDS["lease_lost"] | {"session_superseded"}
    assert found - refusals - others == UNHEARD


def test_a_reason_is_found_however_it_is_given() -> None:
    assert reasons_in('conflict("a", "told")') == {"a"}
    assert reasons_in('raise Unavailable("told", "b")') == {"b"}
    assert reasons_in('details = {"reason": "c"}') == {"c"}
    assert reasons_in('reason = "d"') == {"d"}
