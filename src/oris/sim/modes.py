"""What operators have switched off, as each commit tells it, and whether the server kept to it."""

from __future__ import annotations

from collections.abc import Iterable

from oris.core.changes import Changes
from oris.core.mode import CLUSTER, Mode
from oris.core.violation import Violation
from oris.sim.judge import Judge
from oris.sim.lives import RunLife
from oris.sim.trace import Trace


class ModeAccount:
    """Told of every commit in order."""

    def __init__(self, judge: Judge, trace: Trace) -> None:
        self._judge = judge
        self._trace = trace
        self._rows: dict[str, Mode] = {}
        self.dispatches_since_ms: int | None = 0
        """Since when work is given out everywhere; None: it is not."""

    @property
    def all_on(self) -> bool:
        """Whether nothing is switched off."""
        return self._has("submit") and self._has("dispatch")

    def committed(self, changes: Changes, granted: Iterable[RunLife], now_ms: int, node: str) -> None:
        """A commit of a node: no work is given out in it, and no run made, against the switches."""
        took_runs = self._has("submit", node)
        if changes.modes:
            self._rows |= changes.modes
            self._trace.saw("mode switched")
            on = self._has("dispatch")
            self.dispatches_since_ms = (self.dispatches_since_ms or now_ms) if on else None
        if not self._has("dispatch", node):
            for run in granted:
                self._judge.fail(Violation("mode", run.run_id, "work was given out while that is switched off"))
        if not took_runs and not self._has("submit", node):
            for entry in changes.entries:
                if entry.event_type == "run_created":
                    self._judge.fail(Violation("mode", entry.run_id, "made while new runs are switched off"))

    def whole(self, rows: Iterable[Mode]) -> None:
        """The switches on the disk are those that were committed."""
        there = {row.node: row for row in rows}
        self._judge.require(there == self._rows, "I12", "modes", "are not those that were committed last")

    def _has(self, switch: str, node: str | None = None) -> bool:
        """Whether a switch is on at a node; None: at all of them."""
        names = self._rows.keys() if node is None else {CLUSTER, node} & self._rows.keys()
        return all(getattr(self._rows[name], switch) for name in names)
