"""The facts a batch is decided on: what the store loaded, overlaid with what the batch has decided so far."""

from __future__ import annotations

from collections.abc import Collection
from typing import assert_never

from msgspec.structs import replace

from oris.core.api_key import ApiKey
from oris.core.audit import AuditHead, AuditRecord
from oris.core.changes import Changes, Decision, Handout, LeaseEnd, Pruned, no_changes
from oris.core.counters import Counters
from oris.core.hold import Hold, after_loss, after_taken, is_held
from oris.core.limits import Limits
from oris.core.mode import CLUSTER, Modes
from oris.core.model import (
    DELAYED,
    WAITING,
    ClosedLease,
    DeadLetter,
    IdempotentSubmit,
    Job,
    Lane,
    ReplayClaim,
    SavedCheckpoint,
    Step,
    Wait,
    Worker,
    sources_of,
)
from oris.core.needs import Loaded
from oris.core.outage import Outage
from oris.core.quarantine import cleared, spared, taken_back, with_loss
from oris.core.replies import Refusal
from oris.core.tenant import Counts, Tenant
from oris.ids import (
    IdempotencyKey,
    JobKey,
    KeyId,
    LeaseId,
    NodeId,
    RunId,
    TenantId,
    WaitId,
    WorkerKey,
    name_of_node,
)


