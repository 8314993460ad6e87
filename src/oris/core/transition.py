"""A thread's row on its way through one command: events go in, the decision comes out."""

from __future__ import annotations

from hashlib import sha256

from msgspec.structs import replace

from oris.core import events as ev
from oris.core.chain import GENESIS, Entry, link
from oris.core.changes import Decision, LeaseEnd
from oris.core.deadlines import next_deadline
from oris.core.events import Body
from oris.core.fold import evolve
from oris.core.model import (
    ClosedLease,
    ClosedState,
    DeadLetter,
    IdempotentSubmit,
    Job,
    Payload,
    ReplayClaim,
    Step,
    Wait,
)
from oris.core.replies import Reply
from oris.core.stamp import Stamp
from oris.ids import JobKey, LeaseId, RunId, WaitId


class Transition:
    """Collects what a command does to one thread. Nothing outside sees it until `decision`."""

    def __init__(self, before: Job | None, stamp: Stamp) -> None:
        self.before = before
        self.current = before
        self.stamp = stamp
        self.now_ms = stamp.now_ms
        """The store's time of this batch, by the engine's clock."""
        self.date_ms = stamp.date_ms
        """The same by the calendar."""
        self._entries: list[Entry] = []
        self._payloads: list[Payload] = []
        self._steps: list[Step] = []
        self._closed: list[ClosedLease] = []
        self._idempotent: IdempotentSubmit | None = None
        self._past_run: Job | None = None
        self._dead_letter: DeadLetter | None = None
        self._lease_end: LeaseEnd | None = None
        self._claim: ReplayClaim | None = None
        self._replayed: list[DeadLetter] = []
        self.waits: dict[WaitId, Wait] = {}
        """Waits that this command raises or changes."""

    @property
    def job(self) -> Job:
        """The row as it stands now; there must be one."""
        assert self.current is not None
        return self.current

    def create(self, job_key: JobKey, run_id: RunId, body: ev.RunCreated, payload: bytes | None) -> None:
        """Begin a run; the run before it is put away, unless it was pruned: then only its thread's place is left."""
        past = None if self.current is None or self.current.is_pruned else self.current
        # A deadline of this very command may have ended it: nothing is to come of it by itself any more.
        self._past_run = past if past is None or past.wake_ms is None else replace(past, wake_ms=None)
        self._append(job_key, run_id, 1, body, payload)

    def emit(self, body: Body, payload: bytes | None = None) -> int:
        """Add an event to the thread's current run; the answer is its seq."""
        job = self.job
        self._append(job.job_key, job.run_id, job.attempt_no, body, payload)
        return self.job.seq

    def close_lease(
        self, state: ClosedState, request: bytes | None = None, answer: bytes | None = None, end: LeaseEnd = "taken"
    ) -> None:
        """Keep how the live lease ends, and what that says of its worker. Comes before the event that ends it."""
        job = self.job
        assert job.lease_id is not None
        assert job.worker_key is not None
        self._lease_end = end
        self._closed.append(ClosedLease(job.lease_id, job.job_key, job.worker_key, state, request, answer, self.now_ms))

    def closed(self, lease_id: LeaseId) -> ClosedLease | None:
        """How this lease ended, if it did so in this transition."""
        return next((closed for closed in self._closed if closed.lease_id == lease_id), None)

    def record_step(self, step: Step) -> None:
        """Add or change a report of a step."""
        self._steps.append(step)

    def record_wait(self, wait: Wait) -> None:
        """Raise or change a wait."""
        self.waits[wait.wait_id] = wait

    def bind(self, submit: IdempotentSubmit) -> None:
        """Bind an idempotency key to the run just made."""
        self._idempotent = submit

    def claim(self, claim: ReplayClaim) -> None:
        """Claim a replay target for the run just made."""
        self._claim = claim

    def mark_replayed(self, letter: DeadLetter) -> None:
        """Note on a dead letter what was done about it."""
        self._replayed.append(letter)

    def dead_letter(self, run_id: RunId) -> DeadLetter | None:
        """The dead letter of a run that has failed in this transition."""
        letter = self._dead_letter
        return letter if letter is not None and letter.run_id == run_id else None

    def bury(self, reason: str) -> None:
        """Put the failed run among the dead letters."""
        self.emit(ev.DeadLettered(reason))
        job = self.job
        self._dead_letter = DeadLetter(
            run_id=job.run_id,
            job_key=job.job_key,
            tenant_id=job.tenant_id,
            thread_id=job.thread_id,
            workflow=job.workflow,
            attempt_no=job.attempt_no,
            reason=reason,
            error_seq=job.error_seq,
            dead_ms=self.date_ms,
        )

    def extend_lease(self, expires_ms: int) -> None:
        """Move the lease's end for an outage; no event, and no index changes."""
        self.current = replace(self.job, lease_expires_ms=expires_ms)

    def renew_lease(self, asked_ms: int) -> None:
        """Its worker asks for it until then. Its end never moves back; no event, and no index changes."""
        job = self.job
        if asked_ms > job.lease_asked_ms:
            end_ms = max(job.lease_expires_ms, asked_ms)
            self.current = replace(job, lease_expires_ms=end_ms, lease_asked_ms=asked_ms)

    def refresh_wake(self) -> None:
        """Move the wake-up time to the next deadline, when heartbeats have moved that on."""
        wake_ms = next_deadline(self.job)
        if wake_ms != self.job.wake_ms:
            self.current = replace(self.job, wake_ms=wake_ms)

    def decision(self, reply: Reply) -> Decision:
        """All of it, with the row's wake-up time brought up to date."""
        job = self.current
        if job is None or job is self.before:
            return Decision(reply)
        wake_ms = next_deadline(job)
        kept = job.wake_ms is not None and wake_ms is not None and self.now_ms < job.wake_ms <= wake_ms
        if not kept and wake_ms != job.wake_ms:
            job = replace(job, wake_ms=wake_ms)
        return Decision(
            reply,
            self.before,
            job,
            tuple(self._entries),
            tuple(self._payloads),
            tuple(self._steps),
            tuple(self._closed),
            self._idempotent,
            self._past_run,
            self._dead_letter,
            self._lease_end,
            waits=tuple(self.waits.values()),
            claim=self._claim,
            replayed=tuple(self._replayed),
        )

    def _append(self, job_key: JobKey, run_id: RunId, attempt_no: int, body: Body, payload: bytes | None) -> None:
        job = self.current
        seq, previous = (1, GENESIS) if job is None else (job.seq + 1, job.head_hash)
        worker = body.worker_key if isinstance(body, ev.LeaseGranted) else job.worker_key if job else None
        data = ev.encode(body)
        digest = None
        if payload is not None:
            digest = sha256(payload).digest()
            self._payloads.append(Payload(job_key, seq, payload))
        name, event_type, at_ms, skew_ms = ev.worker_in(worker), ev.type_of(body), self.date_ms, self.stamp.skew_ms
        chained = link(previous, job_key, seq, event_type, at_ms, run_id, attempt_no, name, data, digest, skew_ms)
        self.current = evolve(job, job_key, run_id, seq, at_ms, body, chained, skew_ms)
        told = (job_key, seq, event_type, run_id, attempt_no, name, at_ms, data, digest, chained, skew_ms)
        self._entries.append(Entry(*told))
