"""`RetentionReads` in memory."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nsmallest

from oris.core.model import TERMINAL, Job, PrunedRun
from oris.core.old import OldestRuns, OldRun, Place, place_of
from oris.ids import JobKey, NodeId, RunId, WorkerKey
from oris.storage.memory.reads.committed import CommittedReads
from oris.storage.memory.tables import Tables
from oris.storage.reads.retention import OldAudit, OldPlace, OldThreads, OldWorkers

BEGINNING = (-1, -1)
"""Before all times and numbers."""


class MemoryRetentionReads(CommittedReads):
    """See `RetentionReads`."""

    async def old_threads(self, before_ms: int, after: OldPlace | None, limit: int) -> OldThreads:
        """See there. Past runs first, then the latest ones."""
        tables = await self._committed()
        stage, *behind = after or (0, *BEGINNING)
        runs = _latest_over(tables) if stage else list(tables.past_runs.values())
        old = [run for run in runs if tuple(behind) < _age(run) and run.updated_ms < before_ms]
        looked = nsmallest(limit, old, key=_age)
        found = tuple(run.job_key for run in looked if _may_go(tables, run))
        if len(looked) == limit:
            return OldThreads(found, (stage, *_age(looked[-1])))
        return OldThreads(found, None if stage else (1, *BEGINNING))

    async def oldest_runs(self, threads: Sequence[tuple[JobKey, int]], limit: int) -> Sequence[OldestRuns]:
        """See there."""
        tables = await self._committed()
        return [oldest_runs(tables, key, after, limit) for key, after in threads]

    async def pruned_runs(self, limit: int) -> Sequence[PrunedRun]:
        """See there."""
        return nsmallest(limit, (await self._committed()).pruned_runs.values(), key=lambda run: run.run_id)

    async def old_workers(self, before_ms: int, after: tuple[int, WorkerKey] | None, limit: int) -> OldWorkers:
        """See there."""
        workers = (await self._committed()).workers.values()
        places = ((worker.first_seen_ms, worker.worker_key, worker) for worker in workers)
        behind = (place for place in places if place[0] < before_ms and (after is None or place[:2] > after))
        looked = nsmallest(limit, behind, key=lambda place: place[:2])
        idle = (key for _, key, worker in looked if worker.leased == 0 and worker.last_seen_ms < before_ms)
        return OldWorkers(tuple(idle), looked[-1][:2] if len(looked) == limit else None)

    async def old_sessions(self, before_ms: int, limit: int) -> Sequence[tuple[WorkerKey, str]]:
        """See there."""
        ended = (row for row in (await self._committed()).ended_sessions.values() if row.ended_ms < before_ms)
        return [(row.worker_key, row.session) for row in nsmallest(limit, ended, key=lambda row: row.ended_ms)]

    async def old_nodes(self, before_ms: int, limit: int) -> Sequence[NodeId]:
        """See there."""
        tables = await self._committed()
        newest_ms: dict[str, int] = {}
        for row in tables.nodes.values():
            newest_ms[row.name] = max(newest_ms.get(row.name, 0), row.now_ms)
        old = ((node, row) for node, row in tables.nodes.items() if row.now_ms < before_ms)
        gone = (node for node, row in old if row.name not in tables.modes or row.now_ms < newest_ms[row.name])
        return list(gone)[:limit]

    async def old_audit(self, after: str, limit: int) -> OldAudit | None:
        """See there."""
        tables = await self._committed()
        chain = min((chain for chain, _ in tables.audit if chain > after), default=None)
        if chain is None:
            return None
        records = (record for record in tables.audit.values() if record.chain_id == chain)
        oldest = nsmallest(limit, records, key=lambda record: record.seq)
        return OldAudit(chain, tables.anchors.get(chain), tuple(oldest))


def oldest_runs(tables: Tables, job_key: JobKey, after: int, limit: int) -> OldestRuns:
    """A page of a thread's kept runs, the oldest first; a place is the last event of a run."""
    job = tables.jobs.get(job_key)
    if job is None or job.is_pruned:
        return OldestRuns(Place(None, 0) if job is None else place_of(job), (), None)
    runs = [*(run for run in tables.past_runs.values() if run.job_key == job_key), job]
    found = nsmallest(limit, (run for run in runs if run.seq > after), key=lambda run: run.seq)
    old = tuple(_old_run(tables, run, runs) for run in found)
    return OldestRuns(place_of(job), old, found[-1].seq if found and found[-1] is not job else None)


def _old_run(tables: Tables, run: Job, runs: Sequence[Job]) -> OldRun:
    until = max((other.seq for other in runs if other.replay_of == run.run_id), default=0)
    dead = _is_pending(tables, run.run_id)
    return OldRun(run.run_id, run.seq, run.head_hash, run.fence, run.status, run.updated_ms, dead, until)


def _latest_over(tables: Tables) -> list[Job]:
    """The latest runs of threads, those that are over and kept."""
    return [job for job in tables.jobs.values() if job.status in TERMINAL and not job.is_pruned]


def _age(run: Job) -> tuple[int, int]:
    """When a run was over; those of one time by their ids, which are numbers."""
    return run.updated_ms, int(run.run_id[4:], 16)


def _may_go(tables: Tables, run: Job) -> bool:
    """Whether it is the oldest of its thread, and nobody has to see to its dead letter."""
    older = (other for other in tables.past_runs.values() if other.job_key == run.job_key and other.seq < run.seq)
    return next(older, None) is None and not _is_pending(tables, run.run_id)


def _is_pending(tables: Tables, run_id: RunId) -> bool:
    letter = tables.dead_letters.get(run_id)
    return letter is not None and letter.replay_status == "pending"
