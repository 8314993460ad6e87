"""Scenarios in which every word about runs, their waits, leases and workers is told, over the whole API (words.py)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from oris.core.limits import Limits
from oris.engine.engine import EngineSettings
from oris.errors import DataDamaged
from oris.ids import RunId

from .harness import running, submit
from .heard import Api, Ear, Said, lease

RETRY = {"backoff_ms": 5000, "max_retries": 2}


@asynccontextmanager
async def api(ear: Ear, settings: EngineSettings | None = None, *, closed: bool = False) -> AsyncIterator[Api]:
    """An engine with its sweeper, and all routes over it, none of which may show a bug."""
    async with running(settings, sweeper=True) as world:
        spoken = Api(world, ear, closed=closed)
        yield spoken
        assert spoken.faults == []


async def a_life(ear: Ear) -> None:
    """Delayed, queued, held, tried again, done."""
    async with api(ear) as http:
        await http.submit("t", delay_ms=1000, retry_policy=RETRY | {"strategy": "fixed"})
        await http.look("t")
        await trio.sleep(1.1)
        await http.look("t")
        attempt = await http.take("t")
        await http.told(workflows=["t"])
        await http.look("t")
        await trio.sleep(25)
        await http.look("t")
        assert await http.states(attempt) == ["held"]
        for status in ("started", "failed", "succeeded"):
            step = {"action_id": status, "status": status, "checkpoint": {"values": 1}}
            assert (await http.report(attempt, **step))["status"] == "reported"
            assert (await http.report(attempt, **step))["status"] == "reported_idempotent"
        assert (await http.ack(attempt, "failed"))["status"] == "retry_scheduled"
        await http.look("t")
        await trio.sleep(6)
        await http.ack(await http.take("t"))
        await http.look("t")
        await http.get(f"/v1/attempts/{attempt['attempt_id']}/retries")


async def ends(ear: Ear) -> None:
    """Every way a run ends."""
    async with api(ear, EngineSettings(limits=Limits(max_lease_losses=1))) as http:
        await http.ack(await http.start("cancelled"), "cancelled")
        policy: Said = {"strategy": "exponential", "backoff_ms": 1, "max_retries": 1}
        retried = await http.start("exhausted", retry_policy=policy)
        await http.ack(retried, "failed")
        await trio.sleep(1)
        await http.get(f"/v1/attempts/{retried['attempt_id']}/retries")
        assert (await http.ack(await http.take("exhausted"), "failed"))["status"] == "failed"
        await http.ack(await http.start("failed"), "failed")
        await http.start("lost")
        await trio.sleep(31)
        policy = {"timeout_ms": 1000, "on_timeout_status": "failed"}
        await http.start("late", timeout_policy=policy)
        await trio.sleep(2)
        await http.interrupt(await http.start("unheard"), "q", expires_in_ms=1000, on_expire="fail")
        await trio.sleep(2)
        threads = ("cancelled", "exhausted", "failed", "lost", "late", "unheard")
        for thread in threads:
            await http.look(thread)
        letters = (await http.get("/v1/dlq"))["entries"]
        assert [(letter["thread_id"], letter["reason"]) for letter in reversed(letters)] == [
            ("exhausted", "retries_exhausted"),
            ("failed", "failed"),
            ("lost", "lease_losses"),
            ("late", "timed_out"),
            ("unheard", "interrupt_expired"),
        ]
        await http.post(f"/v1/dlq/{letters[0]['attempt_id']}/replay")
        await http.get("/v1/dlq")


async def waits(ear: Ear) -> None:
    """A wait for a time, and interrupts that come to every end."""
    async with api(ear) as http:
        attempt = await http.start("time")
        nap = {"kind": "time", "key": "nap", "after_ms": 1000}
        await http.post("/v1/workers/w/suspend", **lease(attempt), waits=[nap])
        await http.look("time")
        await trio.sleep(2)
        again = await http.post("/v1/workers/w/suspend", **lease(await http.take("time")), waits=[nap])
        assert (again["status"], again["waits"][0]["status"]) == ("queued", "resumed")
        resumed, rejected = await http.interrupt(await http.start("asks"), "a", "b", on_reject="resume")
        await http.get("/v1/interrupts")
        await http.look("asks")
        await http.post(f"/v1/interrupts/{resumed}/resume", value=1)
        await http.post(f"/v1/interrupts/{rejected}/reject")
        await http.look("asks")
        await http.interrupt(await http.start("ends"), "c", expires_in_ms=1000)
        await http.interrupt(await http.start("drops"), "d")
        await http.post("/v1/jobs/drops/cancel")
        await trio.sleep(2)
        found = (await http.get("/v1/interrupts"))["interrupts"]
        assert [asked["status"] for asked in found] == ["dropped", "expired", "rejected", "resumed"]


async def cancels(ear: Ear) -> None:
    """Gracefully and at once: what the worker is told, and by which word its writes are refused."""
    async with api(ear) as http:
        asked, told = await http.start("asked"), await http.start("told")
        for thread in ("asked", "told"):
            await http.post(f"/v1/jobs/{thread}/cancel", mode="graceful")
        await http.look("asked")
        assert await http.told() == ["graceful_cancel", "graceful_cancel"]
        assert await http.states(asked) == ["cancelling"]
        assert (await http.ack(asked))["status"] == "cancelled"
        nap = [{"kind": "time", "key": "nap", "after_ms": 1}]
        suspended = await http.post("/v1/workers/w/suspend", **lease(told), waits=nap)
        assert suspended["status"] == "cancelled"
        ended = await http.start("ended")
        late = await http.start("late", timeout_policy={"timeout_ms": 1000, "on_timeout_status": "cancelled"})
        await http.submit("lost")
        lost = await http.take("lost", lease_ttl_seconds=2)
        await http.post("/v1/jobs/ended/cancel")
        await trio.sleep(3)
        assert sorted(await http.told()) == ["cancel", "lost", "timed_out"]
        assert await http.states(ended, late, lost) == ["cancelled", "timed_out", "lost"]
        given, closed = await http.start("given"), await http.start("closed")
        await http.post("/v1/workers/w/release", lease_ids=[given["lease_id"]])
        await http.ack(closed)
        old = await _superseded(http)
        for attempt, state in (
            (ended, "cancelled"),
            (late, "timed_out"),
            (lost, "expired"),
            (given, "released"),
            (closed, "closed"),
            (old, "superseded"),
        ):
            worker = "pair" if attempt is old else "w"
            step = {"action_id": "a", "status": "succeeded", "dedupe_token": "t"}
            answer = await http.refused(f"/v1/workers/{worker}/report-step", **lease(attempt), **step)
            assert answer == "lease_lost", state
        for thread in ("given", "late", "lost"):
            await http.look(thread)


async def _superseded(http: Api) -> Said:
    """An attempt whose worker's newer session has replaced the one that held it."""
    await http.submit("old")
    held = await http.take("old", worker="pair", session="s1")
    await http.told("pair", session="s2")
    await trio.sleep(1)
    return held


