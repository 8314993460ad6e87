"""The columns of the wide root, out of the struct that its rows are: written in one place, used by every statement."""

from __future__ import annotations

from collections.abc import Iterable

from oris.core.model import Job
from oris.ids import JobKey


def names(columns: Iterable[str]) -> str:
    """`a, b`."""
    return ", ".join(columns)


def places(columns: Iterable[str]) -> str:
    """`?, ?`: a place for the value of each."""
    return ", ".join("?" for _ in columns)


def sets(columns: Iterable[str]) -> str:
    """`a = ?, b = ?`."""
    return ", ".join(f"{column} = ?" for column in columns)


JOB_FIELDS = Job.__struct_fields__
JOB = names(JOB_FIELDS)
SAID_BY_SUBMIT = frozenset(
    (
        *("job_key", "tenant_id", "thread_id", "run_id", "workflow", "priority", "available_ms", "timeout_ms"),
        *("on_timeout", "retry_policy", "idempotency_key", "metadata", "traceparent", "input_seq", "created_ms"),
        *("replay_of", "replay_target", "sources", "pruned_seq", "pruned_hash", "pruned_runs", "pruned_fence"),
    )
)
"""What a run keeps from its submit on, and what only retention changes of its thread."""
RUN_FIELDS = tuple(field for field in JOB_FIELDS if field not in SAID_BY_SUBMIT)
"""What its events change."""


def split(job_key: JobKey) -> tuple[str, str]:
    """Thread and tenant of a key, in the order of the index over them."""
    tenant, _, thread = job_key.partition("/")
    return thread, tenant
