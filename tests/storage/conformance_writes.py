"""What a store writes of a batch: each row as it was decided, all of them or none."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from oris.core.changes import Changes
from oris.core.commands import SetMode
from oris.core.mode import CLUSTER
from oris.core.needs import Loaded, Needs
from oris.storage.store import Work

from .driver import (
    START_MS,
    Action,
    Driver,
    Harness,
    ack,
    audited,
    nothing,
    opened,
    question,
    replayed,
    report,
    submit,
    suspend,
    want,
    worker,
)

WRITES: list[tuple[str, Action]] = [
    ("runtime_jobs", "insert"),
    ("runtime_jobs", "update"),
    ("runtime_runs", "insert"),
    ("runtime_events", "insert"),
    ("runtime_payloads", "insert"),
    ("runtime_steps", "insert"),
    ("runtime_closed_leases", "insert"),
    ("runtime_idempotency", "insert"),
    ("runtime_dead_letters", "insert"),
    ("runtime_replay_effects", "insert"),
    ("runtime_workers", "update"),
    ("runtime_ended_sessions", "insert"),
    ("runtime_tenants", "update"),
    ("runtime_audit_log", "insert"),
    ("runtime_modes", "insert"),
    ("runtime_nodes", "update"),
    ("runtime_waits", "insert"),
]


class WritesConformance:
    """Writes."""

    @pytest.fixture
    def driver(self, harness: Harness) -> Driver:
        return Driver(harness)

    @pytest.mark.parametrize(("table", "action"), WRITES)
    async def test_an_error_at_any_write_undoes_the_whole_batch(
        self, driver: Driver, table: str, action: Action
    ) -> None:
        threads = [submit(f"t{number}") for number in (1, 2, 3, 5, 6)]
        jobs = (await driver.commit(*threads, wants=[want(limit=5)])).granted[0].jobs
        await driver.commit(ack(jobs[0]), ack(jobs[3]), opened("s1", "w3"))

        async def everything() -> None:
            await driver.commit(
                submit("t1", idempotency_key="k"),
                ack(jobs[1], "failed"),
                report(jobs[2], "a", checkpoint=b"{}"),
                suspend(jobs[4], question()),
                submit("t4"),
                replayed("t5"),
                opened("s2", "w3"),
                SetMode(CLUSTER, submit=False, dispatch=False, reason=None, by="ops"),
                wants=[want("w2")],
                audit=[audited()],
            )

        before, head = await driver.harness.snapshot(), driver.audit_head
        await driver.harness.refuse(table, action)
        with pytest.raises(Exception, match="planted"):
            await everything()
        assert await driver.harness.snapshot() == before
        driver.audit_head = head
        await driver.harness.heal()
        await everything()
        rows = await driver.verify()
        assert (len(rows.past_runs), len(rows.dead_letters), len(rows.audit), len(rows.claims)) == (2, 1, 1, 1)

    @pytest.mark.parametrize("what", ["entries", "payloads", "closed", "idempotent", "past_runs", "audit"])
    async def test_what_is_written_once_cannot_be_written_again(self, driver: Driver, what: str) -> None:
        made: list[Changes] = []
        job = (await driver.commit(submit("t1", idempotency_key="k"), wants=[want()])).job()
        await driver.commit(ack(job), submit("t1"), audit=[audited()], seen=made.append)
        await driver.commit(submit("t2", idempotency_key="k2"), seen=made.append)
        row = next(row for changes in made for row in getattr(changes, what))
        before = await driver.harness.snapshot()

        def again(changes: Changes) -> None:
            changes.sign_of_life = True
            getattr(changes, what).append(row)

        with pytest.raises(Exception, match=r"(?i)unique|such a row"):
            await driver.store.transact(Needs(jobs={job.job_key}), _changed(again), "again")
        assert await driver.harness.snapshot() == before

    async def test_a_worker_keeps_the_time_when_it_was_seen_first(self, driver: Driver) -> None:
        await driver.commit(opened("s1"))
        row = (await driver.load(Needs(workers={worker()}))).workers[worker()]

        def later(changes: Changes) -> None:
            changes.workers[worker()] = replace(row, first_seen_ms=START_MS + 5, last_seen_ms=START_MS + 5)

        await driver.store.transact(Needs(), _changed(later), "later")
        found = await driver.store.reads.worker(worker())
        assert found == replace(row, last_seen_ms=START_MS + 5)


def _changed(change: Callable[[Changes], None]) -> Work:
    """Work that makes such changes, whatever is there."""

    def work(loaded: Loaded, now_ms: int) -> Changes:
        changes = nothing()
        change(changes)
        return changes

    return work
