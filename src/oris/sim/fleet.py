"""The nodes of one simulation: as often as not one, else two or three over the same store, with hints between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random

import trio

from oris.sim.clock import pause
from oris.sim.faults import Faults
from oris.sim.server import Server
from oris.storage.hints import Hint, LocalHints

BACKSTOP_MS = 500
"""Within this a node has found what another one did, whatever became of the hints."""


class Fleet:
    """All servers. A call goes to any of them."""

    def __init__(self, servers: Sequence[Server], route: Random) -> None:
        self.servers = servers
        self._route = route

    def any(self) -> Server:
        """The one that the next call goes to."""
        return self.servers[0] if len(self.servers) == 1 else self._route.choice(self.servers)

    @property
    def quiet_since_ms(self) -> int:
        """Since when no server and no store has been in trouble, in engine ms."""
        return max(server.quiet_since_ms for server in self.servers)

    @property
    def restarts(self) -> int:
        """How often a process was started again."""
        return sum(server.starts - 1 for server in self.servers)

    @property
    def is_up(self) -> bool:
        """Whether there is a process that answers."""
        return any(server.life is not None for server in self.servers)

    def trouble(self) -> None:
        """Something took time that is nobody's fault."""
        for server in self.servers:
            server.trouble()

    def fill_disk(self) -> None:
        """The disk under all of them is full for a while."""
        until_s = self.servers[0].full_disk.fill()
        for server in self.servers[1:]:
            server.full_disk.fill(until_s)

    def cut_connections(self) -> None:
        """A proxy before all of them reloads."""
        for server in self.servers:
            server.cut_connections()

    async def run(self) -> None:
        """All of them, until cancelled."""
        async with trio.open_nursery() as nursery:
            for server in self.servers:
                nursery.start_soon(server.run)


class FaultyHints:
    """Hints that are lost, doubled and late."""

    def __init__(self, hub: LocalHints, faults: Faults) -> None:
        self._hub = hub
        self._faults = faults
        self.nursery: trio.Nursery | None = None
        """For hints that are late; nobody waits for them."""

    def publish(self, hint: Hint) -> None:
        """See `Hints`."""
        if self._faults.strikes("hint_lost"):
            return
        if self._faults.strikes("hint_doubled"):
            self._later(hint, 0.0)
        if self._faults.strikes("hint_delayed"):
            self._later(hint, self._faults.long_tail_s("hint_delayed"))
        else:
            self._hub.publish(hint)

    @contextmanager
    def listen(self, told: Callable[[Hint], None]) -> Iterator[None]:
        """See `Hints`."""
        with self._hub.listen(told):
            yield

    def _later(self, hint: Hint, after_s: float) -> None:
        if self.nursery is not None:
            self.nursery.start_soon(self._publish, hint, after_s)

    async def _publish(self, hint: Hint, after_s: float) -> None:
        await pause(after_s)
        self._hub.publish(hint)
