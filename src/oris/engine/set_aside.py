"""Runs that are granted to nobody: what they would be handed is damaged, or granting them has raised.

They stay queued, and those behind them go on. They are tried again after the next start.
"""

from __future__ import annotations

from collections.abc import Iterable

from oris.core.model import TERMINAL, Job
from oris.ids import RunId

MAX_SET_ASIDE = 100
"""A store in which more are damaged has another trouble than these."""


class SetAside:
    """The runs that are set aside here and now."""

    def __init__(self) -> None:
        self.runs: frozenset[RunId] = frozenset()

    def has(self, run_id: RunId) -> bool:
        """Whether a run is granted to nobody."""
        return run_id in self.runs

    def put(self, run_id: RunId) -> bool:
        """Grant a run to nobody; False: it was so already, or there are too many."""
        if run_id in self.runs or len(self.runs) >= MAX_SET_ASIDE:
            return False
        self.runs |= {run_id}
        return True

    def forget_ended(self, jobs: Iterable[Job]) -> None:
        """Of these, as they are by now, those that have ended are no concern any more."""
        if self.runs:
            self.runs -= {job.run_id for job in jobs if job.status in TERMINAL}
