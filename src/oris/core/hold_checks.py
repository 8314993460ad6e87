"""What must hold of held workflows in every committed state; see `core.invariants`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from oris.core.hold import Hold
from oris.core.model import Job, Lane
from oris.core.violation import Violation


def check_holds(jobs: Iterable[Job], holds: Mapping[Lane, Hold]) -> list[Violation]:
    """I20: a probe that is out is a live lease of its workflow, or nobody would ever probe it again."""
    live = {(job.lane, job.lease_id) for job in jobs if job.lease_id is not None}
    found: list[Violation] = []
    for lane, hold in holds.items():
        if hold.probe is not None and (lane, hold.probe) not in live:
            found.append(
                Violation("I20", f"{lane.tenant_id}/{lane.workflow}", f"waits for {hold.probe}, which has ended")
            )
        if (hold.probe is not None or hold.probes) and not hold.held_ms:
            found.append(Violation("I20", f"{lane.tenant_id}/{lane.workflow}", "has a probe, but is not held"))
    return found
