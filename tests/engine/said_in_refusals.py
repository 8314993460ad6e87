"""Scenarios in which every word of a refusal is told, and every audited action done, over the whole API (words.py)."""

from __future__ import annotations

import json

import trio
from trio.testing import wait_all_tasks_blocked

from oris.api.http import Role
from oris.core.limits import Limits
from oris.engine.engine import EngineSettings
from oris.errors import OutcomeUnknown, Unavailable

from .harness import running
from .heard import STEP, Api, Ear, lease
from .said_of_runs import api


async def conflicts_of_jobs(ear: Ear) -> None:
    """What the state of a thread, its waits and its replays forbids."""
    async with api(ear) as http:
        await http.post("/v1/jobs", thread_id="t", idempotency_key="k")
        assert await http.refused("/v1/jobs", thread_id="t", idempotency_key="k", input=1) == "idempotency_mismatch"
        assert await http.refused("/v1/jobs", thread_id="t") == "run_active"
        assert await http.refused("/v1/jobs/t/cancel", run_id="run_other") == "run_mismatch"
        assert await http.refused("/v1/jobs/t/resume", value=1) == "nothing_pending"
        for tenant in ("a", "b"):
            await http.post("/v1/jobs", thread_id="twice", tenant_id=tenant)
        assert await http.refused("/v1/jobs/twice/cancel") == "ambiguous_thread"
        first, second = await http.interrupt(await http.start("asks"), "a", "b")
        assert await http.refused("/v1/jobs/asks/resume", value=1) == "several_pending"
        await http.post(f"/v1/interrupts/{first}/resume", value=1)
        assert await http.refused(f"/v1/interrupts/{first}/resume", value=2) == "resume_mismatch"
        await http.post(f"/v1/interrupts/{second}/reject")
        assert await http.refused(f"/v1/interrupts/{second}/resume", value=2) == "interrupt_settled"
        failed = await http.start("done")
        await http.ack(failed, "failed")
        assert await http.refused("/v1/jobs/done/cancel") == "run_terminal"
        letter = f"/v1/dlq/{failed['attempt_id']}/replay"
        await http.post(letter)
        assert await http.refused(letter) == "replay_in_progress"
        await http.ack(await http.take("done"))
        assert await http.refused(letter) == "already_replayed"


async def conflicts_of_workers(ear: Ear) -> None:
    """What the state of a lease forbids."""
    async with api(ear) as http:
        attempt = await http.start("t")
        await http.report(attempt)
        assert await http.refused("/v1/workers/w/report-step", **lease(attempt), **STEP, output=1) == "dedupe_mismatch"
        single = {"lease_id": attempt["lease_id"]}
        assert await http.refused("/v1/workers/other/heartbeat", **single) == "lease_owner_mismatch"
        nap = {"kind": "time", "key": "nap", "after_ms": 1}
        await http.post("/v1/workers/w/suspend", **lease(attempt), waits=[nap])
        await trio.sleep(1)
        again = await http.take("t")
        asked = [{"kind": "interrupt", "key": "nap", "value": 1}]
        assert await http.refused("/v1/workers/w/suspend", **lease(again), waits=asked) == "wait_kind_mismatch"
        await http.ack(again)
        assert await http.refused("/v1/workers/w/heartbeat", lease_id=again["lease_id"]) == "lease_lost"


async def bad_requests(ear: Ear) -> None:
    """What is wrong with a request before anybody looks at the state."""
    async with api(ear, closed=True) as http:
        admin = ("authorization", f"Bearer token-of-{Role.ADMIN}")
        client = ("authorization", f"Bearer token-of-{Role.CLIENT}")
        json_body = b'{"thread_id": "t"}'
        for expected, answer in (
            (400, await http.ask("POST", "/v1/jobs", b"{", admin)),
            (401, await http.ask("POST", "/v1/jobs", json_body)),
            (403, await http.ask("GET", "/v1/workers", b"", client)),
            (404, await http.ask("GET", "/v1/jobs/nobody", b"", admin)),
            (405, await http.ask("DELETE", "/v1/jobs", b"", admin)),
            (413, await http.ask("POST", "/v1/jobs", json.dumps("x" * 70_000).encode(), admin)),
            (415, await http.ask("POST", "/v1/jobs", json_body, admin, ("content-type", "text/plain"))),
            (431, await http.ask("GET", "/v1/jobs", b"", admin, ("x-filler", "x" * 20_000))),
        ):
            assert answer["status"] == expected, answer
        # From one address, again and again.
        for _ in range(20):
            answer = await http.ask("POST", "/v1/jobs", json_body)
        assert (answer["status"], answer["error"]["details"]["reason"]) == (429, "rate_limited")


