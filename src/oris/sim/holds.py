"""The account of held workflows: what docs/api.md says of them, written a second time, from committed events alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from oris.core import events as ev
from oris.core.changes import Changes
from oris.core.hold import Hold, HoldRules
from oris.core.model import Lane
from oris.ids import LeaseId
from oris.sim.judge import Judge
from oris.sim.lives import LeaseLife, RunLife
from oris.sim.trace import Trace

FORGOTTEN_MS = 7 * 24 * 3600 * 1000
"""Losses that are so old, by the engine's clock, tell nothing of a workflow that is not held."""
_NORMAL = frozenset({"completed", "retry_scheduled", "suspended", "failed"})


@dataclass
class LaneLosses:
    """A workflow whose last leases were lost."""

    first_ms: int
    changed_ms: int
    lost: list[str] = field(default_factory=list)
    again: int = 0
    held_ms: int = 0
    next_ms: int = 0
    probes: int = 0
    probe: LeaseId | None = None
    open_ms: int = 0
    """Since when it may be probed, for who waits beside it."""

    def is_old(self, newest_ms: int) -> bool:
        """Whether it is forgotten, when another one has changed at this time."""
        return not self.held_ms and self.changed_ms < newest_ms - FORGOTTEN_MS


class HoldAccount:
    """Told of each grant and each end of a lease in the order of the events."""

    def __init__(self, judge: Judge, trace: Trace, rules: HoldRules) -> None:
        self._judge = judge
        self._trace = trace
        self._rules = rules
        self._lanes: dict[Lane, LaneLosses] = {}
        self._over_ms: dict[Lane, int] = {}
        """When a hold ended last."""
        self._were_held: set[Lane] = set()
        self._unsure: set[Lane] = set()
        """Events alone do not tell what this commit has made of these: who gave a lease back is in none."""
        self._closed: dict[LeaseId, str] = {}

    def begin(self, changes: Changes) -> None:
        """A commit is to be read."""
        self._closed = {closed.lease_id: closed.state for closed in changes.closed}
        self._were_held = {lane for lane, losses in self._lanes.items() if losses.held_ms}
        self._unsure = {
            lane
            for lane in self._lanes
            for record in changes.audit
            if record.action == "workflow.clear_hold"
            and (record.tenant_id, record.resource_id) == (lane.tenant_id, lane.workflow)
        }

    def held(self, lane: Lane) -> bool:
        """Whether it is held, or was before this commit."""
        return lane in self._were_held or lane in self._unsure or self._is_held(lane)

    def open_since_ms(self, lane: Lane, now_ms: int) -> int | None:
        """Since when its jobs may be given out; None: they may not."""
        losses = self._lanes.get(lane)
        if losses is None or not losses.held_ms:
            return self._over_ms.get(lane, 0)
        if losses.probe is not None or now_ms < losses.next_ms:
            return None
        return max(losses.next_ms, losses.open_ms)

    def spares(self, lane: Lane, now_ms: int) -> bool | None:
        """Whether a loss at this time ends no run; None: not to be told."""
        if lane in self._unsure:
            return None
        losses = self._lanes.get(lane)
        return losses is not None and losses.held_ms > 0 and now_ms < losses.held_ms + self._rules.spares_ms

    def is_held(self, lane: Lane) -> bool | None:
        """Whether it is held now; None: not to be told."""
        return None if lane in self._unsure else self._is_held(lane)

    def lost(self, run: RunLife, lease: LeaseLife, now_ms: int) -> None:
        """A lease was lost."""
        rules, lane = self._rules, run.lane
        losses = self._lanes.get(lane)
        if losses is None or (not losses.held_ms and losses.changed_ms < now_ms - FORGOTTEN_MS):
            losses = self._lanes[lane] = LaneLosses(now_ms, now_ms)
        elif losses.held_ms:
            if losses.probe == lease.lease_id:
                self._trace.saw("workflow probe lost")
                losses.probe, losses.probes, losses.changed_ms = None, losses.probes + 1, now_ms
                losses.next_ms = now_ms + min(rules.first_pause_ms * 2**losses.probes, rules.longest_pause_ms)
            return
        else:
            losses.again += lease.granted_ms >= losses.first_ms
        losses.lost = [*losses.lost, run.run_id][-rules.losses :]
        losses.changed_ms = now_ms
        enough = len(losses.lost) == rules.losses and len({*losses.lost}) >= rules.runs
        if enough and losses.again >= rules.again:
            self._trace.saw("workflow held")
            losses.held_ms, losses.next_ms = now_ms, now_ms + rules.first_pause_ms

    def count(self, run: RunLife, lease: LeaseLife, body: ev.LeaseExpired, most: int, now_ms: int) -> None:
        """Count the loss for its run. What was spared before is forgotten once its workflow is not held any more."""
        lease.spared, run.spared = self.is_held(run.lane), self.spares(run.lane, now_ms)
        forgiven = run.losses_in_row >= most
        if forgiven and lease.spared is None:
            lease.spared = body.losses is None  # not to be told: it is believed
        run.losses_in_row = 1 if forgiven and not lease.spared else run.losses_in_row + 1

    def ended(self, run: RunLife, lease: LeaseLife, event_type: str, now_ms: int) -> None:
        """A lease has ended otherwise."""
        losses = self._lanes.get(run.lane)
        if losses is None:
            return
        state = self._closed.get(lease.lease_id)
        if state == "released":
            self._unsure.add(run.lane)
        elif event_type in _NORMAL or state == "closed":
            if losses.held_ms:
                self._trace.saw("workflow hold over")
                self._over_ms[run.lane] = now_ms
            del self._lanes[run.lane]
        elif losses.probe == lease.lease_id:
            losses.probe, losses.open_ms = None, now_ms

    def granted(self, run: RunLife, lease: LeaseLife, waiting: Iterable[RunLife], now_ms: int) -> None:
        """Of a held workflow one lease at a time, at its time, and to the run that has lost least."""
        losses = self._lanes.get(run.lane)
        if losses is None or not losses.held_ms or run.lane in self._unsure:
            return
        self._trace.saw("workflow probed")
        require = self._judge.require
        require(losses.probe is None, "hold", lease.lease_id, f"granted beside the probe {losses.probe}")
        require(now_ms >= losses.next_ms, "hold", lease.lease_id, f"probed {losses.next_ms - now_ms} ms too early")
        mine = (run.losses_in_row, run.order)
        for other in waiting:
            if other.lane == run.lane and (other.losses_in_row, other.order) < mine:
                what = f"probed after {run.losses_in_row} losses; {other.run_id} has lost {other.losses_in_row}"
                require(False, "hold", lease.lease_id, what)
        losses.probe = lease.lease_id

    def committed(self, rows: Iterable[Hold], now_ms: int) -> None:
        """What is stored is what has happened."""
        found = {row.lane: row for row in rows}
        for lane in self._unsure:
            self._adopt(lane, found.get(lane), now_ms)
        newest_ms = max((losses.changed_ms for losses in self._lanes.values()), default=0)
        for lane in [lane for lane, losses in self._lanes.items() if losses.is_old(newest_ms)]:
            del self._lanes[lane]
        told = {lane: _told(row) for lane, row in found.items()}
        counted = {lane: _counted(losses) for lane, losses in self._lanes.items()}
        self._judge.require(told == counted, "hold", "workflows", f"the rows say {told}, it is {counted}")
        self._unsure = set()

    def _is_held(self, lane: Lane) -> bool:
        losses = self._lanes.get(lane)
        return losses is not None and losses.held_ms > 0

    def _adopt(self, lane: Lane, row: Hold | None, now_ms: int) -> None:
        """Whatever it is: a lease was given back by its worker, or taken back by the server."""
        if row is None:
            if self._is_held(lane):
                self._over_ms[lane] = now_ms
            self._lanes.pop(lane, None)
            return
        lost = row.lost.split(",")
        numbers = (row.again, row.held_ms, row.next_ms, row.probes, row.probe)
        self._lanes[lane] = LaneLosses(row.first_ms, row.changed_ms, lost, *numbers, open_ms=now_ms)


def _told(row: Hold) -> tuple[object, ...]:
    times = (row.first_ms, row.changed_ms, row.held_ms, row.next_ms)
    return (row.lost, row.again, row.probes, row.probe, *times)


def _counted(losses: LaneLosses) -> tuple[object, ...]:
    times = (losses.first_ms, losses.changed_ms, losses.held_ms, losses.next_ms)
    return (",".join(losses.lost), losses.again, losses.probes, losses.probe, *times)
