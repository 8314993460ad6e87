"""What a batch has to see of the store."""

from __future__ import annotations

from msgspec import Struct, field

from oris.core.model import Job, Lane
from oris.ids import IdempotencyKey, JobKey, KeyId, LeaseId, RunId, TenantId, ThreadId, WaitId, WorkerKey


class Needs(Struct):
    """What a batch has to see. The store also loads the worker and tenant rows of every job it finds."""

    jobs: set[JobKey] = field(default_factory=set)
    runs: set[RunId] = field(default_factory=set)
    closed: set[LeaseId] = field(default_factory=set)
    idempotent: set[IdempotencyKey] = field(default_factory=set)
    steps: set[tuple[RunId, str]] = field(default_factory=set)
    workers: set[WorkerKey] = field(default_factory=set)
    tenants: set[TenantId] = field(default_factory=set)
    heads: dict[Lane, int] = field(default_factory=dict)
    """Lanes to read, with how many heads of each."""
    polls: set[tuple[WorkerKey, str]] = field(default_factory=set)
    """(worker, poll id) whose live leases are wanted again."""
    ended_sessions: set[tuple[WorkerKey, str]] = field(default_factory=set)
    threads: set[ThreadId] = field(default_factory=set)
    """Threads of any tenant that a poll names."""
    waits: set[WaitId] = field(default_factory=set)
    wait_keys: set[tuple[RunId, str]] = field(default_factory=set)
    """(run, key) of waits that are raised, perhaps again. What a job that is found waits for, comes with it."""
    interrupts: set[JobKey] = field(default_factory=set)
    """Threads whose latest run's newest interrupts are wanted, settled ones too."""
    questions: set[tuple[JobKey, str]] = field(default_factory=set)
    """(thread, key) of waits of the latest run."""
    api_keys: set[KeyId] = field(default_factory=set)
    replays: set[tuple[JobKey, RunId | str, int]] = field(default_factory=set)
    """(thread, run or "" for the latest, event of the checkpoint or 0) that is to be replayed. With it come the runs,
    checkpoints, claims and dead letters that `core.replays.gather` names."""
    nodes: set[str] = field(default_factory=set)
    """Nodes of which it has to be known whether they have ever been there."""
    oldest: dict[JobKey, int] = field(default_factory=dict)
    """Threads whose oldest runs are wanted, with how many; see `core.retention.gather_oldest`."""
    pruned_runs: set[RunId] = field(default_factory=set)
    audit_places: set[tuple[str, int]] = field(default_factory=set)
    """(chain, seq) of audit records; with each comes its chain's anchor."""
    lanes: set[Lane] = field(default_factory=set)
    """Workflows of which it has to be known whether they are held; those of all jobs that are found come with these.
    Of a held one enough heads are read to find the job that has lost least."""


class Heads(Struct, frozen=True):
    """The first queued jobs of a lane, in order. `complete`: there are no more behind them."""

    jobs: tuple[Job, ...]
    complete: bool
