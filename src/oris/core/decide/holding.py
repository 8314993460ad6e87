"""Whether a lease is live, for a read: as a command would find it now, but nothing comes of it."""

from __future__ import annotations

from oris.core.decide.due import settle
from oris.core.facts import Facts
from oris.core.lease import ended, holds, lost
from oris.core.model import Job
from oris.core.replies import Refusal
from oris.core.stamp import Stamp
from oris.core.transition import Transition
from oris.ids import LeaseId, run_of_lease


def refuse_unless_held(facts: Facts, job: Job, lease_id: LeaseId | None, now_ms: int) -> Refusal | None:
    """Why a lease of this run is none that is live; None: it is. The facts hold its worker, or how it ended."""
    if lease_id is None or run_of_lease(lease_id) != job.run_id:
        return lost(None)
    t = Transition(job, Stamp(now_ms, 0))
    if job.lease_id == lease_id:
        settle(t, facts)
    return None if holds(t, lease_id, None) else lost(ended(facts, t, lease_id))
