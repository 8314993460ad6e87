"""What holds after every commit, whatever was asked (docs/invariants.md, as far as the rules alone can show it)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sized
from typing import Any

import msgspec
from msgspec.structs import asdict, astuple, replace

from oris.core.chain import GENESIS, first_bad_seq
from oris.core.changes import Changes
from oris.core.deadlines import next_deadline
from oris.core.facts import Facts
from oris.core.fold import fold, kept_from
from oris.core.hold_checks import check_holds
from oris.core.invariants import check_waits
from oris.core.model import DELAYED, TERMINAL, WAITING, Job, Step
from oris.core.old import OldestRuns
from oris.core.replay_checks import check_causes, check_replays, check_taken_over
from oris.ids import JobKey, RunId
from oris.storage.memory.find import timeline
from oris.storage.memory.reads.retention import oldest_runs
from oris.storage.memory.tables import Tables


def plain(value: object) -> object:
    """A value that can be compared whole."""
    return msgspec.to_builtins(value)


def picture(facts: Facts) -> tuple[object, ...]:
    """All that the facts hold, copied."""
    parts: list[object] = []
    for value in vars(facts).values():
        if isinstance(value, dict):
            parts.append({k: tuple(v) if isinstance(v, list) else v for k, v in value.items()})
        elif isinstance(value, list):
            parts.append(tuple(value))
        elif isinstance(value, Changes):
            parts.append(tuple(len(part) if isinstance(part, Sized) else part for part in asdict(value).values()))
        elif isinstance(value, set):
            parts.append(frozenset(value))
        else:
            parts.append(value)
    return tuple(parts)


def check(tables: Tables, before: Mapping[JobKey, Job], changes: Changes, now_ms: int) -> None:
    """The laws for every thread the batch changed, and for the counters."""
    for job_key, job in changes.jobs.items():
        a_timeline_is_gapless_and_chained(tables, job)
        folding_the_events_gives_the_row(tables, job)
        a_lease_is_whole_or_not_there(job, now_ms)
        attempts_are_accounted_for(tables, job)
        the_sweeper_looks_in_time(job, now_ms)
        old = before.get(job_key)
        if old is not None:
            what_is_over_stays_over(tables, old, job)
            the_fence_rises(old, job)
    counters_equal_counts(tables)
    runs = runs_of(tables)
    waits = [wait for wait in tables.waits.values() if wait.run_id not in tables.pruned_runs]
    assert check_waits(runs, waits) == []
    assert check_holds(tables.jobs.values(), tables.holds) == []
    a_target_completes_at_most_once(tables)


def what_is_known_of_old_runs(tables: Tables) -> dict[JobKey, OldestRuns]:
    """All that retention goes by, of each thread that has any past runs."""
    threads = sorted({run.job_key for run in tables.past_runs.values()})
    return {key: oldest_runs(tables, key, 0, len(tables.past_runs) + 1) for key in threads}


def a_thread_at_one_place_has_the_same_old_runs(before: Mapping[JobKey, OldestRuns], tables: Tables) -> None:
    """I15: what was found of runs that are over holds while the thread is where it was; see `Place`."""
    for key, old in before.items():
        now = oldest_runs(tables, key, 0, len(tables.past_runs) + 1)
        if old.place == now.place:
            assert over(old) == over(now)[: len(over(old))]


def over(old: OldestRuns) -> list[tuple[object, ...]]:
    """The runs that are over, as they are; how far the latest has come, which goes on from one, is no fact of that."""
    latest = old.runs[-1].seq if old.runs else 0
    runs = [replace(run, replayed_until=-1) if run.replayed_until == latest else run for run in old.runs]
    return [astuple(run) for run in runs if run.status in TERMINAL]


def runs_of(tables: Tables) -> dict[RunId, Job]:
    """All runs that are there."""
    latest = [job for job in tables.jobs.values() if not job.is_pruned]
    return {job.run_id: job for job in (*tables.past_runs.values(), *latest)}


def a_target_completes_at_most_once(tables: Tables) -> None:
    """I8, I23, and I10 of what replays take over."""
    runs = runs_of(tables)
    steps: dict[RunId, list[Step]] = {}
    for step in tables.steps.values():
        steps.setdefault(step.run_id, []).append(step)
    assert check_replays(runs, tables.claims) == []
    kept = {key: list(timeline(tables, key)) for key in tables.jobs}
    assert check_causes(runs, kept) == []
    assert check_taken_over(runs.values(), steps) == []


def a_timeline_is_gapless_and_chained(tables: Tables, job: Job) -> None:
    """I11."""
    entries = list(timeline(tables, job.job_key))
    assert first_bad_seq(entries, job.pruned_hash or GENESIS, job.pruned_seq) is None
    last = (entries[-1].seq, entries[-1].hash) if entries else (job.pruned_seq, job.pruned_hash)
    assert last == (job.seq, job.head_hash)


def folding_the_events_gives_the_row(tables: Tables, job: Job) -> None:
    """I11: heartbeats move the lease's end without an event; the wake-up time is a bound, no fact."""
    if job.is_pruned:
        return
    folded = fold(list(timeline(tables, job.job_key)), kept_from(job))
    assert folded is not None
    expected = replace(
        folded, lease_expires_ms=job.lease_expires_ms, lease_asked_ms=job.lease_asked_ms, wake_ms=job.wake_ms
    )
    assert asdict(expected) == asdict(job)


