"""The tables, each with the struct that its rows are: a column is written once, as a field of that struct.

Statements are composed of these at import; values are always bound. A test holds them against the migrations.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Struct

from oris.core.api_key import ApiKey
from oris.core.audit import AuditHead, AuditRecord
from oris.core.audit_anchor import AuditAnchor
from oris.core.chain import Entry
from oris.core.hold import Hold
from oris.core.mode import Mode
from oris.core.model import (
    ClosedLease,
    DeadLetter,
    EndedSession,
    IdempotentSubmit,
    Job,
    Payload,
    PrunedRun,
    ReplayClaim,
    Step,
    Wait,
    Worker,
)
from oris.core.tenant import Tenant
from oris.ids import JobKey


def names(columns: Iterable[str], of: str = "") -> str:
    """`a, b`; with `of="t"`: `t.a, t.b`."""
    return ", ".join(f"{of}.{column}" if of else column for column in columns)


def places(columns: Iterable[str]) -> str:
    """`?, ?`: a place for the value of each."""
    return ", ".join("?" for _ in columns)


def sets(columns: Iterable[str]) -> str:
    """`a = ?, b = ?`."""
    return ", ".join(f"{column} = ?" for column in columns)


class Table(NamedTuple):
    """A table and what its rows are."""

    name: str
    struct: type[Struct]
    own: tuple[str, ...] = ()
    """Columns before those of the struct, which only the store knows."""
    without: tuple[str, ...] = ()
    """Fields of the struct that are no columns, because an own column stands for them."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns that are fields of the struct, in their order."""
        return tuple(field for field in self.struct.__struct_fields__ if field not in self.without)

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns."""
        return (*self.own, *self.fields)

    def insert(self, *own: str) -> str:
        """The statement that adds a row, with these of its own columns; the database numbers the others."""
        columns = (*own, *self.fields)
        return f"INSERT INTO {self.name} ({names(columns)}) VALUES ({places(columns)})"

    def upsert(
        self,
        key: tuple[str, ...],
        changing: tuple[str, ...] = (),
        *,
        kept: tuple[str, ...] = (),
        added: tuple[str, ...] = (),
        highest: tuple[str, ...] = (),
    ) -> str:
        """The statement that adds a row, or changes the one with its key: these columns, or all but those `kept`.

        To those `added` the new value is added; of those `highest` the larger value stays.
        """

        def new(column: str) -> str:
            if column in added:
                return f"{column} + excluded.{column}"
            return f"max({column}, excluded.{column})" if column in highest else f"excluded.{column}"

        changed = changing or tuple(field for field in self.fields if field not in (*key, *kept))
        now = ", ".join(f"{column} = {new(column)}" for column in changed)
        return f"{self.insert()} ON CONFLICT ({names(key)}) DO UPDATE SET {now}"


JOBS = Table("runtime_jobs", Job, ("id",))
RUNS = Table("runtime_runs", Job, ("id",))
EVENTS = Table("runtime_events", Entry, ("job_id",), ("job_key",))
PAYLOADS = Table("runtime_payloads", Payload, ("job_id",), ("job_key",))
STEPS = Table("runtime_steps", Step)
WAITS = Table("runtime_waits", Wait, ("id",))
CLOSED_LEASES = Table("runtime_closed_leases", ClosedLease)
IDEMPOTENT = Table("runtime_idempotency", IdempotentSubmit)
DEAD_LETTERS = Table("runtime_dead_letters", DeadLetter, ("id",))
CLAIMS = Table("runtime_replay_effects", ReplayClaim)
PRUNED_RUNS = Table("runtime_pruned_runs", PrunedRun)
WORKERS = Table("runtime_workers", Worker)
ENDED_SESSIONS = Table("runtime_ended_sessions", EndedSession)
HOLDS = Table("runtime_holds", Hold)
TENANTS = Table("runtime_tenants", Tenant)
API_KEYS = Table("runtime_api_keys", ApiKey, ("id",))
MODES = Table("runtime_modes", Mode)
AUDIT_LOG = Table("runtime_audit_log", AuditRecord, ("id",))
ANCHORS = Table("runtime_audit_anchors", AuditAnchor)
TABLES = (
    *(JOBS, RUNS, EVENTS, PAYLOADS, STEPS, WAITS, CLOSED_LEASES, IDEMPOTENT, DEAD_LETTERS, CLAIMS, PRUNED_RUNS),
    *(WORKERS, ENDED_SESSIONS, HOLDS, TENANTS, API_KEYS, MODES, AUDIT_LOG, ANCHORS),
)
"""All whose rows are structs."""

JOB = names(JOBS.fields)
EVENT = names(EVENTS.fields)
STEP = names(STEPS.fields)
WAIT = names(WAITS.fields)
CLOSED_LEASE = names(CLOSED_LEASES.fields)
DEAD_LETTER = names(DEAD_LETTERS.fields)
WORKER = names(WORKERS.fields)
HOLD = names(HOLDS.fields)
TENANT = names(TENANTS.fields)
API_KEY = names(API_KEYS.fields)
AUDIT_RECORD = names(AUDIT_LOG.fields)
AUDIT_HEAD = names(AuditHead.__struct_fields__)
ANCHOR = names(ANCHORS.fields)
PRUNED_RUN = names(PRUNED_RUNS.fields)

SAID_BY_SUBMIT = frozenset(
    (
        *("job_key", "tenant_id", "thread_id", "run_id", "workflow", "priority", "available_ms", "timeout_ms"),
        *("on_timeout", "retry_policy", "idempotency_key", "metadata", "traceparent", "input_seq", "created_ms"),
        "thread_created_ms",
        *("replay_of", "replay_target", "sources", "pruned_seq", "pruned_hash", "pruned_runs", "pruned_fence"),
    )
)
"""What a run keeps from its submit on, and what only retention changes of its thread."""
RUN_FIELDS = tuple(field for field in JOBS.fields if field not in SAID_BY_SUBMIT)
"""What its events change."""


def split(job_key: JobKey) -> tuple[str, str]:
    """Thread and tenant of a key, in the order of the index over them."""
    tenant, _, thread = job_key.partition("/")
    return thread, tenant
