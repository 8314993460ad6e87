"""A checker that finds none proves nothing: each planted damage must be found, under its own rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import astuple, replace

from oris.core.audit import Audit, AuditHead, record
from oris.core.chain import link
from oris.core.changes import Changes
from oris.core.commands import Ack, ReportStep, Submit, Want
from oris.core.decide import decide
from oris.core.dispatch import dispatch
from oris.core.facts import Facts
from oris.core.invariants import Snapshot, check_all, check_counters
from oris.core.limits import Limits
from oris.core.model import Job
from oris.core.needs import Heads, Loaded
from oris.core.stamp import Stamp
from oris.core.tenant import Counts, Tenant
from oris.ids import JobKey, TenantId, ThreadId, WorkerId, attempt_of, job_key, worker_key

ACME = TenantId("acme")
WORKER = worker_key(ACME, WorkerId("w1"))
RUNNING, QUEUED, FAILED = (job_key(ACME, ThreadId(name)) for name in ("running", "queued", "failed"))


def submit(key: JobKey, priority: int = 0) -> Submit:
    return Submit(key, ACME, ThreadId(key.partition("/")[2]), "default", priority, b"1", key, b"h" * 32, "trace")


@pytest.fixture
def rows() -> Snapshot:
    """A thread that runs and has recorded a step, one that waits, one whose first run was replaced after it failed."""
    facts, numbers = Facts(Loaded(), Limits()), iter(range(1, 100))

    def do(command: Any) -> None:
        stamp = Stamp(1_000, next(numbers) << 64)
        facts.apply(decide(facts, command, stamp), 1_000)

    def grant(key: JobKey) -> Job:
        facts.heads[facts.jobs[key].lane] = Heads((), complete=True)
        dispatch(facts, [Want(WORKER, None, 1, 500, 10, 10)], Stamp(1_000, next(numbers) << 64), 10)
        assert facts.jobs[key].lease_id is not None
        return facts.jobs[key]

    do(submit(FAILED, 9))
    job = grant(FAILED)
    assert job.lease_id is not None
    do(Ack(WORKER, attempt_of(job.run_id), job.lease_id, "failed", b'"no"'))
    do(replace(submit(FAILED), idempotency_key="again"))
    do(submit(RUNNING, 5))
    do(submit(QUEUED))
    job = grant(RUNNING)
    assert job.lease_id is not None
    do(ReportStep(WORKER, attempt_of(job.run_id), job.lease_id, "a", "succeeded", "t", b"2", b"3"))
    audit = Audit("key", "ops", "admin", ACME, "local", "job.run", "thread", "t", "r")
    return snapshot(facts.changes, [record(AuditHead("c", 0, bytes(32)), audit, "ok", b"{}", Stamp(1_000, 1))])


def snapshot(changes: Changes, audit: list[Any]) -> Snapshot:
    found = Snapshot(
        jobs=dict(changes.jobs),
        past_runs={job.run_id: job for job in changes.past_runs},
        payloads={(payload.job_key, payload.seq): payload.body for payload in changes.payloads},
        closed={lease.lease_id: lease for lease in changes.closed},
        idempotent=list(changes.idempotent),
        dead_letters={letter.run_id: letter for letter in changes.dead_letters},
        workers=dict(changes.workers),
        tenants={key: Tenant(*astuple(row)) for key, row in changes.tenants.items()},
        total=changes.total,
        audit=audit,
    )
    for entry in changes.entries:
        found.entries.setdefault(entry.job_key, []).append(entry)
    for step in changes.steps:
        found.steps.setdefault(step.run_id, []).append(step)
    return found


def test_a_sound_state_has_no_violation(rows: Snapshot) -> None:
    assert check_all(rows) == []


def change(rows: Snapshot, key: JobKey, **fields: Any) -> None:
    rows.jobs[key] = replace(rows.jobs[key], **fields)


def lose_an_event(rows: Snapshot) -> None:
    del rows.entries[RUNNING][1]


def lose_the_last_event(rows: Snapshot) -> None:
    del rows.entries[RUNNING][-1]


def forge_an_event(rows: Snapshot) -> None:
    """Chained again from there on, so that only the fold can tell."""
    *before, last = rows.entries[QUEUED]
    data = b'{"type":"cancelled","reason":"forged"}'
    digest = link(
        before[-1].hash,
        last.job_key,
        last.seq,
        "cancelled",
        last.at_ms,
        last.run_id,
        last.attempt_no,
        last.worker_id,
        data,
        None,
    )
    rows.entries[QUEUED] = [*before, replace(last, data=data, event_type="cancelled", hash=digest)]
    change(rows, QUEUED, head_hash=digest)


def revive_a_past_run(rows: Snapshot) -> None:
    (run_id,) = rows.past_runs
    rows.past_runs[run_id] = replace(rows.past_runs[run_id], status="running")


def share_a_lease(rows: Snapshot) -> None:
    change(rows, QUEUED, lease_id=rows.jobs[RUNNING].lease_id)


def count_one_as_delayed(rows: Snapshot) -> None:
    tenant = next(iter(rows.tenants.values()))
    rows.tenants[tenant.tenant_id] = replace(tenant, delayed=tenant.delayed + 1)


def mark_no_step_latest(rows: Snapshot) -> None:
    run_id = rows.jobs[RUNNING].run_id
    rows.steps[run_id] = [replace(step, latest=False) for step in rows.steps[run_id]]


def lose_a_worker(rows: Snapshot) -> None:
    rows.workers.clear()


def lose_a_run(rows: Snapshot) -> None:
    del rows.jobs[QUEUED]


def change_a_payload(rows: Snapshot) -> None:
    rows.payloads[QUEUED, 1] = b"2"


def change_the_trail(rows: Snapshot) -> None:
    rows.audit[0] = replace(rows.audit[0], actor_id="nobody")


PLANTED: list[tuple[str, Callable[[Snapshot], None]]] = [
    ("I2", lambda rows: change(rows, RUNNING, worker_key=None)),
    ("I2", share_a_lease),
    ("I5", lambda rows: rows.past_runs.clear()),
    ("I5", revive_a_past_run),
    ("I8", lambda rows: rows.dead_letters.clear()),
    ("I9", lambda rows: rows.idempotent.clear()),
    ("I9", lambda rows: change(rows, QUEUED, idempotency_key="another")),
    ("I10", lambda rows: rows.steps.clear()),
    ("I10", mark_no_step_latest),
    ("I11", lose_an_event),
    ("I11", lose_the_last_event),
    ("I11", forge_an_event),
    ("I11", change_a_payload),
    ("I11", lambda rows: rows.payloads.clear()),
    ("I11", lambda rows: change(rows, QUEUED, priority=7)),
    ("I11", lambda rows: change(rows, RUNNING, lease_expires_ms=1_001)),
    ("I13", lambda rows: rows.closed.clear()),
    ("I15", lose_a_run),
    ("I17", change_the_trail),
    ("I20", lose_a_worker),
    ("I20", lambda rows: rows.tenants.clear()),
    ("I20", count_one_as_delayed),
    ("L2", lambda rows: change(rows, RUNNING, wake_ms=None)),
    ("L2", lambda rows: change(rows, QUEUED, wake_ms=5)),
]


@pytest.mark.parametrize(("rule", "plant"), PLANTED)
def test_planted_damage_is_found_under_its_rule(rows: Snapshot, rule: str, plant: Callable[[Snapshot], None]) -> None:
    plant(rows)
    assert rule in {violation.rule for violation in check_all(rows)}


def test_what_the_nodes_have_counted_is_compared_too(rows: Snapshot) -> None:
    jobs, total = list(rows.jobs.values()), rows.total
    assert check_counters(jobs, rows.workers, rows.tenants, total) == []
    for wrong in (Counts(waiting=1), Counts(delayed=1), Counts(leased=-1)):
        assert [v.where for v in check_counters(jobs, rows.workers, rows.tenants, total + wrong)] == ["total"]
