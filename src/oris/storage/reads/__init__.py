"""The reads of a store, by who needs them."""

from __future__ import annotations

from typing import Protocol

from oris.storage.reads.cluster import ClusterReads
from oris.storage.reads.operators import OperatorReads
from oris.storage.reads.retention import RetentionReads
from oris.storage.reads.sweeper import SweeperReads
from oris.storage.reads.threads import ThreadReads


class Reads(ThreadReads, OperatorReads, SweeperReads, RetentionReads, ClusterReads, Protocol):
    """Reads beside the commits. Each sees one committed state. Each is a checkpoint; cancelling one leaves nothing.
    All raise Unavailable when the store cannot be read.
    """
