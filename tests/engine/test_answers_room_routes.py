"""Workers whose answers nobody has read, over the whole API with its account of them."""

from __future__ import annotations

import json
from typing import Any

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from oris.api.account import Account
from oris.api.auth import Credential
from oris.api.dispatch import Admission
from oris.api.freight import COUNTED_BYTES, Freight, Hold
from oris.api.head import Head
from oris.api.http import Role

from .harness import World, running, submits
from .test_cancellation_routes import Api, Body

LARGE = b'"%s"' % (b"x" * 3 * COUNTED_BYTES)
LIMIT = 2 * COUNTED_BYTES
CREDENTIALS = (
    Credential("bearer", "anybody", actor_id="anybody"),
    *(Credential("bearer", name, Role.WORKER, name, name) for name in ("slow", "quick")),
)
"""One bound to no tenant, and one for each of two."""


class Workers(Api):
    """Calls whose answers are read when the test says so."""

    def __init__(self, world: World, limit_bytes: int = LIMIT) -> None:
        super().__init__(world, *CREDENTIALS)
        self.hold = Hold(Account(1000, 0), Account(limit_bytes, limit_bytes // 4))
        world.engine.answers_have_room(self.hold.answers.left_for)
        self.hold.answers.on_given_back = world.engine.answers_taken
        self.unread: list[Freight] = []

    async def call(self, path: str, body: Body, caller: str = "anybody") -> tuple[int, Any]:
        content = json.dumps(body).encode()
        headers = (
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
            (b"authorization", f"Bearer {caller}".encode()),
        )
        admitted = self._dispatcher.admit(Head("POST", f"/v1/workers/{path}", b"", headers), self.hold)
        assert isinstance(admitted, Admission)
        freight = admitted.context.freight
        freight.put(content)
        self.unread.append(freight)
        answer = await self._dispatcher.run(admitted)
        said = json.loads(answer.body)
        return answer.status, said.get("data") or said["error"]

    async def poll(self, worker: str, caller: str = "anybody", **said: Any) -> Any:
        status, data = await self.call("poll", {"worker_id": worker, **said}, caller)
        assert status == 200, data
        return data

    def read_all(self) -> None:
        while self.unread:
            self.unread.pop().release()


async def test_an_ack_that_is_sent_again_gets_its_lease_again_without_room(autojump_clock: MockClock) -> None:
    async with running() as world:
        workers = Workers(world)
        await world.engine.ask(submits("one", "two", "three", workflow="small"))
        await world.engine.ask(submits("big", workflow="big", input=LARGE))
        first = await workers.poll("w", workflows=["small"])
        ack = {key: first[key] for key in ("attempt_id", "lease_id")}
        ack |= {"terminal_status": "completed", "poll": {"workflows": ["small"]}}
        _, lost = await workers.call("w/ack", ack)
        await workers.poll("h", workflows=["big"])
        assert workers.hold.answers.left_for(None) < 0
        _, again = await workers.call("w/ack", ack)
        assert [each["lease_id"] for each in again["next"]["attempts"]] == [lost["next"]["lease_id"]]
        # Another one is answered at once, and gets nothing new.
        ack |= {key: again["next"][key] for key in ("attempt_id", "lease_id")}
        _, done = await workers.call("w/ack", ack)
        assert (done["status"], done["next"]["decision"], done["next"]["attempts"]) == ("completed", "noop", [])
        workers.read_all()
        assert (await workers.poll("w", workflows=["small"]))["attempts"][0]["thread_id"] == "three"
        workers.read_all()
        assert trio.current_time() == 0


async def test_a_poll_waits_for_room_as_long_as_it_says_and_gets_what_there_is_then(
    autojump_clock: MockClock,
) -> None:
    async with running() as world:
        workers = Workers(world)
        await world.engine.ask(submits("a", "b", input=LARGE))
        assert (await workers.poll("h"))["decision"] == "dispatched"
        assert (await workers.poll("w"))["decision"] == "noop"
        assert trio.current_time() == 0
        assert (await workers.poll("w", wait_ms=100))["decision"] == "noop"
        assert trio.current_time() == 0.1
        parked = world.soon(lambda: workers.poll("w", wait_ms=20_000))
        await wait_all_tasks_blocked()
        workers.read_all()
        assert (await parked.get())["attempts"][0]["thread_id"] == "b"
        assert trio.current_time() == 0.1
        workers.read_all()


async def test_who_asks_for_the_same_again_and_again_and_reads_nothing_is_refused(autojump_clock: MockClock) -> None:
    """So what is held ends somewhere. A 503, and no `noop`: its leases are still its own."""
    async with running() as world:
        workers = Workers(world)
        await world.engine.ask(submits("a", input=LARGE))
        first = await workers.poll("h", poll_id="p")
        second = await workers.poll("h", poll_id="p")
        assert second["lease_id"] == first["lease_id"]
        status, refused = await workers.call("poll", {"worker_id": "h", "poll_id": "p"})
        assert (status, refused["details"]) == (503, {"reason": "inbox_full"})
        workers.read_all()
        assert (await workers.poll("h", poll_id="p"))["lease_id"] == first["lease_id"]
        workers.read_all()
        assert trio.current_time() == 0


async def test_an_ack_is_told_so_when_what_its_poll_id_holds_finds_no_room(autojump_clock: MockClock) -> None:
    """It is committed: to say that nothing was written would be wrong."""
    async with running() as world:
        workers = Workers(world)
        await world.engine.ask(submits("one", "two"))
        first = await workers.poll("h")
        await world.engine.ask(submits("a", input=LARGE, priority=9))
        held = [await workers.poll("h", poll_id="p") for _ in range(2)]
        ack = {key: first[key] for key in ("attempt_id", "lease_id")}
        ack |= {"terminal_status": "completed", "poll": {"poll_id": "p"}}
        status, refused = await workers.call("h/ack", ack)
        assert (status, refused["details"]) == (503, {"reason": "outcome_unknown"})
        assert (await world.job("one")).status == "completed"
        workers.read_all()
        _, again = await workers.call("h/ack", ack)
        assert (again["status"], again["next"]["lease_id"]) == ("completed", held[0]["lease_id"])
        workers.read_all()
        assert trio.current_time() == 0


async def test_a_tenant_that_does_not_read_leaves_room_to_the_others(autojump_clock: MockClock) -> None:
    async with running() as world:
        workers = Workers(world, 8 * COUNTED_BYTES)
        for tenant in ("slow", "quick"):
            await world.engine.ask(submits("a", "b", "c", tenant=tenant, input=LARGE))
        decisions = [(await workers.poll("w", caller))["decision"] for caller in ("slow", "slow", "slow", "quick")]
        assert decisions == ["dispatched", "dispatched", "noop", "dispatched"]
        workers.read_all()
        assert (await workers.poll("w", "slow"))["decision"] == "dispatched"
        workers.read_all()
