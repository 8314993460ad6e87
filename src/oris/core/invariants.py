"""What must hold in every committed state, as pure functions over stored rows. docs/invariants.md explains the codes.

Each returns what is wrong; an empty list: it holds. The simulator and every test that touches a store ask.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

from msgspec import Struct, field
from msgspec.structs import asdict, replace

from oris.core import events as ev
from oris.core.api_key import ApiKey
from oris.core.audit import AuditRecord, first_bad_record
from oris.core.audit_anchor import AuditAnchor
from oris.core.chain import GENESIS, Entry, first_bad_seq
from oris.core.deadlines import next_deadline
from oris.core.fold import BrokenTimeline, fold, kept_from
from oris.core.hold import Hold
from oris.core.hold_checks import check_holds
from oris.core.mode import Mode
from oris.core.model import (
    DELAYED,
    SUSPENDED,
    TERMINAL,
    WAITING,
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
)
from oris.core.replay_checks import check_causes, check_replays, check_taken_over
from oris.core.tenant import Counts, Tenant
from oris.core.violation import Violation
from oris.ids import JobKey, LeaseId, RunId, TenantId, WaitId, WorkerKey, run_of_lease


class Snapshot(Struct):
    """All rows of a store in one committed state."""

    jobs: dict[JobKey, Job] = field(default_factory=dict)
    past_runs: dict[RunId, Job] = field(default_factory=dict)
    entries: dict[JobKey, list[Entry]] = field(default_factory=dict)
    payloads: dict[tuple[JobKey, int], bytes] = field(default_factory=dict)
    steps: dict[RunId, list[Step]] = field(default_factory=dict)
    closed: dict[LeaseId, ClosedLease] = field(default_factory=dict)
    idempotent: list[IdempotentSubmit] = field(default_factory=list)
    dead_letters: dict[RunId, DeadLetter] = field(default_factory=dict)
    workers: dict[WorkerKey, Worker] = field(default_factory=dict)
    tenants: dict[TenantId, Tenant] = field(default_factory=dict)
    audit: list[AuditRecord] = field(default_factory=list)
    waits: dict[WaitId, Wait] = field(default_factory=dict)
    api_keys: list[ApiKey] = field(default_factory=list)
    claims: dict[str, ReplayClaim] = field(default_factory=dict)
    modes: list[Mode] = field(default_factory=list)
    pruned_runs: dict[RunId, PrunedRun] = field(default_factory=dict)
    anchors: dict[str, AuditAnchor] = field(default_factory=dict)
    holds: dict[Lane, Hold] = field(default_factory=dict)
    total: Counts = Counts()
    """What all nodes have counted."""


def check_all(rows: Snapshot) -> list[Violation]:
    """Everything that one state can show."""
    found: list[Violation] = []
    kept = dict(rows.entries)
    for job_key, job in rows.jobs.items():
        entries = [entry for entry in rows.entries.get(job_key, []) if entry.seq > job.pruned_seq]
        kept[job_key] = entries
        found += check_timeline(job, entries)
        found += check_past_runs(job, entries, rows.past_runs)
        found += check_lease(job)
        found += check_payloads(entries, rows.payloads)
        found += check_closed_leases(entries, rows.closed)
    found += [_orphan("I11", key, "events") for key in rows.entries.keys() - rows.jobs.keys()]
    found += [_orphan("I11", f"{key} {seq}", "a payload") for key, seq in rows.payloads if key not in rows.jobs]
    found += check_pruned(rows)
    there = [job for job in rows.jobs.values() if not job.is_pruned]
    runs = {job.run_id: job for job in (*there, *rows.past_runs.values())}
    steps = {run_id: steps for run_id, steps in rows.steps.items() if run_id not in rows.pruned_runs}
    waits = [wait for wait in rows.waits.values() if wait.run_id not in rows.pruned_runs]
    found += check_live_leases(rows.jobs.values())
    found += check_steps(runs, steps, kept)
    found += check_idempotency(runs, rows.idempotent)
    found += check_dead_letters(runs, rows.dead_letters)
    found += check_causes(runs, kept)
    found += check_replays(runs, rows.claims)
    found += check_taken_over(runs.values(), steps)
    found += check_waits(runs, waits)
    found += check_counters(rows.jobs.values(), rows.workers, rows.tenants, rows.total)
    found += check_conservation(runs, kept)
    found += check_holds(rows.jobs.values(), rows.holds)
    return found + check_audit(rows.audit, rows.anchors)


def check_timeline(job: Job, entries: Sequence[Entry]) -> list[Violation]:
    """I11: gapless, chained, and folding to the stored row; heartbeats and wake-up times apart. `entries` are those
    that are kept."""
    bad = first_bad_seq(list(entries), job.pruned_hash or GENESIS, job.pruned_seq)
    if bad is not None:
        return [Violation("I11", job.job_key, f"the chain breaks at seq {bad}")]
    if job.is_pruned and not entries:
        same = (job.pruned_seq, job.pruned_hash) == (job.seq, job.head_hash)
        return [] if same else [Violation("I11", job.job_key, "the anchor differs from the end of the timeline")]
    if not entries or (entries[-1].seq, entries[-1].hash) != (job.seq, job.head_hash):
        return [Violation("I11", job.job_key, f"the row has seq {job.seq}, which is not the end of the timeline")]
    try:
        folded = fold(entries, kept_from(job))
    except BrokenTimeline as error:
        return [Violation("I11", job.job_key, str(error))]
    found = _differences(job, folded)
    if folded is not None and not job.lease_expires_ms >= job.lease_asked_ms >= folded.lease_asked_ms:
        found.append(Violation("I11", job.job_key, "the lease ends earlier than it was granted"))
    return found


def check_past_runs(job: Job, entries: Sequence[Entry], past_runs: Mapping[RunId, Job]) -> list[Violation]:
    """I5, I11: each replaced run is kept as its last event left it, and it was over by then."""
    found: list[Violation] = []
    last: dict[RunId, int] = {entry.run_id: index for index, entry in enumerate(entries)}
    folded, folded_to = kept_from(job), 0
    for run_id, index in last.items():
        if run_id == job.run_id:
            continue
        past = past_runs.get(run_id)
        if past is None:
            found.append(Violation("I5", run_id, "the run was replaced but is not stored as an older run"))
            continue
        if past.status not in TERMINAL:
            found.append(Violation("I5", run_id, f"the run was replaced while {past.status}"))
        try:
            # On from the run before: a thread of thousands of runs is read once.
            folded, folded_to = fold(entries[folded_to : index + 1], folded), index + 1
            found += _differences(_without_place(past), None if folded is None else _without_place(folded))
        except BrokenTimeline as error:
            found.append(Violation("I11", run_id, str(error)))
    return found


def check_pruned(rows: Snapshot) -> list[Violation]:
    """I11, I15: what is there of pruned runs is known, and will be erased; nothing else names them."""
    found: list[Violation] = []
    left: dict[JobKey, int] = {}
    for run in rows.pruned_runs.values():
        left[run.job_key] = max(run.seq, left.get(run.job_key, 0))
    for job_key, job in rows.jobs.items():
        if left.get(job_key, 0) > job.pruned_seq or bool(job.pruned_seq) != bool(job.pruned_runs):
            found.append(Violation("I15", job_key, f"pruned up to {job.pruned_seq}, {job.pruned_runs} runs"))
    places = [(key, entry.seq) for key, line in rows.entries.items() for entry in line]
    for key, seq in (*places, *rows.payloads):
        if key in rows.jobs and left.get(key, 0) < seq <= rows.jobs[key].pruned_seq:
            found.append(Violation("I11", f"{key} {seq}", "was pruned, but is not queued for erasure"))
    there = rows.past_runs.keys() | {job.run_id for job in rows.jobs.values() if not job.is_pruned}
    found += [_orphan("I15", run_id, "an entry of the erasure queue") for run_id in rows.pruned_runs.keys() & there]
    known = there | rows.pruned_runs.keys()
    found += [_orphan("I13", lease, "a closed lease") for lease in rows.closed if run_of_lease(lease) not in known]
    return found


def check_lease(job: Job) -> list[Violation]:
    """I2: a running run has a whole lease, no other has any part of one. L2: the sweeper looks in time."""
    found: list[Violation] = []
    held = {job.lease_id is not None, job.worker_key is not None, job.lease_expires_ms > 0, job.lease_granted_ms > 0}
    if held != {job.status in ("running", "cancelling")}:
        found.append(Violation("I2", job.job_key, f"{job.status}, but only some fields of a lease are set"))
    deadline_ms = next_deadline(job)
    late = deadline_ms is not None and (job.wake_ms is None or job.wake_ms > deadline_ms)
    if late or (deadline_ms is None and job.wake_ms is not None):
        found.append(Violation("L2", job.job_key, f"wakes at {job.wake_ms}, but its deadline is {deadline_ms}"))
    return found


def check_live_leases(jobs: Iterable[Job]) -> list[Violation]:
    """I2: no lease stands in two rows."""
    counted = Counter(job.lease_id for job in jobs if job.lease_id is not None)
    return [Violation("I2", lease, f"held by {n} runs") for lease, n in counted.items() if n > 1]


def check_payloads(entries: Sequence[Entry], payloads: Mapping[tuple[JobKey, int], bytes]) -> list[Violation]:
    """I11: an event that had a payload has it still, byte by byte; no other has one."""
    found: list[Violation] = []
    for entry in entries:
        body = payloads.get((entry.job_key, entry.seq))
        digest = None if body is None else sha256(body).digest()
        if digest != entry.payload_digest:
            found.append(
                Violation("I11", f"{entry.job_key} {entry.seq}", "the payload differs from the digest in the chain")
            )
    return found


def check_closed_leases(entries: Sequence[Entry], closed: Mapping[LeaseId, ClosedLease]) -> list[Violation]:
    """I13: every lease but a run's last, or the one it still holds, is kept with the way it ended."""
    found: list[Violation] = []
    open_lease: LeaseId | None = None
    for entry in entries:
        body = ev.decode(entry.data)
        ended = isinstance(
            body,
            ev.RetryScheduled
            | ev.LeaseExpired
            | ev.LeaseReleased
            | ev.TimedOut
            | ev.Cancelled
            | ev.Completed
            | ev.Suspended
            | ev.Failed,
        )
        if isinstance(body, ev.LeaseGranted):
            open_lease = body.lease_id
        elif ended and open_lease is not None:
            if open_lease not in closed:
                found.append(Violation("I13", open_lease, f"ended by {entry.event_type}, but is not stored as closed"))
            open_lease = None
    if open_lease is not None and open_lease in closed:
        found.append(Violation("I13", open_lease, "is stored as closed, but its run holds it"))
    return found


