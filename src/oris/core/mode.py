"""The mode: whether new runs are taken and whether work is given out, as operators have switched it.

There is a row for the whole cluster and one for each node that was ever named. At a node is on what both have on: a
node that was drained stays so whatever the cluster does, and the other way round.
"""

from __future__ import annotations

from msgspec import Struct

CLUSTER = ""
"""The node id of the row that is for all nodes."""
OFFLINE = "offline"
"""The name that commands on a database without a server commit under: nobody's, and no node is called so."""


class Mode(Struct, frozen=True):
    """One row."""

    node: str
    """`CLUSTER`, or the name of the node it is for alone."""
    submit: bool
    dispatch: bool
    reason: str | None
    set_by: str
    set_ms: int


class Modes(Struct, frozen=True):
    """What one node knows of them."""

    here: str = "node"
    """The node itself."""
    cluster: Mode | None = None
    """None: nobody has ever switched anything."""
    node: Mode | None = None

    @property
    def submit(self) -> bool:
        """Whether new runs are taken here."""
        return all(row.submit for row in self.rows)

    @property
    def dispatch(self) -> bool:
        """Whether work is given out here."""
        return all(row.dispatch for row in self.rows)

    @property
    def rows(self) -> tuple[Mode, ...]:
        """Those that count here."""
        return tuple(row for row in (self.cluster, self.node) if row is not None)

    @property
    def word(self) -> str:
        """The mode in one word."""
        if self.submit:
            return "serving" if self.dispatch else "dispatch_off"
        return "submit_off" if self.dispatch else "drained"

    def with_row(self, row: Mode) -> Modes:
        """The same after a row was written; one for another node changes nothing here."""
        if row.node == CLUSTER:
            return Modes(self.here, row, self.node)
        return Modes(self.here, self.cluster, row) if row.node == self.here else self


def newest(known: Mode | None, read: Mode | None) -> Mode | None:
    """Of two rows for one node the one that was set later; what was read counts if they are of one time."""
    return known if known is not None and (read is None or read.set_ms < known.set_ms) else read
