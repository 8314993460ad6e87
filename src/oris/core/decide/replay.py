"""Replay: a new run goes on from what an earlier one had come to. The guard comes first: a target completes once."""

from __future__ import annotations

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from oris.core import events as ev
from oris.core.changes import Decision
from oris.core.commands import Replay, ReplayDeadLetter
from oris.core.decide.due import settle
from oris.core.decide.submit import active, full
from oris.core.facts import Facts
from oris.core.model import TERMINAL, DeadLetter, Job, ReplayClaim, SavedCheckpoint
from oris.core.replays import checkpoint_target, is_of_state, state_target, with_own_steps
from oris.core.replies import Refusal, Replayed, conflict, not_found, run_mismatch
from oris.core.stamp import Stamp
from oris.core.transition import Transition
from oris.ids import CheckpointId, RunId, checkpoint_id


class Origin(Struct, frozen=True):
    """What is to be replayed: a run's state, or a checkpoint of it."""

    target: str
    run: Job
    checkpoint: SavedCheckpoint | None = None


def replay(facts: Facts, command: Replay, stamp: Stamp) -> Decision:
    """Before everything that could refuse: a target that has completed is answered with its run; nothing executes."""
    t = Transition(facts.thread(command.job_key), stamp)
    settle(t, facts)
    if t.current is None:
        return t.decision(not_found("thread"))
    origin = _origin(t, facts, command)
    if isinstance(origin, Refusal):
        return t.decision(origin)
    earlier = _holder(t, facts, origin.target)
    if earlier is not None and earlier.status == "completed":
        claim = facts.claim(origin.target)
        return t.decision(_reply(earlier, claim.checkpoint_id if claim is not None else None, replay=True))
    refusal = _in_progress(earlier) or _mismatch(t, command) or _refuse(t, facts)
    if refusal is not None:
        return t.decision(refusal)
    _start(t, facts, origin, earlier, command.traceparent)
    return t.decision(_reply(t.job, t.job.checkpoint_id, replay=False))


def replay_dead_letter(facts: Facts, command: ReplayDeadLetter, stamp: Stamp) -> Decision:
    """The same for a run that failed; a dead letter whose replay has completed is never replayed again."""
    t = Transition(facts.thread(command.job_key), stamp)
    settle(t, facts)
    run, letter = _run(t, facts, command.run_id), _letter(t, facts, command.run_id)
    if run is None or letter is None:
        return t.decision(not_found("dead letter"))
    origin = Origin(_target_of(facts, run), run)
    earlier = _holder(t, facts, origin.target)
    if earlier is not None and earlier.status == "completed":
        told = "a replay of this dead letter has already completed"
        return t.decision(conflict("already_replayed", told, run_id=earlier.run_id))
    refusal = _in_progress(earlier) or _refuse(t, facts)
    if refusal is not None:
        return t.decision(refusal)
    _start(t, facts, origin, earlier, command.traceparent, command.run_id)
    reply = _reply(t.job, t.job.checkpoint_id, replay=False)
    return t.decision(replace(reply, replay_count=letter.replay_count + 1))


def _origin(t: Transition, facts: Facts, command: Replay) -> Origin | Refusal:
    job = t.job
    if command.checkpoint is not None:
        run_id, seq = command.checkpoint
        saved, run = facts.checkpoint(job.job_key, seq), _run(t, facts, run_id)
        if saved is None or saved.run_id != run_id or run is None:
            return not_found("checkpoint")
        return Origin(checkpoint_target(checkpoint_id(run_id, seq)), run, saved)
    if command.run_id is None and is_of_state(job):
        # Sent again: it means what it meant the first time.
        return Origin(job.replay_target or "", job)
    if command.run_id in (None, job.run_id):
        return Origin(_target_of(facts, job), job)
    if is_of_state(job) and _goes_on_from(facts, job, command.run_id):
        return Origin(job.replay_target or "", job)
    return run_mismatch(job.run_id)


def _target_of(facts: Facts, run: Job) -> str:
    """The target that replaying this run's state is for: a replay that did not complete goes on with its own."""
    if is_of_state(run) and run.status != "completed":
        return run.replay_target or ""
    digest = facts.values_digest(run.job_key, run.checkpoint_seq) if run.checkpoint_seq else None
    # A target that is worked out from less than all would be another one the next time.
    assert digest is not None or not run.checkpoint_seq
    return state_target(run, digest)


