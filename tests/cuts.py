"""What retention would let go of a thread, found as its pass finds it."""

from __future__ import annotations

from oris.core import commands as c
from oris.core.retention import Found, may_go
from oris.ids import JobKey
from oris.storage.reads import Reads


async def looked(reads: Reads, key: JobKey, before_ms: int, page: int = 16) -> Found:
    """As many pages as it takes to find something, or that there is nothing."""
    found: Found | None = None
    while found is None or (found.cut is None and found.after is not None):
        after = 0 if found is None else found.after or 0
        (runs,) = await reads.oldest_runs([(key, after)], page)
        found = may_go(found, runs, before_ms)
        assert found is not None, "the thread has moved"
    return found


async def pruning(reads: Reads, key: JobKey, before_ms: int, page: int = 16) -> c.Prune | None:
    """The command that lets go what was over before this time and may go; None: nothing may."""
    found = await looked(reads, key, before_ms, page)
    return None if found.cut is None else c.Prune(key, found.cut)
