"""`ThreadReads` in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

from oris.core.chain import Entry
from oris.core.changes import HandedStep
from oris.core.events import is_damaged
from oris.core.lookups import StepsOf, Stretch, answered, look
from oris.core.model import ClosedLease, DeadLetter, Job, Wait, sources_of
from oris.core.replies import RaisedWait
from oris.core.wait_values import WaitValue, settled_values, values_of_waits
from oris.core.whole import is_whole, whole
from oris.errors import DataDamaged
from oris.ids import JobKey, LeaseId, RunId, TenantId, ThreadId, WaitId
from oris.storage.memory import find
from oris.storage.memory.lookups import MemoryLookups
from oris.storage.memory.reads.committed import CommittedReads
from oris.storage.memory.reads.pages import page
from oris.storage.memory.tables import Tables
from oris.storage.pages import Page, Place, place_of_run
from oris.storage.reads.threads import SavedCheckpoint, StepCounts, Told
from oris.storage.stretch import stretch


class MemoryThreadReads(CommittedReads):
    """See `ThreadReads`."""

    async def tenants_of(self, thread_id: ThreadId) -> Sequence[TenantId]:
        """See there."""
        jobs = (await self._committed()).jobs.values()
        return sorted(job.tenant_id for job in jobs if job.thread_id == thread_id and not job.is_pruned)[:2]

    async def job(self, job_key: JobKey) -> Job | None:
        """See there."""
        return find.latest_run(await self._committed(), job_key)

    async def run(self, run_id: RunId) -> Job | None:
        """See there."""
        return find.any_run(await self._committed(), run_id)

    async def runs(self, job_key: JobKey, after: Place | None, limit: int) -> Page[Job]:
        """See there."""
        tables = await self._committed()
        latest = find.latest_run(tables, job_key)
        past = [run for run in tables.past_runs.values() if run.job_key == job_key]
        return page(past if latest is None else [*past, latest], place_of_run, after, limit)

    async def payloads(self, job_key: JobKey, seqs: Sequence[int]) -> Mapping[int, bytes]:
        """See there."""
        tables = await self._committed()
        found = {seq: _payload(tables, job_key, seq) for seq in seqs}
        for seq, body in found.items():
            whole(job_key, seq, body, _digest(tables, job_key, seq))
        return {seq: body for seq, body in found.items() if body is not None}

    async def timeline(self, job_key: JobKey, after_seq: int, limit: int) -> Sequence[Entry]:
        """See there."""
        return list(islice(find.timeline(await self._committed(), job_key, after_seq), limit))

    async def told(self, job_key: JobKey, after_seq: int, limit: int, max_bytes: int) -> Stretch[Told]:
        """See there."""
        tables = await self._committed()
        lines = (_told(tables, entry) for entry in find.timeline(tables, job_key, after_seq))
        return stretch(lines, limit, max_bytes, lambda line: len(line.entry.data) + len(line.payload or b""))

    async def checkpoints(self, job_key: JobKey, after: Place | None, limit: int) -> Page[SavedCheckpoint]:
        """See there."""
        entries = find.timeline(await self._committed(), job_key)
        saved = (entry for entry in entries if entry.event_type == "checkpoint_saved")
        found = (SavedCheckpoint(entry.seq, entry.run_id, entry.at_ms) for entry in saved)
        return page(found, lambda checkpoint: Place(checkpoint.seq), after, limit)

    async def closed_lease(self, lease_id: LeaseId) -> ClosedLease | None:
        """See there."""
        return find.closed_lease(await self._committed(), lease_id)

    async def steps(self, run_id: RunId, after_seq: int, limit: int, max_bytes: int) -> Stretch[HandedStep]:
        """See there."""
        tables = await self._committed()
        run = find.any_run(tables, run_id)
        if run is None:
            return Stretch((), more=False)
        wanted = StepsOf(run.job_key, run_id, sources_of(run), after_seq, limit, max_bytes)
        return answered(look(wanted), MemoryLookups(tables))

    async def step_counts(self, run_id: RunId) -> StepCounts:
        """See there."""
        steps = find.latest_steps(await self._committed(), run_id)
        succeeded = sum(step.status == "succeeded" for step in steps)
        return StepCounts(succeeded, len(steps) - succeeded)

    async def retries(self, run_id: RunId, after_seq: int, limit: int) -> Stretch[Entry]:
        """See there."""
        tables = await self._committed()
        run = find.any_run(tables, run_id)
        entries = () if run is None else find.timeline(tables, run.job_key, after_seq)
        found = list(islice((e for e in entries if (e.run_id, e.event_type) == (run_id, "retry_scheduled")), limit + 1))
        for entry in found:
            if is_damaged(entry):
                raise DataDamaged(entry.job_key, entry.seq)
        return Stretch(tuple(found[:limit]), more=len(found) > limit)

    async def dead_letter(self, run_id: RunId) -> DeadLetter | None:
        """See there."""
        return (await self._committed()).dead_letters.get(run_id)

    async def wait(self, wait_id: WaitId) -> Wait | None:
        """See there."""
        return find.wait(await self._committed(), wait_id)

    async def wait_values(self, waits: Sequence[Wait], max_bytes: int) -> Sequence[WaitValue]:
        """See there."""
        return answered(values_of_waits(waits, max_bytes), MemoryLookups(await self._committed()))

    async def settled_values(
        self, job_key: JobKey, waits: Sequence[RaisedWait], max_bytes: int
    ) -> Sequence[bytes | None]:
        """See there."""
        return answered(settled_values(job_key, waits, max_bytes), MemoryLookups(await self._committed()))


def _payload(tables: Tables, job_key: JobKey, seq: int) -> bytes | None:
    return tables.payloads.get((job_key, seq))


def _digest(tables: Tables, job_key: JobKey, seq: int) -> bytes | None:
    entry = tables.entries.get((job_key, seq))
    return None if entry is None else entry.payload_digest


def _told(tables: Tables, entry: Entry) -> Told:
    payload = _payload(tables, entry.job_key, entry.seq)
    return Told(entry, payload, damaged=is_damaged(entry) or not is_whole(payload, entry.payload_digest))
