"""What every store has to do, written against the `Store` protocol. A backend subclasses these and brings `harness`."""

from __future__ import annotations

import pytest
import trio
from msgspec.structs import replace

from oris.core import commands as c
from oris.core.changes import Changes
from oris.core.commands import SetMode
from oris.core.decide import decide
from oris.core.facts import Facts
from oris.core.limits import Limits
from oris.core.mode import CLUSTER
from oris.core.model import Lane, RetryPolicy
from oris.core.needs import Loaded, Needs
from oris.core.replies import Submitted
from oris.core.stamp import Stamp
from oris.ids import RunId, TenantId, ThreadId, run_id
from oris.storage.store import Work

from .driver import (
    ACME,
    START_MS,
    Driver,
    Harness,
    ack,
    audited,
    heartbeat,
    key,
    nothing,
    opened,
    question,
    report,
    submit,
    suspend,
    want,
    worker,
)

LANE = Lane(ACME, "default")


class Planted(Exception):
    """A failure of the work itself."""


class StoreConformance:
    """Transactions: what is loaded, what is written, and that it is all or nothing."""

    @pytest.fixture
    def driver(self, harness: Harness) -> Driver:
        return Driver(harness)

    async def test_a_submitted_job_is_loaded_by_its_key_and_by_its_run(self, driver: Driver) -> None:
        await driver.commit(submit("t1", metadata=b'{"a":"b"}', retry_policy=RetryPolicy("fixed", 10, 3)))
        by_key = (await driver.load(Needs(jobs={key("t1")}))).jobs[key("t1")]
        by_run = (await driver.load(Needs(runs={by_key.run_id}))).jobs
        assert by_run == {key("t1"): by_key}
        assert (by_key.status, by_key.seq, by_key.metadata) == ("queued", 2, b'{"a":"b"}')
        rows = await driver.verify()
        assert rows.jobs[key("t1")] == by_key

    async def test_what_does_not_exist_is_missing_from_the_facts(self, driver: Driver) -> None:
        needs = Needs(
            jobs={key("none")},
            runs={run_id(1)},
            steps={(run_id(1), "a")},
            workers={worker()},
            tenants={ACME},
            polls={(worker(), "p")},
            heads={LANE: 3},
        )
        loaded = await driver.load(needs)
        assert (loaded.jobs, loaded.steps, loaded.workers, loaded.tenants, loaded.polls) == ({}, {}, {}, {}, {})
        assert (loaded.heads[LANE].jobs, loaded.heads[LANE].complete) == ((), True)

    async def test_a_job_that_is_found_brings_its_worker_and_its_tenant(self, driver: Driver) -> None:
        await driver.commit(submit("t1"), wants=[want()])
        loaded = await driver.load(Needs(jobs={key("t1")}))
        assert loaded.workers[worker()].leased == 1
        assert (loaded.tenants[ACME].waiting, loaded.tenants[ACME].leased) == (0, 1)
        assert (await driver.load(Needs(workers={worker()}))).workers == loaded.workers
        assert (await driver.load(Needs(tenants={ACME}))).tenants == loaded.tenants

    async def test_a_lane_brings_its_tenant(self, driver: Driver) -> None:
        await driver.commit(submit("t1"))
        assert (await driver.load(Needs(heads={LANE: 1}))).tenants[ACME].waiting == 1
        await driver.commit(wants=[want()])
        assert (await driver.load(Needs(heads={LANE: 1}))).tenants[ACME].leased == 1, "though nothing is due in it"

    async def test_a_run_that_was_replaced_is_no_job_any_more(self, driver: Driver) -> None:
        first = (await driver.commit(submit("t1"), wants=[want()])).job()
        await driver.commit(ack(first))
        await driver.commit(submit("t1"))
        assert (await driver.load(Needs(runs={first.run_id}))).jobs == {}
        rows = await driver.verify()
        assert rows.past_runs[first.run_id].status == "completed"

    async def test_heads_come_in_dispatch_order_and_say_whether_they_are_all(self, driver: Driver) -> None:
        for number, priority in enumerate((0, 5, 0, 9)):
            driver.harness.clock.ms += 1
            await driver.commit(submit(f"t{number}", priority=priority))
        heads = (await driver.load(Needs(heads={LANE: 3}))).heads[LANE]
        assert [job.thread_id for job in heads.jobs] == ["t3", "t1", "t0"]
        assert not heads.complete
        heads = (await driver.load(Needs(heads={LANE: 4}))).heads[LANE]
        assert [job.thread_id for job in heads.jobs] == ["t3", "t1", "t0", "t2"]
        assert heads.complete

    async def test_a_lane_holds_only_its_own_due_jobs(self, driver: Driver) -> None:
        await driver.commit(
            submit("due"), submit("later", delay_ms=60_000), submit("x", workflow="other"), submit("y", tenant="b")
        )
        heads = (await driver.load(Needs(heads={LANE: 9, Lane(TenantId("b"), "default"): 9}))).heads
        assert [job.thread_id for job in heads[LANE].jobs] == ["due"]
        assert [job.thread_id for job in heads[Lane(TenantId("b"), "default")].jobs] == ["y"]

    async def test_the_leases_of_a_poll_are_found_again_until_they_end(self, driver: Driver) -> None:
        done = await driver.commit(submit("t1"), submit("t2"), wants=[want(limit=2, poll_id="p1")])
        jobs = done.granted[0].jobs
        found = (await driver.load(Needs(polls={(worker(), "p1"), (worker(), "p2"), (worker("w2"), "p1")}))).polls
        assert {poll: sorted(j.thread_id for j in rows) for poll, rows in found.items()} == {
            (worker(), "p1"): ["t1", "t2"]
        }
        await driver.commit(ack(jobs[0]))
        found = (await driver.load(Needs(polls={(worker(), "p1")}))).polls
        assert [job.thread_id for job in found[(worker(), "p1")]] == [jobs[1].thread_id]

    async def test_a_bound_key_is_found_whatever_it_contains(self, driver: Driver) -> None:
        for number, text in enumerate(("plain", "a/b", "'; --", "ключ", "🔑", " ", "k" * 256)):
            reply = (await driver.commit(submit(f"t{number}", idempotency_key=text))).replies[0]
            again = (await driver.commit(submit(f"t{number}", idempotency_key=text))).replies[0]
            assert isinstance(reply, Submitted)
            assert isinstance(again, Submitted)
            assert (again.run_id, again.replay) == (reply.run_id, True)
        await driver.verify()

    async def test_steps_are_loaded_with_all_their_reports(self, driver: Driver) -> None:
        job = (await driver.commit(submit("t1"), wants=[want()])).job()
        begun = replace(report(job, "b"), status="started", token="t-begun")
        await driver.commit(report(job, "a"), begun, report(job, "b", checkpoint=b"{}"))
        steps = (await driver.load(Needs(steps={(job.run_id, "b"), (job.run_id, "c")}))).steps
        assert list(steps) == [(job.run_id, "b")]
        reports = sorted(steps[job.run_id, "b"], key=lambda step: step.seq)
        assert [(step.status, step.dedupe_token, step.latest, step.checkpoint_seq) for step in reports] == [
            ("started", "t-begun", False, 0),
            ("succeeded", "t-b", True, 7),
        ]

    async def test_a_closed_lease_keeps_its_answer(self, driver: Driver) -> None:
        job = (await driver.commit(submit("t1"), wants=[want()])).job()
        first = (await driver.commit(ack(job))).replies
        await driver.commit(submit("t1"))
        assert (await driver.commit(ack(job))).replies == first
        await driver.verify()

    async def test_a_heartbeat_moves_the_lease_and_nothing_else(self, driver: Driver) -> None:
        job = (await driver.commit(submit("t1"), wants=[want()])).job()
        before = await driver.verify()
        driver.harness.clock.ms += 5_000
        await driver.commit(heartbeat(job))
        after = await driver.verify()
        assert after.jobs[key("t1")].lease_expires_ms == START_MS + 35_000
        assert after.entries == before.entries

    async def test_a_grant_hands_out_input_checkpoint_and_latest_steps(self, driver: Driver) -> None:
        first = (await driver.commit(submit("t1", input=b'{"big":  1.0}'), wants=[want(ttl_ms=1_000)])).job()
        await driver.commit(report(first, "a", b"1"), report(first, "b", None, checkpoint=b'{"at": 1}'))
        await driver.commit(report(first, "c", b"3", checkpoint=b'{"at":2}'))
        driver.harness.clock.ms += 1_000
        done = await driver.commit(heartbeat(first), wants=[want("w2")])
        handed = done.handed[first.run_id]
        assert (handed.input, handed.checkpoint) == (b'{"big":  1.0}', b'{"at":2}')
        assert [(s.action_id, s.status, s.body) for s in handed.steps] == [
            ("a", "succeeded", b"1"),
            ("b", "succeeded", None),
            ("c", "succeeded", b"3"),
        ]
        assert not handed.steps_truncated

    async def test_a_submit_and_its_grant_in_one_batch_hand_out_what_was_just_written(self, driver: Driver) -> None:
        done = await driver.commit(submit("t1", input=b"42"), submit("t2", input=None), wants=[want(limit=2)])
        assert sorted(str(handed.input) for handed in done.handed.values()) == ["None", "b'42'"]

    async def test_too_many_bytes_of_steps_are_cut_off_and_that_is_told(self, driver: Driver) -> None:
        job = (await driver.commit(submit("t1"), wants=[want(poll_id="p")])).job()
        body = b'"' + b"x" * 900_000 + b'"'
        await driver.commit(*(report(job, f"s{n}", body) for n in range(4)))
        handed = (await driver.commit(wants=[want(poll_id="p")])).handed[job.run_id]
        assert [step.action_id for step in handed.steps] == ["s0", "s1"]
        assert handed.steps_truncated
        rest = await driver.store.reads.steps(job.run_id, handed.steps[-1].seq, 10, 2_000_000)
        assert [step.action_id for step in rest.items] == ["s2", "s3"]

    async def test_a_thousand_steps_are_handed_out_and_no_more(self, driver: Driver) -> None:
        job = (await driver.commit(submit("t1"), wants=[want(poll_id="p")])).job()
        await driver.commit(*(report(job, f"s{n}", None) for n in range(1000)))
        handed = (await driver.commit(wants=[want(poll_id="p")])).handed[job.run_id]
        assert (len(handed.steps), handed.steps_truncated) == (1000, False)
        await driver.commit(report(job, "one-more", None))
        handed = (await driver.commit(wants=[want(poll_id="p")])).handed[job.run_id]
        assert (len(handed.steps), handed.steps_truncated) == (1000, True)

    async def test_an_empty_batch_writes_nothing_but_hands_out(self, driver: Driver) -> None:
        job = (await driver.commit(submit("t1"), wants=[want(poll_id="p")])).job()
        before = await driver.harness.snapshot()
        driver.harness.clock.ms += 7
        done = await driver.commit(wants=[want(poll_id="p")])
        assert [j.run_id for j in done.granted[0].redelivered] == [job.run_id]
        assert done.handed[job.run_id].input == b'{"n": 1}'
        assert await driver.harness.snapshot() == before
        assert await driver.store.high_water_ms() == START_MS

    async def test_work_that_raises_leaves_nothing_and_is_told_as_it_is(self, driver: Driver) -> None:
        await driver.commit(submit("t1"))
        before = await driver.harness.snapshot()

        def work(loaded: Loaded, now_ms: int) -> Changes:
            raise Planted

        with pytest.raises(Planted):
            await driver.store.transact(Needs(), work, "bad")
        assert await driver.harness.snapshot() == before
        await driver.commit(submit("t2"))
        await driver.verify()

    async def test_waits_are_loaded_by_their_run_their_key_and_their_name(self, driver: Driver) -> None:
        job = (await driver.commit(submit("t1"), wants=[want()])).job()
        await driver.commit(suspend(job, question("a"), question("b"), c.WaitSpec("time", "t", after_ms=500)))
        loaded = await driver.load(Needs(jobs={key("t1")}))
        waits = {wait.key: wait for wait in loaded.waits.values()}
        assert {k: w.status for k, w in waits.items()} == {"a": "pending", "b": "pending", "t": "pending"}
        await driver.commit(c.Resume(waits["a"].wait_id, b'"yes"', "ann"))
        named = await driver.load(Needs(waits={waits["a"].wait_id}))
        assert [wait.status for wait in named.waits.values()] == ["resumed"]
        asked = await driver.load(Needs(jobs={key("t1")}, questions={(key("t1"), "a"), (key("t1"), "c")}))
        assert {wait.key for wait in asked.waits.values()} == {"a", "b", "t"}
        rows = await driver.verify()
        assert rows.jobs[key("t1")].waits_open == 2

    async def test_a_run_that_goes_on_is_handed_what_its_waits_were_settled_with(self, driver: Driver) -> None:
        job = (await driver.commit(submit("t1"), wants=[want()])).job()
        expiring = question("b", after_ms=500, on_expire="resume", expire_value=b'"nobody"')
        await driver.commit(suspend(job, question("a"), expiring))
        waits = (await driver.load(Needs(jobs={key("t1")}))).waits
        await driver.commit(c.Resume(next(w.wait_id for w in waits.values() if w.key == "a"), b'{"n":12.50}', "ann"))
        driver.harness.clock.ms += 500
        done = await driver.commit(c.Sweep(key("t1")), wants=[want()])
        resumes = done.handed[done.job().run_id].resumes
        told = [(resume.key, resume.status, resume.value) for resume in resumes]
        assert told == [("a", "resumed", b'{"n":12.50}'), ("b", "expired", b'"nobody"')]
        await driver.verify()

    async def test_waits_outlive_a_crash(self, driver: Driver) -> None:
        job = (await driver.commit(submit("t1"), wants=[want()])).job()
        await driver.commit(suspend(job, question()))
        before = (await driver.verify()).waits
        await driver.harness.crash()
        assert (await driver.verify()).waits == before
        assert len(before) == 1

    async def test_the_high_water_mark_rises_with_batches_and_outlives_them(self, driver: Driver) -> None:
        assert await driver.store.high_water_ms() == 0
        driver.harness.clock.ms += 100
        await driver.commit(submit("t1"))
        driver.harness.clock.ms -= 50
        await driver.commit(submit("t2"))
        assert await driver.store.high_water_ms() == START_MS + 100
        await driver.harness.reopen("node-2")
        assert await driver.store.high_water_ms() == START_MS + 100

    async def test_until_when_commits_were_calm_outlives_them(self, driver: Driver) -> None:
        assert await driver.store.calm_ms() == 0
        await driver.commit(submit("t1"), calm_ms=0)
        assert await driver.store.calm_ms() == 0
        driver.harness.clock.ms += 100
        await driver.commit(submit("t2"))
        driver.harness.clock.ms += 100
        await driver.commit(submit("t3"), calm_ms=0)
        assert await driver.store.calm_ms() == START_MS + 100
        await driver.harness.reopen("node-2")
        await driver.commit(submit("t4"), calm_ms=0)
        assert await driver.store.calm_ms() == START_MS + 100

    async def test_a_worker_keeps_its_session_and_what_it_replaced(self, driver: Driver) -> None:
        job = (await driver.commit(submit("t1"), opened("s1"), wants=[want(session="s1")])).job()
        assert (job.lease_session, job.lease_ttl_ms) == ("s1", 30_000)
        assert (await driver.load(Needs(workers={worker()}))).workers[worker()].granted_ms == START_MS
        driver.harness.clock.ms += 7
        await driver.commit(opened("s2"))
        needs = Needs(workers={worker()}, ended_sessions={(worker(), "s1"), (worker(), "s2"), (worker("w2"), "s1")})
        loaded = await driver.load(needs)
        assert loaded.ended_sessions == {(worker(), "s1")}
        row = loaded.workers[worker()]
        assert (row.session, row.session_ms, row.granted_ms) == ("s2", START_MS + 7, 0)
        assert (row.incidents, row.incident_ms, row.quarantined_until_ms) == (1, START_MS + 7, 0)

    async def test_threads_that_a_poll_names_are_loaded_of_every_tenant(self, driver: Driver) -> None:
        await driver.commit(submit("t1"), submit("t1", tenant="beta"), submit("t2"))
        loaded = await driver.load(Needs(threads={ThreadId("t1"), ThreadId("nobody")}))
        assert set(loaded.jobs) == {key("t1"), key("t1", "beta")}
        chosen = await driver.commit(wants=[want(limit=5, threads=frozenset({ThreadId("t2")}))])
        assert chosen.job().thread_id == "t2"
        assert set((await driver.load(Needs(threads={ThreadId("t2")}))).jobs) == set(), "it is with a worker"

    async def test_time_is_read_once_the_batch_has_the_database_to_itself(self, driver: Driver) -> None:
        times: list[int] = []

        def work(loaded: Loaded, now_ms: int) -> Changes:
            times.append(now_ms)
            return nothing()

        await driver.store.transact(Needs(), work, "b")
        assert times == [START_MS]

    async def test_everything_is_there_after_closing_and_opening_again(self, driver: Driver) -> None:
        await _a_bit_of_everything(driver)
        before = await driver.harness.snapshot()
        await driver.harness.reopen()
        assert await driver.verify() == before
        await driver.commit(submit("after"), wants=[want()])
        await driver.verify()

    async def test_everything_that_was_committed_is_there_after_a_crash(self, driver: Driver) -> None:
        await _a_bit_of_everything(driver)
        before = await driver.harness.snapshot()
        await driver.harness.crash()
        assert await driver.verify() == before
        await driver.commit(submit("after"), wants=[want()])
        await driver.verify()

    async def test_a_shielded_caller_that_is_cancelled_gets_the_whole_batch(self, driver: Driver) -> None:
        done: list[RunId] = []
        with trio.CancelScope() as scope:
            scope.cancel()
            with trio.CancelScope(shield=True):
                reply = (await driver.commit(submit("t1"))).replies[0]
            assert isinstance(reply, Submitted)
            done.append(reply.run_id)
        rows = await driver.verify()
        assert [rows.jobs[key("t1")].run_id] == done

    async def test_a_caller_cancelled_before_the_batch_began_writes_nothing(self, driver: Driver) -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            await driver.commit(submit("t1"))
        assert scope.cancelled_caught
        assert (await driver.verify()).jobs == {}
        await driver.commit(submit("t1"))

    async def test_a_caller_cancelled_inside_the_batch_has_it_whole(self, driver: Driver) -> None:
        scope = trio.CancelScope()
        token = trio.lowlevel.current_trio_token()

        def work_cut(work: Work) -> Work:
            def cut(loaded: Loaded, now_ms: int) -> Changes:
                try:
                    token.run_sync_soon(scope.cancel)
                finally:
                    changes = work(loaded, now_ms)
                return changes

            return cut

        with scope:
            await driver.store.transact(Needs(), work_cut(_submitting("t1")), "cut")
        assert key("t1") in (await driver.verify()).jobs

    async def test_batches_that_come_at_once_go_one_after_the_other(self, driver: Driver) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(driver.commit, submit(f"t{number}"))
        rows = await driver.verify()
        assert len(rows.jobs) == 20
        assert rows.tenants[ACME].waiting == 20


def _submitting(thread: str) -> Work:
    """Work that submits one thread, of a tenant that is new."""

    def work(loaded: Loaded, now_ms: int) -> Changes:
        facts = Facts(loaded, Limits())
        facts.apply(decide(facts, submit(thread), Stamp(now_ms, 1 << 80)), now_ms)
        return facts.changes

    return work


async def _a_bit_of_everything(driver: Driver) -> None:
    done = await driver.commit(submit("t1"), submit("t2"), submit("t3", delay_ms=500), wants=[want(limit=2)])
    first, second = done.granted[0].jobs
    await driver.commit(report(first, "a", checkpoint=b"{}"), audit=[audited()])
    await driver.commit(ack(first), ack(second, "failed"))
    await driver.commit(submit("t1", idempotency_key="k"), wants=[want("w2")])
    await driver.commit(SetMode(CLUSTER, submit=True, dispatch=True, reason=None, by="ops"))