def a_lease_is_whole_or_not_there(job: Job, now_ms: int) -> None:
    """I1, I2: a running run has one lease, whole, not over; no other has any of it."""
    held = (job.lease_id is not None, job.worker_key is not None, job.lease_expires_ms > 0, job.lease_granted_ms > 0)
    is_held = job.status in ("running", "cancelling")
    assert set(held) == {is_held}
    assert job.poll_id is None or is_held
    if is_held:
        assert job.lease_expires_ms > now_ms


def attempts_are_accounted_for(tables: Tables, job: Job) -> None:
    """I6."""
    if job.is_pruned:
        return
    of_run = Counter(e.event_type for e in timeline(tables, job.job_key) if e.run_id == job.run_id)
    assert job.attempt_no == 1 + of_run["retry_scheduled"] + of_run["lease_expired"]
    assert job.retries == of_run["retry_scheduled"]
    assert of_run["dead_lettered"] == (job.status == "failed") == (job.run_id in tables.dead_letters)


def the_sweeper_looks_in_time(job: Job, now_ms: int) -> None:
    """L2: the wake-up time is never after the next deadline, and never one that has been dealt with."""
    deadline_ms = next_deadline(job)
    assert (job.wake_ms is None) == (deadline_ms is None)
    if deadline_ms is not None and job.wake_ms is not None:
        assert now_ms < job.wake_ms <= deadline_ms


def what_is_over_stays_over(tables: Tables, old: Job, job: Job) -> None:
    """I5: a finished run is only ever put away, as it was; but its thread's oldest runs may go, itself the last."""
    if old.status in TERMINAL and job.run_id == old.run_id:
        assert job.pruned_seq > old.pruned_seq
        assert job.is_pruned or replace(job, **place_of(old)) == old
        assert (job.seq, job.status) == (old.seq, old.status)
    if job.run_id != old.run_id:
        if old.run_id in tables.pruned_runs or old.is_pruned:
            assert old.run_id not in tables.past_runs
            return
        past = tables.past_runs[old.run_id]
        assert past.status in TERMINAL
        assert past.wake_ms is None
        assert old.status not in TERMINAL or past == old


def place_of(job: Job) -> dict[str, Any]:
    """What was pruned before the run."""
    names = ("pruned_seq", "pruned_hash", "pruned_runs", "pruned_fence")
    return {name: getattr(job, name) for name in names}


def the_fence_rises(old: Job, job: Job) -> None:
    """I4."""
    assert job.fence >= old.fence
    if job.lease_id is not None and job.lease_id != old.lease_id:
        assert job.fence > old.fence


def counters_equal_counts(tables: Tables) -> None:
    """I15, I20: limits are decided on counters, so those have to be true."""
    held = Counter(job.worker_key for job in tables.jobs.values() if job.worker_key is not None)
    assert {k: w.leased for k, w in tables.workers.items() if w.leased} == dict(held)
    waiting = Counter(job.tenant_id for job in tables.jobs.values() if job.status in WAITING)
    delayed = Counter(job.tenant_id for job in tables.jobs.values() if job.status in DELAYED)
    leased = Counter(job.tenant_id for job in tables.jobs.values() if job.lease_id is not None)
    for tenant_id in {job.tenant_id for job in tables.jobs.values()}:
        tenant = tables.tenants[tenant_id]
        counted = (waiting[tenant_id], delayed[tenant_id], leased[tenant_id])
        assert (tenant.waiting, tenant.delayed, tenant.leased) == counted
