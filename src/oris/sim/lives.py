"""What the witness keeps of runs and leases: its own account, kept from events alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from oris.core.chain import Entry
from oris.core.model import Lane
from oris.ids import JobKey, LeaseId, RunId, WorkerKey


@dataclass
class LeaseLife:
    """One lease from its grant to its end."""

    lease_id: LeaseId
    run: RunLife
    worker_key: WorkerKey
    poll_id: str | None
    granted_ms: int
    expires_ms: int
    opened_in: int
    """The number of the commit that granted it."""
    times_out_ms: int | None
    """When the run's time is used up under it."""
    cancel_due_ms: int | None = None
    """How long its worker has to end the run that somebody wants to end."""
    expired_before_ms: int = 0
    """Its end as it stood before the commit `extended_in`."""
    asked_ms: int = 0
    """Until when its worker has asked for it, outages apart."""
    asked_before_ms: int = 0
    extended_in: int = 0
    session: str | None = None
    ttl_ms: int = 0
    dead_in: int | None = None
    """The commit with which its session was over."""
    closed_in: int | None = None
    closed_by: str | None = None
    """The event that ended it."""
    spared: bool | None = False
    """Whether it was lost while its workflow was held."""
    request: object = None
    answer: object = None
    """The closing write and its first answer, when both were seen."""

    def ends_ms(self, commit: int) -> int:
        """Its end as it stood before this commit."""
        return self.expired_before_ms if self.extended_in == commit else self.expires_ms

    def asked_for_ms(self, commit: int) -> int:
        """Until when its worker had asked for it before this commit."""
        return self.asked_before_ms if self.extended_in == commit else self.asked_ms

    def stands(self, worker: WorkerKey | None, commit: int) -> bool:
        """Whether a command of this worker in this commit finds it, unless the commit itself has closed it."""
        known = self.opened_in < commit and worker in (None, self.worker_key)
        standing = self.closed_in in (None, commit) and self.dead_in in (None, commit)
        return known and standing


@dataclass
class StepLife:
    """The newest report of a step."""

    status: str
    seq: int
    digest: bytes | None


@dataclass
class RunLife:
    """One run from its submit to its end."""

    run_id: RunId
    job_key: JobKey
    lane: Lane
    order: tuple[int, int, str]
    status: str
    not_before_ms: int
    timeout_ms: int | None
    on_timeout: str
    policy: bytes | None
    input_digest: bytes | None
    checkpoint_digest: bytes | None = None
    used_ms: int = 0
    retries: int = 0
    losses: int = 0
    losses_in_row: int = 0
    spared: bool | None = False
    """Whether its last loss could not end it, because its workflow was held; None: not to be told."""
    lease: LeaseLife | None = None
    reason: str | None = None
    timed_out: bool = False
    terminated: bool = False
    wait_mode: str = "all"
    queued_in: int = 0
    queued_ms: int = 0
    steps: dict[str, StepLife] = field(default_factory=dict)
    inherited: dict[str, StepLife] = field(default_factory=dict)
    """What had succeeded before it began: it is a replay."""
    checkpoints: dict[int, bytes | None] = field(default_factory=dict)
    """The digests of those it has saved, by event."""

    base: RunLife | None = None
    """The run that it goes on from: it is a replay."""
    letter: bool = False
    """It has a dead letter that nobody has replayed."""
    has_date: bool = False
    """Whether `not_before_ms` goes by the calendar."""
    ended_ms: int = 0
    seq: int = 0
    head_hash: bytes = b""
    """Its last event."""
    pruned_in: int | None = None
    """The commit that has let it go."""

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.status in ("completed", "failed", "cancelled")


@dataclass
class ThreadLife:
    """One thread: its runs, one after the other."""

    run: RunLife
    fence: int = 0
    runs: list[RunLife] = field(default_factory=list)
    """Those that are kept, the oldest first."""
    pruned_seq: int = 0
    pruned_hash: bytes = b""
    pruned_runs: int = 0


def now_of(entry: Entry) -> int:
    """When an event was by the engine's clock."""
    return entry.at_ms - entry.skew_ms
