"""Which outages this node has had: time in which it could not commit, for whatever reason.

    start       from when the store was last looked after, as it remembers itself, until now
    standstill  the process, or its whole machine, was stopped: nobody has looked for a while
    trouble     from the start of the first commit that failed, or took so long, until one has succeeded
    refused     workers' calls found no room: from the first until the last has had time to come again; in parts, for
                others get through meanwhile, and what dead workers hold has to come to an end

Until the sweeper has had every lease extended that an outage is to be made up for, commits are not calm: were the node
to die meanwhile, its next start would begin its account where this one did.

Time in which another node of the same store could commit is none: an outage is cut by that with the first commit after
it, whose transaction tells until when others have owed nothing. What a single node's stall means for its workers is
that they have to call another one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from oris.core.outage import LONGEST_GRACE_MS, Outage, after

LEAST_MS = 500
"""Shorter ones are not worth the name; the monitor looks five times as often."""
FORGET_MS = 2 * LONGEST_GRACE_MS
"""So long after its end an outage is forgotten though it was not made up for to all: nobody lives on by it any more."""


REFUSED_MS = 3_000
"""So long after a worker was refused it has come again: it was told to after 1 s."""


class Outages:
    """The node's account. Every method is synchronous; times are engine ms."""

    def __init__(self, on_outage: Callable[[Outage], None]) -> None:
        """`on_outage` is told of each one when it is over."""
        self._on_outage = on_outage
        self._known: deque[Outage] = deque()
        """The newest ones, in time order; the last of them is number `_count`."""
        self._uncut = 0
        """How many of the newest were added since the last commit."""
        self._good_ms: int | None = None
        """When it was last seen that commits are possible; None before anybody has looked."""
        self._trouble_ms: int | None = None
        """Since when they are known not to be."""
        self._started_ms: int | None = None
        """When the commit under way began."""
        self._refused: tuple[int, int] | None = None
        """Since when workers are refused, and until when they are given time."""
        self._count = 0
        """How many there were."""
        self._made_up = 0
        """How many of them were made up for to every lease."""

    def begin(self, calm_ms: int, now_ms: int) -> None:
        """The node starts; the store was looked after until `calm_ms` (0: it is new)."""
        if 0 < calm_ms < now_ms:
            self._add(Outage(calm_ms, now_ms, "start"))

    def alive(self, now_ms: int) -> None:
        """The event loop turns. Not to have been called for a while is a standstill."""
        since_ms = self._standstill(now_ms)
        if since_ms is not None:
            self._add(Outage(since_ms, now_ms, "standstill"))
        if self._trouble_ms is None:
            self._good_ms = now_ms
        self._end_refusals(now_ms)

    def refused(self, now_ms: int) -> None:
        """A worker's call found no room in this server: what it had to say was not its fault to leave unsaid."""
        self._end_refusals(now_ms)
        if self._refused is not None and now_ms - self._refused[0] >= LONGEST_GRACE_MS:
            since_ms, self._refused = self._refused[0], None
            self._add(Outage(since_ms, now_ms, "refused"))
        since_ms = now_ms if self._refused is None else self._refused[0]
        self._refused = (since_ms, now_ms + REFUSED_MS)

    def _end_refusals(self, now_ms: int) -> None:
        if self._refused is not None and now_ms > self._refused[1]:
            over, self._refused = self._refused, None
            self._add(Outage(*over, "refused"))

    def starts(self, now_ms: int) -> None:
        """A commit begins, or what is left of one that could not be made is tried again."""
        if self._started_ms is None:
            self._started_ms = now_ms

    def failed(self) -> None:
        """The commit could not be made."""
        started_ms, self._started_ms = self._started_ms, None
        if self._trouble_ms is None:
            known = [at_ms for at_ms in (started_ms, self._good_ms) if at_ms is not None]
            self._trouble_ms = min(known, default=None)

    def ended(self, now_ms: int, others_calm_ms: int = 0, *, wrote: bool) -> None:
        """The commit is made. One that had nothing to write says nothing of the disk; the time it took is over."""
        self._end(now_ms, wrote=wrote)
        for place in range(len(self._known) - self._uncut, len(self._known)):
            self._known[place] = after(self._known[place], others_calm_ms)
        self._uncut = 0

    def _end(self, now_ms: int, *, wrote: bool) -> None:
        goes_on = self._goes_on(now_ms)
        self._started_ms = None
        if not wrote:
            if goes_on is not None and goes_on.cause == "trouble" and self._trouble_ms is None:
                self._add(goes_on)
            return
        if goes_on is not None and now_ms - goes_on.from_ms >= LEAST_MS:
            self._add(goes_on)
        self._trouble_ms = None
        if self._good_ms is not None:
            self._good_ms = now_ms

    def over(self, now_ms: int) -> None:
        """Nothing is left of it to be tried. What failed by a fault of its own has taken its time all the same."""
        if self._started_ms is not None:
            self._end(now_ms, wrote=False)

    def at(self, now_ms: int, others_calm_ms: int = 0) -> tuple[Outage, ...]:
        """What matters to a batch that is decided at this time: the one that it would end, too. `others_calm_ms`: until
        when another node has owed nothing."""
        going_on = [outage for outage in (self._goes_on(now_ms), self._refusals(now_ms)) if outage is not None]
        found = (*self._known, *(outage for outage in going_on if outage.from_ms < now_ms))
        if not others_calm_ms:
            return found
        is_cut = len(self._known) - self._uncut
        return (*found[:is_cut], *(after(outage, others_calm_ms) for outage in found[is_cut:]))

    def _refusals(self, now_ms: int) -> Outage | None:
        """The refusals as an outage, when there are any that are not yet over and told of."""
        return None if self._refused is None else Outage(self._refused[0], min(now_ms, self._refused[1]), "refused")

    def calm_ms(self, now_ms: int) -> int:
        """Until when nothing was to be made up for: now, or the beginning of the first outage that still is.

        It is never unknown: a start that did not know would take its database for a new one, and make up for nothing.
        """
        owed = [] if self._made_up == self._count else list(self._known)[self._made_up - self._count :]
        since = [outage.from_ms for outage in owed]
        since += [outage.from_ms for outage in (self._goes_on(now_ms), self._refusals(now_ms)) if outage is not None]
        return min([now_ms, *since])

    def owing(self) -> int | None:
        """Something is to be made up for; the number is for `made_up`."""
        return None if self._made_up == self._count else self._count

    def made_up(self, owed: int, now_ms: int) -> None:
        """Every lease that could matter was shown what `owing` meant, in commits."""
        self._made_up = max(self._made_up, owed)
        self._forget(now_ms)

    def latest_end_ms(self) -> int:
        """No lease that ends later can be owed anything."""
        return max((outage.to_ms + LONGEST_GRACE_MS for outage in self._known), default=0)

    def _goes_on(self, now_ms: int) -> Outage | None:
        """The outage that goes on, if one does: a commit that takes so long is one too."""
        if self._trouble_ms is not None:
            return Outage(self._trouble_ms, now_ms, "trouble")
        started_ms = self._started_ms
        if started_ms is not None and now_ms - started_ms >= LEAST_MS:
            since_ms = started_ms if self._good_ms is None else min(started_ms, self._good_ms)
            return Outage(since_ms, now_ms, "trouble")
        since = self._standstill(now_ms)
        return None if since is None else Outage(since, now_ms, "standstill")

    def _standstill(self, now_ms: int) -> int | None:
        good_ms = self._good_ms
        if self._trouble_ms is not None or good_ms is None or now_ms - good_ms < LEAST_MS:
            return None
        return good_ms

    def _add(self, outage: Outage) -> None:
        self._forget(outage.to_ms)
        self._known.append(outage)
        self._uncut += 1
        self._count += 1
        self._on_outage(outage)

    def _forget(self, now_ms: int) -> None:
        """Leave out what can matter to no lease any more, from the oldest on."""
        known = self._known
        while known:
            settled = self._made_up > self._count - len(known)
            if now_ms <= known[0].to_ms + (LONGEST_GRACE_MS if settled else FORGET_MS):
                return
            known.popleft()
            self._uncut = min(self._uncut, len(known))
