"""The facts of retention: what is old, as it was loaded."""

from __future__ import annotations

from msgspec import Struct, field

from oris.core.audit import AuditHead
from oris.core.audit_anchor import AuditAnchor
from oris.core.model import Job, PrunedRun
from oris.ids import JobKey, RunId


class OldRun(Struct, frozen=True):
    """A run as retention has to see it."""

    run: Job
    dead: bool
    """It has a dead letter that nobody has replayed."""
    replayed_until: int
    """The last event of the newest replay that goes on from it; 0: none does."""


class OldestRuns(Struct, frozen=True):
    """The oldest runs of a thread, in order."""

    runs: tuple[OldRun, ...]
    complete: bool
    """There are no others."""
    place: tuple[int, int]
    """The thread's `seq` and `pruned_seq`: with others this is history."""


class Old(Struct):
    """What a store has found for the needs of retention."""

    runs: dict[JobKey, OldestRuns] = field(default_factory=dict)
    pruned: dict[RunId, PrunedRun] = field(default_factory=dict)
    """Pruned runs that have something left to erase."""
    audit_heads: dict[tuple[str, int], AuditHead] = field(default_factory=dict)
    anchors: dict[str, AuditAnchor] = field(default_factory=dict)
