"""The witness' account of retention: which runs may go, which have gone, and what goes with them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from oris.core.changes import Changes, Pruned
from oris.core.model import Job
from oris.ids import LeaseId, RunId, WaitId
from oris.sim.judge import Judge
from oris.sim.lives import RunLife, ThreadLife
from oris.sim.trace import Trace
from oris.sim.witness import Witness

LATE_MS = 15_000
"""What may go has gone within this while nothing is wrong."""


class RetentionCheck:
    """I8, I11, I15: only what is old goes, the oldest first, and nothing that somebody needs; but that does go."""

    def __init__(self, witness: Witness, judge: Judge, trace: Trace, runs_ms: int) -> None:
        """`runs_ms`: how long runs are kept; 0: for ever."""
        self._witness = witness
        self._judge = judge
        self._trace = trace
        self._runs_ms = runs_ms

    def __call__(self, changes: Changes, now_ms: int) -> None:
        """One commit; to be told before what it binds and makes."""
        for pruned in changes.pruned:
            self._pruned(pruned, now_ms)
        for key in changes.forgotten_workers:
            held = [lease.lease_id for lease in self._witness.leases.values() if lease.worker_key == key]
            held = [lease for lease in held if self._witness.leases[lease].closed_in is None]
            self._judge.require(not held, "I20", key, f"was forgotten, and holds {held}")
            self._trace.saw("worker forgotten")
        if changes.erased:
            self._trace.saw("pruned run erased")
        if changes.anchors:
            self._trace.saw("audit chain cut")

    def row(self, row: Job) -> None:
        """I11: a thread's row knows what has gone of it."""
        thread = self._witness.threads.get(row.job_key)
        if thread is None:
            return
        told = (row.pruned_seq, row.pruned_hash, row.pruned_runs)
        known = (thread.pruned_seq, thread.pruned_hash, thread.pruned_runs)
        self._judge.require(told == known, "I11", row.job_key, f"the row says {told} of what has gone, it is {known}")
        if row.is_pruned:
            said = (row.metadata, row.idempotency_key, row.reason, row.traceparent)
            self._judge.require(said == (None, None, None, ""), "I15", row.job_key, f"the anchor still says {said}")

    def has_gone(self, run_id: RunId) -> bool:
        """Whether a run was pruned."""
        run = self._witness.runs.get(run_id)
        return run is not None and run.pruned_in is not None

    def kept_leases(self, leases: Collection[LeaseId]) -> set[LeaseId]:
        """Those of runs that have not gone."""
        known = self._witness.leases
        return {lease for lease in leases if lease not in known or known[lease].run.pruned_in is None}

    def kept_waits(self, waits: Collection[WaitId]) -> set[WaitId]:
        """Those of runs that have not gone."""
        known = self._witness.waits.waits
        return {wait for wait in waits if wait not in known or not self.has_gone(known[wait].run_id)}

    def settle(self, now_ms: int) -> None:
        """L1: at the end nothing is left that might have gone long ago."""
        if not self._runs_ms:
            return
        for key, thread in self._witness.threads.items():
            ripe = self._longest(thread.runs, now_ms - self._runs_ms - LATE_MS)
            self._judge.require(not ripe, "L1", key, f"{ripe} runs might have gone long ago")

    def _pruned(self, pruned: Pruned, now_ms: int) -> None:
        thread, key = self._witness.threads[pruned.job_key], pruned.job_key
        told = list(pruned.run_ids)
        gone, kept = thread.runs[: len(told)], thread.runs[len(told) :]
        self._judge.require(told == [run.run_id for run in gone], "I15", key, f"pruned {told}: not the oldest")
        for run in gone:
            what = self._needed(run, now_ms - self._runs_ms)
            self._judge.require(what is None, "I15", run.run_id, f"was pruned, and {what}")
        for run in kept:
            orphaned = run.base is not None and run.base in gone
            self._judge.require(not orphaned, "I8", run.run_id, "goes on from a run that was pruned")
        self._let_go(thread, gone, kept)

    def _let_go(self, thread: ThreadLife, gone: list[RunLife], kept: list[RunLife]) -> None:
        thread.runs = kept
        thread.pruned_runs += len(gone)
        thread.pruned_seq, thread.pruned_hash = gone[-1].seq, gone[-1].head_hash
        for run in gone:
            run.pruned_in = self._witness.commit
            self._trace.saw("run pruned")
        runs = {run.run_id for run in gone}
        for bound, (row, _) in list(self._witness.keys.items()):
            if row.run_id in runs:
                self._witness.unbound[bound] = self._witness.keys.pop(bound)
        self._trace.saw("thread pruned" if not kept else "thread pruned in part")

    def _needed(self, run: RunLife, before_ms: int) -> str | None:
        """Why a run may not go; None: it may, as far as it alone matters."""
        if not run.over or not self._runs_ms:
            return f"is {run.status}"
        if run.ended_ms >= before_ms:
            return f"ended {run.ended_ms - before_ms} ms too late for that"
        return "has a dead letter that nobody has replayed" if run.letter else None

    def _longest(self, runs: Sequence[RunLife], before_ms: int) -> int:
        """How many of the oldest runs may go."""
        count = 0
        for number, run in enumerate(runs, 1):
            if self._needed(run, before_ms) is not None:
                break
            if not any(kept.base is not None and kept.base in runs[:number] for kept in runs[number:]):
                count = number
        return count
