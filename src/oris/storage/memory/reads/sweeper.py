"""`SweeperReads` in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from oris.core.model import SUSPENDED, Job
from oris.ids import JobKey, WorkerKey
from oris.storage.memory.reads.committed import CommittedReads
from oris.storage.memory.tables import Tables
from oris.storage.reads.sweeper import Earliest

DATED = SUSPENDED | {"scheduled"}
"""What waits for a date. A backoff is a time by the engine's clock."""


class MemorySweeperReads(CommittedReads):
    """See `SweeperReads`."""

    async def due(self, now_ms: int, date_ms: int, limit: int) -> Sequence[JobKey]:
        """See there."""
        tables = await self._committed()
        woken = _earliest((at_ms, key) for at_ms, key in _wakes(tables) if at_ms <= now_ms)
        dated = _earliest((at_ms, key) for at_ms, key in _dates(tables) if at_ms <= date_ms)
        return [*woken, *dated][:limit]

    async def earliest(self) -> Earliest:
        """See there."""
        tables = await self._committed()
        wakes, dates = _wakes(tables), _dates(tables)
        return Earliest(*(min((at_ms for at_ms, _ in times), default=None) for times in (wakes, dates)))

    async def dead_leases(self, workers: Sequence[WorkerKey] | None, limit: int) -> Sequence[JobKey]:
        """See there."""
        tables = await self._committed()
        held = (job for job in tables.jobs.values() if workers is None or job.worker_key in workers)
        return list(islice((job.job_key for job in held if _is_dead(tables, job)), limit))

    async def leased(self, before_ms: int, after: int, limit: int) -> Sequence[tuple[int, JobKey]]:
        """See there."""
        jobs = enumerate((await self._committed()).jobs.values(), 1)
        held = ((number, job) for number, job in jobs if job.worker_key is not None and number > after)
        return list(islice(((number, job.job_key) for number, job in held if job.lease_expires_ms < before_ms), limit))


def _wakes(tables: Tables) -> Iterable[tuple[int, JobKey]]:
    """When threads have to be looked at, by the engine's clock."""
    return ((job.wake_ms, job.job_key) for job in tables.jobs.values() if job.wake_ms is not None)


def _dates(tables: Tables) -> Iterable[tuple[int, JobKey]]:
    """The dates that threads wait for."""
    jobs = (job for job in tables.jobs.values() if job.status in DATED)
    return ((job.due_ms, job.job_key) for job in jobs if job.due_ms is not None)


def _earliest(times: Iterable[tuple[int, JobKey]]) -> list[JobKey]:
    """Of one time those first whose thread was made first."""
    return [key for _, key in sorted(times, key=lambda time: time[0])]


def _is_dead(tables: Tables, job: Job) -> bool:
    """Whether the lease's session has been replaced or cut off; see `core.lease`."""
    if job.worker_key is None or job.lease_session is None:
        return False
    worker = tables.workers.get(job.worker_key)
    return worker is not None and (job.lease_session != worker.session or job.lease_granted_ms < worker.cut_ms)
