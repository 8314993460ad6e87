"""What happens to those who fail to say who they are: counted, slowed down, and told of in one line a minute.

**A right credential always passes**, from wherever it comes: it is compared before this is asked, in a time that does
not depend on what is known here. So nobody can lock out a fleet that shares an address by failing from there, and
nothing is learnt from a 429 that a 401 would not have said: both mean wrong. What the limit saves is the answers' worth
to a guesser's client, which has to wait or be seen, and the log; what keeps a secret safe is its length.

Failures are counted by address (for IPv6 by its /64, which is what one client has) and by every key id that was named.
Memory is bounded: the least recently seen is forgotten, which only forgives.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

K = TypeVar("K", bound=Hashable)

WINDOW_S = 60.0
FAILURES_PER_ADDRESS = 20
FAILURES_PER_KEY_ID = 10
REMEMBERED_MAX = 10_000
"""Addresses, and key ids, that are remembered."""
TOLD_MAX = 1_000
"""Addresses that get a line of their own within a minute; all others share one."""
OTHERS = "others"


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at_s: float


class Buckets(Generic[K]):
    """A token bucket for each key: `capacity` at once, and as many again over `WINDOW_S`."""

    def __init__(self, capacity: int, remembered_max: int = REMEMBERED_MAX) -> None:
        self._capacity = capacity
        self._remembered_max = remembered_max
        self._buckets: OrderedDict[K, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: K, now_s: float) -> float:
        """Takes a token: 0.0. The seconds until there is one, when there is none."""
        bucket = self._buckets.pop(key, None) or _Bucket(self._capacity, now_s)
        self._buckets[key] = bucket
        if len(self._buckets) > self._remembered_max:
            self._buckets.popitem(last=False)
        per_s = self._capacity / WINDOW_S
        bucket.tokens = min(float(self._capacity), bucket.tokens + max(0.0, now_s - bucket.at_s) * per_s)
        bucket.at_s = max(bucket.at_s, now_s)
        if bucket.tokens < 1.0:
            return (1.0 - bucket.tokens) / per_s
        bucket.tokens -= 1.0
        return 0.0


class Tell(Protocol):
    """Where a minute's failures of one address go."""

    def __call__(self, address: str, count: int, limited: int, /) -> None: ...


@dataclass(slots=True)
class _Tally:
    count: int = 0
    limited: int = 0


class AuthLimiter:
    """All failures of one server. `clock` gives monotonic seconds; nothing here waits."""

    def __init__(self, clock: Callable[[], float], tell: Tell, count: Callable[[], object]) -> None:
        self._clock = clock
        self._tell = tell
        self._count = count
        self._by_address: Buckets[str] = Buckets(FAILURES_PER_ADDRESS)
        self._by_key_id: Buckets[bytes] = Buckets(FAILURES_PER_KEY_ID)
        self._tallies: dict[str, _Tally] = {}
        self._minute_ends_s = 0.0

    def failed(self, address: str, key_ids: Iterable[bytes]) -> int | None:
        """Notes a failure. None: answer 401; else 429, and the whole seconds after which to try again."""
        now_s = self._clock()
        wait_s = self._by_address.take(_group(address), now_s)
        for key_id in key_ids:
            wait_s = max(wait_s, self._by_key_id.take(hashlib.sha256(key_id).digest(), now_s))
        self._note(address, now_s, is_limited=wait_s > 0.0)
        return math.ceil(wait_s) if wait_s > 0.0 else None

    def tick(self) -> None:
        """Tells of the minute that is over. Called now and then, so that the last failures are told of too."""
        if self._tallies and self._clock() >= self._minute_ends_s:
            self.flush()

    def flush(self) -> None:
        """Tells of everything so far."""
        tallies, self._tallies = self._tallies, {}
        for address, tally in tallies.items():
            self._tell(address, tally.count, tally.limited)

    def _note(self, address: str, now_s: float, *, is_limited: bool) -> None:
        self._count()
        self.tick()
        if not self._tallies:
            self._minute_ends_s = now_s + WINDOW_S
        if address not in self._tallies and len(self._tallies) >= TOLD_MAX:
            address = OTHERS
        tally = self._tallies.setdefault(address, _Tally())
        tally.count += 1
        tally.limited += is_limited


def _group(address: str) -> str:
    """The addresses that count as one."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return address
    return str(ipaddress.IPv6Network((int(ip) >> 64 << 64, 64)))
