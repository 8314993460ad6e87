"""The rows of a store, in dicts: what the rules are given and what they leave behind."""

from __future__ import annotations

from oris.core.changes import Changes
from oris.core.events import Entry
from oris.core.facts import Heads, Loaded, Needs
from oris.core.mode import Mode
from oris.core.model import (
    WAITING,
    ClosedLease,
    DeadLetter,
    IdempotentSubmit,
    Job,
    Lane,
    Step,
    Tenant,
    Worker,
)
from oris.ids import IdempotencyKey, JobKey, LeaseId, RunId, TenantId, WorkerKey


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
        self.ended_sessions: set[tuple[WorkerKey, str]] = set()
        self.modes: dict[str, Mode] = {}
        self.nodes: set[str] = set()

    def lanes(self) -> dict[Lane, list[Job]]:
        """All queued jobs, lane by lane, in order."""
        found: dict[Lane, list[Job]] = {}
        for job in sorted((j for j in self.jobs.values() if j.status == "queued"), key=lambda j: j.order):
            found.setdefault(job.lane, []).append(job)
        return found

    def depth(self) -> int:
        """Runs that wait."""
        return sum(job.status in WAITING for job in self.jobs.values())

    def load(self, needs: Needs) -> Loaded:
        """What a store loads for these needs."""
        loaded = Loaded()
        for job in self.jobs.values():
            if job.job_key in needs.jobs or job.run_id in needs.runs or job.thread_id in needs.threads:
                loaded.jobs[job.job_key] = job
        loaded.closed = {k: v for k, v in self.closed.items() if k in needs.closed}
        loaded.idempotent = {k: v for k, v in self.idempotent.items() if k in needs.idempotent}
        loaded.steps = {k: list(v.values()) for k, v in self.steps.items() if k in needs.steps}
        lanes = self.lanes()
        for lane, count in needs.heads.items():
            jobs = lanes.get(lane, [])
            loaded.heads[lane] = Heads(tuple(jobs[:count]), len(jobs) <= count)
        for wanted in needs.polls:
            loaded.polls[wanted] = tuple(j for j in self.jobs.values() if (j.worker_key, j.poll_id) == wanted)
        loaded.ended_sessions = self.ended_sessions & needs.ended_sessions
        loaded.nodes = self.nodes & needs.nodes
        self._load_counters(needs, loaded)
        return loaded

    def _load_counters(self, needs: Needs, loaded: Loaded) -> None:
        found = [*loaded.jobs.values()]
        found += [job for heads in loaded.heads.values() for job in heads.jobs]
        found += [job for jobs in loaded.polls.values() for job in jobs]
        workers = needs.workers | {job.worker_key for job in found if job.worker_key is not None}
        tenants = needs.tenants | {job.tenant_id for job in found}
        loaded.workers = {k: v for k, v in self.workers.items() if k in workers}
        loaded.tenants = {k: v for k, v in self.tenants.items() if k in tenants}

    def write(self, changes: Changes) -> None:
        """What a store writes for these changes."""
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
        self.workers.update(changes.workers)
        self.modes.update(changes.modes)
        self.ended_sessions |= {(ended.worker_key, ended.session) for ended in changes.ended_sessions}
        self.tenants.update({tenant.tenant_id: tenant for tenant in changes.tenants.values()})
