"""Resume and reject: somebody answers an interrupt. It settles once; whoever comes second is told what came first."""

from __future__ import annotations

from hashlib import sha256

from oris.core.changes import Decision
from oris.core.commands import Reject, Resume, ResumeThread
from oris.core.decide.due import settle
from oris.core.facts import Facts
from oris.core.meaning import canonical, compact
from oris.core.model import Job, Wait
from oris.core.replies import Refusal, Settled, conflict, not_found, run_mismatch
from oris.core.stamp import Stamp
from oris.core.transition import Transition
from oris.core.waits import pending, reject_wait, settle_wait
from oris.ids import WaitId, number_of_wait, run_of_wait


def resume(facts: Facts, command: Resume, stamp: Stamp) -> Decision:
    """The identical resume again gets the same answer, whatever has become of the run since."""
    t, wait = _begin(facts, command.wait_id, stamp)
    if wait is None:
        return t.decision(not_found("interrupt"))
    return t.decision(_resume(t, facts, wait, command.value, command.by))


def resume_thread(facts: Facts, command: ResumeThread, stamp: Stamp) -> Decision:
    """For a run that waits for one answer; when it waits for none, as the last one answers."""
    t = Transition(facts.thread(command.job_key), stamp)
    settle(t, facts)
    job = t.current
    if job is None:
        return t.decision(not_found("thread"))
    if command.run_id is not None and command.run_id != job.run_id:
        return t.decision(run_mismatch(job.run_id))
    found = _only(t, facts, job, command.key)
    if isinstance(found, Refusal):
        return t.decision(found)
    return t.decision(_resume(t, facts, found, command.value, command.by))


def reject(facts: Facts, command: Reject, stamp: Stamp) -> Decision:
    """As the wait's `on_reject` says: by default the run is cancelled. The same again is answered the same."""
    t, wait = _begin(facts, command.wait_id, stamp)
    if wait is None:
        return t.decision(not_found("interrupt"))
    digest = _digest("reject", (command.reason or "").encode())
    if wait.status == "pending":
        return t.decision(Settled(reject_wait(t, facts, wait, command.reason, digest, command.by)))
    if wait.status == "rejected" and wait.settled_digest == digest:
        return t.decision(Settled(wait))
    return t.decision(_settled(wait))


def _begin(facts: Facts, wait_id: WaitId, stamp: Stamp) -> tuple[Transition, Wait | None]:
    """The run, with its deadlines applied, and the wait as it is then."""
    t = Transition(facts.job_of(run_of_wait(wait_id)), stamp)
    settle(t, facts)
    wait = t.waits.get(wait_id) or facts.wait(wait_id)
    return t, wait if wait is not None and wait.kind == "interrupt" else None


def _only(t: Transition, facts: Facts, job: Job, key: str | None) -> Wait | Refusal:
    known = {wait.wait_id: wait for wait in facts.waits(job.run_id)} | t.waits
    asked = [wait for wait in known.values() if wait.kind == "interrupt" and wait.run_id == job.run_id]
    if key is not None:
        return next((wait for wait in asked if wait.key == key), not_found("interrupt with this key in the latest run"))
    open_ones = [wait for wait in pending(t, facts) if wait.kind == "interrupt"]
    if len(open_ones) > 1:
        ids = [str(wait.wait_id) for wait in open_ones]
        message = f"the run has several open interrupts; answer one of: {', '.join(ids)}"
        return conflict("several_pending", message, interrupt_ids=ids)
    if open_ones or asked:
        return open_ones[0] if open_ones else max(asked, key=_answered)
    return conflict("nothing_pending", "the run has no interrupt to answer")


def _answered(wait: Wait) -> tuple[bool, int, int]:
    """What was settled last; what was only dropped says nothing of an answer."""
    return wait.status != "dropped", wait.settled_ms or 0, number_of_wait(wait.wait_id)


def _resume(t: Transition, facts: Facts, wait: Wait, value: bytes, by: str) -> Settled | Refusal:
    digest = _digest("resume", canonical(value))
    if wait.status == "pending":
        return Settled(settle_wait(t, facts, wait, "resumed", value=value, digest=digest, by=by))
    if wait.status != "resumed":
        return _settled(wait)
    # 0.2.0 kept the one of the text without its white space.
    if wait.settled_digest not in (digest, _digest("resume", compact(value))):
        return conflict("resume_mismatch", "the interrupt already has another answer", interrupt_id=wait.wait_id)
    return Settled(wait)


def _settled(wait: Wait) -> Refusal:
    message = f"the interrupt is already settled: {wait.status}"
    return conflict("interrupt_settled", message, interrupt_id=wait.wait_id, status=wait.status)


def _digest(verb: str, value: bytes) -> bytes:
    return sha256(f"{verb}\n".encode() + value).digest()
