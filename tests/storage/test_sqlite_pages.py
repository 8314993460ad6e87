"""A page looks at a bounded number of rows: a rare filter gives short pages, never a long scan."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from oris.core.commands import Cancel, Resume
from oris.core.model import Lane
from oris.ids import TenantId
from oris.storage.pages import cut, place_of_wait
from oris.storage.reads.operators import AuditFilter, DeadLetterFilter, InterruptFilter, JobFilter
from oris.storage.sqlite import pages

from .driver import ACME, Driver, ack, audited, key, question, replayed, submit, suspend, want
from .sqlite_harness import SqliteHarness

pytestmark = pytest.mark.only_store("sqlite")


@pytest.fixture
async def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Driver]:
    monkeypatch.setattr(pages, "WALK_MAX_ROWS", 3)
    harness = SqliteHarness(tmp_path, inline=True)
    await harness.open()
    try:
        yield Driver(harness)
    finally:
        await harness.aclose()


@pytest.mark.parametrize("tenant_id", [None, ACME])
async def test_a_rare_status_is_found_over_several_short_pages(driver: Driver, tenant_id: TenantId | None) -> None:
    job = (await driver.commit(submit("t0"), wants=[want()])).job()
    await driver.commit(ack(job))
    await driver.commit(*(submit(f"t{n}") for n in range(1, 8)))
    seen, after = [], None
    for _ in range(3):
        page = await driver.store.reads.jobs(JobFilter(tenant_id=tenant_id, status="completed"), after, 5)
        seen.append([job.thread_id for job in page.items])
        after = page.next
    assert (seen, after) == ([[], [], ["t0"]], None)


async def test_pages_that_are_full_do_not_skip_what_the_walk_has_not_reached(driver: Driver) -> None:
    await driver.commit(*(submit(f"t{n}") for n in range(7)))
    first = await driver.store.reads.jobs(JobFilter(), None, 2)
    second = await driver.store.reads.jobs(JobFilter(), first.next, 2)
    assert [job.thread_id for job in (*first.items, *second.items)] == ["t6", "t5", "t4", "t3"]


async def test_dead_letters_of_a_tenant_and_a_rare_workflow_are_found(driver: Driver) -> None:
    for number in range(5):
        job = (await driver.commit(submit(f"t{number}"), wants=[want()])).job()
        await driver.commit(ack(job, "failed"))
    where = DeadLetterFilter(tenant_id=ACME, workflow="rare")
    first = await driver.store.reads.dead_letters(where, None, 5)
    second = await driver.store.reads.dead_letters(where, first.next, 5)
    assert first.items == second.items == ()
    assert first.next is not None
    assert second.next is None


async def test_a_rare_actor_is_found_over_several_short_pages(driver: Driver) -> None:
    await driver.commit(audit=[audited(actor_id="rare"), *(audited() for _ in range(6))])
    seen, after = [], None
    for _ in range(3):
        page = await driver.store.reads.audit(AuditFilter(actor_id="rare"), after, 5)
        seen.append([record.seq for record in page.items])
        after = page.next
    assert (seen, after) == ([[], [], [1]], None)


@pytest.mark.parametrize("workflow", [None, "default"])
@pytest.mark.parametrize("tenant_id", [None, ACME])
async def test_a_dead_letter_that_was_replayed_long_ago_is_found_over_several_short_pages(
    driver: Driver, tenant_id: TenantId | None, workflow: str | None
) -> None:
    for number in range(5):
        job = (await driver.commit(submit(f"t{number}"), wants=[want()])).job()
        await driver.commit(ack(job, "failed"))
        if number == 0:
            await driver.commit(replayed("t0"))
            await driver.commit(Cancel(key("t0"), None))
    for status, threads in (("replayed", ["t0"]), ("pending", ["t4", "t3", "t2", "t1"])):
        where = DeadLetterFilter(tenant_id, workflow, status)  # type: ignore[arg-type]
        first = await driver.store.reads.dead_letters(where, None, 5)
        second = await driver.store.reads.dead_letters(where, first.next, 5)
        assert first.next is not None
        assert [letter.thread_id for letter in (*first.items, *second.items)] == threads


async def test_a_walk_for_one_tenant_ends_at_rows_of_that_tenant(driver: Driver) -> None:
    other = TenantId("other")
    for number in range(9):
        tenant = ACME if number % 2 else other
        job = (
            await driver.commit(submit(f"t{number}", tenant=tenant), wants=[want()], lanes=[Lane(tenant, "default")])
        ).job()
        if number < 4:
            await driver.commit(ack(job, "failed"), audit=[audited(tenant=tenant)])
        else:
            await driver.commit(suspend(job, question("a")), audit=[audited(tenant=tenant)])
    reads = driver.store.reads
    ids: set[str] = {key(f"t{number}", ACME) for number in range(9)}
    ids |= {record.audit_id for record in (await reads.audit(AuditFilter(ACME), None, 9)).items}
    jobs = await reads.jobs(JobFilter(ACME, workflow="none"), None, 5)
    audit = await reads.audit(AuditFilter(ACME, action="none"), None, 5)
    assert (jobs.items, audit.items) == ((), ())
    assert jobs.next is not None
    assert audit.next is not None
    assert {jobs.next.id, audit.next.id} <= ids
    interrupts = await reads.interrupts(InterruptFilter(ACME, workflow="none"), None, 5)
    assert (interrupts.items, interrupts.next) == ((), None), "there are fewer of the tenant's than one walk looks at"


async def test_a_page_that_is_cut_goes_on_behind_its_last_item(driver: Driver) -> None:
    await driver.commit(*(submit(f"t{n}") for n in range(3)))
    job = (await driver.commit(wants=[want()])).job()
    await driver.commit(suspend(job, question("a"), question("b"), question("c")))
    reads, where = driver.store.reads, InterruptFilter(status="pending")
    shown = cut(await reads.interrupts(where, None, 5), 1, place_of_wait)
    await driver.commit(Resume(shown.items[0].wait_id, b"1", "ann"))
    following = await reads.interrupts(where, shown.next, 5)
    assert [wait.key for wait in (*shown.items, *following.items)] == ["c", "b", "a"]
