"""What is checked of workers' rows at every commit: sessions, incidents, quarantine, the brakes of watched polls."""

from __future__ import annotations

from oris.core import events as ev
from oris.core.changes import Changes
from oris.core.model import Worker
from oris.core.quarantine import QuarantineRules
from oris.ids import RunId, WorkerKey
from oris.sim.judge import Judge
from oris.sim.lives import LeaseLife
from oris.sim.trace import Trace
from oris.sim.witness import Witness


class WorkerCheck:
    """Keeps the rows as they were before each commit. To be called after the commit's events have been read."""

    def __init__(self, witness: Witness, judge: Judge, trace: Trace, rules: QuarantineRules) -> None:
        self._rules = rules
        self._witness = witness
        self._judge = judge
        self._trace = trace
        self._rows: dict[WorkerKey, Worker] = {}
        self._cleared_ms: dict[WorkerKey, int] = {}
        self._no_cut_until_ms = 0
        self._charged: dict[WorkerKey, set[RunId]] = {}
        """The runs that each worker has lost since it closed a lease last."""
        self._certain: dict[WorkerKey, set[RunId]] = {}
        """Those of them that stand as one of its incidents."""
        self._dead: set[RunId] = set()
        """Runs that this commit has ended for their losses."""

    def started(self) -> None:
        """The server's process is another one: its clock may stand before that of the one before, which was further
        than it had written down."""
        self._no_cut_until_ms = 0

    def connections_cut(self, until_ms: int) -> None:
        """All connections broke together: until then no worker may be taken for dead because of it."""
        self._no_cut_until_ms = until_ms

    def free_since_ms(self, key: WorkerKey) -> int | None:
        """Since when a worker may be given what there is; None: it is quarantined."""
        row = self._rows.get(key)
        if row is not None and row.incidents >= self._rules.after_incidents:
            return None
        return self._cleared_ms.get(key, 0)

    def __call__(self, changes: Changes, now_ms: int) -> None:
        """One commit."""
        lost, normal = self._ends(changes)
        self._dead = {letter.run_id for letter in changes.dead_letters if letter.reason == "lease_losses"}
        for key in changes.forgotten_workers:
            self._forgotten(key, now_ms)
        for key, row in changes.workers.items():
            before = self._rows.get(key) or Worker(key, 0, now_ms, now_ms)
            self._rows[key] = row
            self._session(before, row, now_ms)
            self._incidents(before, row, lost.get(key, []), key in normal, now_ms)
        for row in self._rows.values() if self._dead else ():
            left = [run_id for run_id in self._dead if run_id in row.incident_runs]
            self._require(not left, row, f"incidents of {left} were not taken back")
        for run in self._witness.granted:
            if run.lease is not None:
                self._granted(run.lease.worker_key, run.lease.session, now_ms)

    def _forgotten(self, key: WorkerKey, now_ms: int) -> None:
        row = self._rows.pop(key)
        self._charged.pop(key, None)
        self._certain.pop(key, None)
        held_back = row.incidents >= self._rules.after_incidents and row.quarantined_until_ms > now_ms
        self._require(not held_back, row, "was forgotten in quarantine")

    def _ends(self, changes: Changes) -> tuple[dict[WorkerKey, list[LeaseLife]], set[WorkerKey]]:
        """The leases that were lost in this commit, by worker; and who has closed one."""
        lost: dict[WorkerKey, list[LeaseLife]] = {}
        for entry in changes.entries:
            body = ev.decode(entry.data) if entry.event_type == "lease_expired" else None
            if isinstance(body, ev.LeaseExpired):
                lost.setdefault(body.worker_key, []).append(self._witness.leases[body.lease_id])
        return lost, {closed.worker_key for closed in changes.closed if closed.state in ("closed", "released")}

    def _session(self, before: Worker, row: Worker, now_ms: int) -> None:
        if row.session != before.session:
            self._trace.saw("session opened" if before.session is None else "session replaced")
            self._judge.require(row.session_ms == now_ms, "I2", row.worker_key, "a session that began at another time")
        if row.cut_ms != before.cut_ms:
            self._trace.saw("session cut off")
            braked = now_ms < self._no_cut_until_ms
            self._judge.require(not braked, "I6", row.worker_key, "taken for dead, though all connections broke")

    def _incidents(self, before: Worker, row: Worker, lost: list[LeaseLife], closed: bool, now_ms: int) -> None:
        """At most one a commit, not without a loss of a run that had cost none, not again for what was held before, and
        not while its workflow is held; fewer when a lease was closed, or a run was to blame. In one commit a close may
        clear the name, and what comes after it be the first incident of the next row."""
        ended = row.session != before.session or row.cut_ms != before.cut_ms
        charged = self._charged.setdefault(row.worker_key, set())
        gone = {lease.lease_id for lease in lost if lease.session not in (None, before.session)}
        fresh = [
            lease
            for lease in lost
            if lease.granted_ms >= before.incident_ms and lease.lease_id not in gone and not lease.spared
        ]
        new = [lease for lease in fresh if lease.run.run_id not in charged]
        costly = [lease for lease in fresh if lease.run.run_id not in self._certain.get(row.worker_key, ())]
        if row.incidents > before.incidents:
            self._trace.saw("incident")
            one = row.incidents == before.incidents + 1 and row.incident_ms == now_ms
            told = [lease.lease_id for lease in lost]
            self._require(one and bool(costly or ended), row, f"incidents from {before.incidents} on: lost {told}")
        elif row.incidents < before.incidents:
            anew = row.incidents == 1 and row.incident_ms == now_ms and bool(fresh or ended)
            self._fewer(before, row, lost, charged, closed and (row.incidents == 0 or anew), now_ms)
        elif any(lease.spared is False for lease in new) and not closed and not ended and not self._dead:
            # One of a run that is charged already, or spared, may have been the death that these are part of.
            alone = all(lease in new for lease in lost)
            self._require(not alone, row, f"a loss was not noted: last {before.incident_ms}")
        certain = self._certain.setdefault(row.worker_key, set())
        if closed and not row.incidents:
            charged.clear()
        if row.incidents < before.incidents or not row.incidents:
            certain.clear()
        elif not closed:
            # What it held already when an incident happened that is forgiven by now perhaps belongs to none.
            old = gone | {lease.lease_id for lease in lost if lease.granted_ms < before.incident_ms}
            sure = [lease for lease in lost if before.incidents or lease.lease_id not in old]
            certain |= {lease.run.run_id for lease in sure if lease.spared is False}
        charged |= {lease.run.run_id for lease in lost}
        if row.incidents >= self._rules.after_incidents:
            self._trace.saw("quarantined")

    def _fewer(
        self, before: Worker, row: Worker, lost: list[LeaseLife], charged: set[RunId], closed: bool, now_ms: int
    ) -> None:
        if row.incidents < self._rules.after_incidents <= before.incidents:
            self._cleared_ms[row.worker_key] = now_ms
        if closed:
            return
        blamed = self._dead & (charged | {lease.run.run_id for lease in lost})
        # A session that ended was an incident before it was known which run it had held.
        explained = [lease for lease in lost if lease.spared is not False or lease.run.run_id in charged]
        if blamed:
            self._trace.saw("incident taken back")
        self._require(bool(blamed or explained), row, f"{before.incidents - row.incidents} incidents forgotten")

    def _granted(self, key: WorkerKey, session: str | None, now_ms: int) -> None:
        row = self._rows.get(key)
        if row is None:
            return
        self._require(session in (None, row.session), row, f"granted to session {session}, {row.session} is at work")
        if row.incidents >= self._rules.after_incidents:
            probing = now_ms >= row.quarantined_until_ms and row.leased <= 1
            self._trace.saw("probe")
            self._require(probing, row, f"granted in quarantine until {row.quarantined_until_ms}: holds {row.leased}")

    def _require(self, holds: bool, row: Worker, what: str) -> None:
        self._judge.require(holds, "I20", row.worker_key, what)
