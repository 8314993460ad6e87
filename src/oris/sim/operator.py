"""A simulated operator: replays threads and dead letters."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from oris.ids import RunId, checkpoint_id
from oris.sim.clock import pause
from oris.sim.ledger import Ledger
from oris.sim.lives import RunLife
from oris.sim.network import Network
from oris.sim.trace import Trace

Request = tuple[str, dict[str, Any]]
AT_ONCE = 3


class Operator:
    """Replays what is over: threads as they ended, checkpoints, dead letters; and asks again for what it asked before,
    sometimes several times at once."""

    def __init__(
        self, network: Network, ledger: Ledger, runs: Mapping[RunId, RunLife], trace: Trace, random: Random, asks: int
    ) -> None:
        self._network = network
        self._ledger = ledger
        self._runs = runs
        self._trace = trace
        self._random = random
        self._asks = asks
        self._asked: list[Request] = []

    async def run(self, pace_s: float) -> None:
        """All of it, with `pace_s` between on the average."""
        for _ in range(self._asks):
            await pause(self._random.expovariate(1.0 / pace_s))
            request = await self._choose()
            if request is None:
                continue
            self._asked.append(request)
            for _ in range(self._random.choice((1, 1, AT_ONCE))):
                await self._ask(*request)

    async def _choose(self) -> Request | None:
        draw = self._random.random()
        if self._asked and draw < 0.4:
            return self._random.choice(self._asked[-6:])
        if draw < 0.6:
            return await self._dead_letter()
        over = [run for run in self._runs.values() if run.over][-20:]
        if not over:
            return None
        run = self._random.choice(over)
        tenant, _, thread = run.job_key.partition("/")
        body: dict[str, Any] = {"tenant_id": tenant}
        if run.checkpoints and self._random.random() < 0.6:
            body["checkpoint_id"] = checkpoint_id(run.run_id, self._random.choice(list(run.checkpoints)))
        elif self._random.random() < 0.3:
            body["run_id"] = run.run_id
        return f"/v1/jobs/{thread}/replay", body

    async def _dead_letter(self) -> Request | None:
        status = self._random.choice(("pending", "pending", "replayed"))
        reply = await self._network.call("operator", "GET", "/v1/dlq", query=f"status={status}&limit=5")
        if reply is None or not reply.ok or not reply.data["entries"]:
            return None
        entry = self._random.choice(reply.data["entries"])
        return f"/v1/dlq/{entry['attempt_id']}/replay", {}

    async def _ask(self, path: str, body: dict[str, Any]) -> None:
        reply = await self._network.call("operator", "POST", path, body)
        if reply is None:
            return
        if not reply.ok:
            self._trace.saw(f"operator got {reply.status} {reply.reason}")
            return
        self._ledger.replayed(path, body, reply.data)
