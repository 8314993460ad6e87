"""Held workflows: one whose leases are all lost is given out one lease at a time, so that a crash-looping fleet kills
no healthy job.

A row exists only while there are losses: each lost lease adds its run, a lease that is closed normally deletes the row.
A full row with enough different runs is held, unless all of it may come from one death. Then one lease at a time goes
out, a probe, to the job that has lost least, each after a longer pause. What is lost meanwhile is no incident of its
worker, and ends no run: it cannot be told whether the job is to blame. Should a workflow stay held for very long, lost
probes end their runs after all: nothing but poison may be left in it.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from oris.core.model import Job, Lane
from oris.ids import LeaseId, TenantId

PROBE_HEADS = 256
"""Among so many of a held lane's first jobs those are looked for that have lost least."""
FORGETS_MS = 7 * 24 * 3600 * 1000
"""Losses that nothing followed for so long are forgotten, unless the workflow is held."""


class Hold(Struct, frozen=True):
    """What is known of a workflow whose last leases were lost. Times are engine ms."""

    tenant_id: TenantId
    workflow: str
    lost: str
    """The runs of its last leases, which were all lost: their ids, parted by commas, the oldest first."""
    first_ms: int
    """When the first of all such leases was lost since one was closed."""
    changed_ms: int
    again: int
    """How many of them were granted after that."""
    held_ms: int = 0
    """Since when it is held; 0: it is not."""
    next_ms: int = 0
    """When the next probe may be granted."""
    probes: int = 0
    """How many were lost."""
    probe: LeaseId | None = None
    """The one that is out."""

    @property
    def lane(self) -> Lane:
        """Its queue."""
        return Lane(self.tenant_id, self.workflow)


class HoldRules(Struct, frozen=True):
    """When a workflow is held, and how it is probed."""

    losses: int = 20
    """Leases in a row that were all lost."""
    runs: int = 5
    """Different runs among them: fewer may all be poison."""
    again: int = 5
    """Leases that were granted after the first loss, and lost too: one death, or one deploy, is no crash loop, however
    many leases it costs."""
    first_pause_ms: int = 1000
    longest_pause_ms: int = 60_000
    """The pause before a probe doubles with each one that is lost, up to this."""
    spares_ms: int = 24 * 3600 * 1000
    """For so long a held workflow's losses end no run."""


def is_held(hold: Hold | None) -> bool:
    """True for a workflow that is given out one probe at a time."""
    return hold is not None and hold.held_ms > 0


def lost_runs(hold: Hold) -> list[str]:
    """The runs of the last leases, the oldest first: one may be there several times."""
    return hold.lost.split(",")


def after_loss(hold: Hold | None, job: Job, now_ms: int, rules: HoldRules) -> Hold:
    """The workflow after this job's lease was lost."""
    if hold is not None and is_held(hold):
        if hold.probe != job.lease_id:
            return hold
        probes = hold.probes + 1
        pause_ms = min(rules.longest_pause_ms, rules.first_pause_ms << min(probes, 16))
        return replace(hold, changed_ms=now_ms, next_ms=now_ms + pause_ms, probes=probes, probe=None)
    if hold is None or hold.changed_ms < now_ms - FORGETS_MS:
        return Hold(job.tenant_id, job.workflow, job.run_id, now_ms, now_ms, 0)
    lost = [*lost_runs(hold), job.run_id][-rules.losses :]
    again = hold.again + (job.lease_granted_ms >= hold.first_ms)
    row = replace(hold, lost=",".join(lost), changed_ms=now_ms, again=again)
    if len(lost) == rules.losses and len(set(lost)) >= rules.runs and again >= rules.again:
        row = replace(row, held_ms=now_ms, next_ms=now_ms + rules.first_pause_ms)
    return row


def after_taken(hold: Hold, lease_id: LeaseId) -> Hold:
    """The workflow after a lease has ended that was neither lost nor closed by its worker: it tells nothing."""
    return replace(hold, probe=None) if hold.probe == lease_id else hold


def may_probe(hold: Hold, now_ms: int) -> bool:
    """True when the next lease of a held workflow may be granted."""
    return hold.probe is None and now_ms >= hold.next_ms


def spares(hold: Hold | None, now_ms: int, rules: HoldRules) -> bool:
    """True while no loss ends a run of this workflow."""
    return hold is not None and is_held(hold) and now_ms < hold.held_ms + rules.spares_ms


def lost_least(job: Job) -> tuple[int, tuple[int, int, str]]:
    """Which job is probed next: the smallest goes first."""
    return job.losses, job.order
