"""Leases of the workers that are parked here, as far as this node has heard, to find those that ended elsewhere.

In memory and bounded. What is missing here is not told through a parked poll; the next heartbeat tells it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection

from oris.core.model import Job
from oris.engine.control import Holder
from oris.ids import LeaseId, WorkerKey

MAX_WORKERS = 10_000
"""Workers whose leases are remembered; those of whom nothing was heard for the longest go first."""


class HeldLeases:
    """The leases of each worker, with the session that each was granted to, and whether it has been asked to end."""

    def __init__(self) -> None:
        self._of: OrderedDict[WorkerKey, dict[LeaseId, tuple[Holder, bool]]] = OrderedDict()

    def note(self, job: Job) -> bool:
        """A run is held like this. The answer: it is to end, which was not known here yet."""
        if job.worker_key is None or job.lease_id is None:
            return False
        mine = self._of.setdefault(job.worker_key, {})
        self._of.move_to_end(job.worker_key)
        if len(self._of) > MAX_WORKERS:
            self._of.popitem(last=False)
        is_asked = job.status == "cancelling"
        _, was_asked = mine.get(job.lease_id, (None, False))
        mine[job.lease_id] = (Holder(job.worker_key, job.lease_session), is_asked)
        return is_asked and not was_asked

    def ended(self, worker: WorkerKey, lease: LeaseId) -> None:
        """A lease has ended, and this node knows."""
        mine = self._of.get(worker)
        if mine is not None:
            mine.pop(lease, None)
            if not mine:
                del self._of[worker]

    def missing(self, worker: WorkerKey, live: Collection[LeaseId]) -> list[tuple[LeaseId, Holder]]:
        """The leases of a worker that are not among its live ones: most of them have ended without this node."""
        mine = self._of.get(worker, {})
        return [(lease, holder) for lease, (holder, _) in mine.items() if lease not in live]
