"""What a store hands out with a grant of what a run has waited for: the newest, in bounded number and size."""

from __future__ import annotations

from collections.abc import Sequence

from oris.core import commands as c
from oris.core.changes import Handed
from oris.core.model import Job, Wait
from oris.core.replies import Suspended
from oris.core.wait_values import WaitValue
from oris.storage.reads.operators import InterruptFilter

from .driver import Driver, key, question, report, submit, suspend, want

MIB = 1024 * 1024


def timers(number: int, count: int = 100) -> list[c.WaitSpec]:
    """Waits that a millisecond settles."""
    return [c.WaitSpec("time", f"k{number}-{each}", after_ms=1) for each in range(count)]


def text(size: int) -> bytes:
    """A JSON value of so many bytes."""
    return b'"%s"' % (b"x" * (size - 2))


async def granted(driver: Driver) -> tuple[Job, Handed]:
    """The thread's next attempt and what it is handed."""
    done = await driver.commit(wants=[want()])
    job = done.job()
    return job, done.handed[job.run_id]


async def answered(driver: Driver, job: Job, values: dict[str, bytes]) -> tuple[Job, Handed]:
    """The attempt asks, people answer in this order, and the next attempt has it."""
    await driver.commit(suspend(job, *map(question, sorted(values))))
    waits = {wait.key: wait for wait in await raised(driver)}
    for name, value in values.items():
        driver.harness.clock.ms += 1
        await driver.commit(c.Resume(waits[name].wait_id, value, "ann"))
    return await granted(driver)


async def raised(driver: Driver) -> Sequence[Wait]:
    """All questions."""
    return (await driver.store.reads.interrupts(InterruptFilter(), None, 200)).items


def keys(handed: Handed) -> list[str]:
    return [resume.key for resume in handed.resumes]


class HandoutsConformance:
    """The rules, one test each. `driver` comes from the backend's fixture."""

    async def test_the_newest_thousand_settled_waits_are_handed_out_and_that_there_are_older_ones_is_told(
        self, driver: Driver
    ) -> None:
        job = (await driver.commit(submit("t1"), wants=[want()])).job()
        for number in range(12):
            await driver.commit(suspend(job, *timers(number)))
            driver.harness.clock.ms += 1
            await driver.commit(c.Sweep(key("t1")))
            job, handed = await granted(driver)
            assert (len(handed.resumes), handed.resumes_truncated) == (min(100 * number + 100, 1000), number > 9)
        _, handed = await answered(driver, job, {"approve": b'"YES"'})
        assert (len(handed.resumes), handed.resumes_truncated) == (1000, True)
        assert (handed.resumes[-1].key, handed.resumes[-1].value) == ("approve", b'"YES"')
        assert keys(handed)[:2] == ["k2-1", "k2-2"]
        await driver.verify()

    async def test_what_the_last_suspension_waited_for_goes_before_what_was_settled_earlier(
        self, driver: Driver
    ) -> None:
        job = (await driver.commit(submit("t1", input=None), wants=[want()])).job()
        job, _ = await answered(driver, job, {"old": text(MIB)})
        # The one that was raised first is answered last.
        _, handed = await answered(driver, job, {"z": text(MIB), "m": text(MIB), "a": text(MIB)})
        assert (keys(handed), handed.resumes_truncated) == (["a", "m", "z"], True)
        await driver.verify()

    async def test_the_wait_that_was_settled_last_is_handed_out_whatever_its_size(self, driver: Driver) -> None:
        job = (await driver.commit(submit("t1", input=text(MIB)), wants=[want()])).job()
        await driver.commit(report(job, "s", b"1", checkpoint=text(3 * MIB)))
        job, handed = await answered(driver, job, {"b": b"2", "a": text(MIB)})
        assert (keys(handed), handed.resumes_truncated) == (["a"], True)
        assert [step.action_id for step in handed.steps] == ["s"]

    async def test_steps_have_the_room_that_waits_leave(self, driver: Driver) -> None:
        job = (await driver.commit(submit("t1", input=None), wants=[want()])).job()
        await driver.commit(*(report(job, f"s{number}", text(MIB // 2)) for number in range(4)))
        job, handed = await answered(driver, job, {"a": text(MIB), "b": text(MIB), "c": text(MIB)})
        assert (keys(handed), handed.resumes_truncated) == (["a", "b", "c"], False)
        assert ([step.action_id for step in handed.steps], handed.steps_truncated) == (["s0"], True)

    async def test_an_older_value_is_had_by_raising_its_key_again(self, driver: Driver) -> None:
        job = (await driver.commit(submit("t1", input=None), wants=[want()])).job()
        job, _ = await answered(driver, job, {"old": b'"kept"'})
        big = {name: text(MIB + 1) for name in "abcd"}
        job, handed = await answered(driver, job, big)
        assert "old" not in keys(handed)
        reply = (await driver.commit(suspend(job, question("old"), question("a"), question("b")))).replies[0]
        assert isinstance(reply, Suspended)
        for max_bytes, given in ((2 * MIB + 8, [b'"kept"', big["a"], big["b"]]), (MIB, [b'"kept"']), (1, [b'"kept"'])):
            assert list(await driver.store.reads.settled_values(key("t1"), reply.waits, max_bytes)) == given

    async def test_suspensions_are_read_for_values_on_expiry_up_to_a_size(self, driver: Driver) -> None:
        job = (await driver.commit(submit("t1", input=None), wants=[want()])).job()
        for number in range(6):
            spec = c.WaitSpec("interrupt", f"q{number}", after_ms=1, value=text(3 * MIB), on_expire="resume")
            await driver.commit(suspend(job, spec))
            driver.harness.clock.ms += 1
            await driver.commit(c.Sweep(key("t1")))
            job, handed = await granted(driver)
            counted = (len(handed.resumes), handed.resumes_truncated)
            assert counted == ((number + 1, False) if number < 5 else (5, True))

    async def test_values_of_waits_are_read_until_they_fill_their_room_one_at_least(self, driver: Driver) -> None:
        job = (await driver.commit(submit("t1"), wants=[want()])).job()
        other = (await driver.commit(submit("t2"), wants=[want()])).job()
        await driver.commit(suspend(job, question("a"), question("b")), suspend(other, question("c")))
        waits = await raised(driver)
        assert [wait.key for wait in waits] == ["c", "b", "a"]
        await driver.commit(c.Resume(waits[0].wait_id, b'{"n": 1.00}', "ann"))
        waits, reads = await raised(driver), driver.store.reads
        said = [
            WaitValue(b'{"ask":"c"}', b'{"n": 1.00}'),
            *(WaitValue(b'{"ask":"%s"}' % n, None) for n in (b"b", b"a")),
        ]
        for max_bytes, given in ((44, 3), (43, 2), (33, 2), (32, 1), (1, 1)):
            assert list(await reads.wait_values(waits, max_bytes)) == said[:given]
        assert list(await reads.wait_values([], 1)) == []