async def no_room(ear: Ear) -> None:
    """Queues that are full, and an inbox that is."""
    async with api(ear, EngineSettings(limits=Limits(queue_max=2, tenant_queue_max=1))) as http:
        await http.post("/v1/jobs", thread_id="t1", tenant_id="a")
        assert await http.refused("/v1/jobs", thread_id="t2", tenant_id="a") == "tenant_queue_full"
        await http.post("/v1/jobs", thread_id="t3", tenant_id="b")
        assert await http.refused("/v1/jobs", thread_id="t4", tenant_id="c") == "queue_full"
    async with running(EngineSettings(inbox_max_commands=1)) as world:
        http = Api(world, ear)
        gate = world.store.hold()
        world.soon(lambda: http.submit("committing"))
        await world.store.entered.wait()
        waiting = world.soon(lambda: http.submit("waiting"))
        await wait_all_tasks_blocked()
        assert await http.refused("/v1/jobs", thread_id="too-many") == "inbox_full"
        world.store.let_go()
        assert gate is not None
        await waiting.get()


async def no_store(ear: Ear) -> None:
    """A store that refuses, one that does not tell, a bug, and a server that is switched off."""
    async with running() as world:
        http = Api(world, ear)
        world.store.before = lambda needs: Unavailable("the store is away")
        assert await http.refused("/v1/jobs", thread_id="t") == "store_unavailable"
        world.store.before = lambda needs: None
        world.store.after = lambda needs: OutcomeUnknown("nobody can tell")
        assert await http.refused("/v1/jobs", thread_id="t", idempotency_key="k") == "outcome_unknown"
        world.store.after = lambda needs: None
        again = await http.post("/v1/jobs", thread_id="t", idempotency_key="k")
        assert again["idempotent_replay"] is True
        world.store.before = lambda needs: ValueError("planted")
        assert await http.refused("/v1/jobs", thread_id="t2") == "internal"
        world.store.before = lambda needs: None
        await http.post("/v1/admin/mode", submit=False, dispatch=True)
        assert await http.refused("/v1/jobs", thread_id="t3") == "draining"


async def audited(ear: Ear) -> None:
    """Every audited action."""
    async with api(ear) as http:
        await http.submit("run")
        await http.post("/v1/jobs/batch", jobs=[{"thread_id": "batch"}])
        await http.interrupt(await http.start("asks"), "a")
        await http.post("/v1/jobs/asks/resume", value=1)
        (first,) = await http.interrupt(await http.take("asks"), "b")
        await http.post(f"/v1/interrupts/{first}/resume", value=1)
        (second,) = await http.interrupt(await http.take("asks"), "c")
        await http.post(f"/v1/interrupts/{second}/reject")
        await http.post("/v1/jobs/asks/replay")
        await http.post("/v1/jobs/asks/cancel")
        failed = await http.start("failed")
        await http.ack(failed, "failed")
        await http.post(f"/v1/dlq/{failed['attempt_id']}/replay")
        await http.post("/v1/workers/w/clear-quarantine")
        await http.post("/v1/workflows/default/clear-hold")
        await http.post("/v1/admin/mode", submit=True, dispatch=True)
        await http.get("/v1/audit/logs")
    async with api(ear, closed=True) as http:
        admin = ("authorization", f"Bearer token-of-{Role.ADMIN}")
        for role in Role:
            made = await http.ask("POST", "/v1/api-keys", b'{"role": "%s"}' % role.encode(), admin)
        await http.ask("GET", "/v1/api-keys", b"", admin)
        await http.ask("POST", f"/v1/api-keys/{made['data']['key_id']}/revoke", b"{}", admin)
        logs = await http.ask("GET", "/v1/audit/logs", b"", admin)
        assert logs["status"] == 200


SCENARIOS = (conflicts_of_jobs, conflicts_of_workers, bad_requests, no_room, no_store, audited)
