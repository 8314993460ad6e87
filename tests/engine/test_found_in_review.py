"""Faults that a review of the engine found, each by the story that showed it."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from oris.core import dispatch as dispatching
from oris.core.commands import Ack
from oris.core.replies import Acked
from oris.engine.control import Control, Holder, Mailboxes
from oris.engine.engine import EngineSettings
from oris.engine.unit import Unit
from oris.errors import Unavailable
from oris.ids import AttemptId, LeaseId, WorkerKey, attempt_of, lease_id

from ..stores import new_database
from .harness import granted, lease_of, running, submits, want


async def test_a_lane_that_was_read_in_part_does_not_hold_a_poll_back(autojump_clock: MockClock) -> None:
    """610 of tenant A, 700 of B, seven polls of a hundred: more than are read of one lane at once."""
    decisions: list[str] = []
    async with running(check=False) as world, trio.open_nursery() as nursery:
        await world.engine.ask(submits(*(f"a{n}" for n in range(610)), tenant="A"))
        for n in range(6):
            assert len(granted(await world.poll(f"holder{n}", 100))) == 100

        async def poll(worker: str) -> None:
            decisions.append((await world.engine.poll(want(worker, 100, tenant_limit=600), 50)).decision)

        await world.engine.ask(submits(*(f"b{n}" for n in range(700)), tenant="B"))
        for n in range(6):
            nursery.start_soon(poll, f"w{n}")
        await wait_all_tasks_blocked()
        assert decisions == ["dispatched"] * 6


async def test_a_lane_that_was_never_shown_does_not_hold_a_poll_back(autojump_clock: MockClock) -> None:
    """64 tenants at their limits and one with work, after a start: all lanes count as raised."""
    database, settings = new_database(), EngineSettings(tenant_limit=2)
    async with running(settings, database=database, check=False) as world:
        for n in range(64):
            await world.engine.ask(submits("a", "b", "c", tenant=f"T{n:02}"))
            assert len(granted(await world.poll(f"holder{n}", 2))) == 2
        await world.engine.ask(submits("z", tenant="Z"))
    async with running(settings, database=database, check=False) as world:
        polled = await world.engine.poll(want("w", 1, tenant_limit=1), 50)
        assert [job.tenant_id for job in granted(polled)] == ["Z"]


def test_a_worker_with_one_poll_id_for_all_its_polls_is_told_twice_at_most() -> None:
    boxes, holder = Mailboxes(), Holder(WorkerKey("/w"), None)
    message = Control("cancel", AttemptId("att_1"), LeaseId("lse_1"), "why")
    boxes.post(holder, message)
    assert boxes.collect(holder, "p") == (message,)
    assert boxes.collect(holder, "p") == (message,)
    assert boxes.collect(holder, "p") == ()


async def test_a_job_that_cannot_be_granted_holds_up_nobody_behind_it(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(check=False) as world:
        mine = await world.start("mine", "w")
        await world.engine.ask(submits("poison", "good"))
        poisoned = (await world.job("poison")).run_id

        def failing(run: object, *more: object) -> object:
            if run == poisoned:
                raise RuntimeError("poison")
            return lease_id(run, *more)  # type: ignore[arg-type]

        monkeypatch.setattr(dispatching, "lease_id", failing)
        assert mine.worker_key is not None
        polled = await world.poll("first")
        assert [job.thread_id for job in granted(polled)] == ["good"]
        end = Ack(mine.worker_key, attempt_of(mine.run_id), lease_of(mine), "completed", None)
        answered, polled = await world.engine.ask_and_poll(Unit("write", [end]), want("w"))
        assert isinstance(answered.replies[0], Acked)
        assert polled.granted is not None
        assert granted(polled) == ()
        assert [str(error) for error in world.observer.bugs] == ["poison"]
        assert (await world.job("poison")).status == "queued"


async def test_a_store_that_refuses_a_commit_is_remembered_until_it_takes_one(autojump_clock: MockClock) -> None:
    async with running() as world:

        def trouble() -> bool:
            return world.engine.committer.failed_at_s is not None

        assert not trouble()
        world.store.before = lambda _: Unavailable("full")
        with pytest.raises(Unavailable):
            await world.submit("a")
        assert trouble()
        world.store.before = lambda _: None
        await world.submitted("b")
        assert not trouble()
