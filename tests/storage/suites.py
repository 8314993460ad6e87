"""All conformance suites as one class: a backend's tests derive from it and bring `harness`."""

from __future__ import annotations

from .conformance import StoreConformance
from .conformance_cancellation import CancellationConformance
from .conformance_handouts import HandoutsConformance
from .conformance_holds import HoldsConformance
from .conformance_keys import KeysConformance
from .conformance_pruning import PruningConformance
from .conformance_reads import ReadsConformance
from .conformance_replays import ReplaysConformance
from .conformance_retention import RetentionConformance
from .conformance_writes import WritesConformance


class AllConformance(
    StoreConformance,
    WritesConformance,
    ReadsConformance,
    KeysConformance,
    ReplaysConformance,
    RetentionConformance,
    PruningConformance,
    HoldsConformance,
    HandoutsConformance,
    CancellationConformance,
):
    """What every store has to do."""
