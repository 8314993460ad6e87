"""Several engines on one store: what one of them does counts for all, with hints and without them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from oris.core import commands as c
from oris.core.limits import Limits
from oris.core.mode import CLUSTER
from oris.core.model import Job
from oris.core.replies import Acked, Beaten, Refusal, Submitted
from oris.engine.cluster import LOOK_AGAIN_S
from oris.engine.engine import EngineSettings, Polled
from oris.ids import NO_TENANT, job_key
from oris.storage.hints import Hints, LocalHints, NoHints

from ..stores import new_database
from .harness import World, ack, granted, heartbeat, running, the, want

BOUND_S = 0.5
"""Within this a node has found what another one did, however many hints were lost."""
ROOM_S = BOUND_S - LOOK_AGAIN_S


@asynccontextmanager
async def two(hints: Hints, settings: EngineSettings | None = None) -> AsyncIterator[tuple[World, World]]:
    """Two nodes."""
    database = new_database()
    one = running(settings, database=database, node="a", hints=hints, unchecked="the other node goes on", check=False)
    async with one as a, running(settings, database=database, node="b", hints=hints, sweeper=True) as b:
        yield a, b


ways = pytest.mark.parametrize("hints", [LocalHints, NoHints])


def job_of(polled: Polled) -> Job:
    """The one job that a poll has got."""
    (job,) = granted(polled)
    return job


@ways
async def test_a_job_that_one_node_accepted_is_granted_by_the_other(
    hints: type[LocalHints | NoHints], autojump_clock: MockClock
) -> None:
    async with two(hints()) as (a, b):
        parked = b.soon(lambda: b.poll("w", wait_s=30.0))
        await trio.sleep(1.0)
        await a.submitted("t")
        began_s = trio.current_time()
        job = job_of(await parked.get())
        assert trio.current_time() - began_s <= (BOUND_S if hints is NoHints else 0.01)
        the(Acked, (await b.ask(ack(job))).replies[0])


async def test_a_younger_job_of_this_node_goes_behind_an_older_one_of_the_other(autojump_clock: MockClock) -> None:
    async with two(NoHints()) as (a, b):
        parked = b.soon(lambda: b.poll("w", wait_s=30.0))
        await trio.sleep(0.01)
        await a.submitted("older")
        await trio.sleep(0.002)
        await b.submitted("younger")
        first = job_of(await parked.get())
        assert first.thread_id == "older"
        second = await b.grant("w")
        assert second.thread_id == "younger"
        await b.ask(ack(first), ack(second))


@ways
async def test_what_is_switched_off_on_one_node_is_off_on_the_other_at_once(
    hints: type[LocalHints | NoHints], autojump_clock: MockClock
) -> None:
    async with two(hints()) as (a, b):
        parked = b.soon(lambda: b.poll("w", wait_s=30.0, workflows=frozenset({"none"})))
        await a.submitted("t")
        await trio.sleep(1.0)
        began_s = trio.current_time()
        await a.ask(c.SetMode(CLUSTER, submit=False, dispatch=False, reason=None, by="ann"))
        assert not granted(await b.poll("w"))
        refused = the(Refusal, await b.submit("v"))
        assert (refused.details or {})["reason"] == "draining"
        assert (await parked.get()).decision == "draining"
        assert trio.current_time() - began_s <= BOUND_S
        await a.ask(c.SetMode(CLUSTER, submit=True, dispatch=True, reason=None, by="ann"))
        the(Submitted, await b.submit("v"))
        assert len(granted(await b.poll("w", limit=2, wait_s=BOUND_S))) == 2


@ways
async def test_limits_go_by_what_all_nodes_have_accepted(
    hints: type[LocalHints | NoHints], autojump_clock: MockClock
) -> None:
    settings = EngineSettings(limits=Limits(queue_max=3, tenant_queue_max=3))
    async with two(hints(), settings) as (a, b):
        for number, node in enumerate((a, b, a)):
            await node.submitted(f"t{number}")
        for node in (a, b):
            refused = the(Refusal, await node.submit("one too many"))
            assert (refused.details or {})["reason"] == "queue_full"
        total = a.rows().total
        assert (total.waiting, total.delayed, total.leased) == (3, 0, 0)
        await b.grant("w")
        await a.submitted("now there is room")


@ways
async def test_a_limit_of_leases_that_ends_on_one_node_frees_polls_of_the_other(
    hints: type[LocalHints | NoHints], autojump_clock: MockClock
) -> None:
    settings = EngineSettings(tenant_limit=1)
    async with two(hints(), settings) as (a, b):
        await a.submitted("first")
        await a.submitted("second")
        job = await a.grant("w1")
        parked = b.soon(lambda: b.poll("w2", wait_s=30.0, tenant_limit=1))
        await trio.sleep(1.0)
        assert not parked.done.is_set()
        began_s = trio.current_time()
        await a.ask(ack(job))
        second = job_of(await parked.get())
        assert trio.current_time() - began_s <= BOUND_S
        assert second.thread_id == "second"
        await b.ask(ack(second))


@ways
async def test_a_caller_waits_on_one_node_for_a_run_that_ends_on_the_other(
    hints: type[LocalHints | NoHints], autojump_clock: MockClock
) -> None:
    async with two(hints()) as (a, b):
        submitted = await a.submitted("t")
        key = job_key(NO_TENANT, submitted.thread_id)
        with a.engine.waiters.register(key) as waiter:
            ended = a.soon(lambda: waiter.ended(submitted.run_id))
            await trio.sleep(1.0)
            job = await b.grant("w", wait_s=BOUND_S)
            began_s = trio.current_time()
            # A newer run takes its place before anybody can have looked.
            await b.ask(ack(job))
            await b.submitted("t")
            end = await ended.get()
            assert trio.current_time() - began_s <= BOUND_S
        assert end is not None
        assert (end.run_id, end.status) == (submitted.run_id, "completed")


@ways
@pytest.mark.parametrize("mode", ["terminate", "graceful"])
async def test_a_cancel_on_one_node_reaches_a_worker_that_is_parked_on_the_other(
    hints: type[LocalHints | NoHints], mode: str, autojump_clock: MockClock
) -> None:
    async with two(hints()) as (a, b):
        submitted = await a.submitted("t")
        key = job_key(NO_TENANT, submitted.thread_id)
        job = await b.grant("w", wait_s=BOUND_S, session="s")
        parked = b.soon(lambda: b.poll("w", limit=0, wait_s=30.0, session="s"))
        await trio.sleep(1.0)
        began_s = trio.current_time()
        await a.ask(c.Cancel(key, None, grace_ms=10_000 if mode == "graceful" else None))
        polled = await parked.get()
        assert trio.current_time() - began_s <= BOUND_S
        (message,) = polled.control
        assert (message.lease_id, message.type) == (
            job.lease_id,
            "cancel" if mode == "terminate" else "graceful_cancel",
        )
        if mode == "graceful":
            await b.ask(ack(job))


@ways
async def test_a_session_that_is_replaced_on_one_node_is_over_on_the_other(
    hints: type[LocalHints | NoHints], autojump_clock: MockClock
) -> None:
    async with two(hints()) as (a, b):
        parked = b.soon(lambda: b.poll("w", wait_s=30.0, session="old"))
        await trio.sleep(1.0)
        began_s = trio.current_time()
        assert await a.engine.open_session(want("w").worker_key, "new") is None
        polled = await parked.get()
        assert trio.current_time() - began_s <= BOUND_S
        assert polled.refusal is not None
        again = await b.poll("w", session="old")
        assert again.refusal is not None


async def test_a_node_that_was_pruned_takes_nothing_of_what_it_counted_with_it(autojump_clock: MockClock) -> None:
    async with two(NoHints()) as (a, b):
        await a.submitted("t")
        await b.submitted("u")
        later_ms = b.engine.clock.now_ms() + 1000
        await trio.sleep(1.0)
        await b.ask(c.ForgetNodes((a.engine.settings.node_id,), later_ms))
        assert b.rows().total.waiting == 2
        assert [name for name, _ in await b.engine.reads.nodes()] == ["b"]


async def test_a_stall_of_one_node_counts_for_a_lease_when_the_other_could_commit(autojump_clock: MockClock) -> None:
    async with two(NoHints()) as (a, b):
        await a.submitted("t")
        job = await a.grant("w", ttl_ms=3000)
        gate = a.store.hold()
        late = a.soon(lambda: a.submitted("stuck"))
        for number in range(8):
            await trio.sleep(0.5)
            await b.submitted(f"u{number}")
        gate.set()
        await late.get()
        refused = the(Refusal, (await a.ask(heartbeat(job, 3000))).replies[0])
        assert (refused.details or {})["reason"] == "lease_lost"


async def test_a_stall_of_all_nodes_counts_for_no_lease(autojump_clock: MockClock) -> None:
    async with two(NoHints()) as (a, b):
        await a.submitted("t")
        job = await a.grant("w", ttl_ms=3000)
        gates = [node.store.hold() for node in (a, b)]
        late = [node.soon(partial(node.submitted, f"stuck {number}")) for number, node in enumerate((a, b))]
        await trio.sleep(4.0)
        for gate in gates:
            gate.set()
        for each in late:
            await each.get()
        the(Beaten, (await a.ask(heartbeat(job, 3000))).replies[0])
