"""Quarantine: a worker that loses its leases again and again is granted nothing for a while, then one lease as a probe.

An incident is one misfortune of the worker, however many leases it cost: leases that were held when it happened do not
count again when they run out later. Losses of one run are one incident, however often it is lost: so a job that kills
its worker does not keep the worker from its other jobs; and when such a job is a dead letter in the end, its incident
is taken back. Losses of a held workflow (`core.hold`) are none. Anything that the worker closes normally clears its
name.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from oris.core.model import Job, Worker, is_superseded
from oris.ids import RunId


class QuarantineRules(Struct, frozen=True):
    """When a worker comes into quarantine, and for how long."""

    after_incidents: int = 5
    """Incidents in a row."""
    first_window_ms: int = 30_000
    longest_window_ms: int = 600_000
    """Each incident more, a failed probe that is, doubles the window up to this."""


_GROUPS_MAX = 16
_RUNS_MAX = 16
"""What is remembered of incidents: the last ones, and the first runs of each."""


def with_ended_session(worker: Worker, now_ms: int, rules: QuarantineRules) -> Worker:
    """The worker after its session has ended with leases in hand. Which runs they were of is known when they are
    swept."""
    if worker.granted_ms < worker.incident_ms:
        return worker
    return _with_groups(worker, worker.incidents + 1, [*_groups(worker), ()], now_ms, rules)


def with_loss(worker: Worker, job: Job, now_ms: int, rules: QuarantineRules) -> Worker:
    """The worker after it has lost the lease that the job holds."""
    groups, run = _groups(worker), job.run_id
    known = any(run in group for group in groups)
    if _was_held(worker, job):
        return _joined(worker, groups, run, rules, known=known)
    if known:
        # The same run again: no further incident, and neither is what else the worker has lost by this death.
        return replace(worker, incident_ms=now_ms)
    return _with_groups(worker, worker.incidents + 1, [*groups, (run,)], now_ms, rules)


def spared(worker: Worker, job: Job, rules: QuarantineRules) -> Worker:
    """The worker after it has lost a lease of a held workflow: no incident; the end of its session was none either."""
    return _without_unknown(worker, _groups(worker), rules) if _was_held(worker, job) else worker


def taken_back(worker: Worker, run: RunId, rules: QuarantineRules) -> Worker:
    """The worker after a run is a dead letter for the leases it lost: the run was to blame."""
    groups = _groups(worker)
    left = [group for group in groups if run not in group]
    if len(left) == len(groups):
        return worker
    return _with_groups(worker, worker.incidents - len(groups) + len(left), left, worker.incident_ms, rules)


def _was_held(worker: Worker, job: Job) -> bool:
    """True when the worker held this lease already when its last incident happened.

    In doubt, at one millisecond, it did not: an incident and the next grant are often of one commit. But a session that
    was replaced has ended with all it held, also when it was granted that in the same millisecond.
    """
    return job.lease_granted_ms < worker.incident_ms or is_superseded(job, worker)


def _joined(
    worker: Worker, groups: list[tuple[str, ...]], run: RunId, rules: QuarantineRules, *, known: bool
) -> Worker:
    """A further lease that the last incident has cost."""
    if not groups:
        return worker
    if known:
        # All that is known of the session that ended: it held a run that has cost the worker an incident before.
        return _without_unknown(worker, groups, rules)
    if len(groups[-1]) >= _RUNS_MAX:
        return worker
    groups[-1] = (*groups[-1], run)
    return replace(worker, incident_runs=_told(groups))


def _without_unknown(worker: Worker, groups: list[tuple[str, ...]], rules: QuarantineRules) -> Worker:
    """The worker without its last incident, if no run of that is known yet."""
    if not groups or groups[-1]:
        return worker
    return _with_groups(worker, worker.incidents - 1, groups[:-1], worker.incident_ms, rules)


def _with_groups(
    worker: Worker, incidents: int, groups: list[tuple[str, ...]], at_ms: int, rules: QuarantineRules
) -> Worker:
    until_ms = 0
    if incidents >= rules.after_incidents:
        doublings = min(incidents - rules.after_incidents, 16)
        until_ms = at_ms + min(rules.longest_window_ms, rules.first_window_ms << doublings)
    return replace(
        worker,
        incidents=incidents,
        incident_ms=at_ms,
        quarantined_until_ms=until_ms,
        incident_runs=_told(groups[-_GROUPS_MAX:]),
    )


def _groups(worker: Worker) -> list[tuple[str, ...]]:
    """The runs of each incident, the oldest first; an incident of which none is known yet is empty."""
    return [tuple(group.split(",")) if group else () for group in worker.incident_runs.split(";")[:-1]]


def _told(groups: list[tuple[str, ...]]) -> str:
    return "".join(",".join(group) + ";" for group in groups)


def cleared(worker: Worker) -> Worker:
    """The worker after it has closed a lease normally, or an operator has spoken for it."""
    if not worker.incidents and not worker.incident_runs:
        return worker
    return replace(worker, incidents=0, quarantined_until_ms=0, incident_runs="")


def is_quarantined(worker: Worker) -> bool:
    """True from the last incident too many until its name is cleared, probe included."""
    return worker.quarantined_until_ms > 0


def room_for(worker: Worker, limit: int, now_ms: int) -> int:
    """How many leases it may hold now, `limit` at most: none within the window, one as a probe after it."""
    if not is_quarantined(worker):
        return limit
    return 0 if now_ms < worker.quarantined_until_ms else min(1, limit)
