"""The simulator's own account of outages: when the server was dead, stopped, or its store could not commit.

Kept apart from the engine's: the world knows what it has done to the server.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from oris.core.outage import LONGEST_GRACE_MS
from oris.engine.outages import REFUSED_MS
from oris.sim.lives import LeaseLife

LEAST_MS = 500
"""A shorter one need not be made up for, but for a restart."""
SLACK_MS = 600
"""How far the server's account of an outage may be off: it looks at intervals."""
_NEVER_MS = 2**62


class KnownOutages:
    """One node's. Times in engine ms."""

    def __init__(self) -> None:
        self._over: list[tuple[int, int]] = []
        self._short: list[tuple[int, int]] = []
        """Those that the server may make up for, and need not."""
        self._no_room: list[tuple[int, int]] = []
        self._not_calm: list[tuple[int, int]] = []
        """From the last commit that owed nothing to a start: so far back the server's own account may go."""
        self._calm_ms: int | None = None
        self._dead_ms: int | None = None
        self._trouble_ms: int | None = None
        self._maybe_ms: int | None = None
        """Since when the server may say that it is in trouble: earlier than it has to."""
        self._commit_ms: int | None = None
        self._in_vain: tuple[int, int] | None = None
        """From when until when commits were refused, one right after the other."""

    def died(self, now_ms: int) -> None:
        """The server's process is gone, perhaps in the middle of a commit."""
        since_ms = [now_ms, *(at_ms for at_ms in (self._trouble_ms, self._commit_ms) if at_ms is not None)]
        if self._dead_ms is None:
            self._dead_ms = min(since_ms)
        self._trouble_ms = self._maybe_ms = self._commit_ms = self._in_vain = None

    def started(self, now_ms: int) -> None:
        """Another process has taken its place. A clock that was set back makes an outage shorter, or none."""
        since_ms, self._dead_ms = self._dead_ms, None
        # What the process before has not written down of the time is not known to this one.
        self._over = [(from_ms, min(to_ms, now_ms)) for from_ms, to_ms in self._over if from_ms < now_ms]
        if since_ms is not None and since_ms < now_ms:
            self._over.append((since_ms, now_ms))
        if self._calm_ms is not None and self._calm_ms < now_ms:
            self._not_calm.append((self._calm_ms, now_ms))

    def stopped(self, from_ms: int, to_ms: int) -> None:
        """The process stood still."""
        self._over.append((from_ms, to_ms))

    def starts(self, now_ms: int) -> None:
        """A commit begins."""
        self._commit_ms = now_ms

    def no_room(self, now_ms: int) -> None:
        """Somebody found no room in the inbox: if it was a worker, the server makes up for it."""
        from_ms = now_ms - SLACK_MS
        if self._no_room and from_ms <= self._no_room[-1][1]:
            # It goes on.
            from_ms = self._no_room.pop()[0]
        self._no_room.append((from_ms, now_ms + REFUSED_MS))

    def refused(self, started_ms: int, now_ms: int) -> None:
        """A commit that began then was refused, which others would not have been: the server may make up for it."""
        self._commit_ms = None
        self._in_vain = (self._tried_ms(started_ms), now_ms)
        self._short.append(self._in_vain)

    def failed(self, started_ms: int) -> None:
        """A commit that began then was refused."""
        self._commit_ms = None
        if self._trouble_ms is None:
            self._trouble_ms, self._maybe_ms = started_ms, self._tried_ms(started_ms)

    def unknown(self, started_ms: int, now_ms: int) -> None:
        """A commit that began then has ended now, and the server was not told how: to it, trouble began with it."""
        self.failed(started_ms if now_ms - started_ms >= LEAST_MS else now_ms)

    def committed(self, started_ms: int, now_ms: int, calm_ms: int) -> None:
        """A commit that began then, and was decided now, has written something, and that nothing was owed until
        `calm_ms`."""
        self._calm_ms = max(calm_ms, self._calm_ms or 0)
        since_ms = self._tried_ms(started_ms) if self._maybe_ms is None else self._maybe_ms
        self._ended(started_ms if self._trouble_ms is None else self._trouble_ms, since_ms, now_ms)
        self._trouble_ms = self._maybe_ms = None

    def wrote_nothing(self, started_ms: int, now_ms: int) -> None:
        """A commit that began then had nothing to write: trouble goes on, but what it took itself is over."""
        self._commit_ms = None
        if self._trouble_ms is None:
            self._ended(started_ms, self._tried_ms(started_ms), now_ms)

    def _ended(self, from_ms: int, maybe_ms: int, now_ms: int) -> None:
        """Nothing could be committed from then until now, and perhaps longer."""
        self._commit_ms = self._in_vain = None
        (self._over if now_ms - from_ms >= LEAST_MS else self._short).append((from_ms, now_ms))
        if maybe_ms < from_ms:
            self._short.append((maybe_ms, now_ms))

    def _tried_ms(self, started_ms: int) -> int:
        """Since when the server has tried without a pause what it tries in the commit that began then: what was refused
        is tried again in parts."""
        return self._in_vain[0] if self._in_vain is not None and self._in_vain[1] == started_ms else started_ms

    def certain(self) -> list[tuple[int, int]]:
        """When this node could not commit, to the end of time if it cannot now."""
        since = [at_ms for at_ms in (self._dead_ms, self._trouble_ms) if at_ms is not None]
        return [*self._over, *((min(since), _NEVER_MS) for _ in since[:1])]

    def all_until(self, now_ms: int) -> Iterator[tuple[int, int]]:
        """All that the server may make up for, certain or not."""
        yield from self._over
        yield from self._short[-100:]
        yield from self._not_calm
        yield from self._no_room
        for since_ms in (self._dead_ms, self._maybe_ms):
            if since_ms is not None:
                yield since_ms, now_ms


