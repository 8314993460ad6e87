"""What a batch has to see of the store."""

from __future__ import annotations

from msgspec import Struct, field

from oris.core.api_key import ApiKey
from oris.core.hold import Hold
from oris.core.mode import Mode
from oris.core.model import (
    ClosedLease,
    DeadLetter,
    IdempotentSubmit,
    Job,
    Lane,
    ReplayClaim,
    SavedCheckpoint,
    Step,
    Wait,
    Worker,
)
from oris.core.old import Old
from oris.core.tenant import Counts, Tenant
from oris.ids import IdempotencyKey, JobKey, KeyId, LeaseId, NodeId, RunId, TenantId, ThreadId, WaitId, WorkerKey


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
    """Threads of any tenant that a poll names: of each those that are queued, a hundred of them, of the first ten
    thousand tenants that have one of that name."""
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
    nodes: set[NodeId] = field(default_factory=set)
    """Starts of nodes that may be forgotten."""
    node_names: set[str] = field(default_factory=set)
    """Nodes of which it has to be known whether they have ever been there."""
    modes: set[str] = field(default_factory=set)
    """Names of nodes, and `CLUSTER`, whose switches are wanted."""
    total: bool = False
    """Whether it has to be known how many runs wait in the whole store."""
    pruned_runs: set[RunId] = field(default_factory=set)
    audit_places: set[tuple[str, int]] = field(default_factory=set)
    """(chain, seq) of audit records; with each comes its chain's anchor."""
    lanes: set[Lane] = field(default_factory=set)
    """Workflows of which it has to be known whether they are held; those of all jobs that are found come with these.
    Of a held one the jobs that have lost least are read instead of the first."""


class Heads(Struct, frozen=True):
    """The first queued jobs of a lane, in order. `complete`: there are no more behind them."""

    jobs: tuple[Job, ...]
    complete: bool
    least: tuple[Job, ...] = ()
    """Of a held workflow: those that have lost least, be they among the first or not; who has lost least stands first,
    and what was not read behind the last."""


class Loaded(Struct):
    """The rows found for some `Needs`; what is missing does not exist."""

    jobs: dict[JobKey, Job] = field(default_factory=dict)
    closed: dict[LeaseId, ClosedLease] = field(default_factory=dict)
    idempotent: dict[IdempotencyKey, IdempotentSubmit] = field(default_factory=dict)
    steps: dict[tuple[RunId, str], list[Step]] = field(default_factory=dict)
    workers: dict[WorkerKey, Worker] = field(default_factory=dict)
    tenants: dict[TenantId, Tenant] = field(default_factory=dict)
    heads: dict[Lane, Heads] = field(default_factory=dict)
    polls: dict[tuple[WorkerKey, str], tuple[Job, ...]] = field(default_factory=dict)
    ended_sessions: set[tuple[WorkerKey, str]] = field(default_factory=set)
    waits: dict[WaitId, Wait] = field(default_factory=dict)
    api_keys: dict[KeyId, ApiKey] = field(default_factory=dict)
    past_runs: dict[RunId, Job] = field(default_factory=dict)
    checkpoints: dict[tuple[JobKey, int], SavedCheckpoint] = field(default_factory=dict)
    claims: dict[str, ReplayClaim] = field(default_factory=dict)
    dead_letters: dict[RunId, DeadLetter] = field(default_factory=dict)
    nodes: dict[NodeId, int] = field(default_factory=dict)
    """When each has committed something last."""
    node_names: set[str] = field(default_factory=set)
    modes: dict[str, Mode] = field(default_factory=dict)
    total: Counts = Counts()
    others_calm_ms: int = 0
    """Until when some other node has owed no lease anything; 0: there is none."""
    old: Old = field(default_factory=Old)
    holds: dict[Lane, Hold] = field(default_factory=dict)
