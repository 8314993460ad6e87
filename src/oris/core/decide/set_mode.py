"""Set mode: an operator switches new runs, or the giving out of work, off or on."""

from __future__ import annotations

from oris.core.changes import Decision
from oris.core.commands import SetMode
from oris.core.facts import Facts
from oris.core.mode import CLUSTER, OFFLINE, Mode
from oris.core.replies import ModeSet, not_found
from oris.core.stamp import Stamp


def set_mode(facts: Facts, command: SetMode, stamp: Stamp) -> Decision:
    """The last one counts. A node that has never been there is no node: a slip would switch nothing off, silently."""
    is_a_node = command.node != OFFLINE and facts.knows_node(command.node)
    if command.node != CLUSTER and not is_a_node:
        return Decision(not_found("node"))
    row = Mode(command.node, command.submit, command.dispatch, command.reason, command.by, stamp.date_ms)
    return Decision(ModeSet(row), mode=row)
