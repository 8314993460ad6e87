"""Prune: the oldest runs of a thread go, whole, with all that belongs to them.

What is decided here is small: the thread's row, and the rows that name its runs. The rest is only hidden by it, and
erased afterwards, piece by piece: a run of a hundred thousand events must not stop all others' commits.
"""

from __future__ import annotations

from msgspec.structs import replace

from oris.core.changes import Decision, Pruned
from oris.core.commands import Prune
from oris.core.deadlines import is_due
from oris.core.facts import Facts
from oris.core.model import Job
from oris.core.replies import RunsPruned
from oris.core.retention import may_go
from oris.core.stamp import Stamp


def prune(facts: Facts, command: Prune, stamp: Stamp) -> Decision:
    """Deadlines first: a thread that has one due is left to the sweeper, and the next pass looks again."""
    job, old = facts.jobs.get(command.job_key), facts.old.runs.get(command.job_key)
    if job is None or old is None or old.place != (job.seq, job.pruned_seq):
        # This batch has changed the thread.
        return Decision(RunsPruned(0))
    if (job.wake_ms is not None and job.wake_ms <= stamp.now_ms) or is_due(job, stamp.now_ms, stamp.date_ms):
        return Decision(RunsPruned(0))
    count, ripe = may_go(old, command.before_ms)
    if not count:
        # All of them are old enough, and needed by a run that was not looked at.
        return Decision(RunsPruned(0, short=ripe == len(old.runs) and not old.complete))
    gone = tuple(each.run for each in old.runs[:count])
    reply = RunsPruned(count, more=ripe == len(old.runs) and not old.complete)
    return Decision(reply, job, _without(job, gone), pruned=Pruned(job.job_key, gone, stamp.now_ms))


def _without(job: Job, gone: tuple[Job, ...]) -> Job:
    last = gone[-1]
    kept = replace(
        job,
        pruned_seq=last.seq,
        pruned_hash=last.head_hash,
        pruned_runs=job.pruned_runs + len(gone),
        pruned_fence=last.fence,
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
