"""What every store has to load, hand out and count for replays."""

from __future__ import annotations

import pytest

from oris.core import commands as c
from oris.core.model import Job
from oris.core.needs import Needs
from oris.core.replies import Refusal, Replayed
from oris.ids import RunId, TenantId, checkpoint_id
from oris.storage.reads.operators import DeadLetterFilter

from .driver import TRACE, Driver, Harness, ack, key, replayed, report, submit, want


async def ended(driver: Driver, status: str = "completed", thread: str = "t1") -> Job:
    """A run of three steps, a checkpoint with the second one."""
    job = (await driver.commit(submit(thread), wants=[want()])).job()
    first, second = report(job, "a", b"1"), report(job, "b", b"22", checkpoint=b'{"at":2}')
    await driver.commit(first, second, report(job, "c", b"333"), ack(job, status, retryable=False))
    found = await driver.store.reads.run(job.run_id)
    assert found is not None
    return found


async def again(driver: Driver, checkpoint: str | None = None) -> tuple[Job, list[tuple[str, bytes | None]]]:
    """A replay that is granted at once, and the steps it is handed."""
    done = await driver.commit(replayed("t1", checkpoint), wants=[want()])
    assert isinstance(done.replies[0], Replayed)
    job = done.job()
    handed = done.handed[job.run_id]
    assert (handed.input, handed.checkpoint) == (b'{"n": 1}', b'{"at":2}')
    return job, [(step.action_id, step.body) for step in handed.steps]


PAGE = 2**20
"""Bytes of a page: all there is."""


class ReplaysConformance:
    """Replays, by reference."""

    @pytest.fixture
    def driver(self, harness: Harness) -> Driver:
        return Driver(harness)

    async def test_a_replay_is_handed_its_sources_input_checkpoint_and_steps(self, driver: Driver) -> None:
        await ended(driver)
        job, steps = await again(driver)
        assert steps == [("a", b"1"), ("b", b"22"), ("c", b"333")]
        await driver.commit(report(job, "d", b"4"))
        done = (await driver.store.reads.steps(job.run_id, 0, 10, PAGE)).items
        assert [step.action_id for step in done] == ["a", "b", "c", "d"]
        for limit in (1, 2, 3):
            seen: list[str] = []
            after = 0
            while page := (await driver.store.reads.steps(job.run_id, after, limit, PAGE)).items:
                assert len(page) <= limit
                seen += [step.action_id for step in page]
                after = page[-1].seq
            assert seen == ["a", "b", "c", "d"]
        rows = await driver.verify()
        assert rows.claims[job.replay_target or ""].run_id == job.run_id
        assert len([1 for _, seq in rows.payloads if seq == job.input_seq]) == 1

    async def test_a_replay_of_a_checkpoint_is_handed_the_steps_up_to_it(self, driver: Driver) -> None:
        source = await ended(driver)
        await driver.commit(submit("t1"), c.Cancel(key("t1"), None))
        job, steps = await again(driver, checkpoint_id(source.run_id, source.checkpoint_seq))
        assert steps == [("a", b"1"), ("b", b"22")]
        assert job.handout_bytes == len(b'{"n": 1}') + len(b'{"at":2}') + 3
        assert [s.action_id for s in (await driver.store.reads.steps(job.run_id, 0, 10, PAGE)).items] == ["a", "b"]
        await driver.verify()

    async def test_a_replay_of_replays_that_failed_is_handed_what_each_of_them_did(self, driver: Driver) -> None:
        source = await ended(driver)
        checkpoint = checkpoint_id(source.run_id, source.checkpoint_seq)
        expected = [("a", b"1"), ("b", b"22")]
        for action in ("x", "y", "z"):
            job, steps = await again(driver, checkpoint)
            assert steps == expected
            refused = await driver.commit(report(job, expected[-1][0], b"9"))
            assert isinstance(refused.replies[0], Refusal)
            output = b'"%b"' % action.encode()
            await driver.commit(report(job, action, output), ack(job, "failed", retryable=False))
            expected.append((action, output))
        await driver.verify()

    async def test_what_a_replay_asks_for_is_loaded_and_nothing_else(self, driver: Driver) -> None:
        source = await ended(driver, "failed")
        other = await ended(driver, "failed", "t2")
        job, _ = await again(driver)
        loaded = await driver.load(Needs(jobs={key("t1")}, replays={(key("t1"), source.run_id, 0)}))
        assert loaded.past_runs == {source.run_id: source}
        assert set(loaded.claims) == {job.replay_target}
        assert set(loaded.dead_letters) == {source.run_id}
        assert set(loaded.checkpoints) == {(key("t1"), source.checkpoint_seq)}
        named = (key("t1"), source.run_id, source.checkpoint_seq)
        (saved,) = (await driver.load(Needs(jobs={key("t1")}, replays={named}))).checkpoints.values()
        assert (saved.run_id, saved.size_bytes, saved.handout_bytes) == (source.run_id, 8, 8 + 8 + 3)
        for run_id, seq in ((other.run_id, other.checkpoint_seq + 1000), (RunId("run_" + "0" * 32), 0)):
            nothing = await driver.load(Needs(jobs={key("t1")}, replays={(key("t1"), run_id, seq)}))
            assert nothing.checkpoints == {}
        assert (await driver.load(Needs(replays={(key("none"), "", 0)}))).claims == {}

    async def test_dead_letters_are_counted_and_listed_by_what_was_done_about_them(self, driver: Driver) -> None:
        first, second = await ended(driver, "failed"), await ended(driver, "failed", "t2")
        reads = driver.store.reads
        assert (await reads.statistics()).dead_letters == 2
        await driver.commit(c.ReplayDeadLetter(key("t1"), first.run_id, TRACE))
        assert (await reads.statistics()).dead_letters == 1
        for tenant in (None, TenantId("acme")):
            for workflow in (None, "default"):
                for status, expected in (("pending", second), ("replayed", first)):
                    where = DeadLetterFilter(tenant, workflow, status)  # type: ignore[arg-type]
                    page = await reads.dead_letters(where, None, 10)
                    assert [letter.run_id for letter in page.items] == [expected.run_id]
        letter = await reads.dead_letter(first.run_id)
        assert letter is not None
        assert (letter.replay_status, letter.replay_count) == ("replayed", 1)
        await driver.commit(c.Cancel(key("t1"), None))
        await driver.commit(c.ReplayDeadLetter(key("t1"), first.run_id, TRACE))
        assert (await reads.statistics()).dead_letters == 1
        await driver.verify()

    async def test_a_guard_outlives_a_crash(self, driver: Driver) -> None:
        await ended(driver)
        job, _ = await again(driver)
        await driver.harness.crash()
        (refused,) = (await driver.commit(replayed("t1"))).replies
        assert isinstance(refused, Refusal)
        await driver.commit(ack(job))
        await driver.harness.crash()
        (answer,) = (await driver.commit(replayed("t1"))).replies
        assert isinstance(answer, Replayed)
        assert (answer.replay, answer.run_id) == (True, job.run_id)
        await driver.verify()
