"""Where parked polls stand in line. Polls with the same wish stand together, so that a lane finds its polls at once;
others are found by their worker, or just in order."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import Protocol

from msgspec import Struct

from oris.core.commands import Want
from oris.core.model import Lane
from oris.engine.parked import Parked
from oris.ids import TenantId, WorkerKey


class Line(Protocol):
    """What all kinds of lines can do."""

    def add(self, parked: Parked) -> None:
        """Put a poll at the end."""

    def discard(self, parked: Parked) -> None:
        """Take a poll out, if it is there."""


class Row:
    """Polls in the order in which they came."""

    def __init__(self) -> None:
        self._polls: dict[Parked, None] = {}

    def add(self, parked: Parked) -> None:
        """See `Line`."""
        self._polls[parked] = None

    def discard(self, parked: Parked) -> None:
        """See `Line`."""
        self._polls.pop(parked, None)

    def __iter__(self) -> Iterator[Parked]:
        return iter(self._polls)

    def __len__(self) -> int:
        return len(self._polls)


class OfWorkers:
    """Polls by their worker."""

    def __init__(self) -> None:
        self._polls: dict[WorkerKey, dict[Parked, None]] = {}

    def add(self, parked: Parked) -> None:
        """See `Line`."""
        self._polls.setdefault(parked.want.worker_key, {})[parked] = None

    def discard(self, parked: Parked) -> None:
        """See `Line`."""
        mine = self._polls.get(parked.want.worker_key)
        if mine is not None:
            mine.pop(parked, None)
            if not mine:
                del self._polls[parked.want.worker_key]

    def of(self, worker: WorkerKey) -> list[Parked]:
        """The polls of one worker, the oldest first."""
        return list(self._polls.get(worker, ()))

    def workers(self) -> tuple[WorkerKey, ...]:
        """The workers that have any."""
        return tuple(self._polls)

    def __iter__(self) -> Iterator[Parked]:
        return (parked for mine in self._polls.values() for parked in mine)

    def __len__(self) -> int:
        return sum(map(len, self._polls.values()))


class AtWorkerLimit(OfWorkers):
    """Polls whose worker may hold no further lease. A worker in quarantine may at some time: then it gets a probe."""

    def __init__(self) -> None:
        super().__init__()
        self._until_ms: dict[Parked, int] = {}

    def add(self, parked: Parked) -> None:
        """See `Line`."""
        super().add(parked)
        if parked.granted is not None and parked.granted.quarantined_until_ms is not None:
            self._until_ms[parked] = parked.granted.quarantined_until_ms

    def discard(self, parked: Parked) -> None:
        """See `Line`."""
        super().discard(parked)
        self._until_ms.pop(parked, None)

    def quarantined_until(self, now_ms: int) -> list[Parked]:
        """Those whose worker may be given a probe by now."""
        return [parked for parked, until_ms in self._until_ms.items() if until_ms <= now_ms]


class Limited(Struct, frozen=True):
    """Tenants at the server's limit, and lanes whose workflow is held."""

    tenants: tuple[TenantId, ...]
    holds: tuple[Lane, ...]


class Wish(Struct, frozen=True):
    """Which polls stand together: those for one tenant (or for all) and one workflow (or all)."""

    tenant_id: TenantId | None
    workflow: str | None


class Lines:
    """Polls by wish, in the order of their tickets. A poll for several workflows stands in several lines."""

    def __init__(self) -> None:
        self._lines: dict[Wish, dict[Parked, None]] = {}

    def add(self, parked: Parked) -> None:
        """See `Line`; its ticket is the newest."""
        for wish in wishes(parked.want):
            self._lines.setdefault(wish, {})[parked] = None

    def discard(self, parked: Parked) -> None:
        """See `Line`."""
        for wish in wishes(parked.want):
            line = self._lines.get(wish)
            if line is not None:
                line.pop(parked, None)
                if not line:
                    del self._lines[wish]

    def all_for(self, lane: Lane | None = None) -> list[Parked]:
        """All polls, or all that a job of this lane could go to, by ticket."""
        lines = self._lines.values() if lane is None else self._of([lane])
        return sorted({parked for line in lines for parked in line}, key=_ticket)

    def waiting(self, lanes: Iterable[Lane]) -> Iterator[Parked]:
        """The polls that jobs of these lanes could go to, by ticket. Change nothing while it runs."""
        before: Parked | None = None
        for parked in heapq.merge(*self._of(lanes), key=_ticket):
            # Two lines that hold the same poll give it twice in a row: tickets are unique.
            if parked is not before:
                yield parked
            before = parked

    def __contains__(self, wish: Wish) -> bool:
        return wish in self._lines

    def __len__(self) -> int:
        """How many wishes there are."""
        return len(self._lines)

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
