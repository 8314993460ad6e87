"""What is checked of each command's answer: it is what the witness' account allows (I1, I3, I8, I9, I12, I13)."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from oris.core import commands as c
from oris.core.audit_anchor import Uncut
from oris.core.limits import Limits
from oris.core.mode import Modes
from oris.core.outage import Outage
from oris.core.replies import (
    Acked,
    Beaten,
    CancelledRun,
    Granted,
    Refusal,
    Released,
    Replayed,
    Reply,
    Reported,
    SessionDropped,
    SessionOpened,
    Settled,
    Submitted,
    Suspended,
)
from oris.core.tenant import Counts
from oris.engine.batch import Batch, Outcome
from oris.engine.observer import Passed, Sample
from oris.errors import ErrorCode, StoreError
from oris.ids import IdempotencyKey, LeaseId, RunId, WorkerKey, idempotency_key
from oris.sim.bounds import BoundCheck
from oris.sim.judge import Judge
from oris.sim.lives import LeaseLife
from oris.sim.repeats import Repeats, meaning, meaning_of_end
from oris.sim.store import DefiniteFault
from oris.sim.trace import Trace
from oris.sim.witness import Witness


class AnswerCheck:
    """The engine's observer: is shown each batch with its answers, in the stretch that publishes them."""

    def __init__(
        self,
        witness: Witness,
        judge: Judge,
        trace: Trace,
        repeats: Repeats,
        total: Callable[[], Counts],
        limits: Limits,
    ) -> None:
        """`total`: what the nodes have counted."""
        self._witness = witness
        self._judge = judge
        self._trace = trace
        self._repeats = repeats
        self._total = total
        self._bounds = BoundCheck(witness, judge, trace, limits)
        self._now_ms = 0
        self._closed_here: set[LeaseId] = set()
        self._made = 0
        self._bound_here: dict[IdempotencyKey, str] = {}
        self._given: dict[tuple[WorkerKey, str | None, str], set[str]] = {}
        """What each poll id was granted in this commit: its copies in the same commit are given just that."""

    def committed(self, outcome: Outcome, batch: Batch, took_ms: float) -> None:
        """See `Observer`."""
        self._now_ms, self._closed_here, self._made, self._bound_here = outcome.now_ms, set(), 0, {}
        for unit, replies in zip(batch.units, outcome.replies, strict=True):
            for command, reply in zip(unit.commands, replies, strict=True):
                self._answer(command, reply)
        # Dispatch comes after all commands, whichever unit brought the poll: what a later one closed stays closed.
        self._given = {}
        for parked, granted in zip(outcome.parked, outcome.granted, strict=True):
            self._grant(parked.want, granted)
        created = sum(1 for e in outcome.facts.changes.entries if e.event_type == "run_created")
        self._judge.require(created == self._made, "I8", batch.batch_id, f"{created} runs, {self._made} submits")
        total, counted = self._total(), self._bounds.depth()
        depth = (total.due, total.delayed)
        self._judge.require(depth == counted, "I20", "depth", f"counted as {depth}, it is {counted}")
        self._bounds.committed(outcome, batch)

    def commit_failed(self, error: Exception, batch: Batch | None = None, took_ms: float = 0.0) -> None:
        """See `Observer`."""
        expected = isinstance(error, StoreError | DefiniteFault)
        self._judge.require(expected, "bug", "commit", f"failed with {error!r}")
        self._trace.saw(f"commit {type(error).__name__}")

    def command_failed(self, error: Exception) -> None:
        """See `Observer`."""
        self._judge.require(False, "bug", "decide", f"raised {error!r}")

    def refused(self, refusal: Refusal, count: int) -> None:
        """See `Observer`."""
        self._trace.saw(f"refused at the gate {(refusal.details or {}).get('reason')}")

    def outage(self, outage: Outage) -> None:
        """See `Observer`."""
        self._trace.saw("outage")

    def mode_changed(self, modes: Modes) -> None:
        """See `Observer`."""
        self._trace.saw(f"mode {modes.word}")

    def retention_passed(self, passed: Passed) -> None:
        """See `Observer`."""
        self._trace.saw("retention passed")

    def audit_not_cut(self, uncut: Uncut) -> None:
        """See `Observer`."""
        self._judge.require(False, "I17", uncut.chain_id, f"record {uncut.seq} {uncut.what}")

    def sampled(self, sample: Sample, level: int) -> None:
        """See `Observer`."""
        self._trace.saw(f"admission level {level}")

    def clock_jumped(self, by_ms: int) -> None:
        """See `Observer`."""
        self._trace.saw("clock jumped")

    def clock_skewed(self, by_ms: int) -> None:
        """See `Observer`."""
        self._trace.saw("clocks far apart" if by_ms else "clocks agree again")

    def _answer(self, command: c.Command, reply: Reply) -> None:
        if isinstance(reply, Refusal):
            reason = (reply.details or {}).get("reason") or reply.code
            self._trace.saw(f"refused {type(command).__name__} {reason}")
            self._judge.require(reply.code is not ErrorCode.INTERNAL, "bug", repr(command), "answered internal")
        self._repeats.answered(command, reply)
        match command:
            case c.Submit():
                self._submit(command, reply)
            case c.Replay() | c.ReplayDeadLetter():
                self._replay(command, reply)
            case c.Heartbeat():
                self._beat(command, reply)
            case c.ReportStep():
                self._report(command, reply)
            case c.Ack():
                said = (command.attempt_id, command.terminal_status, meaning_of_end(command), command.retryable)
                self._closing(command.lease_id, command.worker_key, (*said, command.retry_policy), reply, Acked)
            case c.Release():
                self._closing(command.lease_id, command.worker_key, command.delay_ms, reply, Released)
            case c.Suspend():
                waits = [replace(w, value=None, expire_value=None) for w in command.waits]
                values = [(meaning(w.value), meaning(w.expire_value)) for w in command.waits]
                asked = (command.attempt_id, waits, values, command.mode, meaning(command.checkpoint))
                self._closing(command.lease_id, command.worker_key, asked, reply, Suspended)
            case c.Resume() | c.ResumeThread() | c.Reject():
                self._settle(reply)
            case c.Cancel():
                self._cancel(command, reply)
            case c.OpenSession() | c.DropSession():
                self._session(command, reply)
            case _:
                pass

    def _submit(self, command: c.Submit, reply: Reply) -> None:
        key = command.idempotency_key and idempotency_key(command.tenant_id, command.idempotency_key)
        known = self._witness.keys.get(IdempotencyKey(key)) if key else None
        bound = None
        if known is not None and known[1] < self._witness.commit:
            bound = known[0].run_id
        elif key:
            bound = self._bound_here.get(IdempotencyKey(key))  # type: ignore[assignment]
        where = f"{command.job_key} key {command.idempotency_key}"
        same = known is not None and known[0].request_hash == command.request_hash
        match reply:
            case Submitted(replay=False):
                self._made += 1
                if key:
                    self._bound_here[IdempotencyKey(key)] = reply.run_id
                self._judge.require(bound is None, "I9", where, f"a second run for a key bound to {bound}")
                self._judge.require(reply.run_id in self._witness.runs, "I8", where, "answered a run that is not there")
            case Submitted() if self._was_bound(key, reply.run_id):
                self._trace.saw("idempotent replay of a run that goes in this commit")
            case Submitted():
                self._trace.saw("idempotent replay")
                self._judge.require(same and bound == reply.run_id, "I9", where, f"replayed {reply.run_id}: {bound}")
            case Refusal():
                self._judge.require(bound is None or not same, "I9", where, f"refused, though bound to {bound}")
            case _:
                pass

    def _was_bound(self, key: str | None, run_id: RunId) -> bool:
        """Whether the key was this run's until this very commit."""
        row = self._witness.unbound.get(IdempotencyKey(key)) if key else None
        return row is not None and row[0].run_id == run_id

    def _replay(self, command: c.Replay | c.ReplayDeadLetter, reply: Reply) -> None:
        """I8, I23: a run is made by it, or one is named that is at work on the same, or has completed it."""
        if isinstance(reply, Replayed) and not reply.replay:
            self._made += 1
            self._judge.require(reply.run_id in self._witness.runs, "I8", command.job_key, "answered a run not there")
            return
        details = {} if not isinstance(reply, Refusal) else reply.details or {}
        if isinstance(reply, Replayed):
            self._trace.saw("replay answered again")
        if isinstance(reply, Replayed) or details.get("reason") == "already_replayed":
            named = reply.run_id if isinstance(reply, Replayed) else details["run_id"]
            run = self._witness.runs[RunId(str(named))]
            self._judge.require(run.status == "completed", "I23", run.run_id, f"told completed, and is {run.status}")

    def _beat(self, command: c.Heartbeat, reply: Reply) -> None:
        lease = self._witness.leases.get(command.lease_id)
        held = isinstance(reply, Beaten) and reply.state in ("held", "cancelling")
        live = self._live(lease, command.worker_key, held)
        self._trace.saw(f"heartbeat {reply.state}" if isinstance(reply, Beaten) else "heartbeat refused")
        self._judge.require(held == live, "I3", command.lease_id, f"a heartbeat got {reply}; live is {live}")
        if isinstance(reply, Beaten) and held and lease is not None:
            # A lease that the same commit closed later on shows no end any more.
            kept = reply.expires_ms <= lease.expires_ms or lease.closed_in == self._witness.commit
            self._judge.require(kept, "I12", command.lease_id, "answered a later end than is stored")

    def _report(self, command: c.ReportStep, reply: Reply) -> None:
        lost = isinstance(reply, Refusal) and (reply.details or {}).get("reason") == "lease_lost"
        live = self._live(self._witness.leases.get(command.lease_id), command.worker_key, not lost)
        where = f"{command.lease_id} {command.action_id} {command.status}"
        if isinstance(reply, Reported):
            self._trace.saw(f"step {reply.status}")
            self._judge.require(live, "I3", where, "recorded without a live lease of the caller's")
        elif isinstance(reply, Refusal):
            self._judge.require(lost != live, "I3", where, f"refused ({reply.details}); live is {live}")

    def _closing(
        self,
        lease_id: LeaseId,
        worker: WorkerKey | None,
        request: object,
        reply: Reply,
        kind: type[Acked | Released | Suspended],
    ) -> None:
        """I3 and I13: it closes its live lease, or repeats what closed it and gets that answer."""
        lease = self._witness.leases.get(lease_id)
        live = self._live(lease, worker, isinstance(reply, kind))
        if isinstance(reply, kind) and lease is not None:
            if live:
                self._closed_here.add(lease_id)
                lease.request, lease.answer = request, reply
                return
            self._trace.saw(f"repeated {kind.__name__}")
            ended = lease.closed_in is not None and lease.closed_in <= self._witness.commit
            mine = worker in (None, lease.worker_key)
            self._judge.require(ended and mine, "I3", lease_id, "closed by one who does not hold it")
            if lease.answer is None:
                lease.request, lease.answer = request, reply
            known = (lease.request, lease.answer)
            self._judge.require(known == (request, reply), "I13", lease_id, f"repeated {request}: {reply}, not {known}")
        elif lease is not None and isinstance(reply, Refusal):
            self._judge.require(not live, "I3", lease_id, f"a live lease's write was refused: {reply}")
            kept = lease.run.pruned_in is None
            repeat = (
                kept and worker in (None, lease.worker_key) and lease.answer is not None and lease.request == request
            )
            self._judge.require(not repeat, "I13", lease_id, f"a repeat was refused: {reply}")
        else:
            self._judge.require(isinstance(reply, Refusal), "I3", lease_id, "accepted for a lease that never was")

    def _cancel(self, command: c.Cancel, reply: Reply) -> None:
        if isinstance(reply, CancelledRun):
            run = self._witness.runs[reply.run_id]
            expected = ("cancelled",) if reply.status == "cancelled" else ("cancelling", "cancelled")
            self._judge.require(run.status in expected, "I12", run.run_id, f"{reply.status}, and {run.status}")
            for lease in self._witness.leases.values():
                if lease.run is run and lease.closed_in == self._witness.commit:
                    self._closed_here.add(lease.lease_id)

    def _settle(self, reply: Reply) -> None:
        """I24: whoever settles a wait is told what it is from then on."""
        if isinstance(reply, Settled):
            self._trace.saw(f"interrupt {reply.wait.status}")
            wrong = self._witness.waits.differs(reply.wait)
            self._judge.require(wrong is None, "I24", reply.wait.wait_id, wrong or "")

    def _session(self, command: c.OpenSession | c.DropSession, reply: Reply) -> None:
        """From here on in this commit the leases of a session that has ended are dead."""
        ended = isinstance(reply, SessionOpened) and reply.replaced is not None
        if ended or (isinstance(reply, SessionDropped) and reply.cut):
            for lease in self._witness.leases.values():
                if lease.worker_key == command.worker_key and lease.dead_in == self._witness.commit:
                    self._closed_here.add(lease.lease_id)

    def _grant(self, want: c.Want, granted: Granted) -> None:
        """I1 and redelivery: what a poll id was granted before, it gets again as long as it is live."""
        for job in granted.jobs:
            lease = self._witness.leases.get(LeaseId(job.lease_id or ""))
            fresh = lease is not None and lease.opened_in == self._witness.commit
            self._judge.require(fresh, "I1", str(job.lease_id), "granted, but not by an event of this commit")
        if want.poll_id is None or not want.limit or granted.cut or granted.blocked == "session_superseded":
            return
        told = {str(job.lease_id) for job in granted.redelivered}
        asked = (want.worker_key, want.session, want.poll_id)
        held: set[str] = {
            lease.lease_id
            for lease in self._witness.leases.values()
            if (lease.poll_id, lease.session) == (want.poll_id, want.session)
            and self._live(lease, want.worker_key, lease.lease_id in told)
        }
        if held:
            self._trace.saw("redelivered")
        if asked in self._given:
            self._trace.saw("poll doubled in one commit")
            held |= self._given[asked]
        self._given[asked] = self._given.get(asked, set()) | {str(job.lease_id) for job in granted.jobs}
        self._judge.require(told == held, "I1", want.poll_id, f"was to be given {held} again, got {told}")
        self._judge.require(not (held and granted.jobs), "I1", want.poll_id, "got new leases beside its old ones")

    def _live(self, lease: LeaseLife | None, worker: WorkerKey | None, believed: bool) -> bool:
        """`believed`: whether the server has treated it as live."""
        if lease is None or lease.lease_id in self._closed_here:
            return False
        return self._witness.is_live(lease, worker, self._now_ms, believed)
