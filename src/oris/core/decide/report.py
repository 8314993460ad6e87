"""Report: a step is recorded, perhaps with a checkpoint. What succeeded once is final."""

from __future__ import annotations

from hashlib import sha256
from typing import Literal

from msgspec.structs import replace

from oris.core import events as ev
from oris.core.changes import Decision
from oris.core.commands import ReportStep
from oris.core.decide.due import settle
from oris.core.facts import Facts
from oris.core.lease import ended, holds, lost
from oris.core.meaning import meant
from oris.core.model import Step
from oris.core.replays import inherited_steps
from oris.core.replies import Refusal, Reported, conflict, lease_of_another_attempt
from oris.core.stamp import Stamp
from oris.core.transition import Transition
from oris.ids import RunId, attempt_of, checkpoint_id, run_of_lease


def report(facts: Facts, command: ReportStep, stamp: Stamp) -> Decision:
    """The same token with the same payload changes nothing and is answered the same."""
    t = Transition(facts.job_of(run_of_lease(command.lease_id)), stamp)
    settle(t, facts)
    if not holds(t, command.lease_id, command.worker_key):
        closed = ended(facts, t, command.lease_id)
        foreign = closed is not None and closed.worker_key != command.worker_key
        return t.decision(lost(None if foreign else closed))
    job = t.job
    if command.attempt_id != attempt_of(job.run_id):
        return t.decision(lease_of_another_attempt())
    known = facts.steps(job.run_id, command.action_id)
    counting = [*inherited_steps(facts, job, command.action_id), *known]
    for step in counting:
        if (step.status, step.dedupe_token) == (command.status, command.token):
            return t.decision(_again(t, step, command))
    if any(step.status == "succeeded" for step in counting):
        return t.decision(conflict("dedupe_mismatch", "the step has already succeeded, and its record is final"))
    return t.decision(_record(t, command, known))


def _again(t: Transition, step: Step, command: ReportStep) -> Reported | Refusal:
    if step.digest != _meant(command) and step.digest not in _as_sent(command):
        return conflict("dedupe_mismatch", "this dedupe_token was already used with another payload")
    return _reported(t, "reported_idempotent", step.checkpoint_seq, step.run_id)


def _record(t: Transition, command: ReportStep, known: list[Step]) -> Reported:
    for step in known:
        if step.latest:
            t.record_step(replace(step, latest=False))
    size = 0 if command.body is None else len(command.body)
    seq = t.emit(ev.StepRecorded(command.action_id, command.status, command.token, size), command.body)
    checkpoint_seq = 0
    if command.checkpoint is not None:
        checkpoint_seq = t.emit(ev.CheckpointSaved(len(command.checkpoint)), command.checkpoint)
    said = (command.action_id, command.status, command.token, _meant(command))
    t.record_step(Step(t.job.run_id, *said, seq, checkpoint_seq, True))
    return _reported(t, "reported", checkpoint_seq, t.job.run_id)


def _reported(
    t: Transition, status: Literal["reported", "reported_idempotent"], checkpoint_seq: int, run_id: RunId
) -> Reported:
    job = t.job
    checkpoint = checkpoint_id(run_id, checkpoint_seq) if checkpoint_seq else None
    return Reported(attempt_of(job.run_id), status, checkpoint, job.traceparent)


def _meant(command: ReportStep) -> bytes:
    """What is kept: the digest of what the payload means."""
    return _digest(meant(command.body), meant(command.checkpoint))


def _as_sent(command: ReportStep) -> tuple[bytes, ...]:
    """What 0.2.0 kept, which took the payload as it was sent, and `null` for an absent output."""
    return (
        _digest(command.body, command.checkpoint),
        _digest(command.body or b"null", command.checkpoint),
    )


def _digest(*parts: bytes | None) -> bytes:
    return sha256(b"".join(b"-" if p is None else b"%d:%b" % (len(p), p) for p in parts)).digest()
