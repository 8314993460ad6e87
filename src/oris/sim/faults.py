"""The faults: which kinds a seed has switched on, and when one strikes. Each kind has a stream of its own."""

from __future__ import annotations

from collections import Counter
from random import Random

from oris.sim.streams import Streams

RATES: dict[str, float] = {
    "crash_before_commit": 0.006,
    "crash_after_commit": 0.006,
    "store_unavailable": 0.02,
    "unknown_written": 0.015,
    "unknown_not_written": 0.015,
    "slow_commit": 0.02,
    "commit_failed": 0.02,
    "request_lost": 0.04,
    "request_doubled": 0.05,
    "request_delayed": 0.05,
    "reply_lost": 0.04,
    "reply_delayed": 0.05,
    "client_gone": 0.04,
    "worker_crash": 0.02,
    "worker_pause": 0.06,
    "heartbeat_forgotten": 0.15,
    "server_crash": 0.5,
    "clock_set": 0.5,
    "proxy_cut": 0.4,
    "server_stopped": 0.25,
    "worker_deaf": 0.02,
    "twin_worker": 0.5,
    "disk_full": 0.5,
    "clock_far": 0.4,
    "sent_twice": 0.1,
    "hint_lost": 0.3,
    "hint_doubled": 0.1,
    "hint_delayed": 0.3,
}
"""How often each kind strikes: per commit, per message, per step of a worker; those that come out of nowhere (the
server's, the clock's, the proxy's, the disk's) per five seconds; a twin once for each worker."""

TROUBLE_OF_STORE = (
    *("crash_before_commit", "crash_after_commit", "store_unavailable", "unknown_written"),
    *("unknown_not_written", "slow_commit", "commit_failed"),
)


ONLY_OF_ONE_NODE = frozenset(("clock_set", "clock_far", "server_stopped", "proxy_cut"))
"""Nodes do not follow a clock of their store yet, and a node hears only of calls to itself."""


class Faults:
    """Swarm testing: each seed draws which kinds are on, so that each is also seen without the others."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        swarm = streams("swarm")
        # Every kind is drawn, wanted or not: adding one at the end does not shift those before it.
        self.on = frozenset(kind for kind in RATES if swarm.random() < 0.5)
        self.healed = False
        """Set when the safety phase is over: nothing strikes any more."""
        self.hits: Counter[str] = Counter()

    def leave_out(self, kinds: frozenset[str]) -> None:
        """These kinds are off, whatever was drawn."""
        self.on -= kinds

    def strikes(self, kind: str) -> bool:
        """Whether a fault of this kind happens here and now."""
        if self.healed or kind not in self.on or self._streams(f"fault.{kind}").random() >= RATES[kind]:
            return False
        self.hits[kind] += 1
        return True

    def how(self, kind: str) -> Random:
        """The stream for the details of a fault: how long, how far."""
        return self._streams(f"how.{kind}")

    def long_tail_s(self, kind: str) -> float:
        """A delay: mostly short, sometimes seconds."""
        return min(8.0, self.how(kind).expovariate(1.0) ** 3 * 0.2)
