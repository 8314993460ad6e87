"""`Reads` in memory, split as the protocol is: each read is a checkpoint, and then looks at one committed state."""

from __future__ import annotations

from oris.storage.memory.reads.cluster import MemoryClusterReads
from oris.storage.memory.reads.operators import MemoryOperatorReads
from oris.storage.memory.reads.retention import MemoryRetentionReads
from oris.storage.memory.reads.sweeper import MemorySweeperReads
from oris.storage.memory.reads.threads import MemoryThreadReads


class MemoryReads(MemoryThreadReads, MemoryOperatorReads, MemorySweeperReads, MemoryRetentionReads, MemoryClusterReads):
    """All of them; what each one gives is said at its protocol."""
