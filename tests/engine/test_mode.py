"""The mode in the engine: who is answered at once, who waits on, and that a restart changes nothing."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from oris.api.auth import Credential
from oris.api.http import Role
from oris.core.commands import SetMode
from oris.core.mode import CLUSTER
from oris.core.replies import Acked, ModeSet, Refusal, Submitted
from oris.engine.admission import Admission, Thresholds
from oris.engine.bounds import CommitBounds
from oris.engine.engine import EngineSettings
from oris.engine.unit import Unit
from oris.errors import ErrorCode, OutcomeUnknown

from ..stores import new_database
from .harness import World, ack, cancel, granted, lease_of, reason, running, submit, the, want
from .test_cancellation_routes import Api


async def switch(world: World, *, submit: bool = True, dispatch: bool = True, node: str = CLUSTER) -> None:
    the(ModeSet, (await world.ask(SetMode(node, submit, dispatch, "upgrade", "ann"))).replies[0])


async def test_new_runs_are_refused_and_repeats_and_an_admins_are_not(autojump_clock: MockClock) -> None:
    async with running() as world:
        first = await world.submitted("a", key="k")
        await switch(world, submit=False)
        for refused in (await world.submit("b"), await world.submit("b", key="new")):
            assert reason(refused) == "draining"
            assert (the(Refusal, refused).code, the(Refusal, refused).retry_after_s) == (ErrorCode.UNAVAILABLE, 5)
        again = await world.submitted("a", key="k")
        assert (again.run_id, again.replay) == (first.run_id, True)
        smoke = await world.engine.ask(Unit("submit", [submit("smoke")], by_admin=True))
        the(Submitted, smoke.replies[0])
        await switch(world)
        await world.submitted("b")


async def test_a_submit_that_waits_while_new_runs_are_switched_off_is_refused(autojump_clock: MockClock) -> None:
    async with running(EngineSettings(bounds=CommitBounds(max_commands=1))) as world:
        gate = world.store.hold()
        under_way = world.soon(lambda: world.submitted("first"))
        await world.store.entered.wait()
        switching = world.soon(lambda: switch(world, submit=False))
        await wait_all_tasks_blocked()
        late = world.soon(lambda: world.submit("late"))
        smoke = world.soon(lambda: world.engine.ask(Unit("submit", [submit("smoke")], by_admin=True)))
        await wait_all_tasks_blocked()
        gate.set()
        await under_way.get()
        await switching.get()
        assert reason(await late.get()) == "draining"
        the(Submitted, (await smoke.get()).replies[0])


def test_an_admin_is_let_past_an_operators_switch_and_past_nothing_else() -> None:
    admission = Admission(Thresholds())
    admission.overloaded = True
    assert reason(admission.refusal(passes_switch=True)) == "rate_limited"
    admission.no_room = lambda: True
    assert reason(admission.refusal(passes_switch=True)) == "store_unavailable"
    admission.draining = True
    assert reason(admission.refusal(passes_switch=True)) == "draining"


async def test_parked_polls_are_answered_at_once_but_those_that_name_their_threads(autojump_clock: MockClock) -> None:
    async with running() as world:
        parked = [world.soon(partial(world.poll, "w", limit, 50)) for limit in (0, 1, 5)]
        chosen = world.soon(lambda: world.poll("admin", 5, wait_s=50, threads=["smoke"]))
        await wait_all_tasks_blocked()
        await switch(world, dispatch=False)
        assert [(await poll.get()).decision for poll in parked] == ["draining"] * 3
        assert trio.current_time() == 0
        assert not chosen.done.is_set()
        await world.submitted("a")
        await world.submitted("smoke")
        assert [job.thread_id for job in granted(await chosen.get())] == ["smoke"]
        assert (await world.poll("w", wait_s=50)).decision == "draining"
        assert trio.current_time() == 0
        assert (await world.job("a")).status == "queued"


async def test_when_dispatch_is_on_again_what_waited_is_given_out_in_order(autojump_clock: MockClock) -> None:
    async with running() as world:
        await switch(world, dispatch=False)
        await world.submitted("a")
        await world.submitted("b", priority=5)
        assert (await world.poll("w")).decision == "draining"
        await switch(world)
        assert [job.thread_id for job in granted(await world.poll("w", 5))] == ["b", "a"]


async def test_an_ack_that_fetches_gets_nothing_but_its_answer(autojump_clock: MockClock) -> None:
    async with running() as world:
        job = await world.start("a", "w")
        await world.submitted("b")
        await switch(world, dispatch=False)
        asked = want("w")
        answer, polled = await world.engine.ask_and_poll(Unit("write", [ack(job)]), asked)
        the(Acked, answer.replies[0])
        assert polled.decision == "draining"
        assert (await world.job("b")).status == "queued"


async def test_an_ack_that_waits_while_giving_out_is_switched_off_fetches_nothing(autojump_clock: MockClock) -> None:
    async with running(EngineSettings(bounds=CommitBounds(max_commands=1))) as world:
        job = await world.start("a", "w")
        await world.submitted("b")
        gate = world.store.hold()
        switching = world.soon(lambda: switch(world, dispatch=False))
        await world.store.entered.wait()
        call = world.soon(lambda: world.finish(job, want("w")))
        await wait_all_tasks_blocked()
        gate.set()
        await switching.get()
        assert (await call.get()).decision == "draining"
        assert [(await world.job(thread)).status for thread in "ab"] == ["completed", "queued"]


async def test_a_poll_gets_what_it_holds_and_what_it_has_to_be_told(autojump_clock: MockClock) -> None:
    async with running() as world:
        held = await world.start("held", "w", poll_id="p")
        await world.submitted("other")
        gone = granted(await world.poll("w", poll_id="q"))[0]
        await switch(world, dispatch=False)
        again = await world.poll("w", poll_id="p")
        assert again.decision == "dispatched"
        assert again.granted is not None
        assert [job.lease_id for job in again.granted.redelivered] == [held.lease_id]
        await world.ask(cancel("other"))
        told = await world.poll("w", wait_s=50)
        assert (told.decision, [message.lease_id for message in told.control]) == ("draining", [lease_of(gone)])


async def test_a_restart_leaves_it_as_it_was(autojump_clock: MockClock) -> None:
    database = new_database()
    async with running(database=database) as world:
        await world.submitted("a")
        await switch(world, submit=False, dispatch=False)
    async with running(database=database) as world:
        assert [modes.word for modes in world.observer.modes] == ["drained"]
        assert reason(await world.submit("b")) == "draining"
        assert (await world.poll("w", wait_s=50)).decision == "draining"
        await switch(world)
    async with running(database=database) as world:
        assert world.observer.modes == [world.engine.admission.modes]
        assert [job.thread_id for job in granted(await world.poll("w"))] == ["a"]


async def test_the_stop_of_a_node_is_no_mode(autojump_clock: MockClock) -> None:
    database = new_database()
    async with running(database=database) as world:
        world.engine.drain()
        assert (await world.poll("w")).decision == "draining"
        assert list(await world.store.reads.modes()) == []
    async with running(database=database) as world:
        await world.submitted("a")
        assert len(granted(await world.poll("w"))) == 1
        assert world.observer.modes == []


async def test_a_switch_whose_outcome_nobody_knew_is_learnt(autojump_clock: MockClock) -> None:
    async with running() as world:
        parked = world.soon(lambda: world.poll("w", wait_s=50))
        await wait_all_tasks_blocked()
        world.store.after = lambda needs: OutcomeUnknown("planted")
        with pytest.raises(OutcomeUnknown):
            await switch(world, dispatch=False)
        world.store.after = lambda needs: None
        assert (await parked.get()).decision == "draining"
        assert trio.current_time() < 1
        assert world.engine.admission.modes.word == "dispatch_off"


async def test_other_polls_of_the_batch_that_switches_dispatch_off_end_with_it(autojump_clock: MockClock) -> None:
    async with running() as world:
        gate = world.store.hold()
        slow = world.soon(lambda: world.submitted("slow"))
        await world.store.entered.wait()
        switching = world.soon(lambda: switch(world, dispatch=False))
        poll = world.soon(lambda: world.poll("w", wait_s=50))
        work = world.soon(lambda: world.submitted("a"))
        await wait_all_tasks_blocked()
        gate.set()
        for each in (slow, switching, work):
            await each.get()
        assert (await poll.get()).decision == "draining"
        assert {(await world.job(thread)).status for thread in ("slow", "a")} == {"queued"}
        assert trio.current_time() == 0


async def test_a_credential_that_is_bound_to_a_tenant_switches_nothing_and_that_is_audited(
    autojump_clock: MockClock,
) -> None:
    async with running() as world:
        api = Api(world, Credential("bearer", "secret", Role.OPERATOR, tenant_id="acme"))
        body = {"submit": False, "dispatch": False}
        answer = await api.post("/v1/admin/mode", body, (b"authorization", b"Bearer secret"))
        assert answer.status == 403
        assert api.forbidden == ["admin.mode"]
        assert world.engine.admission.modes.word == "serving"
