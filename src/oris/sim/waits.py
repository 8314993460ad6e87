"""The waits of runs, as their events tell of them: raised once, settled once, gone with their run's wait (I24)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from oris.core import events as ev
from oris.core.chain import Entry
from oris.core.model import Wait
from oris.ids import RunId, WaitId
from oris.sim.lives import RunLife

Bad = Callable[[str, Entry, str], None]
"""Told of what may not be: the rule, the event, what is wrong."""


@dataclass
class WaitLife:
    """One wait from its suspension to its end."""

    run_id: RunId
    kind: str
    key: str
    due_ms: int | None
    status: str = "pending"
    answer: bytes | None = None
    """The digest of what somebody has said."""


class WaitAccount:
    """All waits there ever were."""

    def __init__(self, bad: Bad, in_time: Callable[[Entry, int, str], None]) -> None:
        self._bad = bad
        self._in_time = in_time
        self.waits: dict[WaitId, WaitLife] = {}

    def pending(self, run: RunLife) -> list[WaitLife]:
        """What the run waits for now."""
        return [wait for wait in self.waits.values() if wait.run_id == run.run_id and wait.status == "pending"]

    def settled_of(self, run: RunLife) -> list[tuple[str, str, bytes | None]]:
        """What the next attempt has to be told, as it was raised: each wait, how it ended, what was said (a digest)."""
        mine = [(name, wait) for name, wait in self.waits.items() if wait.run_id == run.run_id]
        return [(name, w.status, w.answer) for name, w in mine if w.status not in ("pending", "dropped")]

    def suspended(self, run: RunLife, entry: Entry, body: ev.Suspended) -> None:
        """A run begins to wait. What it has waited for before is settled or dropped, so it waits for the new ones."""
        raised_before = {wait.key for wait in self.waits.values() if wait.run_id == run.run_id}
        for raised in body.waits:
            if raised.wait_id in self.waits or raised.key in raised_before:
                self._bad("I24", entry, f"{raised.key} was raised before")
            self.waits[raised.wait_id] = WaitLife(run.run_id, raised.kind, raised.key, raised.due_ms)
        if body.open != len(body.waits):
            self._bad("I24", entry, f"waits for {body.open}, of which {len(body.waits)} are new")
        run.wait_mode = body.mode
        run.losses_in_row = 0
        run.status = self._status(run)

    def settled(self, run: RunLife, entry: Entry, body: ev.WaitSettled | ev.Rejected) -> None:
        """One of them has come to its end."""
        wait = self.waits.get(body.wait_id)
        if wait is None or wait.run_id != run.run_id or wait.status != "pending":
            self._bad("I24", entry, f"settled while {wait and wait.status}")
            return
        wait.status = "rejected" if isinstance(body, ev.Rejected) else body.status
        wait.answer = entry.payload_digest
        by_time = isinstance(body, ev.WaitSettled) and (body.status == "expired" or body.kind == "time")
        if by_time and wait.due_ms is not None:
            if entry.at_ms < wait.due_ms:
                self._bad("I14", entry, f"settled {wait.due_ms - entry.at_ms} ms before its time")
            self._in_time(entry, wait.due_ms - entry.skew_ms, "settled")
        elif by_time or (wait.due_ms is not None and wait.due_ms <= entry.at_ms):
            self._bad("I24", entry, f"its time was {wait.due_ms}")
        run.status = self._status(run)

    def over(self, run: RunLife, entry: Entry, *, goes_on: bool = False) -> None:
        """The run goes on, or ends: what is left is dropped."""
        left = self.pending(run)
        if goes_on and left and run.wait_mode == "all":
            self._bad("I24", entry, f"goes on and waits for {len(left)}")
        for wait in left:
            wait.status = "dropped"

    def differs(self, row: Wait) -> str | None:
        """What is wrong with a stored row after its commit; None: nothing."""
        wait = self.waits.get(row.wait_id)
        if wait is None:
            return "is stored, and no event tells of it"
        told = (wait.run_id, wait.kind, wait.key, wait.due_ms, wait.status)
        stored = (row.run_id, row.kind, row.key, row.due_ms, row.status)
        return None if told == stored else f"is stored as {stored}, its events tell {told}"

    def _status(self, run: RunLife) -> str:
        people = any(wait.kind == "interrupt" for wait in self.pending(run))
        return "interrupted" if people else "suspended"
