"""`OperatorReads` in memory."""

from __future__ import annotations

from oris.audit_actions import OPENING
from oris.core.api_key import ApiKey
from oris.core.audit import AuditRecord
from oris.core.hold import Hold
from oris.core.model import DeadLetter, Job, Lane, Wait, Worker
from oris.core.tenant import Tenant
from oris.ids import TenantId, WorkerKey, tenant_of
from oris.storage import pages as p
from oris.storage.memory.reads.committed import CommittedReads
from oris.storage.memory.reads.pages import matches, page
from oris.storage.pages import Page, Place
from oris.storage.reads.operators import AuditFilter, DeadLetterFilter, InterruptFilter, JobFilter


class MemoryOperatorReads(CommittedReads):
    """See `OperatorReads`."""

    async def jobs(self, where: JobFilter, after: Place | None, limit: int) -> Page[Job]:
        """See there."""
        jobs = (await self._committed()).jobs.values()
        found = (job for job in jobs if not job.is_pruned and _shows_job(where, job))
        return page(found, p.place_of_thread, after, limit)

    async def dead_letters(self, where: DeadLetterFilter, after: Place | None, limit: int) -> Page[DeadLetter]:
        """See there."""
        letters = (await self._committed()).dead_letters.values()
        found = (letter for letter in letters if _shows_letter(where, letter))
        return page(found, p.place_of_dead_letter, after, limit)

    async def interrupts(self, where: InterruptFilter, after: Place | None, limit: int) -> Page[Wait]:
        """See there."""
        tables = await self._committed()
        waits = (wait for wait in tables.waits.values() if wait.kind == "interrupt")
        kept = (wait for wait in waits if wait.run_id not in tables.pruned_runs)
        return page((wait for wait in kept if _shows_wait(where, wait)), p.place_of_wait, after, limit)

    async def workers(self, tenant_id: TenantId | None, after: Place | None, limit: int) -> Page[Worker]:
        """See there."""
        workers = (await self._committed()).workers.values()
        found = (worker for worker in workers if matches(tenant_of(worker.worker_key), tenant_id))
        return page(found, p.place_of_worker, after, limit)

    async def worker(self, worker_key: WorkerKey) -> Worker | None:
        """See there."""
        return (await self._committed()).workers.get(worker_key)

    async def hold(self, lane: Lane) -> Hold | None:
        """See there."""
        return (await self._committed()).holds.get(lane)

    async def tenant(self, tenant_id: TenantId) -> Tenant | None:
        """See there."""
        return (await self._committed()).tenants.get(tenant_id)

    async def audit(self, where: AuditFilter, after: Place | None, limit: int) -> Page[AuditRecord]:
        """See there."""
        records = (await self._committed()).audit.values()
        return page((record for record in records if _shows_record(where, record)), p.place_of_record, after, limit)

    async def api_keys(self, tenant_id: TenantId | None, after: Place | None, limit: int) -> Page[ApiKey]:
        """See there."""
        keys = (await self._committed()).api_keys.values()
        return page((key for key in keys if matches(key.tenant_id, tenant_id)), p.place_of_key, after, limit)


def _shows_job(where: JobFilter, job: Job) -> bool:
    return (
        matches(job.tenant_id, where.tenant_id)
        and matches(job.status, where.status)
        and matches(job.workflow, where.workflow)
    )


def _shows_letter(where: DeadLetterFilter, letter: DeadLetter) -> bool:
    return (
        matches(letter.tenant_id, where.tenant_id)
        and matches(letter.workflow, where.workflow)
        and matches(letter.replay_status, where.status)
    )


def _shows_wait(where: InterruptFilter, wait: Wait) -> bool:
    return (
        matches(wait.tenant_id, where.tenant_id)
        and matches(wait.status, where.status)
        and matches(wait.run_id, where.run_id)
        and matches(wait.thread_id, where.thread_id)
        and matches(wait.workflow, where.workflow)
    )


def _shows_record(where: AuditFilter, record: AuditRecord) -> bool:
    return (
        matches(record.tenant_id, where.tenant_id)
        and matches(record.request_id, where.request_id)
        and matches(record.action, where.action)
        and matches(record.actor_id, where.actor_id)
        and (where.from_ms is None or record.created_ms >= where.from_ms)
        and (where.to_ms is None or record.created_ms < where.to_ms)
        and not (where.control_only and record.action == OPENING)
    )
