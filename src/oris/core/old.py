"""The facts of retention: what is old, as it was read or loaded."""

from __future__ import annotations

from msgspec import Struct, field

from oris.core.audit import AuditHead
from oris.core.audit_anchor import AuditAnchor
from oris.core.model import Job, PrunedRun, Status
from oris.ids import RunId


class Place(Struct, frozen=True):
    """How far a thread has come, as its old runs see it: while it is at one place, nothing changes of them.

    A run that is over gets no more events. Its dead letter was written with its last one, and is marked, its target is
    claimed, and it is gone on from, only in commits that make a new run of the same thread; and only retention deletes
    any of this, which moves `pruned_seq`. The latest run itself goes only once it is over, like the others.
    """

    latest: RunId | None
    """None: there is no such thread."""
    pruned_seq: int


def place_of(job: Job) -> Place:
    """Where the thread of this row is."""
    return Place(job.run_id, job.pruned_seq)


class OldRun(Struct, frozen=True):
    """A run as retention has to see it."""

    run_id: RunId
    seq: int
    """Its last event, and below what that has."""
    head_hash: bytes
    fence: int
    status: Status
    updated_ms: int
    dead: bool
    """It has a dead letter that nobody has replayed."""
    replayed_until: int
    """The last event of the newest replay that goes on from it; 0: none does."""


class OldestRuns(Struct, frozen=True):
    """Some of a thread's runs, in order: a page of those that are kept, from the oldest on."""

    place: Place
    runs: tuple[OldRun, ...]
    after: int | None
    """Where the next page begins; None: there are no others."""


class Cut(Struct, frozen=True):
    """The oldest runs of a thread, which may go, and what its row has to know of the last of them."""

    place: Place
    """Where the thread was when this was found: elsewhere it is not to be gone by."""
    run_ids: tuple[RunId, ...]
    seq: int
    head_hash: bytes
    fence: int


class Old(Struct):
    """What a store has found for the needs of retention."""

    pruned: dict[RunId, PrunedRun] = field(default_factory=dict)
    """Pruned runs that have something left to erase."""
    audit_heads: dict[tuple[str, int], AuditHead] = field(default_factory=dict)
    anchors: dict[str, AuditAnchor] = field(default_factory=dict)