class Facts:
    """What `decide` and `dispatch` look at. `apply` is the only way to change it, one whole decision at a time."""

    def __init__(
        self,
        loaded: Loaded,
        limits: Limits,
        *,
        admission: Refusal | None = None,
        audit_head: AuditHead | None = None,
        set_aside: frozenset[RunId] = frozenset(),
        outages: tuple[Outage, ...] = (),
        node_id: NodeId = NodeId("node"),  # noqa: B008
        skew_ms: int = 0,
    ) -> None:
        self.limits = limits
        self.skew_ms = skew_ms
        """How far the calendar is ahead of the engine's time; see `core.stamp`."""
        self.node_id = node_id
        """This node, or rather this start of it."""
        self.admission = admission
        """Set while new runs are refused; repeats of a bound idempotency key are answered all the same."""
        self.audit_head = audit_head
        self.set_aside = set_aside
        """Queued runs that are not to be granted: granting them has raised."""
        self.outages = outages
        """Those that may still matter to a lease, in time order."""
        here = name_of_node(node_id)
        self.modes = Modes(here, loaded.modes.get(CLUSTER), loaded.modes.get(here))
        """What is switched on here, as far as this batch has come."""
        self.jobs = dict(loaded.jobs)
        self.heads = loaded.heads
        self.queued: list[JobKey] = []
        """Jobs this batch put into their lanes."""
        self.changes: Changes = no_changes()
        self._polls = {poll: dict.fromkeys(job.job_key for job in jobs) for poll, jobs in loaded.polls.items()}
        self._polled = {job.job_key: job for jobs in loaded.polls.values() for job in jobs}
        self._run_keys = {job.run_id: key for key, job in loaded.jobs.items()}
        self._closed = dict(loaded.closed)
        self._idempotent = dict(loaded.idempotent)
        self._steps = {key: list(rows) for key, rows in loaded.steps.items()}
        self.counters = Counters(loaded, self.changes)
        self._ended_sessions = set(loaded.ended_sessions)
        self._nodes = dict(loaded.nodes)
        self._node_names = loaded.node_names
        self._waits = dict(loaded.waits)
        self._waits_of: dict[RunId, dict[WaitId, Wait]] = {}
        for wait in loaded.waits.values():
            self._waits_of.setdefault(wait.run_id, {})[wait.wait_id] = wait
        self._api_keys = dict(loaded.api_keys)
        self._past_runs = dict(loaded.past_runs)
        self._checkpoints = loaded.checkpoints
        self._claims = dict(loaded.claims)
        self._dead_letters = dict(loaded.dead_letters)
        self.old = loaded.old
        self._holds = dict(loaded.holds)
        self.holds_ended: set[Lane] = set()
        """Workflows that this batch has found not to be held any more."""
        self.freed: set[WorkerKey] = set()
        """Workers that may be granted something again, because a run was found to blame for their incidents."""

    def thread(self, key: JobKey) -> Job | None:
        """A thread's latest run; None: there is no such thread, or no more. What submits go on from is in `jobs`."""
        job = self.jobs.get(key)
        return None if job is None or job.is_pruned else job

    def job_of(self, run: RunId | None) -> Job | None:
        """The job whose current run this is; None also when this batch has put another run in its place."""
        key = None if run is None else self._run_keys.get(run)
        job = None if key is None else self.jobs[key]
        return job if job is not None and job.run_id == run else None

    def polled(self, worker: WorkerKey, poll_id: str) -> list[Job]:
        """Jobs that a poll of this id was granted, before or in this batch, as they stand by now."""
        return [self.jobs.get(key) or self._polled[key] for key in self._polls.get((worker, poll_id), ())]

    def closed(self, lease: LeaseId) -> ClosedLease | None:
        """How a lease ended, when it has."""
        return self._closed.get(lease)

    def idempotent(self, key: IdempotencyKey) -> IdempotentSubmit | None:
        """The submit that bound this key."""
        return self._idempotent.get(key)

    def steps(self, run: RunId, action_id: str) -> list[Step]:
        """All reports of one step, in no particular order."""
        return self._steps.get((run, action_id), [])

    def wait(self, wait_id: WaitId) -> Wait | None:
        """One wait, whatever has become of it."""
        return self._waits.get(wait_id)

    def waits(self, run: RunId) -> Collection[Wait]:
        """The waits of a run that were asked for: all that are pending, and those that were named."""
        return self._waits_of.get(run, {}).values()

    def run(self, run_id: RunId) -> Job | None:
        """A run that was asked for by a replay: its thread's latest, or one before."""
        return self.job_of(run_id) or self._past_runs.get(run_id)

    def checkpoint(self, key: JobKey, seq: int) -> SavedCheckpoint | None:
        """A checkpoint that was asked for by a replay."""
        return self._checkpoints.get((key, seq))

    def values_digest(self, key: JobKey, seq: int) -> bytes | None:
        """The digest of the values that an event has saved: one that was asked for, or one of this batch."""
        if (key, seq) in self._checkpoints:
            return self._checkpoints[key, seq].digest
        mine = (entry for entry in self.changes.entries if (entry.job_key, entry.seq) == (key, seq))
        return next((entry.payload_digest for entry in mine), None)

    def claim(self, target: str) -> ReplayClaim | None:
        """Who has claimed a replay target last."""
        return self._claims.get(target)

    def dead_letter(self, run_id: RunId) -> DeadLetter | None:
        """The dead letter of a run that was asked for by a replay."""
        return self._dead_letters.get(run_id)

    def worker(self, key: WorkerKey, now_ms: int) -> Worker:
        """The worker's row, a fresh one if it was never granted anything."""
        date_ms = now_ms + self.skew_ms
        return self.counters.workers.get(key) or Worker(key, 0, date_ms, date_ms)

    def knows_worker(self, key: WorkerKey) -> bool:
        """True when the worker has a row."""
        return key in self.counters.workers

    def knows_node(self, name: str) -> bool:
        """True when this is the node that asks, or one that has ever committed anything."""
        return name == self.modes.here or name in self._node_names

    def node_ms(self, node_id: NodeId) -> int | None:
        """When a start of a node has committed something last, by the engine's clock; None: never."""
        return self._nodes.get(node_id)

    def is_session_ended(self, key: WorkerKey, session: str) -> bool:
        """True when a newer session of this worker has replaced it."""
        return (key, session) in self._ended_sessions

    def tenant(self, tenant_id: TenantId) -> Tenant:
        """The tenant's row, a fresh one if it has no jobs yet."""
        return self.counters.tenant(tenant_id)

    def api_key(self, key_id: KeyId) -> ApiKey | None:
        """A stored key, revoked or not."""
        return self._api_keys.get(key_id)

    def held(self, lane: Lane) -> Hold | None:
        """How a workflow is held, if it is."""
        hold = self._holds.get(lane)
        return hold if is_held(hold) else None

    def knows_losses(self, lane: Lane) -> bool:
        """True when losses stand against a workflow, held or not."""
        return lane in self._holds

    def hold_after_loss(self, job: Job, now_ms: int) -> Hold:
        """What will be known of the job's workflow when its lease is lost."""
        return after_loss(self._holds.get(job.lane), job, now_ms, self.limits.hold)

    def probe_granted(self, job: Job) -> None:
        """The lease that the job was just granted is its held workflow's one probe."""
        self._put_hold(replace(self._holds[job.lane], probe=job.lease_id))

    def apply(self, decision: Decision, now_ms: int) -> None:
        """Take a decision over, whole."""
        job, changes = decision.job, self.changes
        worker = decision.worker
        if worker is not None and worker is not self.counters.workers.get(worker.worker_key):
            self.counters.put_worker(worker)
        if decision.ended_session is not None:
            ended = decision.ended_session
            self._ended_sessions.add((ended.worker_key, ended.session))
            changes.ended_sessions.append(ended)
        for key in decision.api_keys:
            self._api_keys[key.key_id] = changes.api_keys[key.key_id] = key
        if decision.mode is not None:
            changes.modes[decision.mode.node] = decision.mode
            self.modes = self.modes.with_row(decision.mode)
        if decision.unheld is not None:
            self._unhold(decision.unheld)
        if job is None:
            self._forget(decision)
            changes.sign_of_life = changes.sign_of_life or decision.sign_of_life
            return
        changes.jobs[job.job_key] = self.jobs[job.job_key] = job
        self._run_keys[job.run_id] = job.job_key
        if decision.pruned is not None:
            self._prune(decision.pruned)
        changes.entries.extend(decision.entries)
        changes.payloads.extend(decision.payloads)
        for closed in decision.closed:
            self._closed[closed.lease_id] = closed
            changes.closed.append(closed)
        for step in decision.steps:
            self._record(step)
        for wait in decision.waits:
            self._waits[wait.wait_id] = changes.waits[wait.wait_id] = wait
            self._waits_of.setdefault(wait.run_id, {})[wait.wait_id] = wait
        if decision.idempotent is not None:
            self._idempotent[decision.idempotent.key] = decision.idempotent
            changes.idempotent.append(decision.idempotent)
        if decision.past_run is not None:
            self._past_runs[decision.past_run.run_id] = decision.past_run
            changes.past_runs.append(decision.past_run)
        if decision.dead_letter is not None:
            self._put_dead_letter(decision.dead_letter)
        for letter in decision.replayed:
            self._put_dead_letter(letter)
        if decision.claim is not None:
            self._claims[decision.claim.target] = changes.claims[decision.claim.target] = decision.claim
        self._count(decision, job, now_ms)
        if decision.dead_letter is not None and decision.dead_letter.reason == "lease_losses":
            self._take_back_incidents(decision.dead_letter.run_id)

    def _forget(self, decision: Decision) -> None:
        """What retention lets go, but for runs."""
        changes = self.changes
        if decision.erased is not None:
            changes.erased.append(decision.erased)
        if decision.forgotten_worker is not None:
            self.counters.forget_worker(decision.forgotten_worker)
        self._ended_sessions.difference_update(decision.forgotten_sessions)
        changes.forgotten_sessions.extend(decision.forgotten_sessions)
        for node in decision.forgotten_nodes:
            self._nodes.pop(node, None)
        changes.forgotten_nodes.extend(decision.forgotten_nodes)
        if decision.anchor is not None:
            changes.anchors[decision.anchor.chain_id] = decision.anchor

    def audit(self, record: AuditRecord) -> None:
        """Put a record at the end of the chain."""
        self.audit_head = AuditHead(record.chain_id, record.seq, record.hash)
        self.changes.audit.append(record)

    def hand_out(self, job: Job) -> None:
        """Have the job's payloads read in this commit."""
        has_waits, sources = job.waits_raised > 0, sources_of(job)
        handout = Handout(job.job_key, job.run_id, job.input_seq, job.checkpoint_seq, has_waits, sources)
        self.changes.handouts.append(handout)

    def served(self, tenant_id: TenantId, turn: int) -> None:
        """Note when a tenant got something last: the tie-break between equals."""
        self.counters.served(tenant_id, turn)

    def _prune(self, pruned: Pruned) -> None:
        """What names a pruned run names nothing any more."""
        self.changes.pruned.append(pruned)
        gone = frozenset(pruned.run_ids)
        for run_id in gone & self._past_runs.keys():
            del self._past_runs[run_id]
        for run_id in gone & self._dead_letters.keys():
            del self._dead_letters[run_id]
        for key in [key for key, bound in self._idempotent.items() if bound.run_id in gone]:
            del self._idempotent[key]
        for target in [target for target, claim in self._claims.items() if claim.run_id in gone]:
            del self._claims[target]

    def _record(self, step: Step) -> None:
        rows = self._steps.setdefault((step.run_id, step.action_id), [])
        mark = (step.status, step.dedupe_token)
        rows[:] = [row for row in rows if (row.status, row.dedupe_token) != mark]
        rows.append(step)
        self.changes.steps.append(step)

    def _count(self, decision: Decision, job: Job, now_ms: int) -> None:
        """Keep the counters of worker and tenant equal to what the rows say."""
        before = decision.before
        status_before = None if before is None else before.status
        waiting = (job.status in WAITING) - (status_before in WAITING)
        delayed = (job.status in DELAYED) - (status_before in DELAYED)
        held_before = None if before is None else before.worker_key
        if job.status == "queued" and status_before != "queued":
            self.queued.append(job.job_key)
        if held_before != job.worker_key:
            if before is not None and held_before is not None:
                self._lease_ended(before, held_before, decision.lease_end, now_ms)
            if job.worker_key is not None:
                worker = self.worker(job.worker_key, now_ms)
                granted_ms = now_ms if job.lease_session == worker.session else worker.granted_ms
                seen = {"last_seen_ms": now_ms + self.skew_ms, "granted_ms": granted_ms}
                self.counters.put_worker(replace(worker, leased=worker.leased + 1, **seen))
                if job.poll_id is not None:
                    # A poll sent twice is in one batch with its copy: the copy is to find what the first was granted.
                    self._polls.setdefault((job.worker_key, job.poll_id), {})[job.job_key] = None
        leased = (job.worker_key is not None) - (held_before is not None)
        if waiting or delayed or leased:
            self.counters.count(job.tenant_id, Counts(waiting, delayed, leased))

    def _lease_ended(self, before: Job, key: WorkerKey, end: LeaseEnd | None, now_ms: int) -> None:
        """What the end of a lease says of its worker, and of its workflow."""
        worker, rules = self.worker(key, now_ms), self.limits.quarantine
        row = replace(worker, leased=worker.leased - 1)
        match end:
            case "lost":
                hold = self.hold_after_loss(before, now_ms)
                self._put_hold(hold)
                row = spared(row, before, rules) if is_held(hold) else with_loss(row, before, now_ms, rules)
            case "normal":
                row = replace(cleared(row), last_seen_ms=now_ms + self.skew_ms)
                if self._holds:
                    self._unhold(before.lane)
            case "taken" | None:
                if self._holds and before.lane in self._holds:
                    assert before.lease_id is not None
                    self._put_hold(after_taken(self._holds[before.lane], before.lease_id))
            case _:
                assert_never(end)
        self.counters.put_worker(row)

    def _take_back_incidents(self, run_id: RunId) -> None:
        """A run has lost too many leases: those who held them are not to blame."""
        for worker in list(self.counters.workers.values()):
            row = taken_back(worker, run_id, self.limits.quarantine)
            if row is not worker:
                self.counters.put_worker(row)
                self.freed.add(row.worker_key)

    def _put_hold(self, hold: Hold) -> None:
        if hold is not self._holds.get(hold.lane):
            self._holds[hold.lane] = self.changes.holds[hold.lane] = hold

    def _unhold(self, lane: Lane) -> None:
        hold = self._holds.pop(lane, None)
        if hold is not None:
            self.changes.holds[lane] = None
        if is_held(hold):
            self.holds_ended.add(lane)

    def _put_dead_letter(self, letter: DeadLetter) -> None:
        self._dead_letters[letter.run_id] = letter
        self.changes.dead_letters.append(letter)