async def workers(ear: Ear) -> None:
    """What keeps a worker from work, and what it then is told."""
    async with api(ear, EngineSettings(worker_limit=2, tenant_limit=3)) as http:
        await http.told("other", workflows=["t"])
        for thread in ("t1", "t2", "t3", "t4"):
            await http.post("/v1/jobs", thread_id=thread, workflow="t")
        poll = {"worker_id": "w", "workflows": ["t"]}
        assert (await http.post("/v1/workers/poll", **poll, limit=2))["decision"] == "dispatched"
        assert (await http.post("/v1/workers/poll", **poll))["reason"] == "worker_limit"
        await http.look("t4")
        await http.post("/v1/workers/poll", worker_id="w2", workflows=["t"])
        limited = await http.post("/v1/workers/poll", worker_id="w2", workflows=["t"])
        assert (limited["decision"], limited["reason"]) == ("backpressure", "tenant_limit")
        await http.look("t4")
        assert (await http.post("/v1/workers/poll", worker_id="w3", workflows=["none"]))["decision"] == "noop"
        await http.post("/v1/admin/mode", submit=True, dispatch=False)
        assert (await http.post("/v1/workers/poll", worker_id="w3"))["decision"] == "draining"
        await http.look("t4")
        await http.post("/v1/admin/mode", submit=True, dispatch=True)


async def quarantine(ear: Ear) -> None:
    """A worker whose sessions end with work in their hands; an operator clears its name."""
    async with api(ear) as http:
        for number in range(6):
            await http.submit(f"t{number}")
            await http.post("/v1/workers/poll", worker_id="w", workflows=[f"t{number}"], session=f"s{number}")
        polled = await http.post("/v1/workers/poll", worker_id="w", session="s5")
        assert (polled["decision"], polled["reason"]) == ("backpressure", "quarantined")
        await http.submit("any")
        await http.look("any")
        assert await http.refused("/v1/workers/poll", worker_id="w", session="s0") == "session_superseded"
        await http.post("/v1/workers/w/clear-quarantine")
        attempt = await http.take("t5", session="s5")
        await http.told(session="s6")
        await http.told("fetches", session="s1")
        await http.submit("fetched")
        attempt = await http.take("fetched", worker="fetches")
        await http.told("fetches", session="s2")
        acked = await http.ack(attempt, worker="fetches", poll={"session": "s1"})
        assert (acked["status"], acked["next"]["reason"]) == ("completed", "session_superseded")


async def held(ear: Ear) -> None:
    """A workflow whose workers all die."""
    async with api(ear) as http:
        await http.post("/v1/jobs/batch", jobs=[{"thread_id": f"t{number}", "workflow": "loop"} for number in range(5)])
        for number in range(4):
            await http.post("/v1/workers/poll", worker_id=f"w{number}", limit=5, lease_ttl_seconds=1)
            await trio.sleep(10)
        await http.look("t0")
        cleared = await http.post("/v1/workflows/loop/clear-hold")
        assert cleared == {"workflow": "loop", "tenant_id": "", "was_held": True, "held": False}
        await http.look("t0")


async def damaged(ear: Ear) -> None:
    """A run whose input is not what was written, found out by the first poll that would get it."""
    async with running() as world:
        http = Api(world, ear)
        run_id = RunId((await http.submit("t"))["run_id"])
        found = [DataDamaged(submit("t").job_key, 1, run_id)]
        world.store.before = lambda needs: found.pop() if found else None
        await http.told(workflows=["t"])
        await http.look("t")


SCENARIOS = (a_life, ends, waits, cancels, workers, quarantine, held, damaged)
