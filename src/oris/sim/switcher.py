"""A simulated operator who switches new jobs and the giving out of work off and on again."""

from __future__ import annotations

from random import Random

from oris.sim.clock import pause
from oris.sim.network import Network
from oris.sim.sizes import NODE
from oris.sim.trace import Trace


class Switcher:
    """Drains now and then, for the cluster or for its one node; leaves everything on at the end."""

    def __init__(self, network: Network, trace: Trace, random: Random) -> None:
        self._network = network
        self._trace = trace
        self._random = random

    async def run(self) -> None:
        """For ever; cancelled, it leaves off what is off."""
        while True:
            await pause(self._random.uniform(1.0, 6.0))
            node = self._random.choice((None, None, NODE))
            submit, dispatch = self._random.choice(((False, False), (False, True), (True, False)))
            await self._switch(node, submit=submit, dispatch=dispatch)
            await pause(self._random.uniform(0.1, 2.0))
            await self._switch(node, submit=True, dispatch=True)

    async def all_on(self) -> None:
        """Again and again, until it is done."""
        for node in (None, NODE):
            while not await self._switch(node, submit=True, dispatch=True):
                await pause(0.2)

    async def _switch(self, node: str | None, *, submit: bool, dispatch: bool) -> bool:
        body = {"submit": submit, "dispatch": dispatch, "node": node}
        reply = await self._network.call("operator", "POST", "/v1/admin/mode", body)
        if reply is not None and not reply.ok:
            self._trace.saw(f"switch got {reply.status} {reply.reason}")
        return reply is not None and reply.ok
