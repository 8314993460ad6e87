"""Where parked polls stand in line: those with the same wish together, so that a lane finds its polls at once."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from msgspec import Struct

from oris.core.commands import Want
from oris.core.model import Lane
from oris.engine.parked import Parked
from oris.ids import TenantId


class Wish(Struct, frozen=True):
    """Which polls stand together: those for one tenant (or for all) and one workflow (or all)."""

    tenant_id: TenantId | None
    workflow: str | None


class Lines:
    """Polls by wish, in the order of their tickets. A poll for several workflows stands in several lines."""

    def __init__(self) -> None:
        self._lines: dict[Wish, dict[Parked, None]] = {}

    def add(self, parked: Parked) -> None:
        """Put a poll at the end; its ticket is the newest."""
        for wish in wishes(parked.want):
            self._lines.setdefault(wish, {})[parked] = None

    def discard(self, parked: Parked) -> None:
        """Take a poll out, if it is there."""
        for wish in wishes(parked.want):
            line = self._lines.get(wish)
            if line is not None:
                line.pop(parked, None)
                if not line:
                    del self._lines[wish]

    def pop_all(self, lane: Lane | None = None) -> list[Parked]:
        """Take out all polls, or all that a job of this lane could go to."""
        lines = self._lines.values() if lane is None else self._of([lane])
        found = sorted({parked for line in lines for parked in line}, key=_ticket)
        for parked in found:
            self.discard(parked)
        return found

    def waiting(self, lanes: Iterable[Lane]) -> Iterator[Parked]:
        """The polls that jobs of these lanes could go to and that have not ended, by ticket. Change nothing while
        it runs."""
        before: Parked | None = None
        for parked in heapq.merge(*self._of(lanes), key=_ticket):
            # Two lines that hold the same poll give it twice in a row: tickets are unique.
            if parked is not before and parked.ending is None:
                yield parked
            before = parked

    def __contains__(self, wish: Wish) -> bool:
        return wish in self._lines

    def __len__(self) -> int:
        """How many wishes there are."""
        return len(self._lines)

    def is_live(self, wish: Wish) -> bool:
        """True when a poll that has not ended stands here with this wish."""
        return any(parked.ending is None for parked in self._lines.get(wish, ()))

    def _of(self, lanes: Iterable[Lane]) -> list[dict[Parked, None]]:
        names = dict.fromkeys(wish for lane in lanes for wish in wishes_of(lane))
        return [self._lines[wish] for wish in names if wish in self._lines]


def _ticket(parked: Parked) -> int:
    return parked.ticket


def wishes(want: Want) -> list[Wish]:
    """Where a poll stands."""
    workflows: Iterable[str | None] = (None,) if want.workflows is None else want.workflows
    return [Wish(want.tenant_id, workflow) for workflow in workflows]


def wishes_of(lane: Lane) -> tuple[Wish, ...]:
    """The wishes that a lane fulfils; no poll has two of them."""
    return (
        Wish(None, None),
        Wish(None, lane.workflow),
        Wish(lane.tenant_id, None),
        Wish(lane.tenant_id, lane.workflow),
    )
