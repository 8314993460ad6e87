"""The statements of lists: each is a walk over one index, from a place on, newest first.

`page` gives the rows that match the filters, `walk_end` the place of the last row that the walk may look at. A filter
that is NULL lets every row through.
"""

from __future__ import annotations

from typing import NamedTuple

from oris.storage.sqlite import columns as c


class Listing(NamedTuple):
    """One walk."""

    page: str
    walk_end: str


def _listing(
    table: c.Table,
    index: str,
    place: tuple[str, str],
    *,
    scope: tuple[str, ...] = (),
    filters: tuple[str, ...] = (),
    always: str = "",
) -> Listing:
    """`scope`: conditions by which the index is entered. `filters`: columns that a caller may name. `always`: one more
    condition that every row has to meet."""
    walk = f"FROM {table.name} INDEXED BY {index}\nWHERE " + " AND ".join(
        (*scope, f"({c.names(place)}) < (:before_number, :before_id)")
    )
    matches = [f"(:{column} IS NULL OR {column} = :{column})" for column in filters]
    matches += [always] if always else []
    order = f"ORDER BY {place[0]} DESC, {place[1]} DESC"
    within = f"({c.names(place)}) >= (:end_number, :end_id)"
    page = f"SELECT {c.names(table.fields)}\n{walk}\n  AND {' AND '.join((within, *matches))}\n{order} LIMIT :limit"
    return Listing(page, f"SELECT {c.names(place)}\n{walk}\n{order} LIMIT 1 OFFSET :walk")


_CREATED = ("thread_created_ms", "job_key")
_JOB_FILTERS = ("status", "workflow")
_KEPT = "pruned_seq < seq"
JOBS = _listing(c.JOBS, "runtime_jobs_created", _CREATED, filters=_JOB_FILTERS, always=_KEPT)
JOBS_OF_TENANT = _listing(
    c.JOBS,
    "runtime_jobs_tenant",
    _CREATED,
    scope=("tenant_id = :tenant_id",),
    filters=_JOB_FILTERS,
    always=_KEPT,
)

_DEAD = ("dead_ms", "run_id")
_TENANT = "tenant_id = :tenant_id"
_PENDING = "replay_status = 'pending'"
DEAD_LETTERS = _listing(c.DEAD_LETTERS, "runtime_dead_letters_dead", _DEAD, filters=("replay_status",))
DEAD_LETTERS_OF_TENANT = _listing(
    c.DEAD_LETTERS, "runtime_dead_letters_tenant", _DEAD, scope=(_TENANT,), filters=("workflow", "replay_status")
)
DEAD_LETTERS_OF_WORKFLOW = _listing(
    c.DEAD_LETTERS,
    "runtime_dead_letters_workflow",
    _DEAD,
    scope=("workflow = :workflow",),
    filters=("replay_status",),
)
PENDING_DEAD_LETTERS = _listing(
    c.DEAD_LETTERS, "runtime_dead_letters_pending", _DEAD, scope=(_PENDING,), filters=("workflow",)
)
PENDING_DEAD_LETTERS_OF_TENANT = _listing(
    c.DEAD_LETTERS, "runtime_dead_letters_tenant_pending", _DEAD, scope=(_TENANT, _PENDING), filters=("workflow",)
)

_RAISED = ("created_ms", "wait_id")
_INTERRUPT = "kind = 'interrupt'"
_OPEN = "status = 'pending'"
_RUN_KEPT = "NOT EXISTS (SELECT 1 FROM runtime_pruned_runs AS p WHERE p.run_id = runtime_waits.run_id)"
_WAIT_FILTERS = ("status", "thread_id", "workflow")
INTERRUPTS = _listing(
    c.WAITS, "runtime_waits_interrupts", _RAISED, scope=(_INTERRUPT,), filters=_WAIT_FILTERS, always=_RUN_KEPT
)
INTERRUPTS_OF_TENANT = _listing(
    c.WAITS, "runtime_waits_tenant", _RAISED, scope=(_TENANT, _INTERRUPT), filters=_WAIT_FILTERS, always=_RUN_KEPT
)
INTERRUPTS_OF_RUN = _listing(
    c.WAITS,
    "runtime_waits_run_interrupts",
    _RAISED,
    scope=("run_id = :run_id", _INTERRUPT),
    filters=("tenant_id", *_WAIT_FILTERS),
    always=_RUN_KEPT,
)
OPEN_INTERRUPTS = _listing(
    c.WAITS, "runtime_waits_open", _RAISED, scope=(_INTERRUPT, _OPEN), filters=("thread_id", "workflow")
)
OPEN_INTERRUPTS_OF_TENANT = _listing(
    c.WAITS,
    "runtime_waits_tenant_open",
    _RAISED,
    scope=(_TENANT, _INTERRUPT, _OPEN),
    filters=("thread_id", "workflow"),
)

_MADE = ("created_ms", "key_id")
API_KEYS = _listing(c.API_KEYS, "runtime_api_keys_created", _MADE)
API_KEYS_OF_TENANT = _listing(c.API_KEYS, "runtime_api_keys_tenant", _MADE, scope=(_TENANT,))

_WRITTEN = ("created_ms", "audit_id")
_SINCE = "created_ms >= :from_ms"
_AUDIT_FILTERS = ("action", "actor_id")
_CONTROL = "(NOT :control_only OR action <> 'chain.open')"
AUDIT = _listing(
    c.AUDIT_LOG, "runtime_audit_log_created", _WRITTEN, scope=(_SINCE,), filters=_AUDIT_FILTERS, always=_CONTROL
)
AUDIT_OF_TENANT = _listing(
    c.AUDIT_LOG, "runtime_audit_log_tenant", _WRITTEN, scope=(_TENANT, _SINCE), filters=_AUDIT_FILTERS, always=_CONTROL
)
AUDIT_OF_REQUEST = _listing(
    c.AUDIT_LOG,
    "runtime_audit_log_request",
    _WRITTEN,
    scope=("request_id = :request_id", _SINCE),
    filters=("tenant_id", *_AUDIT_FILTERS),
    always=_CONTROL,
)

# These are bounded by the runs of one thread, and by the workers there are: no walk ends early.
PAST_RUNS = f"SELECT {c.JOB} FROM runtime_runs WHERE job_key = ? AND seq < ? ORDER BY seq DESC LIMIT ?"
WORKERS = f"""
SELECT {c.WORKER} FROM runtime_workers
WHERE (first_seen_ms, worker_key) < (:before_number, :before_id)
  AND (:tenant_id IS NULL OR (worker_key >= :tenant_id || '/' AND worker_key < :tenant_id || '0'))
ORDER BY first_seen_ms DESC, worker_key DESC LIMIT :limit
"""
CHECKPOINTS = """
SELECT seq, run_id, at_ms FROM runtime_events INDEXED BY runtime_events_checkpoints
WHERE job_id = (SELECT id FROM runtime_jobs WHERE thread_id = :thread_id AND tenant_id = :tenant_id)
  AND event_type = 'checkpoint_saved' AND seq < :before_number
  AND seq > (SELECT pruned_seq FROM runtime_jobs WHERE thread_id = :thread_id AND tenant_id = :tenant_id)
ORDER BY seq DESC LIMIT :limit
"""
