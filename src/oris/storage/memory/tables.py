"""The rows: a dict for each `runtime_*` table of the other stores."""

from __future__ import annotations

from msgspec import Struct, field
from msgspec.structs import asdict

from oris.core.api_key import ApiKey
from oris.core.audit import AuditRecord
from oris.core.audit_anchor import AuditAnchor
from oris.core.chain import Entry
from oris.core.hold import Hold
from oris.core.invariants import Snapshot
from oris.core.mode import Mode
from oris.core.model import (
    ClosedLease,
    DeadLetter,
    EndedSession,
    IdempotentSubmit,
    Job,
    Lane,
    PrunedRun,
    ReplayClaim,
    Step,
    StepStatus,
    Wait,
    Worker,
)
from oris.core.tenant import Counts, Tenant
from oris.ids import IdempotencyKey, JobKey, KeyId, LeaseId, NodeId, RunId, TenantId, WaitId, WorkerKey


class NodeRow(Struct, frozen=True):
    """What a node has written with its commits. The first two times only rise."""

    name: str
    """The node's own; the row is that of one start of it."""
    batch_id: str = ""
    """Its last one."""
    now_ms: int = 0
    """When that was."""
    calm_ms: int = 0
    """See `Changes.calm_ms`."""
    skew_ms: int = 0
    """See `Changes.skew_ms`."""
    counts: Counts = Counts()
    """What it has counted."""


class Tables(Struct):
    """All rows of one state, each dict in the order in which its keys were added. No row ever changes: a newer one is
    put in its place."""

    jobs: dict[JobKey, Job] = field(default_factory=dict)
    """A thread's row stays for ever, so its number in this dict does too."""
    past_runs: dict[RunId, Job] = field(default_factory=dict)
    entries: dict[tuple[JobKey, int], Entry] = field(default_factory=dict)
    payloads: dict[tuple[JobKey, int], bytes] = field(default_factory=dict)
    steps: dict[tuple[RunId, str, StepStatus, str], Step] = field(default_factory=dict)
    """By run, action, status and token: all reports."""
    waits: dict[WaitId, Wait] = field(default_factory=dict)
    closed: dict[LeaseId, ClosedLease] = field(default_factory=dict)
    idempotent: dict[IdempotencyKey, IdempotentSubmit] = field(default_factory=dict)
    dead_letters: dict[RunId, DeadLetter] = field(default_factory=dict)
    claims: dict[str, ReplayClaim] = field(default_factory=dict)
    """By target."""
    pruned_runs: dict[RunId, PrunedRun] = field(default_factory=dict)
    workers: dict[WorkerKey, Worker] = field(default_factory=dict)
    ended_sessions: dict[tuple[WorkerKey, str], EndedSession] = field(default_factory=dict)
    tenants: dict[TenantId, Tenant] = field(default_factory=dict)
    holds: dict[Lane, Hold] = field(default_factory=dict)
    api_keys: dict[KeyId, ApiKey] = field(default_factory=dict)
    modes: dict[str, Mode] = field(default_factory=dict)
    """By node; see `core.mode.CLUSTER`."""
    nodes: dict[NodeId, NodeRow] = field(default_factory=dict)
    audit: dict[tuple[str, int], AuditRecord] = field(default_factory=dict)
    """By chain and number in it."""
    anchors: dict[str, AuditAnchor] = field(default_factory=dict)
    """By chain."""

    @property
    def total(self) -> Counts:
        """What all nodes have counted."""
        return sum((row.counts for row in self.nodes.values()), Counts())

    def copy(self) -> Tables:
        """The same rows in dicts of their own."""
        return Tables(**{name: dict(rows) for name, rows in asdict(self).items()})


class Volume:
    """What is committed. It outlives the stores that are opened on it, as a disk outlives processes."""

    def __init__(self, tables: Tables | None = None) -> None:
        self.tables = tables or Tables()
        """The last committed state. It is replaced as a whole, so a reader may keep the one it has begun with."""

    def commit(self, tables: Tables) -> None:
        """Make this the committed state. (Tests make it fail.)"""
        self.tables = tables


def snapshot_of(tables: Tables) -> Snapshot:
    """All rows, for the checks of `core.invariants`; its fields have the names of the dicts."""
    rows = Snapshot()
    for name in Snapshot.__struct_fields__:
        if name not in ("entries", "steps", "total"):
            found, is_list = getattr(tables, name), isinstance(getattr(rows, name), list)
            setattr(rows, name, list(found.values()) if is_list else dict(found))
    for entry in tables.entries.values():
        rows.entries.setdefault(entry.job_key, []).append(entry)
    for step in tables.steps.values():
        rows.steps.setdefault(step.run_id, []).append(step)
    rows.total = tables.total
    return rows
