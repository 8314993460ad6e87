"""Clear quarantine: an operator has looked at a worker and trusts it again."""

from __future__ import annotations

from oris.core.changes import Decision
from oris.core.commands import ClearQuarantine
from oris.core.facts import Facts
from oris.core.quarantine import cleared
from oris.core.replies import QuarantineCleared, not_found
from oris.core.stamp import Stamp


def clear_quarantine(facts: Facts, command: ClearQuarantine, stamp: Stamp) -> Decision:
    """Repeating it is harmless; incidents are counted from nothing again."""
    if not facts.knows_worker(command.worker_key):
        return Decision(not_found("worker"))
    worker = facts.worker(command.worker_key, stamp.now_ms)
    row = cleared(worker)
    return Decision(QuarantineCleared(row), worker=row)
