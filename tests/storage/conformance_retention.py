"""What every store has to do for retention: find what is old, delete what was pruned, hide what is left of it."""

from __future__ import annotations

import pytest

from oris.core import commands as c
from oris.core.audit_anchor import AnchorKey, AuditAnchor, cut
from oris.core.model import Job
from oris.core.needs import Needs
from oris.core.replies import Forgotten, RunsPruned, Settled, Submitted
from oris.ids import JobKey, NodeId, wait_id
from oris.storage.reads.operators import InterruptFilter, JobFilter
from oris.storage.reads.retention import OldPlace

from ..cuts import pruning
from .driver import (
    ACME,
    Action,
    Driver,
    Harness,
    ack,
    audited,
    key,
    opened,
    question,
    replayed,
    report,
    submit,
    suspend,
    want,
    worker,
)

PAGE = 2**20
KEY = AnchorKey("k" * 32)


async def ended(driver: Driver, thread: str = "t1", status: str = "completed", **said: object) -> Job:
    """A run of two steps, a checkpoint and an answered question, over for a second."""
    job = (await driver.commit(submit(thread, **said), wants=[want()])).job()  # type: ignore[arg-type]
    await driver.commit(report(job, "a", b"1"), report(job, "b", b"22", checkpoint=b'{"at":2}'))
    await driver.commit(suspend(job, question()), c.Resume(wait_id(job.run_id, "interrupt", 1), b'"yes"', "ann"))
    again = (await driver.commit(wants=[want()], lanes=[job.lane])).job()
    await driver.commit(ack(again, status, retryable=False))
    found = await driver.store.reads.run(job.run_id)
    assert found is not None
    driver.harness.clock.ms += 1000
    return found


async def prune(driver: Driver, thread: str = "t1", page: int = 16, before_ms: int | None = None) -> int:
    """Let go what was over by now; how many runs that was."""
    before_ms = driver.harness.clock() if before_ms is None else before_ms
    command = await pruning(driver.store.reads, key(thread), before_ms, page)
    if command is None:
        return 0
    reply = (await driver.commit(command)).replies[0]
    assert isinstance(reply, RunsPruned)
    await driver.verify()
    return reply.count


async def erase(driver: Driver, rows_max: int = 1000, bytes_max: int = PAGE) -> int:
    """Delete all that pruned runs have left; how many commits that took."""
    commits = 0
    while left := await driver.store.reads.pruned_runs(10):
        await driver.commit(*(c.Erase(run.run_id, rows_max, bytes_max) for run in left))
        await driver.verify()
        commits += 1
    return commits


async def walk(driver: Driver, before_ms: int, limit: int = 10) -> list[JobKey]:
    """All that a walk finds, page by page."""
    found: list[JobKey] = []
    after: OldPlace | None = None
    while True:
        page = await driver.store.reads.old_threads(before_ms, after, limit)
        found += page.threads
        after = page.after
        if after is None:
            return found


