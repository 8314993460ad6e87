"""Bytes that are held for clients, all together: an account with a bound, of which a part is kept for workers.

Two things count: bodies on their way in, until what they ask for is committed, and answers on their way out, until the
clients' sockets have taken them. Whoever waits, streams or does not read may fill the common part alone.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

import trio


class Account:
    """Every method is synchronous but `wait_for`."""

    def __init__(self, limit_bytes: int, reserve_bytes: int) -> None:
        """`reserve_bytes` of the limit are for workers alone."""
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self.refused = 0
        """How often there was no room."""
        self.on_given_back: Callable[[], None] = lambda: None
        """Told each time that something is."""
        self._common_limit_bytes = limit_bytes - reserve_bytes
        self._common_bytes = 0
        self._tenants: Counter[str] = Counter()
        """What workers hold whose credentials are bound to a tenant, by that."""
        self._waiting: deque[tuple[Share, int, trio.Event]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for room."""
        return len(self._waiting)

    def holds(self, size: int, *, of_worker: bool) -> bool:
        """Whether there is room for this much more. One that is alone always has it."""
        if of_worker:
            return not self.held_bytes or self.held_bytes + size <= self.limit_bytes
        together_bytes = max(self._common_bytes, self.held_bytes - (self.limit_bytes - self._common_limit_bytes))
        return not self.held_bytes or together_bytes + size <= self._common_limit_bytes

    def left_for(self, tenant_id: str | None) -> int:
        """How much more may be held for workers of this tenant (None: bound to none). What it holds already counts
        twice: it has room as long as it holds less than is free, so one that does not read leaves some to the rest."""
        left = self.limit_bytes - self.held_bytes
        return left if tenant_id is None else left - self._tenants[tenant_id]

    def _change(self, by: int, share: Share) -> None:
        self.held_bytes += by
        if not share.of_worker:
            self._common_bytes += by
        elif share.tenant_id is not None:
            self._tenants[share.tenant_id] += by
            if not self._tenants[share.tenant_id]:
                del self._tenants[share.tenant_id]
        if by < 0:
            if self._waiting:
                self._let_in()
            self.on_given_back()

    def _let_in(self) -> None:
        """Those who wait get what was given back, in turn; nobody of the common part holds up a worker."""
        left: deque[tuple[Share, int, trio.Event]] = deque()
        waiting, self._waiting = self._waiting, left
        common_stands = False
        for share, size, ready in waiting:
            stands = not share.of_worker and common_stands
            if not stands and self.holds(size, of_worker=share.of_worker):
                share.set(share.size + size)
                ready.set()
            else:
                common_stands = common_stands or not share.of_worker
                left.append((share, size, ready))


class Share:
    """What one request holds of an account."""

    __slots__ = ("_account", "of_worker", "size", "tenant_id")

    def __init__(self, account: Account) -> None:
        self._account = account
        self.of_worker = False
        self.tenant_id: str | None = None
        """Whom its credential is bound to."""
        self.size = 0

    @property
    def is_twice_full(self) -> bool:
        """Whether the account holds twice as much as it should."""
        return self._account.held_bytes >= 2 * self._account.limit_bytes

    def take(self, size: int) -> bool:
        """Hold this much more, if there is room."""
        if not self._account.holds(size, of_worker=self.of_worker):
            self._account.refused += 1
            return False
        self.set(self.size + size)
        return True

    def finds(self, size: int) -> bool:
        """Whether there is room for this much more, and nobody waits for it."""
        return not self._account._waiting and self._account.holds(size, of_worker=self.of_worker)

    async def wait_for(self, size: int, limit_s: float) -> bool:
        """Hold this much more as soon as there is room; False when there was none in time."""
        account = self._account
        if self.finds(size):
            self.set(self.size + size)
            return True
        entry = (self, size, trio.Event())
        account._waiting.append(entry)
        account._let_in()
        try:
            with trio.move_on_after(limit_s):
                await entry[2].wait()
        finally:
            if entry in account._waiting:
                account._waiting.remove(entry)
        if not entry[2].is_set():
            account.refused += 1
        return entry[2].is_set()

    def set(self, size: int) -> None:
        """Hold this much and no more, whether there is room or not: it is there already."""
        by, self.size = size - self.size, size
        if by:
            self._account._change(by, self)
