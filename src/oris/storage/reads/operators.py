"""What operators look at: lists over all threads, workers, workflows, tenants and keys."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from oris.core.api_key import ApiKey
from oris.core.audit import AuditRecord
from oris.core.hold import Hold
from oris.core.model import DeadLetter, Job, Lane, ReplayStatus, Wait, Worker
from oris.core.tenant import Tenant
from oris.ids import RunId, TenantId, ThreadId, WorkerKey
from oris.storage.pages import Page, Place


class JobFilter(Struct, frozen=True):
    """Which threads a list shows."""

    tenant_id: TenantId | None = None
    status: str | None = None
    workflow: str | None = None


class AuditFilter(Struct, frozen=True):
    """Which audit records a list shows. Times in ms, `from` inclusive, `to` exclusive."""

    tenant_id: TenantId | None = None
    request_id: str | None = None
    action: str | None = None
    actor_id: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    control_only: bool = False
    """Leave out the records that open chains (`chain.open`)."""


class DeadLetterFilter(Struct, frozen=True):
    """Which dead letters a list shows."""

    tenant_id: TenantId | None = None
    workflow: str | None = None
    status: ReplayStatus | None = None


class InterruptFilter(Struct, frozen=True):
    """Which interrupts a list shows."""

    tenant_id: TenantId | None = None
    status: str | None = None
    run_id: RunId | None = None
    thread_id: ThreadId | None = None
    workflow: str | None = None


class OperatorReads(Protocol):
    """Lists and single rows for people. See `Reads`. A page may be short of `limit` although there is a next one."""

    async def jobs(self, where: JobFilter, after: Place | None, limit: int) -> Page[Job]:
        """Threads, each with its latest run. A page may be short of `limit` although a next one exists."""

    async def dead_letters(self, where: DeadLetterFilter, after: Place | None, limit: int) -> Page[DeadLetter]:
        """Dead letters."""

    async def interrupts(self, where: InterruptFilter, after: Place | None, limit: int) -> Page[Wait]:
        """Interrupts."""

    async def workers(self, tenant_id: TenantId | None, after: Place | None, limit: int) -> Page[Worker]:
        """Workers that have a row, by when they were seen first; None: of all tenants."""

    async def worker(self, worker_key: WorkerKey) -> Worker | None:
        """One of them."""

    async def hold(self, lane: Lane) -> Hold | None:
        """What is known of a workflow's losses; None: its last lease was not lost."""

    async def tenant(self, tenant_id: TenantId) -> Tenant | None:
        """A tenant that ever had a job."""

    async def audit(self, where: AuditFilter, after: Place | None, limit: int) -> Page[AuditRecord]:
        """Audit records."""

    async def api_keys(self, tenant_id: TenantId | None, after: Place | None, limit: int) -> Page[ApiKey]:
        """Stored keys, revoked and expired ones too, of one tenant or (None) all. A page may be short of `limit`."""
