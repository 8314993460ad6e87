"""Whether all was done, and no recorded step was repeated: the workers' journal against the timelines."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from oris.demo.http_client import Json
from oris.demo.steps import STEPS
from oris.demo.timelines import Record

_STEP_NAMES = tuple(name for name, _ in STEPS)


@dataclass(frozen=True)
class Effect:
    """One line of the journal: a worker did this."""

    thread_id: str
    step: str
    worker_id: str
    attempt_no: int


@dataclass(frozen=True)
class Takeover:
    """A job that lost its worker and went on."""

    thread_id: str
    lost_by: str
    taken_by: str
    steps_handed_back: int
    expiry_to_restart_ms: float


@dataclass(frozen=True)
class Proof:
    """What the comparison came to."""

    recorded_steps: int
    effects: int
    interrupted: tuple[Effect, ...]
    """Effects of a worker that was killed before it could record them: these alone may show twice."""
    takeovers: tuple[Takeover, ...]
    violations: tuple[str, ...]
    """Empty when everything holds."""


def read_journal(path: Path) -> list[Effect]:
    """Every effect, in order. A line still being written is left out."""
    if not path.exists():
        return []
    lines: list[Json] = [json.loads(line) for line in path.read_text().split("\n")[:-1]]
    return [Effect(line["thread_id"], line["step"], line["worker_id"], line["attempt_no"]) for line in lines]


def prove(records: Iterable[Record], effects: list[Effect]) -> Proof:
    """Compare what the workers did with what the server has recorded."""
    records = list(records)
    done: dict[tuple[str, str], list[Effect]] = defaultdict(list)
    for effect in effects:
        done[effect.thread_id, effect.step].append(effect)
    interrupted: list[Effect] = []
    violations: list[str] = []
    for record in records:
        violations += _unsound(record)
        lost = {event.attempt_no for event in record.of_type("lease_expired")}
        for step in record.recorded_steps:
            name = step.data["action_id"]
            of_step = done.pop((record.thread_id, name), [])
            unrecorded = [effect for effect in of_step if effect.attempt_no < step.attempt_no]
            if len(of_step) - len(unrecorded) != 1:
                count = len(of_step) - len(unrecorded)
                violations.append(f"{record.thread_id}: the recorded effect of {name} exists {count} times, not once")
            if any(effect.attempt_no not in lost for effect in unrecorded):
                violations.append(f"{record.thread_id}: {name} was done without a record, although no lease was lost")
            interrupted += unrecorded
    violations += [f"{thread}: {step} was done but is not recorded" for thread, step in done]
    return Proof(
        recorded_steps=sum(len(record.recorded_steps) for record in records),
        effects=len(effects),
        interrupted=tuple(interrupted),
        takeovers=tuple(takeover for record in records for takeover in takeovers(record)),
        violations=tuple(violations),
    )


def takeovers(record: Record) -> Iterator[Takeover]:
    """Each lease of a job that expired, with the grant that followed it."""
    for expired in record.of_type("lease_expired"):
        grant = next((event for event in record.of_type("lease_granted") if event.seq > expired.seq), None)
        if grant is not None:
            yield Takeover(
                thread_id=record.thread_id,
                lost_by=str(expired.worker_id),
                taken_by=str(grant.worker_id),
                steps_handed_back=sum(step.seq < grant.seq for step in record.recorded_steps),
                expiry_to_restart_ms=_ms(grant.at) - expired.data["expired_ms"],
            )


def _unsound(record: Record) -> Iterator[str]:
    """What is wrong with a job on its own."""
    if record.status != "completed":
        yield f"{record.thread_id} ended {record.status}"
    if [event.seq for event in record.events] != list(range(1, len(record.events) + 1)):
        yield f"{record.thread_id}: its timeline has a gap"
    steps = [step.data["action_id"] for step in record.recorded_steps]
    if steps != list(_STEP_NAMES):
        yield f"{record.thread_id} has recorded {', '.join(steps) or 'nothing'}"


def _ms(at: str) -> float:
    return datetime.fromisoformat(at).timestamp() * 1000