def check_steps(
    runs: Mapping[RunId, Job], steps: Mapping[RunId, Sequence[Step]], entries: Mapping[JobKey, Sequence[Entry]]
) -> list[Violation]:
    """I10: reports and events match one to one, one report of each step is the latest, and a success stays it."""
    found: list[Violation] = []
    recorded: dict[RunId, dict[int, tuple[str, str, str]]] = {}
    for line in entries.values():
        for entry in line:
            if entry.event_type == "step_recorded":
                body = ev.decode(entry.data)
                assert isinstance(body, ev.StepRecorded)
                mark = (body.action_id, body.status, body.dedupe_token)
                recorded.setdefault(entry.run_id, {})[entry.seq] = mark
    for run_id in recorded.keys() | steps.keys():
        rows = steps.get(run_id, ())
        if run_id not in runs:
            found.append(_orphan("I10", run_id, "steps"))
        if {row.seq: (row.action_id, row.status, row.dedupe_token) for row in rows} != recorded.get(run_id, {}):
            found.append(Violation("I10", run_id, "its steps differ from its timeline"))
        newest: dict[str, Step] = {}
        for row in sorted(rows, key=lambda step: step.seq):
            before = newest.get(row.action_id)
            if before is not None and before.status == "succeeded":
                found.append(Violation("I10", f"{run_id} {row.action_id}", "reported again after it had succeeded"))
            newest[row.action_id] = row
        if sorted(s.seq for s in rows if s.latest) != sorted(s.seq for s in newest.values()):
            found.append(Violation("I10", run_id, "the steps marked as latest are not the newest ones"))
    return found


