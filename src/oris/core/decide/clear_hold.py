"""Clear hold: an operator has mended what killed the workers of a workflow."""

from __future__ import annotations

from oris.core.changes import Decision
from oris.core.commands import ClearHold
from oris.core.facts import Facts
from oris.core.model import Lane
from oris.core.replies import HoldCleared


def clear_hold(facts: Facts, command: ClearHold) -> Decision:
    """Harmless for a workflow that is not held; losses are counted from nothing again."""
    lane = Lane(command.tenant_id, command.workflow)
    was_held = facts.held(lane) is not None
    return Decision(HoldCleared(lane, was_held), unheld=lane if facts.knows_losses(lane) else None)
