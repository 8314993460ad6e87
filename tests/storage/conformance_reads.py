"""What every store's reads have to answer, written against the `Reads` protocol."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import pytest

from oris.audit_actions import OPENING
from oris.core import commands as c
from oris.core.chain import first_bad_seq
from oris.core.commands import Cancel, SetMode
from oris.core.decide.suspend import shown
from oris.core.lookups import Stretch
from oris.core.mode import CLUSTER, Mode
from oris.core.model import Lane, RetryPolicy, Wait
from oris.core.needs import Needs
from oris.core.tenant import Counts
from oris.core.wait_values import WaitValue
from oris.ids import JobKey, NodeId, TenantId, ThreadId, run_id
from oris.storage.pages import Page, Place
from oris.storage.reads.operators import AuditFilter, DeadLetterFilter, InterruptFilter, JobFilter
from oris.storage.reads.sweeper import Earliest
from oris.storage.reads.threads import StepCounts

from .driver import (
    ACME,
    START_MS,
    Driver,
    Harness,
    ack,
    audited,
    heartbeat,
    key,
    opened,
    question,
    report,
    submit,
    suspend,
    want,
    worker,
)

T = TypeVar("T")


class ReadsConformance:
    """Lists and their pages, single things, what the sweeper and the gauges ask."""

    @pytest.fixture
    def driver(self, harness: Harness) -> Driver:
        return Driver(harness)

    async def test_a_thread_of_two_tenants_is_told_as_ambiguous(self, driver: Driver) -> None:
        await driver.commit(submit("t1"), submit("t1", tenant="b"), submit("t1", tenant="c"), submit("t2"))
        reads = driver.store.reads
        assert len(await reads.tenants_of(ThreadId("t1"))) == 2
        assert list(await reads.tenants_of(ThreadId("t2"))) == [ACME]
        assert list(await reads.tenants_of(ThreadId("none"))) == []

    async def test_a_run_is_found_while_it_is_the_latest_and_afterwards(self, driver: Driver) -> None:
        reads = driver.store.reads
        first = (await driver.commit(submit("t1"), wants=[want()])).job()
        assert await reads.run(first.run_id) == first == await reads.job(key("t1"))
        await driver.commit(ack(first))
        await driver.commit(submit("t1"))
        found = await reads.run(first.run_id)
        assert found is not None
        assert (found.run_id, found.status) == (first.run_id, "completed")
        latest = await reads.job(key("t1"))
        assert latest is not None
        assert latest.run_id != first.run_id
        assert await reads.run(run_id(1)) is None
        assert await reads.job(key("none")) is None

    @pytest.mark.parametrize("limit", [1, 2, 3, 4, 5])
    async def test_the_runs_of_a_thread_come_newest_first_page_by_page(self, driver: Driver, limit: int) -> None:
        made = []
        for _ in range(4):
            job = (await driver.commit(submit("t1"), submit("other"), wants=[want(limit=2)])).granted[0].jobs
            await driver.commit(*(ack(each) for each in job))
            made += [each.run_id for each in job if each.thread_id == "t1"]
        pages = await _all(lambda after: driver.store.reads.runs(key("t1"), after, limit))
        assert [run.run_id for page in pages for run in page] == made[::-1]
        assert all(len(page) == limit for page in pages[:-1])
        assert (await driver.store.reads.runs(key("none"), None, limit)).items == ()

    @pytest.mark.parametrize("limit", [1, 2, 5, 6, 7])
    async def test_threads_come_newest_first_page_by_page(self, driver: Driver, limit: int) -> None:
        for number in range(6):
            tenant, workflow = "ab"[number % 2], ("x", "y", "z")[number % 3]
            driver.harness.clock.ms += 1
            await driver.commit(submit(f"t{number}", tenant=tenant, workflow=workflow))
        jobs = driver.store.reads.jobs

        async def listed(where: JobFilter) -> list[str]:
            return [str(job.thread_id) for page in await _all(lambda c: jobs(where, c, limit)) for job in page]

        assert await listed(JobFilter()) == ["t5", "t4", "t3", "t2", "t1", "t0"]
        assert await listed(JobFilter(tenant_id=TenantId("a"))) == ["t4", "t2", "t0"]
        assert await listed(JobFilter(workflow="x")) == ["t3", "t0"]
        assert await listed(JobFilter(tenant_id=TenantId("b"), workflow="x", status="queued")) == ["t3"]
        assert await listed(JobFilter(status="completed")) == []

    async def test_threads_of_one_moment_are_each_listed_once(self, driver: Driver) -> None:
        await driver.commit(*(submit(f"t{number}") for number in range(9)))
        pages = await _all(lambda after: driver.store.reads.jobs(JobFilter(), after, 2))
        assert [job.thread_id for page in pages for job in page] == [f"t{number}" for number in range(8, -1, -1)]

    async def test_a_thread_keeps_its_place_whatever_runs_it_has(self, driver: Driver) -> None:
        for number in range(3):
            driver.harness.clock.ms += 1
            await driver.commit(submit(f"t{number}"))
        first = await driver.store.reads.jobs(JobFilter(), None, 1)
        driver.harness.clock.ms += 1
        await driver.commit(Cancel(key("t0"), None), submit("t0"))
        second = await driver.store.reads.jobs(JobFilter(), first.next, 5)
        assert [job.thread_id for job in (*first.items, *second.items)] == ["t2", "t1", "t0"]

    async def test_places_hold_after_a_restart(self, driver: Driver) -> None:
        await driver.commit(*(submit(f"t{number}") for number in range(4)))
        first = await driver.store.reads.jobs(JobFilter(), None, 2)
        await driver.harness.reopen("node-2")
        second = await driver.store.reads.jobs(JobFilter(), first.next, 2)
        assert [job.thread_id for job in (*first.items, *second.items)] == ["t3", "t2", "t1", "t0"]

    async def test_a_thread_made_between_two_pages_shifts_nothing(self, driver: Driver) -> None:
        for number in range(4):
            await driver.commit(submit(f"t{number}"))
        first = await driver.store.reads.jobs(JobFilter(), None, 2)
        await driver.commit(submit("t4"))
        second = await driver.store.reads.jobs(JobFilter(), first.next, 2)
        assert [job.thread_id for job in (*first.items, *second.items)] == ["t3", "t2", "t1", "t0"]

    async def test_payloads_are_given_back_byte_by_byte(self, driver: Driver) -> None:
        await driver.commit(submit("t1", input=b'{ "\xc3\xa9" : 1.50 }'), submit("t2", input=None))
        reads = driver.store.reads
        assert await reads.payloads(key("t1"), [1, 2, 3]) == {1: b'{ "\xc3\xa9" : 1.50 }'}
        assert await reads.payloads(key("t2"), [1]) == {}
        assert await reads.payloads(key("none"), [1]) == {}

    async def test_a_timeline_is_read_in_order_from_anywhere(self, driver: Driver) -> None:
        job = (await driver.commit(submit("t1"), submit("t2"), wants=[want()])).job()
        await driver.commit(ack(job))
        reads = driver.store.reads
        whole = await reads.timeline(key("t1"), 0, 100)
        assert [entry.event_type for entry in whole] == ["run_created", "attempt_queued", "lease_granted", "completed"]
        assert first_bad_seq(list(whole)) is None
        assert list(await reads.timeline(key("t1"), 1, 2)) == list(whole[1:3])
        assert list(await reads.timeline(key("none"), 0, 10)) == []

    async def test_steps_and_retries_of_a_run_outlive_its_thread_going_on(self, driver: Driver) -> None:
        policy = RetryPolicy("fixed", 0, 2)
        job = (await driver.commit(submit("t1", retry_policy=policy), wants=[want()])).job()
        await driver.commit(report(job, "a", b"1"), report(job, "b", b"2"))
        again = (await driver.commit(ack(job, "failed", b'"no"'), wants=[want()])).job()
        await driver.commit(ack(again))
        await driver.commit(submit("t1"))
        reads = driver.store.reads
        steps = await reads.steps(job.run_id, 0, 10, 100)
        assert [(s.action_id, s.body) for s in steps.items] == [("a", b"1"), ("b", b"2")]
        assert not steps.more
        assert await reads.step_counts(job.run_id) == StepCounts(succeeded=2, open=0)
        (retry,) = (await reads.retries(job.run_id, 0, 9)).items
        assert (retry.job_key, retry.event_type, retry.run_id) == (key("t1"), "retry_scheduled", job.run_id)
        assert await reads.steps(run_id(1), 0, 10, 100) == Stretch((), more=False)
        assert await reads.step_counts(run_id(1)) == StepCounts(0, 0)
        assert await reads.retries(run_id(1), 0, 9) == Stretch((), more=False)

    async def test_retries_are_read_a_page_at_a_time(self, driver: Driver) -> None:
        policy = RetryPolicy("fixed", 0, 9)
        job = (await driver.commit(submit("t1", retry_policy=policy), wants=[want()])).job()
        for _ in range(3):
            job = (await driver.commit(ack(job, "failed", b'"no"'), wants=[want()])).job()
        reads = driver.store.reads
        first = await reads.retries(job.run_id, 0, 2)
        assert ([entry.attempt_no for entry in first.items], first.more) == ([1, 2], True)
        rest = await reads.retries(job.run_id, first.items[-1].seq, 2)
        assert ([entry.attempt_no for entry in rest.items], rest.more) == ([3], False)

    @pytest.mark.parametrize(("limit", "max_bytes", "given"), [(1, 99, "a"), (9, 7, "ab"), (9, 1, "a"), (3, 12, "abc")])
    async def test_steps_and_events_stop_at_a_number_and_at_a_size(
        self, driver: Driver, limit: int, max_bytes: int, given: str
    ) -> None:
        job = (await driver.commit(submit("t1"), wants=[want()])).job()
        await driver.commit(*(report(job, action, b'"x"') for action in "abcd"))
        reads = driver.store.reads
        steps = await reads.steps(job.run_id, 0, limit, max_bytes)
        assert ("".join(step.action_id for step in steps.items), steps.more) == (given, True)
        first = await reads.told(key("t1"), 3, 1, 10_000)
        size = len(first.items[0].entry.data) + 3
        lines = await reads.told(key("t1"), 3, limit, size * max_bytes // 3)
        assert (len(lines.items), lines.more) == (len(given), True)

    async def test_events_are_told_with_the_payloads_they_have(self, driver: Driver) -> None:
        job = (await driver.commit(submit("t1", input=b"{ }"), submit("t2"), wants=[want()])).job()
        await driver.commit(report(job, "a", b"1", checkpoint=b'"here"'), ack(job, body=None))
        reads = driver.store.reads
        whole = await reads.told(key("t1"), 0, 100, 10_000)
        assert [line.entry for line in whole.items] == list(await reads.timeline(key("t1"), 0, 100))
        assert [line.payload for line in whole.items] == [b"{ }", None, None, b"1", b'"here"', None]
        assert not whole.more
        assert (await reads.told(key("none"), 0, 10, 10)).items == ()

    @pytest.mark.parametrize("limit", [1, 2, 3, 4])
    async def test_checkpoints_of_all_runs_come_newest_first_page_by_page(self, driver: Driver, limit: int) -> None:
        saved = []
        for name in ("a", "b", "c"):
            job = (await driver.commit(submit("t1"), wants=[want()])).job()
            await driver.commit(report(job, name, checkpoint=b"1"), report(job, "plain"), ack(job))
            saved.append(job.run_id)
        reads = driver.store.reads
        pages = await _all(lambda after: reads.checkpoints(key("t1"), after, limit))
        found = [checkpoint for page in pages for checkpoint in page]
        assert [checkpoint.run_id for checkpoint in found] == saved[::-1]
        assert all(len(page) == limit for page in pages[:-1])
        timeline = {entry.seq: entry for entry in await reads.timeline(key("t1"), 0, 100)}
        for checkpoint in found:
            entry = timeline[checkpoint.seq]
            assert (entry.event_type, entry.at_ms) == ("checkpoint_saved", checkpoint.at_ms)
        assert (await reads.checkpoints(key("none"), None, limit)).items == ()

    @pytest.mark.parametrize("limit", [1, 2, 4, 5])
    async def test_dead_letters_come_newest_first_page_by_page(self, driver: Driver, limit: int) -> None:
        runs = []
        for number in range(4):
            tenant, workflow = ("a", "b")[number // 2], ("x", "y")[number % 2]
            lane = Lane(TenantId(tenant), workflow)
            command = submit(f"t{number}", tenant=tenant, workflow=workflow)
            job = (await driver.commit(command, wants=[want()], lanes=[lane])).job()
            await driver.commit(ack(job, "failed"))
            runs.append(job.run_id)
        reads = driver.store.reads

        async def listed(where: DeadLetterFilter) -> list[int]:
            pages = await _all(lambda c: reads.dead_letters(where, c, limit))
            return [runs.index(letter.run_id) for page in pages for letter in page]

        assert await listed(DeadLetterFilter()) == [3, 2, 1, 0]
        assert await listed(DeadLetterFilter(tenant_id=TenantId("a"))) == [1, 0]
        assert await listed(DeadLetterFilter(workflow="x")) == [2, 0]
        assert await listed(DeadLetterFilter(tenant_id=TenantId("b"), workflow="x")) == [2]
        letter = await reads.dead_letter(runs[2])
        assert letter is not None
        assert (letter.thread_id, letter.reason) == ("t2", "failed")
        assert await reads.dead_letter(run_id(1)) is None
        assert (await reads.statistics()).dead_letters == 4

    @pytest.mark.parametrize("limit", [1, 2, 5, 6])
    async def test_the_audit_trail_comes_newest_first_page_by_page(self, driver: Driver, limit: int) -> None:
        for number in range(5):
            # Two share one moment: the order within it must not get lost between pages.
            driver.harness.clock.ms = START_MS + number // 2
            line = audited(
                ("job.run", "job.cancel")[number % 2], f"r{number}", ("ann", "bob")[number % 2], "ab"[number % 2]
            )
            await driver.commit(audit=[line])
        reads = driver.store.reads

        async def listed(where: AuditFilter) -> list[int]:
            return [record.seq for page in await _all(lambda c: reads.audit(where, c, limit)) for record in page]

        assert await listed(AuditFilter()) == [5, 4, 3, 2, 1]
        assert await listed(AuditFilter(action="job.run")) == [5, 3, 1]
        assert await listed(AuditFilter(actor_id="bob", tenant_id=TenantId("b"))) == [4, 2]
        assert await listed(AuditFilter(request_id="r2")) == [3]
        assert await listed(AuditFilter(request_id="r2", action="job.cancel")) == []
        assert await listed(AuditFilter(from_ms=START_MS + 1)) == [5, 4, 3]
        assert await listed(AuditFilter(to_ms=START_MS + 1)) == [2, 1]
        assert await listed(AuditFilter(from_ms=START_MS + 1, to_ms=START_MS + 2)) == [4, 3]
        await driver.commit(audit=[audited(OPENING, "r6")])
        assert await listed(AuditFilter(from_ms=START_MS + 2)) == [6, 5]
        assert await listed(AuditFilter(from_ms=START_MS + 2, control_only=True)) == [5]
        await driver.verify()

    async def test_the_ends_of_all_audit_chains_are_told_newest_chain_first(self, driver: Driver) -> None:
        await driver.commit(audit=[audited(), audited()])
        one = driver.audit_head
        driver.harness.clock.ms += 1
        driver.audit_head = type(one)("chain-2", 0, bytes(32))
        await driver.commit(audit=[audited()])
        assert list(await driver.store.reads.audit_heads()) == [driver.audit_head, one]
        assert one.seq == 2

    async def test_what_operators_have_switched_is_kept_and_the_last_switch_counts(self, driver: Driver) -> None:
        reads = driver.store.reads
        assert (list(await reads.modes()), list(await reads.nodes())) == ([], [])
        await driver.commit(
            SetMode(CLUSTER, submit=False, dispatch=False, reason="upgrade", by="ann"),
            SetMode("node", submit=True, dispatch=False, reason=None, by="bob"),
        )
        driver.harness.clock.ms += 5
        await driver.commit(SetMode(CLUSTER, submit=False, dispatch=True, reason="ключ 🔑", by="eve"))
        await driver.harness.reopen()
        assert list(await driver.store.reads.modes()) == [
            Mode(CLUSTER, False, True, "ключ 🔑", "eve", START_MS + 5),
            Mode("node", True, False, None, "bob", START_MS),
        ]
        assert list(await driver.store.reads.nodes()) == [("node-1", START_MS + 5)]

    async def test_a_node_is_known_once_it_has_committed_something(self, driver: Driver) -> None:
        first, other = NodeId("node-1"), NodeId("node-2")
        needs = Needs(nodes={first, other}, node_names={"node-1", "node-2"})
        assert (await driver.load(needs)).nodes == {}
        await driver.commit(submit("t1"))
        loaded = await driver.load(needs)
        assert (loaded.nodes, loaded.node_names) == ({first: START_MS}, {"node-1"})

    async def test_each_start_of_a_node_has_a_row_and_they_have_one_name(self, driver: Driver) -> None:
        await driver.harness.reopen("node#1")
        await driver.commit(submit("t1"))
        await driver.harness.reopen("node#2")
        driver.harness.clock.ms += 5
        await driver.commit(submit("t2"))
        assert list(await driver.store.reads.nodes()) == [("node", START_MS + 5)]
        assert (await driver.load(Needs(node_names={"node", "node#1"}))).node_names == {"node"}

    async def test_what_all_nodes_have_counted_is_summed(self, driver: Driver) -> None:
        await driver.commit(submit("t1"), submit("t2", delay_ms=1000))
        await driver.harness.reopen("node-2")
        await driver.commit(submit("t3"), wants=[want()])
        assert (await driver.load(Needs(total=True))).total == Counts(waiting=2, delayed=1, leased=1)
        assert (await driver.load(Needs())).total == Counts()

    async def test_the_sweeper_is_told_what_is_due_the_earliest_first(self, driver: Driver) -> None:
        reads = driver.store.reads
        assert await reads.earliest() == Earliest(None, None)
        await driver.commit(*(submit(f"t{ms}", delay_ms=ms) for ms in (30, 10, 20)), submit("now"))
        assert await reads.earliest() == Earliest(None, START_MS + 10)
        assert list(await reads.due(START_MS + 99, START_MS + 9, 10)) == []
        assert list(await reads.due(0, START_MS + 20, 10)) == [key("t10"), key("t20")]
        assert list(await reads.due(0, START_MS + 99, 1)) == [key("t10")]

    async def test_leases_are_due_by_one_clock_and_dates_by_the_other(self, driver: Driver) -> None:
        reads = driver.store.reads
        await driver.commit(submit("leased"), submit("dated", delay_ms=10), wants=[want()])
        assert await reads.earliest() == Earliest(START_MS + 30_000, START_MS + 10)
        assert list(await reads.due(START_MS + 30_000, START_MS, 10)) == [key("leased")]
        assert list(await reads.due(START_MS, START_MS + 30_000, 10)) == [key("dated")]
        assert list(await reads.due(START_MS + 30_000, START_MS + 30_000, 10)) == [key("leased"), key("dated")]
        assert list(await reads.due(START_MS + 30_000, START_MS + 30_000, 1)) == [key("leased")]

    async def test_a_heartbeat_does_not_move_what_the_sweeper_is_told(self, driver: Driver) -> None:
        job = (await driver.commit(submit("t1"), wants=[want()])).job()
        driver.harness.clock.ms += 5
        await driver.commit(heartbeat(job, 60_000))
        assert await driver.store.reads.earliest() == Earliest(START_MS + 30_000, None)

    async def test_leases_of_ended_or_cut_sessions_are_told(self, driver: Driver) -> None:
        reads = driver.store.reads
        await driver.commit(submit("t1"), submit("t2"), opened("s1"), wants=[want(limit=2, session="s1")])
        await driver.commit(submit("t3"), opened("x", "w2"), wants=[want("w2", session="x")])
        await driver.commit(submit("t4"), wants=[want("w3")])
        assert list(await reads.dead_leases(None, 10)) == []
        driver.harness.clock.ms += 5
        await driver.commit(opened("s2"), c.DropSession(worker("w2"), "x"), opened("any", "w3"))
        assert sorted(await reads.dead_leases(None, 10)) == [key("t1"), key("t2"), key("t3")]
        assert sorted(await reads.dead_leases([worker()], 10)) == [key("t1"), key("t2")]
        assert sorted(await reads.dead_leases([worker(), worker("w2")], 10)) == [key("t1"), key("t2"), key("t3")]
        assert len(await reads.dead_leases([worker("w2"), worker(), worker("w3")], 2)) == 2
        assert list(await reads.dead_leases([], 10)) == []
        assert len(await reads.dead_leases(None, 1)) == 1
        await driver.commit(c.Sweep(key("t1")), c.Sweep(key("t3")))
        assert list(await reads.dead_leases(None, 10)) == [key("t2")]

    async def test_leases_that_end_before_a_time_are_told_page_by_page(self, driver: Driver) -> None:
        await driver.commit(*(submit(f"t{n}") for n in range(3)), wants=[want(limit=3)])
        await driver.commit(submit("long"), wants=[want("w2", ttl_ms=90_000)])
        found: list[JobKey] = []
        after = 0
        while page := await driver.store.reads.leased(START_MS + 60_000, after, 2):
            found += [job_key for _, job_key in page]
            after = page[-1][0]
        assert found == [key("t0"), key("t1"), key("t2")]

    async def test_a_tenant_is_read_with_its_counts(self, driver: Driver) -> None:
        assert await driver.store.reads.tenant(ACME) is None
        await driver.commit(submit("t1"), submit("t2"), wants=[want()])
        tenant = await driver.store.reads.tenant(ACME)
        assert tenant is not None
        assert (tenant.waiting, tenant.leased) == (1, 1)

    async def test_lanes_with_due_jobs_are_told_each_once(self, driver: Driver) -> None:
        await driver.commit(
            *(submit(f"{w}{t}{n}", tenant=t, workflow=w) for n in range(3) for t in "ab" for w in ("x", "y")),
            submit("later", tenant="c", delay_ms=10),
        )
        expected = [Lane(TenantId(t), w) for t in "ab" for w in ("x", "y")]
        assert list(await driver.store.reads.lanes(10)) == expected
        assert list(await driver.store.reads.lanes(3)) == expected[:3]
        for place, lane in enumerate(expected):
            assert list(await driver.store.reads.lanes(2, lane)) == expected[place + 1 : place + 3]
        assert list(await driver.store.reads.lanes(9, Lane(TenantId("a"), "xx"))) == expected[1:]
        assert list(await driver.store.reads.lanes(9, Lane(TenantId("aa"), ""))) == expected[2:]

    async def test_statistics_are_counted_over_everything(self, driver: Driver) -> None:
        reads = driver.store.reads
        empty = await reads.statistics()
        assert (empty.waiting, empty.leased, empty.dead_letters, empty.oldest_queued_ms) == (0, 0, 0, None)
        await driver.commit(submit("low", priority=1), submit("b", tenant="b", workflow="x"))
        driver.harness.clock.ms += 10
        done = await driver.commit(submit("high", priority=9), submit("later", delay_ms=10), wants=[want()])
        assert done.job().thread_id == "high"
        driver.harness.clock.ms += 10
        await driver.commit(submit("higher", priority=9))
        counted = await reads.statistics()
        assert (counted.waiting, counted.leased, counted.oldest_queued_ms) == (4, 1, START_MS)
        assert (counted.due, counted.delayed) == (3, 1)

    async def test_a_read_sees_what_was_committed_before_it_at_once(self, driver: Driver) -> None:
        for number in range(20):
            await driver.commit(submit(f"t{number}"))
            job = await driver.store.reads.job(key(f"t{number}"))
            assert job is not None

    async def test_interrupts_are_listed_newest_first_by_what_they_are_of(self, driver: Driver) -> None:
        reads = driver.store.reads
        for number in range(3):
            job = (await driver.commit(submit(f"t{number}"), wants=[want()])).job()
            await driver.commit(suspend(job, question(), c.WaitSpec("time", "t", after_ms=500)))
        found = (await reads.interrupts(InterruptFilter(status="pending"), None, 9)).items
        assert [wait.thread_id for wait in found] == ["t2", "t1", "t0"]
        assert (await reads.statistics()).pending_interrupts == 3
        await driver.commit(c.Resume(found[1].wait_id, b'"yes"', "ann"), c.Reject(found[2].wait_id, "no", "bob"))

        async def threads(**where: Any) -> list[str]:
            page = await reads.interrupts(InterruptFilter(**where), None, 9)
            return [wait.thread_id for wait in page.items]

        assert await threads() == ["t2", "t1", "t0"]
        assert await threads(status="pending") == ["t2"]
        assert await threads(status="resumed") == ["t1"]
        assert await threads(status="rejected", tenant_id=ACME) == ["t0"]
        assert await threads(run_id=found[0].run_id) == ["t2"]
        assert await threads(thread_id=ThreadId("t1")) == ["t1"]
        assert await threads(workflow="other") == []
        assert await threads(tenant_id=TenantId("b")) == []
        assert (await reads.statistics()).pending_interrupts == 1

    async def test_pages_of_interrupts_show_each_once(self, driver: Driver) -> None:
        job = (await driver.commit(submit("t1"), wants=[want()])).job()
        await driver.commit(suspend(job, *(question(f"q{number}") for number in range(7))))
        for where in (InterruptFilter(), InterruptFilter(status="pending"), InterruptFilter(run_id=job.run_id)):
            pages = await _all(partial(_interrupts, driver, where))
            assert sorted(wait.key for page in pages for wait in page) == [f"q{number}" for number in range(7)]

    async def test_how_a_lease_ended_is_read_by_its_id(self, driver: Driver) -> None:
        job = (await driver.commit(submit("t1"), wants=[want()])).job()
        assert job.lease_id is not None
        assert await driver.store.reads.closed_lease(job.lease_id) is None
        await driver.commit(ack(job))
        closed = await driver.store.reads.closed_lease(job.lease_id)
        assert closed is not None
        assert (closed.lease_id, closed.job_key, closed.state) == (job.lease_id, key("t1"), "closed")

    async def test_what_a_wait_was_raised_and_settled_with_is_read_byte_by_byte(self, driver: Driver) -> None:
        reads = driver.store.reads
        job = (await driver.commit(submit("t1"), wants=[want()])).job()
        await driver.commit(suspend(job, question("a"), question("b")))
        raised = {w.key: w for w in (await reads.interrupts(InterruptFilter(), None, 9)).items}
        assert list(await reads.wait_values([raised["b"]], 1)) == [WaitValue(b'{"ask":"b"}', None)]
        await driver.commit(c.Resume(raised["a"].wait_id, b'{"n": 1.00}', "ann"))
        wait = await reads.wait(raised["a"].wait_id)
        assert wait is not None
        assert list(await reads.settled_values(key("t1"), [shown(wait)], 99)) == [b'{"n": 1.00}']


async def _all(page_at: Callable[[Place | None], Awaitable[Page[T]]]) -> list[tuple[T, ...]]:
    """Every page of a list."""
    pages: list[tuple[T, ...]] = []
    after: Place | None = None
    while True:
        page = await page_at(after)
        pages.append(page.items)
        after = page.next
        if after is None:
            return pages


async def _interrupts(driver: Driver, where: InterruptFilter, after: Place | None) -> Page[Wait]:
    """One page of three."""
    return await driver.store.reads.interrupts(where, after, 3)
