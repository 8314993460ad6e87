"""What is checked at every commit: the batch's events, the rows as they stand on the disk, the order of grants."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import TypeVar

from msgspec.structs import asdict, replace

from oris.core.chain import GENESIS, Entry, first_bad_seq
from oris.core.changes import Changes, Handed
from oris.core.fold import BrokenTimeline, fold
from oris.core.invariants import check_all, check_counters, check_lease
from oris.core.model import Job, Worker
from oris.core.quarantine import QuarantineRules
from oris.core.violation import Violation
from oris.ids import JobKey, RunId, WorkerKey
from oris.sim.clock import WallClock
from oris.sim.disk import Disk
from oris.sim.judge import Judge
from oris.sim.lives import RunLife, now_of
from oris.sim.modes import ModeAccount
from oris.sim.retention import RetentionCheck
from oris.sim.sessions import WorkerCheck
from oris.sim.trace import Trace
from oris.sim.witness import Witness

Key = TypeVar("Key", JobKey, RunId)


class CommitCheck:
    """Called with each committed batch, before it is published."""

    def __init__(
        self,
        disk: Disk,
        witness: Witness,
        judge: Judge,
        trace: Trace,
        filters: Mapping[WorkerKey, frozenset[str]],
        rules: QuarantineRules,
        runs_ms: int,
        wall: WallClock,
        unseen_ms: int = 0,
    ) -> None:
        """`filters`: the workflows each worker asks for; a worker that is not there asks for all. `unseen_ms`: how long
        a node may not know of what another one has queued."""
        self._unseen_ms = unseen_ms
        self._disk = disk
        self._witness = witness
        self._judge = judge
        self._trace = trace
        self._filters = filters
        self.workers = WorkerCheck(witness, judge, trace, rules)
        self.modes = ModeAccount(judge, trace)
        self._worker_rows: dict[WorkerKey, Worker] = {}
        self._rows: dict[JobKey, Job] = {}
        self._past: dict[RunId, Job] = {}
        self.last_now_ms = 0
        self._wall = wall
        self.retention = RetentionCheck(witness, judge, trace, runs_ms)

    def __call__(self, changes: Changes, handed: Mapping[RunId, Handed], now_ms: int, node: str) -> None:
        """One batch of a node. `handed` is what its grants carry."""
        witness = self._witness
        witness.begin(changes)
        if not changes.empty:
            # A batch that wrote nothing leaves no mark, so a restart may fall behind its time.
            self._judge.require(now_ms >= self.last_now_ms, "I21", "clock", f"{self.last_now_ms} then {now_ms}")
            self.last_now_ms = now_ms
        for key, row in changes.workers.items():
            witness.worker(self._worker_rows.get(key), row)
            self._worker_rows[key] = row
        self.retention(changes, now_ms)
        for pruned in changes.pruned:
            for run_id in pruned.run_ids:
                self._past.pop(run_id, None)
        for worker in changes.forgotten_workers:
            self._worker_rows.pop(worker, None)
        by_job: dict[JobKey, list[Entry]] = {}
        for entry in changes.entries:
            by_job.setdefault(entry.job_key, []).append(entry)
            self._dated(entry, now_ms)
            witness.read(entry)
            self._trace.note("event", f"{entry.job_key} {entry.seq} {entry.hash.hex()}")
        for job_key in changes.jobs:
            self._row(job_key, by_job.get(job_key, []), now_ms)
        witness.holds.committed(self._disk.holds(), now_ms)
        self.workers(changes, now_ms)
        for past in changes.past_runs:
            self._past[past.run_id] = past
        for closed in changes.closed:
            witness.closed[closed.lease_id] = closed
            witness.cut_short(closed, now_ms)
        for wait in changes.waits.values():
            wrong = witness.waits.differs(wait)
            self._judge.require(wrong is None, "I24", wait.wait_id, wrong or "")
        for submit in changes.idempotent:
            witness.bound(submit)
        self._handed(handed)
        self.modes.committed(changes, witness.granted, now_ms, node)
        self._order(now_ms)
        if not changes.empty:
            self._counts()

    def _dated(self, entry: Entry, now_ms: int) -> None:
        """I21: by the engine's clock an event is when its batch is, by the calendar when the wall clock says."""
        where = f"{entry.job_key} {entry.seq}"
        self._judge.require(now_of(entry) == now_ms, "I21", where, f"is at {now_of(entry)} in a batch at {now_ms}")
        off_ms = entry.at_ms - self._wall.wall_ms()
        self._judge.require(abs(off_ms) <= 1000, "I21", where, f"its date is {off_ms} ms off")

    def whole(self) -> None:
        """Everything, against all that was ever committed: after a crash and at the end. I7, I12, I15 and the rest."""
        rows = self._disk.snapshot()
        self._judge.all(check_all(rows))
        self._same("I12", self._rows, rows.jobs)
        self._same("I5", self._past, rows.past_runs)
        for run in self._witness.runs.values():
            row = rows.past_runs.get(run.run_id) or rows.jobs.get(run.job_key)
            there = row is not None and row.run_id == run.run_id
            there = there and not (row is not None and row.is_pruned)
            kept = run.pruned_in is None
            self._judge.require(there == kept, "I7", run.run_id, "the run is gone" if kept else "is there again")
        self.modes.whole(rows.modes)
        for wait in rows.waits.values():
            wrong = self._witness.waits.differs(wait)
            self._judge.require(wrong is None, "I24", wait.wait_id, wrong or "")
        kept_waits = self.retention.kept_waits
        same = kept_waits(rows.waits.keys()) == kept_waits(self._witness.waits.waits.keys())
        self._judge.require(same, "I24", "waits", "are gone")
        closed = self._witness.closed
        found = {lease: rows.closed[lease] for lease in self.retention.kept_leases(rows.closed.keys())}
        committed = {lease: closed[lease] for lease in self.retention.kept_leases(closed.keys())}
        self._judge.require(found == committed, "I13", "closed leases", "are not those committed")
        keys = {row.key: row for row, _ in self._witness.keys.values()}
        self._judge.require({r.key: r for r in rows.idempotent} == keys, "I9", "keys", "are not those committed")

    def _same(self, rule: str, committed: Mapping[Key, Job], found: Mapping[Key, Job]) -> None:
        """The rows on the disk are those that were committed last, each of them."""
        for key in committed.keys() | found.keys():
            same = committed.get(key) == found.get(key)
            self._judge.require(same, rule, key, "the row is not the one that was committed last")

    def _row(self, key: JobKey, entries: list[Entry], now_ms: int) -> None:
        """I11: the row on the disk is its events folded; a heartbeat moves the lease's end alone."""
        before, row = self._rows.get(key), self._disk.job(key)
        if row is None:
            self._judge.fail(Violation("I12", key, "the row that was committed is not there"))
            return
        self._rows[key] = row
        self.retention.row(row)
        if before is not None and before.pruned_seq != row.pruned_seq:
            place = (row.pruned_seq, row.pruned_hash, row.pruned_runs, row.pruned_fence)
            before = replace(before, **dict(zip(_PLACE, place, strict=True)))
            if row.is_pruned:
                same = (row.seq, row.head_hash, row.fence) == (before.seq, before.head_hash, before.fence)
                self._judge.require(same and not entries, "I11", key, "the anchor is not the end of its thread")
                return
        previous, after = (GENESIS, 0) if before is None else (before.head_hash, before.seq)
        bad = first_bad_seq(entries, previous, after)
        self._judge.require(bad is None, "I11", key, f"the chain breaks at seq {bad}")
        try:
            folded = fold(entries, before)
        except BrokenTimeline as error:
            self._judge.fail(Violation("I11", key, str(error)))
            return
        if folded is not None:
            asked_ms = row.lease_asked_ms
            folded = replace(
                folded, lease_expires_ms=row.lease_expires_ms, lease_asked_ms=asked_ms, wake_ms=row.wake_ms
            )
        if folded != row:
            self._judge.fail(Violation("I11", key, f"the row is not its timeline: {_difference(row, folded)}"))
        self._agrees(row)
        self._judge.all(check_lease(row))
        if row.lease_id is not None:
            self._witness.renewed(row.lease_id, row.lease_asked_ms, row.lease_expires_ms, now_ms)
            self._judge.require(row.lease_expires_ms > now_ms, "I1", key, "left with a lease that is over")

    def _agrees(self, row: Job) -> None:
        """The witness counts attempts and leases by itself."""
        run = self._witness.runs.get(row.run_id)
        if run is None:
            return
        told = (row.status, row.attempt_no, row.retries, row.losses, row.used_ms, row.lease_id)
        lease_id = None if run.lease is None else run.lease.lease_id
        losses = 0 if row.status == "completed" else run.losses_in_row
        counted = (run.status, 1 + run.retries + run.losses, run.retries, losses, run.used_ms, lease_id)
        self._judge.require(told == counted, "I6", row.run_id, f"the row says {told}, its events {counted}")

    def _handed(self, handed: Mapping[RunId, Handed]) -> None:
        """I10: an attempt is handed exactly what is recorded."""
        for run_id, given in handed.items():
            run = self._witness.runs[run_id]
            known = {**run.inherited, **run.steps}
            recorded = {name: (step.status, step.seq, step.digest) for name, step in known.items()}
            told = {s.action_id: (s.status, s.seq, _digest(s.body)) for s in given.steps}
            self._judge.require(told == recorded, "I10", run_id, f"handed {told}, recorded {recorded}")
            same = (_digest(given.input), _digest(given.checkpoint)) == (run.input_digest, run.checkpoint_digest)
            self._judge.require(same, "I10", run_id, "handed another input or checkpoint")
            settled = self._witness.waits.settled_of(run)
            # What its worker has left for the case of no answer is in no event of its own.
            given_back = [
                (w.wait_id, w.status, None if w.status == "expired" else _digest(w.value)) for w in given.resumes
            ]
            self._judge.require(given_back == settled, "I10", run_id, f"handed {given_back}, settled {settled}")

    def _order(self, now_ms: int) -> None:
        """I22: of what stood in the queue before, nothing is passed over by a younger one of its tenant. Of its own
        workflow not at any time; of another one not once each node has to know that there is work."""
        witness = self._witness
        for run in witness.granted:
            lease = run.lease
            if lease is None or witness.holds.held(run.lane):
                continue
            for thread in witness.threads.values():
                other = thread.run
                if witness.holds.held(other.lane):
                    continue
                if other.lane != run.lane and other.queued_ms > now_ms - self._unseen_ms:
                    continue
                if other.status == "queued" and other.queued_in < witness.commit and self._behind(other, run):
                    accepts = self._filters.get(lease.worker_key)
                    if accepts is None or other.lane.workflow in accepts:
                        what = f"passed over by {run.run_id}, which stood behind it"
                        self._judge.fail(Violation("I22", other.run_id, what))

    def _behind(self, other: RunLife, run: RunLife) -> bool:
        return other.lane.tenant_id == run.lane.tenant_id and other.order < run.order

    def _counts(self) -> None:
        """I15, I20: nothing is lost, nothing counted wrong."""
        workers = {worker.worker_key: worker for worker in self._disk.workers()}
        tenants = {tenant.tenant_id: tenant for tenant in self._disk.tenants()}
        self._judge.all(check_counters(self._rows.values(), workers, tenants, self._disk.total()))
        counted: dict[tuple[str, str], int] = {}
        for run in self._witness.runs.values():
            if run.pruned_in is not None:
                continue
            key = (run.lane.tenant_id, run.status)
            counted[key] = counted.get(key, 0) + 1
        there = self._disk.runs_by_status()
        self._judge.require(there == counted, "I15", "runs", f"there are {there}, made and moved were {counted}")
        gone = self._disk.pruned_by_tenant()
        known: dict[str, int] = {}
        for thread_key, thread in self._witness.threads.items():
            tenant = thread_key.partition("/")[0]
            known[tenant] = known.get(tenant, 0) + thread.pruned_runs
        known = {tenant: number for tenant, number in known.items() if number}
        self._judge.require(gone == known, "I15", "runs", f"{gone} were pruned, it is {known}")


_PLACE = ("pruned_seq", "pruned_hash", "pruned_runs", "pruned_fence")


def _digest(body: bytes | None) -> bytes | None:
    return None if body is None else sha256(body).digest()


def _difference(row: Job, folded: Job | None) -> str:
    if folded is None:
        return "no run"
    expected = asdict(folded)
    return ", ".join(f"{k} {v!r} is not {expected[k]!r}" for k, v in asdict(row).items() if v != expected[k])