class RetentionConformance:
    """Retention."""

    @pytest.fixture
    def driver(self, harness: Harness) -> Driver:
        return Driver(harness)

    async def test_what_was_pruned_is_hidden_at_once_and_erased_later(self, driver: Driver) -> None:
        first = await ended(driver, idempotency_key="k1")
        second = await ended(driver)
        assert await prune(driver, before_ms=second.updated_ms) == 1
        before = await driver.harness.snapshot()
        assert len(before.entries[key("t1")]) == second.seq
        reads = driver.store.reads
        assert await reads.run(first.run_id) is None
        assert (await reads.timeline(key("t1"), 0, 1))[0].seq == first.seq + 1
        assert (await reads.told(key("t1"), 0, 1, PAGE)).items[0].entry.seq == first.seq + 1
        assert [saved.run_id for saved in (await reads.checkpoints(key("t1"), None, 10)).items] == [second.run_id]
        assert [run.run_id for run in (await reads.runs(key("t1"), None, 10)).items] == [second.run_id]
        assert (await reads.steps(first.run_id, 0, 10, PAGE)).items == ()
        assert (await reads.retries(first.run_id, 0, 10)).items == ()
        question_id = wait_id(first.run_id, "interrupt", 1)
        assert await reads.wait(question_id) is None
        shown = (await reads.interrupts(InterruptFilter(), None, 10)).items
        assert {wait.run_id for wait in shown} == {second.run_id}
        assert (await reads.interrupts(InterruptFilter(run_id=first.run_id), None, 10)).items == ()
        lease = next(lease for lease, row in before.closed.items() if first.run_id[4:] in lease)
        loaded = await driver.load(Needs(closed={lease}, waits={question_id}))
        assert (loaded.closed, loaded.waits) == ({}, {})
        assert await erase(driver) == 1
        rows = await driver.harness.snapshot()
        assert [entry.seq for entry in rows.entries[key("t1")]] == list(range(first.seq + 1, second.seq + 1))
        assert all(seq > first.seq for _, seq in rows.payloads)
        assert rows.steps.keys() == {second.run_id}
        assert {wait.run_id for wait in rows.waits.values()} == {second.run_id}
        assert all(second.run_id[4:] in lease for lease in rows.closed)
        assert rows.idempotent == []
        assert await driver.store.reads.pruned_runs(10) == []

    async def test_a_thread_of_which_nothing_is_kept_is_shown_nowhere(self, driver: Driver) -> None:
        job = await ended(driver)
        await driver.commit(submit("other"))
        assert await prune(driver) == 1
        reads = driver.store.reads
        assert await reads.job(key("t1")) is None
        assert await reads.run(job.run_id) is None
        assert list(await reads.tenants_of(job.thread_id)) == []
        for where in (JobFilter(), JobFilter(tenant_id=ACME), JobFilter(status="completed")):
            page = await reads.jobs(where, None, 10)
            assert [found.thread_id for found in page.items] == ([] if where.status else ["other"])
        assert (await reads.runs(key("t1"), None, 10)).items == ()
        assert list(await reads.timeline(key("t1"), 0, 10)) == []
        await erase(driver)
        done = await driver.commit(submit("t1"))
        assert isinstance(done.replies[0], Submitted)
        assert [entry.seq for entry in await reads.timeline(key("t1"), 0, 10)] == [job.seq + 1, job.seq + 2]
        again = await reads.job(key("t1"))
        assert again is not None
        assert (again.pruned_seq, again.pruned_hash, again.pruned_runs) == (job.seq, job.head_hash, 1)
        await driver.verify()

    async def test_a_thread_may_go_on_before_what_it_has_left_is_erased(self, driver: Driver) -> None:
        await ended(driver, idempotency_key="k")
        await prune(driver)
        done = await driver.commit(submit("t1", idempotency_key="k"))
        reply = done.replies[0]
        assert isinstance(reply, Submitted)
        assert not reply.replay
        await driver.verify()
        await erase(driver)
        assert len((await driver.verify()).idempotent) == 1

    async def test_the_pruning_and_a_new_run_with_the_same_key_share_a_commit(self, driver: Driver) -> None:
        await ended(driver, idempotency_key="k")
        again = submit("t1", idempotency_key="k")
        command = await pruning(driver.store.reads, key("t1"), driver.harness.clock())
        assert command is not None
        done = await driver.commit(command, again)
        assert isinstance(done.replies[1], Submitted)
        assert not done.replies[1].replay
        await driver.verify()

    @pytest.mark.parametrize(("rows_max", "bytes_max"), [(1, PAGE), (3, PAGE), (1000, 1)])
    async def test_a_run_is_erased_in_pieces_of_the_size_that_is_asked_for(
        self, driver: Driver, rows_max: int, bytes_max: int
    ) -> None:
        job = await ended(driver)
        await prune(driver)
        rows = await driver.harness.snapshot()
        await driver.commit(c.Erase(job.run_id, rows_max, bytes_max))
        left = (await driver.verify()).entries[key("t1")]
        assert 0 < len(rows.entries[key("t1")]) - len(left) <= rows_max
        assert await erase(driver, rows_max, bytes_max) > 1
        rows = await driver.harness.snapshot()
        assert (rows.entries, rows.payloads, rows.steps, rows.waits, rows.closed) == ({}, {}, {}, {}, {})

    async def test_erasing_goes_on_after_a_crash(self, driver: Driver) -> None:
        job = await ended(driver)
        await prune(driver)
        await driver.commit(c.Erase(job.run_id, 2, PAGE))
        await driver.harness.crash()
        assert [run.run_id for run in await driver.store.reads.pruned_runs(10)] == [job.run_id]
        await erase(driver)
        assert (await driver.verify()).entries == {}

    async def test_claims_and_replayed_dead_letters_go_with_their_runs(self, driver: Driver) -> None:
        source = await ended(driver, status="failed")
        job = (await driver.commit(replayed("t1"), wants=[want()])).job()
        await driver.commit(ack(job))
        ended_ms = driver.harness.clock()
        assert await prune(driver, before_ms=ended_ms) == 0
        driver.harness.clock.ms += 1
        assert await walk(driver, driver.harness.clock()) == [key("t1")]
        assert await prune(driver) == 2
        rows = await driver.harness.snapshot()
        assert (rows.claims, rows.dead_letters, rows.past_runs) == ({}, {}, {})
        assert await driver.store.reads.dead_letter(source.run_id) is None

    async def test_a_walk_finds_each_thread_whose_oldest_run_may_go_once(self, driver: Driver) -> None:
        for _ in range(3):
            await ended(driver, "often")
        await ended(driver, "once")
        await ended(driver, "dead", status="failed")
        await ended(driver, "dead")
        await driver.commit(submit("waiting"))
        before_ms = driver.harness.clock()
        await ended(driver, "young")
        for limit in (1, 2, 3, 10):
            assert await walk(driver, before_ms, limit) == [key("often"), key("once")]
        await prune(driver, "often", before_ms=before_ms)
        assert await walk(driver, before_ms) == [key("once")]

    async def test_old_workers_and_sessions_are_found_and_forgotten(self, driver: Driver) -> None:
        job = (await driver.commit(submit("held"), wants=[want("busy", ttl_ms=3_600_000)])).job()
        await driver.commit(opened("s1", "idle"))
        await driver.commit(opened("s2", "idle"))
        driver.harness.clock.ms += 1000
        before_ms = driver.harness.clock()
        await driver.commit(opened("s1", "young"))
        reads = driver.store.reads
        assert (await reads.old_workers(before_ms, None, 10)).workers == (worker("idle"),)
        page = await reads.old_workers(before_ms, None, 1)
        assert page.after is not None
        rest = await reads.old_workers(before_ms, page.after, 10)
        assert (*page.workers, *rest.workers) == (worker("idle"),)
        assert list(await reads.old_sessions(before_ms, 10)) == [(worker("idle"), "s1")]
        assert list(await reads.old_sessions(before_ms - 1000, 10)) == []
        sessions = c.ForgetSessions(((worker("idle"), "s1"),))
        done = await driver.commit(c.ForgetWorker(worker("idle"), before_ms), sessions)
        assert done.replies == [Forgotten(1), Forgotten(1)]
        rows = await driver.verify()
        assert rows.workers.keys() == {worker("busy"), worker("young")}
        assert list(await reads.old_sessions(before_ms, 10)) == []
        await driver.commit(ack(job))

    async def test_nodes_that_are_gone_are_forgotten_and_the_time_is_not(self, driver: Driver) -> None:
        reads = driver.store.reads
        for name in ("box-1", "box-2", "box-3"):
            await driver.harness.reopen(name)
            driver.harness.clock.ms += 1000
            await driver.commit(submit(name))
        last_ms = driver.harness.clock.ms
        await driver.commit(c.SetMode("box-1", True, True, None, "ops"))
        assert list(await driver.store.reads.old_nodes(last_ms, 10)) == ["box-2"], "one that is named somewhere stays"
        done = await driver.commit(c.ForgetNodes((NodeId("box-2"), NodeId("box-4")), last_ms))
        assert done.replies == [Forgotten(1)]
        assert [node for node, _ in await driver.store.reads.nodes()] == ["box-1", "box-3"]
        assert list(await driver.store.reads.old_nodes(last_ms, 10)) == []
        assert await driver.store.high_water_ms() == last_ms
        assert reads is not driver.store.reads

    async def test_a_chain_is_cut_at_its_anchor_and_goes_on(self, driver: Driver) -> None:
        await driver.commit(audit=[audited() for _ in range(3)])
        driver.harness.clock.ms += 1000
        before_ms = driver.harness.clock()
        await driver.commit(audit=[audited() for _ in range(2)])
        reads = driver.store.reads
        found = await reads.old_audit("", 100)
        assert found is not None
        assert (found.anchor, len(found.records)) == (None, 5)
        anchor = cut(KEY, found.chain_id, found.anchor, found.records, before_ms)
        assert isinstance(anchor, AuditAnchor)
        assert (await driver.commit(c.PruneAudit(anchor))).replies == [Forgotten(3)]
        rows = await driver.verify()
        assert [line.seq for line in rows.audit] == [4, 5]
        assert await reads.old_audit(found.chain_id, 100) is None
        again = await reads.old_audit("", 1)
        assert again is not None
        assert (again.anchor, [line.seq for line in again.records]) == (anchor, [4])
        assert list(await reads.audit_heads()) == [driver.audit_head]
        await driver.commit(audit=[audited()])
        await driver.verify()

    async def test_a_chain_of_which_nothing_is_kept_has_its_head_all_the_same(self, driver: Driver) -> None:
        await driver.commit(audit=[audited() for _ in range(3)])
        reads = driver.store.reads
        found = await reads.old_audit("", 100)
        assert found is not None
        anchor = cut(KEY, found.chain_id, None, found.records, driver.harness.clock() + 1)
        assert isinstance(anchor, AuditAnchor)
        await driver.commit(c.PruneAudit(anchor))
        assert (await driver.verify()).audit == []
        assert list(await reads.audit_heads()) == [anchor.head] == [driver.audit_head]
        await driver.commit(audit=[audited()])
        assert [line.seq for line in (await driver.verify()).audit] == [4]

    async def test_a_settled_question_of_a_kept_run_is_shown_still(self, driver: Driver) -> None:
        job = await ended(driver)
        reply = (await driver.commit(c.Resume(wait_id(job.run_id, "interrupt", 1), b'"yes"', "ann"))).replies[0]
        assert isinstance(reply, Settled)
        assert len((await driver.store.reads.interrupts(InterruptFilter(), None, 10)).items) == 1

    @pytest.mark.parametrize(
        ("table", "action"),
        [
            ("runtime_jobs", "update"),
            ("runtime_runs", "delete"),
            ("runtime_idempotency", "delete"),
            ("runtime_dead_letters", "delete"),
            ("runtime_replay_effects", "delete"),
            ("runtime_pruned_runs", "insert"),
        ],
    )
    async def test_runs_go_with_all_that_names_them_or_not_at_all(
        self, driver: Driver, table: str, action: Action
    ) -> None:
        await ended(driver, status="failed", idempotency_key="k")
        job = (await driver.commit(replayed("t1"), wants=[want()])).job()
        await driver.commit(ack(job))
        driver.harness.clock.ms += 1000
        before = await driver.harness.snapshot()
        await driver.harness.refuse(table, action)
        with pytest.raises(Exception, match="planted"):
            await prune(driver)
        assert await driver.harness.snapshot() == before
        await driver.harness.heal()
        assert await prune(driver) == 2

    @pytest.mark.parametrize(
        ("table", "action"),
        [
            ("runtime_events", "delete"),
            ("runtime_payloads", "delete"),
            ("runtime_steps", "delete"),
            ("runtime_waits", "delete"),
            ("runtime_closed_leases", "delete"),
            ("runtime_pruned_runs", "delete"),
            ("runtime_workers", "delete"),
            ("runtime_ended_sessions", "delete"),
            ("runtime_audit_anchors", "insert"),
            ("runtime_audit_log", "delete"),
        ],
    )
    async def test_a_piece_goes_whole_or_not_at_all(self, driver: Driver, table: str, action: Action) -> None:
        job = await ended(driver)
        await driver.commit(opened("s1", "idle"), audit=[audited()])
        await driver.commit(opened("s2", "idle"))
        driver.harness.clock.ms += 1000
        await prune(driver)
        found = await driver.store.reads.old_audit("", 10)
        assert found is not None
        anchor = cut(KEY, found.chain_id, None, found.records, driver.harness.clock())
        assert isinstance(anchor, AuditAnchor)
        commands = (
            c.Erase(job.run_id, 1000, PAGE),
            c.ForgetWorker(worker("idle"), driver.harness.clock()),
            c.ForgetSessions(((worker("idle"), "s1"),)),
            c.PruneAudit(anchor),
        )
        before = await driver.harness.snapshot()
        await driver.harness.refuse(table, action)
        with pytest.raises(Exception, match="planted"):
            await driver.commit(*commands)
        assert await driver.harness.snapshot() == before
        await driver.harness.heal()
        assert (await driver.commit(*commands)).replies == [Forgotten(1)] * 4
        rows = await driver.verify()
        assert (rows.entries, rows.audit, list(rows.workers)) == ({}, [], [worker()])