def _goes_on_from(facts: Facts, job: Job, run_id: RunId | None) -> bool:
    claim = facts.claim(job.replay_target or "")
    return run_id == job.replay_of or (claim is not None and run_id == claim.source_run_id)


def _run(t: Transition, facts: Facts, run_id: RunId) -> Job | None:
    """A run of this thread, as this command finds it."""
    return t.current if t.current is not None and t.current.run_id == run_id else facts.run(run_id)


def _letter(t: Transition, facts: Facts, run_id: RunId) -> DeadLetter | None:
    return t.dead_letter(run_id) or facts.dead_letter(run_id)


def _holder(t: Transition, facts: Facts, target: str) -> Job | None:
    """The run that has claimed the target last."""
    claim = facts.claim(target)
    return None if claim is None else _run(t, facts, claim.run_id)


def _in_progress(earlier: Job | None) -> Refusal | None:
    if earlier is None or earlier.status in TERMINAL:
        return None
    return conflict("replay_in_progress", "a replay of this is in progress", run_id=earlier.run_id)


def _mismatch(t: Transition, command: Replay) -> Refusal | None:
    return None if command.run_id in (None, t.job.run_id) else run_mismatch(t.job.run_id)


def _refuse(t: Transition, facts: Facts) -> Refusal | None:
    return active(t) or facts.admission or full(facts, t.job.tenant_id)


def _start(
    t: Transition,
    facts: Facts,
    origin: Origin,
    earlier: Job | None,
    traceparent: str,
    dead_letter: RunId | None = None,
) -> None:
    """Make the run, claim the target, and note it on the dead letters of the state it goes on from."""
    known, base = facts.claim(origin.target), earlier or origin.run
    body = ev.RunCreated(
        workflow=base.workflow,
        priority=base.priority,
        available_ms=t.now_ms,
        due_ms=None,
        traceparent=traceparent,
        timeout_ms=base.timeout_ms,
        on_timeout=base.on_timeout,
        retry_policy=msgspec.UNSET if base.retry_policy is None else msgspec.Raw(base.retry_policy),
        metadata=msgspec.UNSET if base.metadata is None else msgspec.Raw(base.metadata),
        replay=_reference(origin, earlier, base, dead_letter),
    )
    run_id, source = t.stamp.run_id(), origin.run.run_id if known is None else known.source_run_id
    t.create(base.job_key, run_id, body, None)
    t.emit(ev.AttemptQueued())
    t.claim(ReplayClaim(origin.target, base.job_key, run_id, source, t.job.checkpoint_id, t.date_ms))
    if origin.checkpoint is not None:
        return
    for failed in sorted({origin.run.run_id, base.run_id}):
        letter = _letter(t, facts, failed)
        if letter is not None:
            count = letter.replay_count + 1
            t.mark_replayed(
                replace(
                    letter, replay_status="replayed", replay_count=count, replayed_ms=t.date_ms, replay_run_id=run_id
                )
            )


def _reference(origin: Origin, earlier: Job | None, base: Job, dead_letter: RunId | None) -> ev.ReplayOf:
    """What it goes on from: the state of the last one that tried, at the checkpoint that was named."""
    saved = origin.checkpoint
    until_seq = base.seq if saved is None or earlier is not None else saved.seq
    reference = ev.ReplayOf(
        target=origin.target,
        run_id=base.run_id,
        until_seq=until_seq,
        sources=with_own_steps(base, until_seq),
        input_seq=base.input_seq,
        checkpoint_seq=base.checkpoint_seq,
        checkpoint_run=(base.checkpoint_run or base.run_id) if base.checkpoint_seq else None,
        checkpoint_bytes=base.checkpoint_bytes,
        handout_bytes=base.handout_bytes,
        dead_letter=dead_letter,
    )
    if saved is None:
        return reference
    tried = base.handout_bytes - base.checkpoint_bytes + saved.size_bytes
    return replace(
        reference,
        checkpoint_seq=saved.seq,
        checkpoint_run=saved.run_id,
        checkpoint_bytes=saved.size_bytes,
        handout_bytes=saved.handout_bytes if earlier is None else tried,
    )


def _reply(job: Job, began_with: CheckpointId | None, *, replay: bool) -> Replayed:
    return Replayed(
        thread_id=job.thread_id,
        run_id=job.run_id,
        status=job.status,
        checkpoint_id=began_with,
        result_seq=job.result_seq,
        replay=replay,
        traceparent=job.traceparent,
    )
