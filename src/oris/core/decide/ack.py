"""Ack: a worker closes its lease with the attempt's end; a failure with retries left schedules the next try."""

from __future__ import annotations

from hashlib import sha256
from typing import assert_never

import msgspec

from oris.core import events as ev
from oris.core import retry
from oris.core.changes import Decision
from oris.core.commands import Ack
from oris.core.decide.due import end_cancelled, settle
from oris.core.facts import Facts
from oris.core.lease import closed_by, holds
from oris.core.meaning import meant, meant_with_nulls
from oris.core.model import RetryPolicy, stored_policy
from oris.core.replies import Acked, Refusal, lease_of_another_attempt
from oris.core.stamp import Stamp
from oris.core.transition import Transition
from oris.ids import attempt_of, run_of_lease

_encoder = msgspec.json.Encoder()
_answers = msgspec.json.Decoder(Acked)


def ack(facts: Facts, command: Ack, stamp: Stamp) -> Decision:
    """A repeat of the request that closed the lease gets that request's answer, whatever has happened since."""
    t = Transition(facts.job_of(run_of_lease(command.lease_id)), stamp)
    settle(t, facts)
    if not holds(t, command.lease_id, command.worker_key):
        return t.decision(_again(facts, t, command))
    job = t.job
    if command.attempt_id != attempt_of(job.run_id):
        return t.decision(lease_of_another_attempt())
    if job.status == "cancelling":
        return t.decision(_end_cancelled(t, command))
    policy = _retry(t, command)
    wait_ms = 0 if policy is None else retry.backoff_ms(policy, job.retries + 1, t.stamp.fraction())
    answer = _answer(t, command, policy, wait_ms)
    t.close_lease("closed", _digest(command, _meant(command)), _encoder.encode(answer), end="normal")
    if policy is not None:
        _schedule(t, command, policy, wait_ms)
    else:
        _end(t, command)
    return t.decision(answer)


def _end_cancelled(t: Transition, command: Ack) -> Acked:
    """However a worker that was asked to end does so: the run is cancelled, and the result it sends is kept."""
    job = t.job
    answer = Acked(attempt_of(job.run_id), "cancelled", job.attempt_no, None, job.traceparent)
    t.close_lease("closed", _digest(command, _meant(command)), _encoder.encode(answer), end="normal")
    end_cancelled(t, command.lease_id, None if command.terminal_status == "failed" else command.body)
    return answer


def _again(facts: Facts, t: Transition, command: Ack) -> Acked | Refusal:
    closed = closed_by(facts, t, command.lease_id, command.worker_key, *_digests(command))
    if isinstance(closed, Refusal):
        return closed
    assert closed.answer is not None
    return _answers.decode(closed.answer)


def _retry(t: Transition, command: Ack) -> RetryPolicy | None:
    """The policy under which this failure is tried again; None when it is the end."""
    if command.terminal_status != "failed" or not command.retryable:
        return None
    policy = command.retry_policy or stored_policy(t.job.retry_policy)
    return policy if policy is not None and t.job.retries < policy.max_retries else None


def _answer(t: Transition, command: Ack, policy: RetryPolicy | None, wait_ms: int) -> Acked:
    job = t.job
    attempt = attempt_of(job.run_id)
    if policy is None:
        return Acked(attempt, command.terminal_status, job.attempt_no, None, job.traceparent)
    return Acked(attempt, "retry_scheduled", job.attempt_no + 1, t.date_ms + wait_ms, job.traceparent)


def _schedule(t: Transition, command: Ack, policy: RetryPolicy, wait_ms: int) -> None:
    t.emit(
        ev.RetryScheduled(
            lease_id=command.lease_id,
            retry_no=t.job.retries + 1,
            due_ms=t.now_ms + wait_ms,
            strategy=policy.strategy,
            backoff_ms=wait_ms,
            max_retries=policy.max_retries,
        ),
        command.body,
    )
    if wait_ms <= 0:
        t.emit(ev.AttemptQueued())


def _end(t: Transition, command: Ack) -> None:
    job = t.job
    match command.terminal_status:
        case "completed":
            t.emit(ev.Completed(command.lease_id), command.body)
        case "cancelled":
            by_worker = command.body is not None
            t.emit(ev.Cancelled("by_worker", command.lease_id, job.worker_key, by_worker=by_worker), command.body)
        case "failed":
            exhausted = job.retries > 0 and command.retryable and (command.retry_policy or job.retry_policy) is not None
            reason = "retries_exhausted" if exhausted else "failed"
            t.emit(ev.Failed(reason, command.lease_id), command.body)
            t.bury(reason)
        case _:
            assert_never(command.terminal_status)


def _digests(command: Ack) -> tuple[bytes, bytes]:
    """The one that is kept, and the one of 0.2.0, which took the body as it was sent, and `null` for one."""
    return _digest(command, _meant(command)), _digest(command, command.body or b"null")


def _meant(command: Ack) -> bytes | None:
    """What the result says, or the error, whose fields are known."""
    return meant_with_nulls(command.body) if command.terminal_status == "failed" else meant(command.body)


def _digest(command: Ack, body: bytes | None) -> bytes:
    policy = b"" if command.retry_policy is None else _encoder.encode(command.retry_policy)
    head = f"ack\n{command.attempt_id}\n{command.terminal_status}\n{command.retryable}\n{len(policy)}\n".encode()
    # An absent body is told from every present one: JSON is never empty.
    return sha256(b"".join((head, policy, body or b""))).digest()