def check_idempotency(runs: Mapping[RunId, Job], bound: Iterable[IdempotentSubmit]) -> list[Violation]:
    """I9: a key and its run name each other; a run that was submitted with a key has bound it."""
    found: list[Violation] = []
    named: dict[RunId, str] = {}
    for row in bound:
        run = runs.get(row.run_id)
        if run is None:
            found.append(_orphan("I9", row.key, "a key"))
            continue
        named[row.run_id] = row.key
        if (row.job_key, row.key) != (run.job_key, f"{run.tenant_id}/{run.idempotency_key}"):
            found.append(Violation("I9", row.key, f"is bound to {row.run_id}, which has another key"))
    found += [
        Violation("I9", run_id, "was submitted with a key that is not bound")
        for run_id, run in runs.items()
        if run.idempotency_key is not None and run_id not in named
    ]
    return found


def check_waits(runs: Mapping[RunId, Job], waits: Iterable[Wait]) -> list[Violation]:
    """I24: what is pending belongs to a run that waits for it, and the run knows how much that is and until when."""
    found: list[Violation] = []
    pending: dict[RunId, list[Wait]] = {}
    for wait in waits:
        if wait.run_id not in runs:
            found.append(_orphan("I24", wait.wait_id, "a wait"))
        if wait.status == "pending":
            pending.setdefault(wait.run_id, []).append(wait)
    for run_id, run in runs.items():
        mine = pending.get(run_id, [])
        if run.status not in SUSPENDED and not mine:
            continue
        interrupts = sum(wait.kind == "interrupt" for wait in mine)
        due_ms = min((wait.due_ms for wait in mine if wait.due_ms is not None), default=None)
        counted = (len(mine), interrupts, "interrupted" if interrupts else "suspended", due_ms)
        said = (run.waits_open, run.interrupts_open, run.status, run.due_ms)
        if said != counted:
            found.append(Violation("I24", run_id, f"the row has {said}, but its waits give {counted}"))
    return found


