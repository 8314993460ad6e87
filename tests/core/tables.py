"""The rows of a store, in dicts: what the rules are given and what they leave behind."""

from __future__ import annotations

from msgspec.structs import replace

from oris.core import lookups as ask
from oris.core.api_key import ApiKey
from oris.core.audit import AuditHead
from oris.core.audit_anchor import AuditAnchor
from oris.core.changes import Changes
from oris.core.events import Entry
from oris.core.hold import Hold, is_held, lost_least
from oris.core.lookups import Lookup, Saved, answered
from oris.core.mode import Mode
from oris.core.model import (
    DELAYED,
    SUSPENDED,
    ClosedLease,
    DeadLetter,
    IdempotentSubmit,
    Job,
    Lane,
    PrunedRun,
    ReplayClaim,
    Step,
    Wait,
    Worker,
    sources_of,
)
from oris.core.needs import Heads, Loaded, Needs
from oris.core.old import OldestRuns, OldRun, Place, place_of
from oris.core.replays import gather
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
    run_of_lease,
)


class Tables:
    """The rows of a store."""

    def __init__(self) -> None:
        self.jobs: dict[JobKey, Job] = {}
        self.entries: dict[JobKey, list[Entry]] = {}
        self.payloads: dict[tuple[JobKey, int], bytes] = {}
        self.steps: dict[tuple[RunId, str], dict[tuple[str, str], Step]] = {}
        self.closed: dict[LeaseId, ClosedLease] = {}
        self.idempotent: dict[IdempotencyKey, IdempotentSubmit] = {}
        self.past_runs: dict[RunId, Job] = {}
        self.dead_letters: dict[RunId, DeadLetter] = {}
        self.workers: dict[WorkerKey, Worker] = {}
        self.tenants: dict[TenantId, Tenant] = {}
        self.claims: dict[str, ReplayClaim] = {}
        self.ended_sessions: set[tuple[WorkerKey, str]] = set()
        self.waits: dict[WaitId, Wait] = {}
        self.api_keys: dict[KeyId, ApiKey] = {}
        self.modes: dict[str, Mode] = {}
        self.nodes: dict[NodeId, int] = {}
        self.total = Counts()
        self.pruned_runs: dict[RunId, PrunedRun] = {}
        self.anchors: dict[str, AuditAnchor] = {}
        self.audit: dict[tuple[str, int], AuditHead] = {}
        self.holds: dict[Lane, Hold] = {}

    def lanes(self) -> dict[Lane, list[Job]]:
        """All queued jobs, lane by lane, in order."""
        found: dict[Lane, list[Job]] = {}
        for job in sorted((j for j in self.jobs.values() if j.status == "queued"), key=lambda j: j.order):
            found.setdefault(job.lane, []).append(job)
        return found

    def depth(self) -> int:
        """Runs that are due and wait."""
        return sum(job.status == "queued" for job in self.jobs.values())

    def delayed(self) -> int:
        """Runs that wait for their time."""
        return sum(job.status in DELAYED for job in self.jobs.values())

    def load(self, needs: Needs) -> Loaded:
        """What a store loads for these needs."""
        loaded = Loaded()
        for job in self.jobs.values():
            is_named = job.thread_id in needs.threads and job.status == "queued"
            if job.job_key in needs.jobs or job.run_id in needs.runs or is_named:
                loaded.jobs[job.job_key] = job
        loaded.closed = {k: v for k, v in self.closed.items() if k in needs.closed}
        loaded.idempotent = {k: v for k, v in self.idempotent.items() if k in needs.idempotent}
        of = {job.run_id: [run for run, _ in sources_of(job)] for job in loaded.jobs.values()}
        named = needs.steps | {(source, action) for run, action in needs.steps for source in of.get(run, ())}
        loaded.steps = {k: list(v.values()) for k, v in self.steps.items() if k in named}
        lanes = self.lanes()
        for lane, count in needs.heads.items():
            jobs = lanes.get(lane, [])
            least: list[Job] = []
            if is_held(self.holds.get(lane)):
                least = sorted(jobs, key=lost_least)[:count]
                count = count if len(least) < count else 1
            loaded.heads[lane] = Heads(tuple(jobs[:count]), len(jobs) <= count, tuple(least))
        for wanted in needs.polls:
            loaded.polls[wanted] = tuple(j for j in self.jobs.values() if (j.worker_key, j.poll_id) == wanted)
        loaded.api_keys = {k: v for k, v in self.api_keys.items() if k in needs.api_keys}
        for key, run_id, seq in sorted(needs.replays):
            if key in loaded.jobs:
                answered(gather(loaded.jobs[key], run_id, seq, loaded), self.look)
        loaded.ended_sessions = self.ended_sessions & needs.ended_sessions
        self._load_waits(needs, loaded)
        loaded.nodes = {node: at_ms for node, at_ms in self.nodes.items() if node in needs.nodes}
        loaded.old.pruned = {k: v for k, v in self.pruned_runs.items() if k in needs.pruned_runs}
        loaded.old.audit_heads = {k: v for k, v in self.audit.items() if k in needs.audit_places}
        loaded.old.anchors = {k: v for k, v in self.anchors.items() if k in {chain for chain, _ in needs.audit_places}}
        loaded.node_names = needs.node_names & set(map(name_of_node, self.nodes))
        loaded.modes = dict(self.modes)
        loaded.total = self.total
        self._load_counters(needs, loaded)
        loaded.holds = dict(self.holds)
        return loaded

    def _load_waits(self, needs: Needs, loaded: Loaded) -> None:
        suspended = {job.run_id for job in loaded.jobs.values() if job.status in SUSPENDED}
        asked = {job.run_id for job in loaded.jobs.values() if job.job_key in needs.interrupts}
        questions = {(loaded.jobs[thread].run_id, key) for thread, key in needs.questions if thread in loaded.jobs}
        for wait in self.waits.values():
            pending = wait.status == "pending" and wait.run_id in suspended
            named = wait.wait_id in needs.waits or (wait.run_id, wait.key) in needs.wait_keys | questions
            if pending or named or (wait.run_id in asked and wait.kind == "interrupt"):
                loaded.waits[wait.wait_id] = wait

    def look(self, lookup: Lookup[object]) -> object:
        """The answer to a lookup of a replay."""
        match lookup:
            case ask.PastRun(run_id):
                return self.past_runs.get(run_id)
            case ask.SavedAt(key, seq):
                return self._saved(key, seq)
            case ask.PayloadBytes(key, seq):
                return len(self.payloads[key, seq])
            case ask.StepBytes(key, run_id, until_seq):
                steps = [step for (run, _), rows in self.steps.items() if run == run_id for step in rows.values()]
                done = [step.seq for step in steps if step.status == "succeeded" and step.seq <= until_seq]
                return sum(len(self.payloads.get((key, seq), b"")) for seq in done)
            case ask.ClaimOf(target):
                return self.claims.get(target)
            case ask.LetterOf(run_id):
                return self.dead_letters.get(run_id)
            case _:
                raise AssertionError(lookup)

    def _saved(self, key: JobKey, seq: int) -> Saved | None:
        for entry in self.entries[key]:
            if (entry.seq, entry.event_type) == (seq, "checkpoint_saved"):
                assert entry.payload_digest is not None
                return Saved(entry.run_id, entry.payload_digest, len(self.payloads[key, seq]))
        return None

    def oldest_runs(self, key: JobKey, after: int, limit: int) -> OldestRuns:
        """See `Reads`; a place is the last event of a run."""
        job = self.jobs.get(key)
        if job is None or job.is_pruned:
            return OldestRuns(Place(None, 0) if job is None else place_of(job), (), None)
        runs = sorted((*(run for run in self.past_runs.values() if run.job_key == key), job), key=lambda run: run.seq)
        found = [self._old(run, runs) for run in runs if run.seq > after][:limit]
        return OldestRuns(place_of(job), tuple(found), None if found[-1].seq == job.seq else found[-1].seq)

    def _old(self, run: Job, runs: list[Job]) -> OldRun:
        letter = self.dead_letters.get(run.run_id)
        dead = letter is not None and letter.replay_status == "pending"
        until = max((other.seq for other in runs if other.replay_of == run.run_id), default=0)
        return OldRun(run.run_id, run.seq, run.head_hash, run.fence, run.status, run.updated_ms, dead, until)

    def _load_counters(self, needs: Needs, loaded: Loaded) -> None:
        found = [*loaded.jobs.values()]
        found += [job for heads in loaded.heads.values() for job in heads.jobs]
        found += [job for jobs in loaded.polls.values() for job in jobs]
        workers = needs.workers | {job.worker_key for job in found if job.worker_key is not None}
        for job in found:
            if job.losses and job.lease_id is not None:
                mine = (closed for closed in self.closed.values() if run_of_lease(closed.lease_id) == job.run_id)
                workers |= {closed.worker_key for closed in mine if closed.state in ("expired", "superseded")}
        tenants = needs.tenants | {job.tenant_id for job in found}
        loaded.workers = {k: v for k, v in self.workers.items() if k in workers}
        loaded.tenants = {k: v for k, v in self.tenants.items() if k in tenants}

    def write(self, changes: Changes) -> None:
        """What a store writes for these changes."""
        self._delete(changes)
        self.jobs.update(changes.jobs)
        for entry in changes.entries:
            self.entries.setdefault(entry.job_key, []).append(entry)
        for payload in changes.payloads:
            self.payloads[payload.job_key, payload.seq] = payload.body
        for step in changes.steps:
            self.steps.setdefault((step.run_id, step.action_id), {})[step.status, step.dedupe_token] = step
        self.closed.update({closed.lease_id: closed for closed in changes.closed})
        self.idempotent.update({submit.key: submit for submit in changes.idempotent})
        self.past_runs.update({job.run_id: job for job in changes.past_runs})
        self.dead_letters.update({dead.run_id: dead for dead in changes.dead_letters})
        self.claims.update(changes.claims)
        for key, worker in changes.workers.items():
            before = self.workers[key].leased if key in self.workers else 0
            self.workers[key] = replace(worker, leased=before + changes.worker_leases[key])
        self.waits.update(changes.waits)
        self.holds.update({lane: hold for lane, hold in changes.holds.items() if hold is not None})
        for lane in [lane for lane, hold in changes.holds.items() if hold is None]:
            self.holds.pop(lane, None)
        self.api_keys.update(changes.api_keys)
        self.modes.update(changes.modes)
        self.ended_sessions |= {(ended.worker_key, ended.session) for ended in changes.ended_sessions}
        for tenant_id, added in changes.tenants.items():
            row = self.tenants.get(tenant_id) or Tenant(tenant_id, 0, 0, 0)
            self.tenants[tenant_id] = Tenant(
                tenant_id,
                row.waiting + added.waiting,
                row.leased + added.leased,
                max(row.served, added.served),
                row.delayed + added.delayed,
            )
        self.total += changes.total

    def _delete(self, changes: Changes) -> None:
        """What goes; the rows of a pruned run that a store erases piece by piece go at once."""
        for pruned in changes.pruned:
            job = self.jobs[pruned.job_key]
            for run_id in pruned.run_ids:
                run = job if run_id == job.run_id else self.past_runs.pop(run_id)
                self.dead_letters.pop(run_id, None)
                self.idempotent = {k: v for k, v in self.idempotent.items() if v.run_id != run_id}
                self.claims = {k: v for k, v in self.claims.items() if v.run_id != run_id}
                self.pruned_runs[run_id] = PrunedRun(run_id, run.job_key, run.seq, pruned.pruned_ms)
        for erasure in changes.erased:
            gone = erasure.run
            del self.pruned_runs[gone.run_id]
            self.entries[gone.job_key] = [entry for entry in self.entries[gone.job_key] if entry.seq > gone.seq]
            self.payloads = {k: v for k, v in self.payloads.items() if k[0] != gone.job_key or k[1] > gone.seq}
            self.steps = {k: v for k, v in self.steps.items() if k[0] != gone.run_id}
            self.waits = {k: v for k, v in self.waits.items() if v.run_id != gone.run_id}
        for worker in changes.forgotten_workers:
            self.workers.pop(worker, None)
        self.ended_sessions -= set(changes.forgotten_sessions)
        self.anchors.update(changes.anchors)
