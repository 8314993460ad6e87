"""Replays: what a target is, who has claimed it, and what a run that goes on from it is given.

A target is a checkpoint, or the state a run has come to at its end. Whoever replays it claims it in the same commit;
how the claiming run stands says the rest: at work, done for good, or free again. A replay of a latest state that did
not complete is no state of its own: replaying it goes on with the same target, so that the whole line completes once.
"""

from __future__ import annotations

from hashlib import sha256

from oris.core.facts import Facts
from oris.core.lookups import ClaimOf, LetterOf, Lookups, PastRun, PayloadBytes, SavedAt, StepBytes, look, look_all
from oris.core.model import Job, SavedCheckpoint, Source, Step, sources_of
from oris.core.needs import Loaded
from oris.ids import CheckpointId, RunId, checkpoint_id

_LATEST = "latest_state:"


def checkpoint_target(checkpoint: CheckpointId) -> str:
    """The target that a checkpoint is."""
    return f"checkpoint:{checkpoint}"


def state_target(run: Job, values_digest: bytes | None) -> str:
    """The target that a run's latest state is."""
    values = "" if values_digest is None else values_digest.hex()
    parts = (run.tenant_id, run.thread_id, run.run_id, run.checkpoint_id or "", values)
    # Lengths go before the parts: no two different states join to the same bytes.
    return _LATEST + sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()


def is_of_state(run: Job) -> bool:
    """Whether the run is a replay of a latest state."""
    return run.replay_target is not None and run.replay_target.startswith(_LATEST)


def inherited_steps(facts: Facts, job: Job, action_id: str) -> list[Step]:
    """The success of a step in the runs that this one goes on from: it counts as its own."""
    return [
        step
        for run_id, until_seq in sources_of(job)
        for step in facts.steps(run_id, action_id)
        if step.status == "succeeded" and step.seq <= until_seq
    ]


def with_own_steps(run: Job, until_seq: int) -> tuple[Source, ...]:
    """Whose succeeded steps a run has at this event: those it took over, and its own."""
    own = ((run.run_id, until_seq),) if run.steps_succeeded else ()
    return (*sources_of(run), *own)


def gather(job: Job, run_id: RunId | str, seq: int, loaded: Loaded) -> Lookups[None]:
    """Load what a replay may have to see: of a checkpoint (`seq`), or of the state of a run ("": the latest)."""
    origin = job if run_id in ("", job.run_id) else (yield from look(PastRun(RunId(run_id))))
    if origin is None or job.is_pruned:
        return
    saved_seq = seq or origin.checkpoint_seq
    saved = (yield from look(SavedAt(job.job_key, saved_seq))) if saved_seq else None
    targets = {job.replay_target, origin.replay_target}
    if saved is not None:
        carried = (yield from _carried(origin, seq)) + saved.size_bytes if seq else 0
        found = SavedCheckpoint(job.job_key, saved.run_id, saved_seq, saved.digest, saved.size_bytes, carried)
        loaded.checkpoints[job.job_key, saved_seq] = found
        if seq:
            targets.add(checkpoint_target(checkpoint_id(saved.run_id, seq)))
    if not seq:
        targets.add(state_target(origin, None if saved is None else saved.digest))
    runs = {job.run_id, origin.run_id}
    for claim in (yield from look_all([ClaimOf(target) for target in sorted(filter(None, targets))])):
        if claim is not None:
            loaded.claims[claim.target] = claim
            runs.add(claim.run_id)
    for past in (yield from look_all([PastRun(named) for named in sorted(runs - {job.run_id})])):
        if past is not None:
            loaded.past_runs[past.run_id] = past
    for letter in (yield from look_all([LetterOf(named) for named in sorted(runs)])):
        if letter is not None:
            loaded.dead_letters[letter.run_id] = letter


def _carried(run: Job, seq: int) -> Lookups[int]:
    """The size of the input, and of the steps that had succeeded by then."""
    steps = yield from look_all([StepBytes(run.job_key, *source) for source in with_own_steps(run, seq)])
    return sum(steps) + ((yield from look(PayloadBytes(run.job_key, run.input_seq))) if run.input_seq else 0)
