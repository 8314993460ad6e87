"""Whether the server keeps to its bounds: what one commit hands out, and how many runs may wait."""

from __future__ import annotations

from collections.abc import Iterable

from oris.core import commands as c
from oris.core.limits import Limits
from oris.core.model import Job
from oris.core.replies import Granted, Refusal, Reply, Submitted
from oris.engine.batch import Batch, Outcome
from oris.ids import TenantId
from oris.sim.judge import Judge
from oris.sim.trace import Trace
from oris.sim.witness import Witness

DELAYED = ("scheduled", "retry_backoff")


class BoundCheck:
    """Is shown each batch with its answers; counts by the witness' account."""

    def __init__(self, witness: Witness, judge: Judge, trace: Trace, limits: Limits) -> None:
        self._witness = witness
        self._judge = judge
        self._trace = trace
        self._limits = limits

    def committed(self, outcome: Outcome, batch: Batch) -> None:
        """A commit was made."""
        self._handed_out(outcome.granted, batch.batch_id)
        changed = list(outcome.facts.changes.jobs.values())
        for unit, replies in zip(batch.units, outcome.replies, strict=True):
            for command, reply in zip(unit.commands, replies, strict=True):
                if isinstance(command, c.Submit):
                    self._submitted(command, reply, changed)

    def depth(self, tenant_id: TenantId | None = None) -> tuple[int, int]:
        """How many runs are due and wait, and how many wait for their time; of all tenants or of one."""
        runs = self._witness.runs.values()
        mine = [run.status for run in runs if tenant_id in (None, run.lane.tenant_id)]
        return mine.count("queued"), sum(status in DELAYED for status in mine)

    def _handed_out(self, all_granted: Iterable[Granted], where: str) -> None:
        """Whatever comes first may be larger than a commit's bound; with anything more, all of it is below."""
        sizes: list[tuple[int, int]] = []
        for granted in all_granted:
            sizes += [(1, self._size(job)) for job in granted.jobs]
            if granted.redelivered:
                sizes.append((len(granted.redelivered), sum(map(self._size, granted.redelivered))))
            if granted.cut:
                self._trace.saw("no room left in the commit")
        leases, size = (sum(column) for column in zip(*sizes, strict=True)) if sizes else (0, 0)
        within = leases <= self._limits.commit_grants_max and size <= self._limits.commit_bytes_max
        self._judge.require(within or len(sizes) == 1, "bound", where, f"hands out {leases} leases, {size} bytes")

    def _size(self, job: Job) -> int:
        return min(job.handout_bytes, self._limits.answer_max_bytes)

    def _submitted(self, command: c.Submit, reply: Reply, changed: list[Job]) -> None:
        """Refused only when so many waited at some time of the commit; let in only when it made no more than may be.

        Within the commit as many may have come and gone as runs were changed in it.
        """
        limits, delayed = self._limits, command.delay_ms is not None or command.run_at_ms is not None
        due, later = self.depth()
        mine_due, mine_later = self.depth(command.tenant_id)
        moved = len(changed)
        mine_moved = sum(job.tenant_id == command.tenant_id for job in changed)
        reason = (reply.details or {}).get("reason") if isinstance(reply, Refusal) else None
        if reason == "queue_full":
            least = min(limits.queue_max, limits.delayed_max) if delayed else limits.queue_max
            most = due + moved + (later if delayed else 0)
        elif reason == "tenant_queue_full":
            least = min(limits.tenant_queue_max, limits.tenant_delayed_max) if delayed else limits.tenant_queue_max
            most = mine_due + mine_moved + (mine_later if delayed else 0)
        else:
            if isinstance(reply, Submitted) and not reply.replay and delayed:
                room = limits.queue_max + limits.delayed_max
                within = due + later <= room + moved
                self._judge.require(within, "I20", command.job_key, f"let in beside {due} due and {later} delayed runs")
            return
        what = f"{reason} beside {due} due and {later} delayed runs, {mine_due} and {mine_later} of its tenant"
        self._judge.require(most >= least, "I20", command.job_key, what)
