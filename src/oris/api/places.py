"""How many requests may be under way at a time, by who asks: a connection each.

Of the connections there are, waiting callers and streams get three quarters, all clients together seven eighths, and
with the workers' polls fifteen sixteenths. So a heartbeat or an ack always finds a place, whoever waits; and a few
probes find one beside them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Kind = Literal["client", "poll", "probe", "worker"]


class Places:
    """Counts requests from the end of their head to the end of their answer. Every method is synchronous."""

    def __init__(self, connections_max: int) -> None:
        self.clients_max = connections_max - connections_max // 8
        self.common_max = connections_max - connections_max // 16
        self.probes_max = max(1, connections_max // 64)
        self.taken: dict[Kind, int] = {"client": 0, "poll": 0, "probe": 0, "worker": 0}
        self.refused = 0
        """How many requests found no place."""

    def enter(self, kind: Kind) -> Kind | None:
        """Take a place; the answer, for `leave`, is whose it is; None: there is none."""
        place = self._place(kind)
        if place is None:
            self.refused += 1
        else:
            self.taken[place] += 1
        return place

    def leave(self, place: Kind) -> None:
        """Give the place back."""
        self.taken[place] -= 1

    def _place(self, kind: Kind) -> Kind | None:
        taken = self.taken
        if kind == "worker":
            return kind
        common = taken["client"] + taken["poll"]
        if kind == "poll":
            return kind if common < self.common_max else None
        # Anybody may probe: more than a few of them are clients like others.
        if taken["client"] < self.clients_max and common < self.common_max:
            return "client"
        return kind if kind == "probe" and taken["probe"] < self.probes_max else None


class Waits:
    """Callers that wait for a run, and streams: those of clients, not polls."""

    def __init__(self, limit: int = 3072) -> None:
        self.limit = limit
        self.taken = 0
        self.refused = 0
        """How many were answered at once, because there was no place to wait."""

    @property
    def are_full(self) -> bool:
        """Whether one more is too many; it is counted as refused."""
        full = self.taken >= self.limit
        self.refused += full
        return full

    @contextmanager
    def place(self) -> Iterator[None]:
        """While somebody waits."""
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
