"""What must hold of replays in every committed state: I8, I10 and I23, over stored rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from oris.core import events as ev
from oris.core.chain import Entry
from oris.core.model import TERMINAL, Job, ReplayClaim, Step, sources_of
from oris.core.violation import Violation
from oris.ids import JobKey, RunId


def check_replays(runs: Mapping[RunId, Job], claims: Mapping[str, ReplayClaim]) -> list[Violation]:
    """I8: a replay has claimed what it replays. I23: a target completes once, and one run at most is at work on it."""
    found: list[Violation] = []
    by_target: dict[str, list[Job]] = {}
    for run in runs.values():
        if run.replay_target is not None:
            by_target.setdefault(run.replay_target, []).append(run)
    for target in by_target.keys() | claims.keys():
        mine, claim = sorted(by_target.get(target, ()), key=lambda run: run.run_id), claims.get(target)
        if claim is None or not mine or claim.run_id != mine[-1].run_id:
            found.append(Violation("I8", target, f"is claimed by {claim and claim.run_id}, not by its newest replay"))
        found += _once(target, mine)
    return found


def _once(target: str, mine: Sequence[Job]) -> list[Violation]:
    done = [run.run_id for run in mine if run.status == "completed"]
    active = [run.run_id for run in mine if run.status not in TERMINAL]
    if len(done) + len(active) <= 1:
        return []
    return [Violation("I23", target, f"completed by {done}, active are {active}")]


def check_causes(runs: Mapping[RunId, Job], entries: Mapping[JobKey, Sequence[Entry]]) -> list[Violation]:
    """I8: each run was made once: by a submit, which has no target, or by a replay of a run before it."""
    found: list[Violation] = []
    made: set[RunId] = set()
    for line in entries.values():
        for entry in line:
            if entry.event_type != "run_created":
                continue
            body, run = ev.decode(entry.data), runs.get(entry.run_id)
            assert isinstance(body, ev.RunCreated)
            if entry.run_id in made:
                found.append(Violation("I8", entry.run_id, "was made twice"))
            if body.replay is not None and body.replay.run_id not in made:
                found.append(Violation("I8", entry.run_id, f"replays {body.replay.run_id}, which is not older"))
            told = None if body.replay is None else body.replay.target
            if run is not None and run.replay_target != told:
                found.append(Violation("I8", entry.run_id, f"its cause is {told}, its row says {run.replay_target}"))
            made.add(entry.run_id)
    return found


def check_taken_over(runs: Iterable[Job], steps: Mapping[RunId, Collection[Step]]) -> list[Violation]:
    """I10: what a replay has taken over has succeeded once in all, and it reports none of that again."""
    found: list[Violation] = []
    for run in runs:
        if run.sources is None:
            continue
        seen: set[str] = set()
        for source, until_seq in sources_of(run):
            mine = [s.action_id for s in steps.get(source, ()) if s.status == "succeeded" and s.seq <= until_seq]
            found += [Violation("I10", run.run_id, f"has taken {name} over twice") for name in seen.intersection(mine)]
            seen.update(mine)
        again = seen & {step.action_id for step in steps.get(run.run_id, ())}
        found += [Violation("I10", run.run_id, f"{name} had succeeded before it began") for name in sorted(again)]
    return found