class Outages:
    """What the outages of all nodes mean for leases: time in which none of them could commit."""

    def __init__(self, nodes: Sequence[KnownOutages]) -> None:
        self._nodes = nodes

    def lives(self, lease: LeaseLife, asked_ms: int, end_ms: int, now_ms: int, believed: bool) -> bool:
        """Whether a lease is live now that its worker has asked for until `asked_ms`, and whose row says `end_ms`.

        When exactly an outage began and ended only the server can know: where it may see it either way, it is believed.
        """
        if now_ms < max(end_ms, self.owed_until_ms(lease, asked_ms)):
            return True
        return believed and now_ms < self.latest_ms(lease, asked_ms, now_ms)

    def owed_until_ms(self, lease: LeaseLife, asked_ms: int) -> int:
        """Before this a lease should not have ended: the time it had left was its worker's to come back in."""
        owed = 0
        for from_ms, to_ms in self._common():
            if lease.granted_ms <= from_ms < asked_ms:
                owed = max(owed, to_ms + min(asked_ms - from_ms, lease.ttl_ms, LONGEST_GRACE_MS))
        return owed

    def latest_ms(self, lease: LeaseLife, asked_ms: int, now_ms: int) -> int:
        """Until when it may live at the most: all gaps that it lived to see, one after the other, are added to it."""
        lost_ms, latest_ms, counted_ms = 0, 0, 0
        for from_ms, to_ms in sorted(outage for node in self._nodes for outage in node.all_until(now_ms)):
            if lease.granted_ms <= to_ms + SLACK_MS and asked_ms > from_ms - SLACK_MS:
                lost_ms += max(0, to_ms - max(from_ms, counted_ms)) + SLACK_MS
                counted_ms = max(counted_ms, to_ms)
                latest_ms = max(latest_ms, to_ms + SLACK_MS + min(lease.ttl_ms, LONGEST_GRACE_MS))
        return max(asked_ms, min(asked_ms + lost_ms, latest_ms))

    def _common(self) -> list[tuple[int, int]]:
        """When none could."""
        common = self._nodes[0].certain()
        for node in self._nodes[1:]:
            both = [(max(a, c), min(b, d)) for a, b in common for c, d in node.certain()]
            common = [(from_ms, to_ms) for from_ms, to_ms in both if from_ms < to_ms]
        return [outage for outage in common if outage[1] < _NEVER_MS]