def check_dead_letters(runs: Mapping[RunId, Job], dead_letters: Mapping[RunId, DeadLetter]) -> list[Violation]:
    """I8: a dead letter for each failed run, and for no other."""
    failed = {run_id for run_id, run in runs.items() if run.status == "failed"}
    return [Violation("I8", run_id, "failed runs and dead letters differ") for run_id in failed ^ dead_letters.keys()]


def check_counters(
    jobs: Iterable[Job],
    workers: Mapping[WorkerKey, Worker],
    tenants: Mapping[TenantId, Tenant],
    total: Counts,
) -> list[Violation]:
    """I20: limits are decided on counters, so they equal counts. `total` is what all nodes have counted."""
    held: Counter[WorkerKey] = Counter()
    leased: Counter[TenantId] = Counter()
    waiting: Counter[TenantId] = Counter()
    delayed: Counter[TenantId] = Counter()
    for job in jobs:
        waiting[job.tenant_id] += job.status in WAITING
        delayed[job.tenant_id] += job.status in DELAYED
        if job.worker_key is not None:
            held[job.worker_key] += 1
            leased[job.tenant_id] += 1
    found = [
        Violation("I20", key, f"the worker's row counts {_leased(workers.get(key))} leases, but there are {held[key]}")
        for key in held.keys() | workers.keys()
        if _leased(workers.get(key)) != held[key]
    ]
    for tenant_id in waiting.keys() | tenants.keys():
        row = tenants.get(tenant_id) or Tenant(tenant_id, 0, 0, 0)
        counted = (waiting[tenant_id], delayed[tenant_id], leased[tenant_id])
        said = (row.waiting, row.delayed, row.leased)
        if said != counted:
            what = f"the tenant's row has {said} as waiting, delayed, leased, but there are {counted}"
            found.append(Violation("I20", tenant_id, what))
    there = Counts(sum(waiting.values()), sum(delayed.values()), sum(leased.values()))
    if total != there:
        found.append(Violation("I20", "total", f"the nodes have counted {total}, there are {there}"))
    return found


def check_conservation(runs: Mapping[RunId, Job], entries: Mapping[JobKey, Sequence[Entry]]) -> list[Violation]:
    """I15: the runs that were made are the runs that are there, per tenant."""
    made = Counter(
        key.partition("/")[0] for key, line in entries.items() for entry in line if entry.event_type == "run_created"
    )
    there = Counter(run.tenant_id for run in runs.values())
    return [
        Violation("I15", tenant, f"{made[tenant]} runs were made, but {there[TenantId(tenant)]} exist")
        for tenant in made.keys() | there.keys()
        if made[tenant] != there[TenantId(tenant)]
    ]


def check_audit(records: Iterable[AuditRecord], anchors: Mapping[str, AuditAnchor] | None = None) -> list[Violation]:
    """I17: every chain of the trail verifies, from its first record or its anchor on."""
    chains: dict[str, list[AuditRecord]] = {}
    for record in records:
        chains.setdefault(record.chain_id, []).append(record)
    found: list[Violation] = []
    for chain_id, chain in chains.items():
        anchor = None if anchors is None else anchors.get(chain_id)
        start, after_seq = (bytes(32), 0) if anchor is None else (anchor.hash, anchor.seq)
        bad = first_bad_record(sorted(chain, key=lambda record: record.seq), start, after_seq=after_seq)
        if bad is not None:
            found.append(Violation("I17", chain_id, f"the chain breaks at {bad}"))
    return found


def _differences(stored: Job, folded: Job | None) -> list[Violation]:
    if folded is None:
        return [Violation("I11", stored.job_key, "the timeline has no run")]
    apart = {"lease_expires_ms": stored.lease_expires_ms, "lease_asked_ms": stored.lease_asked_ms}
    expected = asdict(replace(folded, **apart, wake_ms=stored.wake_ms))
    return [
        Violation("I11", stored.job_key, f"{name} is {value!r}, but the timeline gives {expected[name]!r}")
        for name, value in asdict(stored).items()
        if value != expected[name]
    ]


def _without_place(run: Job) -> Job:
    """A past run does not know what was pruned after it."""
    return replace(run, pruned_seq=0, pruned_hash=b"", pruned_runs=0, pruned_fence=0)


def _leased(worker: Worker | None) -> int:
    return 0 if worker is None else worker.leased


def _orphan(rule: str, where: str, what: str) -> Violation:
    return Violation(rule, where, f"{what} without its run or thread")
