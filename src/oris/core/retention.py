"""Retention: which runs of a thread may go. Whole runs, the oldest first, so that what is kept is one piece.

A run that is over goes when it is old enough, unless somebody needs it still: its dead letter waits, or a run that is
kept goes on from it. A replay names what it took over by reference, through as many replays as it took: keeping the
run that each one goes on from keeps all of that. A claim goes with the run that has it, and then its target has gone
too, since a target is older than whatever replays it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from oris.core.model import TERMINAL, Job
from oris.core.old import OldestRuns, OldRun
from oris.ids import JobKey, RunId


class OldLookup(Protocol):
    """What a store is asked for the oldest runs of a thread."""

    def oldest_past_runs(self, key: JobKey, limit: int) -> Sequence[Job]:
        """The oldest of the runs that newer ones have replaced."""

    def is_dead(self, run_id: RunId) -> bool:
        """Whether the run has a dead letter that nobody has replayed."""

    def replayed_until(self, run_id: RunId) -> int:
        """The last event of the newest past run that goes on from this one; 0: none does."""


def gather_oldest(job: Job, limit: int, look: OldLookup) -> OldestRuns:
    """Load what retention has to see of a thread. `job` is its row."""
    place = (job.seq, job.pruned_seq)
    if job.is_pruned:
        return OldestRuns((), complete=True, place=place)
    runs = list(look.oldest_past_runs(job.job_key, limit))
    complete = len(runs) < limit
    if complete:
        runs.append(job)
    found = []
    for run in runs:
        until = job.seq if job.replay_of == run.run_id else look.replayed_until(run.run_id)
        found.append(OldRun(run, look.is_dead(run.run_id), until))
    return OldestRuns(tuple(found), complete, place)


def may_go(old: OldestRuns, before_ms: int) -> tuple[int, int]:
    """How many of the oldest runs may go, and how many are old enough and no dead letters."""
    count = needed_until = 0
    for place, each in enumerate(old.runs, 1):
        run = each.run
        if run.status not in TERMINAL or run.updated_ms >= before_ms or each.dead:
            return count, place - 1
        needed_until = max(needed_until, each.replayed_until)
        if needed_until <= run.seq:
            count = place
    return count, len(old.runs)
