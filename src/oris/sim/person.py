"""A simulated person: looks what runs ask, and answers; now and then two people answer the same."""

from __future__ import annotations

from random import Random
from typing import Any

from oris.sim.clock import pause
from oris.sim.ledger import Ledger
from oris.sim.network import Network
from oris.sim.trace import Trace

TRIES = 6


class Person:
    """Answers until the simulation is over: a question without a time waits for as long as nobody does."""

    def __init__(self, name: str, network: Network, ledger: Ledger, trace: Trace, random: Random) -> None:
        self.name = name
        self._network = network
        self._ledger = ledger
        self._trace = trace
        self._random = random

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await pause(self._random.uniform(0.1, 2.0))
            reply = await self._network.call("client", "GET", "/v1/interrupts", query="status=pending&limit=20")
            if reply is None or not reply.ok:
                continue
            for interrupt in reply.data["interrupts"]:
                if self._random.random() < 0.7:
                    await self._answer(interrupt)

    async def _answer(self, interrupt: dict[str, Any]) -> None:
        wait_id, says_no = interrupt["interrupt_id"], self._random.random() < 0.2
        path = f"/v1/interrupts/{wait_id}/resume"
        body: dict[str, Any] = {"value": {"by": self.name, "n": self._random.randint(0, 9)}}
        if says_no:
            path, body = f"/v1/interrupts/{wait_id}/reject", {"reason": f"{self.name} says no"}
        elif self._random.random() < 0.2:
            path = f"/v1/jobs/{interrupt['thread_id']}/resume"
            body |= {"run_id": interrupt["run_id"]}
            if interrupt["tenant_id"]:
                body |= {"tenant_id": interrupt["tenant_id"]}
        for _ in range(TRIES):
            reply = await self._network.call("client", "POST", path, body)
            if reply is not None and reply.status not in (429, 500, 503):
                break
            await pause(self._random.uniform(0.05, 0.5))
        if reply is None:
            return
        if reply.ok:
            self._ledger.answered(reply.data["interrupt_id"], reply.data["status"], reply.data.get("settled_value"))
        else:
            self._trace.saw(f"person got {reply.status} {reply.reason}")
