"""A simulated worker: polls, works step by step, heartbeats, acks; and crashes, freezes and forgets."""

from __future__ import annotations

from random import Random
from typing import Any

import trio

from oris.sim.clock import pause
from oris.sim.faults import Faults
from oris.sim.ledger import Ledger
from oris.sim.network import Network, Reply
from oris.sim.trace import Trace
from oris.sim.witness import Witness

TRIES = 6
"""How often a write is sent before the worker gives its attempt up."""


class Worker:
    """One worker machine; its process may die and come again under the same name."""

    def __init__(
        self,
        name: str,
        network: Network,
        ledger: Ledger,
        witness: Witness,
        faults: Faults,
        trace: Trace,
        random: Random,
        workflows: list[str] | None,
        process: str = "",
    ) -> None:
        """`process` tells two machines from each other that share a name."""
        self.name = name
        self._prefix = f"{name}{process}"
        self._has_sessions = bool(process) or random.random() < 0.6
        self._processes = 0
        self._session: str | None = None
        self._network = network
        self._ledger = ledger
        self._witness = witness
        self._faults = faults
        self._trace = trace
        self._random = random
        self._workflows = workflows
        self._slots = random.randint(1, 3)
        self._ttl_s = random.randint(1, 3)
        self._polls = 0
        self._frozen_until = 0.0
        self._running: dict[str, trio.CancelScope] = {}
        self._finished = trio.Event()
        self._process = trio.CancelScope()

    async def run(self) -> None:
        """Until cancelled: one process after the other."""
        while True:
            self._process = trio.CancelScope()
            self._processes += 1
            self._session = f"{self._prefix}.{self._processes}" if self._has_sessions else None
            with self._process:
                async with trio.open_nursery() as nursery:
                    await self._take_work(nursery)
            self._running.clear()
            self._trace.note("worker", f"{self.name} crashed")
            await pause(self._faults.how("worker_crash").uniform(0.05, 4.0))
            if self._random.random() < 0.5:
                self._polls -= 1  # it had written its poll id down, and asks with it again

    async def _take_work(self, nursery: trio.Nursery) -> None:
        nursery.start_soon(self._heartbeats)
        while True:
            await self._be_deaf()
            free = max(0, self._slots - len(self._running))  # a fetch beside it may have brought one too many
            if free == 0 and self._random.random() < 0.5:
                self._finished = trio.Event()
                with trio.move_on_after(1.0):
                    await self._finished.wait()
                continue
            reply = await self._poll(free)
            if reply is None:
                continue
            self._obey(reply.data["control"])
            self._start(reply.data["attempts"], nursery)
            if reply.data["decision"] != "dispatched":
                self._trace.saw(f"poll {reply.data['decision']} {reply.data.get('reason', '')}".rstrip())
                await pause(self._random.uniform(0.02, 0.3))

    async def _poll(self, free: int) -> Reply | None:
        """Ask for work; with a poll id the same question is asked again until it is answered."""
        self._polls += 1
        body: dict[str, Any] = {
            "worker_id": self.name,
            "limit": free,
            "wait_ms": self._random.choice((0, 500, 2000)),
            **self._fetch(),
        }
        named = self._random.random() < 0.6
        if named:
            body["poll_id"] = f"{self._prefix}-{self._polls}"
        if self._session is not None and self._random.random() < 0.7:
            body["watch"] = True
        for _ in range(TRIES if named else 1):
            reply = await self._call("/v1/workers/poll", body, wait_ms=body["wait_ms"])
            if reply is not None and reply.ok:
                return reply
            await pause(self._random.uniform(0.01, 0.2))
        return None

    def _fetch(self) -> dict[str, Any]:
        asked: dict[str, Any] = {"lease_ttl_seconds": self._ttl_s}
        if self._workflows is not None:
            asked["workflows"] = self._workflows
        if self._session is not None:
            asked["session"] = self._session
        return asked

    def _start(self, attempts: list[dict[str, Any]], nursery: trio.Nursery) -> None:
        for attempt in attempts:
            if attempt["lease_id"] not in self._running:
                self._running[attempt["lease_id"]] = trio.CancelScope()
                nursery.start_soon(self._attempt, attempt, nursery)

    def _obey(self, control: list[dict[str, Any]]) -> None:
        for message in control:
            self._trace.saw(f"control {message['type']}")
            scope = self._running.get(message["lease_id"])
            if message["type"] == "graceful_cancel" and self._random.random() < 0.6:
                continue  # it ends in its own way
            if scope is not None:
                scope.cancel(reason="told by a control message")

    async def _attempt(self, attempt: dict[str, Any], nursery: trio.Nursery) -> None:
        lease_id = attempt["lease_id"]
        try:
            with self._running[lease_id]:
                await self._work(attempt, nursery)
        finally:
            self._running.pop(lease_id, None)
            self._finished.set()

    async def _work(self, attempt: dict[str, Any], nursery: trio.Nursery) -> None:
        script = attempt["input"] or {"steps": 1, "fail": 0, "end": "completed"}
        done = self._ledger.handed(attempt["run_id"], attempt["steps"])
        if self._random.random() < 0.06:
            await self._release(attempt)
            return
        if script.get("poison"):
            self._trace.saw("poison taken")
            await pause(self._random.uniform(0.0, 0.2))
            self._process.cancel(reason="the job has killed its worker")
            await trio.lowlevel.checkpoint()
        for number in range(script["steps"]):
            await self._stumble()
            if f"s{number}" not in done and not await self._step(attempt, f"s{number}"):
                return
        await pause(self._random.uniform(0.0, 0.2))
        await self._stumble()
        if script.get("waits") and await self._suspend(attempt, script):
            return
        await self._ack(attempt, script, nursery)

    async def _suspend(self, attempt: dict[str, Any], script: dict[str, Any]) -> bool:
        """Wait for what the script waits for. False: that is over, as the attempt was told, or it was forgotten."""
        settled = self._ledger.resumed(attempt["resumes"])
        enough = 1 if script["mode"] == "any" else len(script["waits"])
        if len(settled) >= enough and self._random.random() < 0.9:
            return False
        body = {"attempt_id": attempt["attempt_id"], "lease_id": attempt["lease_id"]}
        kinds = {wait["kind"] for wait in script["waits"]}
        if kinds == {"interrupt"} and script["mode"] == "all" and self._random.random() < 0.5:
            questions = [{k: v for k, v in wait.items() if k != "kind"} for wait in script["waits"]]
            reply = await self._write("interrupt", {**body, "interrupts": questions})
        else:
            reply = await self._write("suspend", {**body, "waits": script["waits"], "mode": script["mode"]})
        if reply is not None and reply.ok:
            self._trace.saw(f"suspend {reply.data['status']}")
        return True

    async def _step(self, attempt: dict[str, Any], action: str) -> bool:
        """Do what the step stands for, and record it. False: the lease is lost."""
        lease_id, run_id = attempt["lease_id"], attempt["run_id"]
        for status in ("started", "failed"):
            if self._random.random() < 0.15 and not await self._report(attempt, action, status, {}):
                return False
        await pause(self._random.expovariate(6.0))
        self._ledger.effect(run_id, lease_id, action)
        output = {"by": lease_id, "n": self._random.randint(0, 9)}
        more: dict[str, Any] = {"output": output}
        if self._random.random() < 0.4:
            more["checkpoint"] = {"values": {"after": action, "by": lease_id}}
        if not await self._report(attempt, action, "succeeded", more):
            return False
        if self._random.random() < 0.03:
            await self._report(attempt, action, "succeeded", {"output": "something else"})
        self._ledger.recorded(run_id, action, output)
        return True

    async def _report(self, attempt: dict[str, Any], action: str, status: str, more: dict[str, Any]) -> bool:
        step = {"action_id": action, "status": status, "dedupe_token": f"{attempt['lease_id'][-20:]}", **more}
        body = {"attempt_id": attempt["attempt_id"], "lease_id": attempt["lease_id"]}
        if self._random.random() < 0.3:
            reply = await self._write("report-step", {**body, "steps": [step]})
            if reply is not None and reply.ok:
                return "ok" in reply.data["results"][0]
        else:
            reply = await self._write("report-step", {**body, **step})
        return reply is not None and reply.ok

    async def _ack(self, attempt: dict[str, Any], script: dict[str, Any], nursery: trio.Nursery) -> None:
        lease_id = attempt["lease_id"]
        body: dict[str, Any] = {"attempt_id": attempt["attempt_id"], "lease_id": lease_id}
        if attempt["attempt_no"] <= script["fail"]:
            body["terminal_status"] = "failed"
            body["error"] = {"type": "Planned", "message": "as the script says", "retryable": script["retryable"]}
            if script.get("ack_policy"):
                body["retry_policy"] = script["ack_policy"]
        else:
            body["terminal_status"] = script["end"]
            body["result" if script["end"] != "failed" else "error"] = (
                {"by": lease_id} if script["end"] != "failed" else {"type": "End", "message": lease_id}
            )
        self._witness.sent_policies[lease_id] = body.get("retry_policy")
        fetch = self._random.random() < 0.4
        asked = {**body, "poll": {"limit": 1, **self._fetch()}} if fetch else body
        if fetch and self._random.random() < 0.2:
            asked["poll"]["poll_id"] = poll_id = f"{lease_id}-next"
            nursery.start_soon(self._beside, poll_id, nursery)
        reply = await self._write("ack", asked)
        if reply is None or not reply.ok:
            return
        self._ledger.acked(lease_id, reply.data)
        if reply.data.get("next"):
            self._obey(reply.data["next"]["control"])
            self._start(reply.data["next"]["attempts"], nursery)
        if self._random.random() < 0.2:
            nursery.start_soon(self._afterwards, body, attempt)

    async def _beside(self, poll_id: str, nursery: trio.Nursery) -> None:
        """Ask, beside an ack that fetches, with the poll id of its fetch: both are given one and the same."""
        body = {"worker_id": self.name, "limit": 1, "wait_ms": self._random.choice((0, 500)), **self._fetch()}
        reply = await self._call("/v1/workers/poll", {**body, "poll_id": poll_id}, wait_ms=body["wait_ms"])
        if reply is not None and reply.ok:
            self._obey(reply.data["control"])
            self._start(reply.data["attempts"], nursery)

    async def _afterwards(self, ack: dict[str, Any], attempt: dict[str, Any]) -> None:
        """Late writes: the ack again, or a step or a release under the closed lease."""
        await pause(self._random.expovariate(2.0))
        match self._random.randrange(4):
            case 0 | 1:
                reply = await self._write("ack", ack)
                if reply is not None and reply.ok:
                    self._ledger.acked(ack["lease_id"], reply.data)
            case 2:
                await self._report(attempt, "late", "succeeded", {})
            case _:
                await self._release(attempt)

    async def _release(self, attempt: dict[str, Any]) -> None:
        delay_ms = self._random.choice((0, 0, 400))
        await self._write("release", {"lease_ids": [attempt["lease_id"]], "delay_ms": delay_ms})

    async def _heartbeats(self) -> None:
        while True:
            await pause(self._ttl_s * 0.3)
            leases = list(self._running)
            if not leases or self._faults.strikes("heartbeat_forgotten"):
                continue
            single = len(leases) == 1 and self._random.random() < 0.5
            if self._random.random() < 0.1:
                await self._stray()
            named = {"lease_id": leases[0]} if single else {"lease_ids": leases}
            more: dict[str, Any] = {"lease_ttl_seconds": self._ttl_s}
            if self._session is not None and self._random.random() < 0.8:
                more["session"] = self._session
            reply = await self._call(f"/v1/workers/{self.name}/heartbeat", {**named, **more})
            if reply is None:
                continue
            beats = reply.data["leases"] if reply.ok else [{"lease_id": leases[0], "state": reply.reason}]
            for beat in beats:
                scope = self._running.get(beat["lease_id"])
                if scope is not None and beat["state"] in ("lost", "cancelled", "timed_out", "lease_lost"):
                    scope.cancel(reason="the lease is lost")

    async def _stray(self) -> None:
        """A heartbeat for a lease of somebody else, or of nobody."""
        others = [lease.lease_id for lease in self._witness.leases.values() if lease.closed_in is None]
        named = self._random.choice([*others, "lse_of_nobody"])
        if named not in self._running:
            await self._call(f"/v1/workers/{self.name}/heartbeat", {"lease_id": named})

    async def _write(self, what: str, body: dict[str, Any]) -> Reply | None:
        """A write under a lease, sent again until it is answered. Identical each time."""
        for _ in range(TRIES):
            reply = await self._call(f"/v1/workers/{self.name}/{what}", body)
            if reply is not None and reply.status not in (429, 500, 503):
                return reply
            await pause(self._random.uniform(0.01, 0.3))
        return None

    async def _call(self, path: str, body: dict[str, Any], wait_ms: int = 0) -> Reply | None:
        await self._thaw()
        reply = await self._network.call("worker", "POST", path, body, wait_ms=wait_ms)
        await self._thaw()
        if reply is not None and not reply.ok:
            self._trace.saw(f"worker got {reply.status} {reply.reason}")
            if reply.reason == "session_superseded":
                # Somebody else works under this name now: the process ends, as it should.
                self._process.cancel(reason="another process has taken the name")
                await trio.lowlevel.checkpoint()
        return reply

    async def _be_deaf(self) -> None:
        """Sometimes a worker forgets to ask for work, though it lives."""
        if self._faults.strikes("worker_deaf"):
            await pause(self._faults.how("worker_deaf").uniform(1.0, 8.0))

    async def _stumble(self) -> None:
        """Sometimes the process dies, or stands still for longer than its leases live."""
        if self._faults.strikes("worker_crash"):
            self._process.cancel(reason="the worker has died")
        if self._faults.strikes("worker_pause"):
            self._frozen_until = trio.current_time() + self._faults.how("worker_pause").uniform(0.5, 6.0)
        await self._thaw()
        await trio.lowlevel.checkpoint()

    async def _thaw(self) -> None:
        while trio.current_time() < self._frozen_until and not self._faults.healed:
            await pause(min(0.25, self._frozen_until - trio.current_time()))
