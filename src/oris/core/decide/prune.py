"""Prune: the oldest runs of a thread go, whole, with all that belongs to them.

Which may go was found out beforehand (`core.retention`), since that may take many rows. Here it is only seen whether
the thread is where it was then, and what is decided is small: the thread's row, and the rows that name its runs. The
rest is only hidden by it, and erased afterwards, piece by piece: a run of a hundred thousand events must not stop all
others' commits.
"""

from __future__ import annotations

from msgspec.structs import replace

from oris.core.changes import Decision, Pruned
from oris.core.commands import Prune
from oris.core.deadlines import is_due
from oris.core.facts import Facts
from oris.core.model import Job
from oris.core.old import Cut, place_of
from oris.core.replies import RunsPruned
from oris.core.stamp import Stamp


def prune(facts: Facts, command: Prune, stamp: Stamp) -> Decision:
    """Deadlines first: a thread that has one due is left to the sweeper, and the next pass looks again."""
    job, cut = facts.jobs.get(command.job_key), command.cut
    if job is None or cut.place != place_of(job):
        # The thread has moved since it was looked at, be it in this batch.
        return Decision(RunsPruned(0))
    if (job.wake_ms is not None and job.wake_ms <= stamp.now_ms) or is_due(job, stamp.now_ms, stamp.date_ms):
        return Decision(RunsPruned(0))
    kept = _without(job, cut)
    pruned = Pruned(job.job_key, cut.run_ids, whole=kept.is_pruned, pruned_ms=stamp.now_ms)
    return Decision(RunsPruned(len(cut.run_ids)), job, kept, pruned=pruned)


def _without(job: Job, cut: Cut) -> Job:
    kept = replace(
        job,
        pruned_seq=cut.seq,
        pruned_hash=cut.head_hash,
        pruned_runs=job.pruned_runs + len(cut.run_ids),
        pruned_fence=cut.fence,
    )
    return _anchor(kept) if kept.is_pruned else kept


def _anchor(job: Job) -> Job:
    """The row of a thread of which nothing is kept: where it goes on, and nothing that anybody has said."""
    return replace(
        job,
        reason=None,
        timeout_ms=None,
        retry_policy=None,
        idempotency_key=None,
        metadata=None,
        traceparent="",
        input_seq=0,
        checkpoint_seq=0,
        result_seq=0,
        error_seq=0,
        handout_bytes=0,
        checkpoint_bytes=0,
        replay_of=None,
        replay_target=None,
        sources=None,
        checkpoint_run=None,
    )
