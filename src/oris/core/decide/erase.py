"""Erase: what a pruned run has left is deleted, a piece at a time."""

from __future__ import annotations

from oris.core.changes import Decision, Erasure
from oris.core.commands import Erase
from oris.core.facts import Facts
from oris.core.replies import Forgotten


def erase(facts: Facts, command: Erase) -> Decision:
    """Only of a run that was pruned; one that has nothing left is harmless."""
    run = facts.old.pruned.get(command.run_id)
    if run is None:
        return Decision(Forgotten(0))
    return Decision(Forgotten(1), erased=Erasure(run, command.rows_max, command.bytes_max))
