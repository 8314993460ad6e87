"""Suspend: a worker closes its lease because there is nothing to do until something happens."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Literal

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from oris.core import events as ev
from oris.core.changes import Decision
from oris.core.commands import Suspend, WaitSpec
from oris.core.decide.due import end_cancelled, settle
from oris.core.facts import Facts
from oris.core.lease import closed_by, holds
from oris.core.meaning import meant
from oris.core.model import Wait
from oris.core.replies import RaisedWait, Refusal, Suspended, conflict, lease_of_another_attempt
from oris.core.stamp import Stamp
from oris.core.transition import Transition
from oris.core.waits import earliest, go_on_if_satisfied
from oris.ids import attempt_of, run_of_lease, wait_id

_encoder = msgspec.json.Encoder()
_answers = msgspec.json.Decoder(Suspended)
_NULL = Raw(b"null")


def suspend(facts: Facts, command: Suspend, stamp: Stamp) -> Decision:
    """A key that the run has raised before names that wait, with its value if it is settled."""
    t = Transition(facts.job_of(run_of_lease(command.lease_id)), stamp)
    settle(t, facts)
    if not holds(t, command.lease_id, command.worker_key):
        return t.decision(_again(facts, t, command))
    job = t.job
    if command.attempt_id != attempt_of(job.run_id):
        return t.decision(lease_of_another_attempt())
    mismatch = _mismatch(facts, t, command)
    if mismatch is not None:
        return t.decision(mismatch)
    if command.checkpoint is not None:
        t.emit(ev.CheckpointSaved(len(command.checkpoint)), command.checkpoint)
    return t.decision(_end_graceful(t, command) if job.status == "cancelling" else _suspend(facts, t, command))


def _suspend(facts: Facts, t: Transition, command: Suspend) -> Suspended:
    job, seq = t.job, t.job.seq + 1
    known = {wait.key: wait for wait in facts.waits(job.run_id)}
    new: list[Wait] = []
    brought: list[tuple[Raw, Raw]] = []
    for spec in command.waits:
        if spec.key not in known:
            new.append(_raised(t, spec, job.waits_raised + len(new) + 1, seq, len(new)))
            brought.append((_raw(spec.value), _raw(spec.expire_value)))
    named = [known.get(spec.key) or next(wait for wait in new if wait.key == spec.key) for spec in command.waits]
    still = [wait for wait in named if wait.status == "pending"]
    nothing_left = not still or (command.mode == "any" and len(still) < len(named))
    interrupts = sum(wait.kind == "interrupt" for wait in still)
    body = ev.Suspended(
        command.lease_id,
        command.mode,
        tuple(
            ev.RaisedWait(wait.wait_id, wait.kind, wait.key, wait.due_ms, _size(on_expiry))
            for wait, (_, on_expiry) in zip(new, brought, strict=True)
        ),
        len(still),
        interrupts,
        earliest(still),
    )
    waiting: Literal["interrupted", "suspended"] = "interrupted" if interrupts else "suspended"
    answer = Suspended(
        attempt_of(job.run_id),
        job.job_key,
        "queued" if nothing_left else waiting,
        tuple(map(shown, named)),
        job.traceparent,
    )
    t.close_lease("closed", _meant(command), _encoder.encode(answer), end="normal")
    t.emit(body, _encoder.encode(brought) if brought else None)
    for wait in still:
        t.record_wait(wait)
    if nothing_left:
        go_on_if_satisfied(t, facts)
    return answer


def _end_graceful(t: Transition, command: Suspend) -> Suspended:
    """Who was asked to end has nothing to wait for."""
    job = t.job
    answer = Suspended(attempt_of(job.run_id), job.job_key, "cancelled", (), job.traceparent)
    t.close_lease("closed", _meant(command), _encoder.encode(answer), end="normal")
    end_cancelled(t, command.lease_id)
    return answer


def _raised(t: Transition, spec: WaitSpec, number: int, seq: int, index: int) -> Wait:
    job = t.job
    due_ms = spec.at_ms if spec.after_ms is None else t.date_ms + spec.after_ms
    return Wait(
        wait_id=wait_id(job.run_id, spec.kind, number),
        run_id=job.run_id,
        job_key=job.job_key,
        tenant_id=job.tenant_id,
        thread_id=job.thread_id,
        workflow=job.workflow,
        kind=spec.kind,
        key=spec.key,
        status="pending",
        # What has passed already comes at once, as a deadline like any other.
        due_ms=None if due_ms is None else max(due_ms, t.date_ms + 1),
        on_expire=spec.on_expire if spec.kind == "interrupt" else "resume",
        on_reject=spec.on_reject,
        value_seq=seq,
        value_index=index,
        created_ms=t.date_ms,
    )


def shown(wait: Wait) -> RaisedWait:
    """A wait, as the worker that raises it is told of it."""
    place = (wait.value_seq, wait.value_index, wait.settled_seq)
    return RaisedWait(wait.wait_id, wait.kind, wait.key, wait.status, *place)


def _mismatch(facts: Facts, t: Transition, command: Suspend) -> Refusal | None:
    kinds = {wait.key: wait.kind for wait in facts.waits(t.job.run_id)}
    for spec in command.waits:
        if kinds.get(spec.key, spec.kind) != spec.kind:
            return conflict("wait_kind_mismatch", f"this key has a wait of another kind: {spec.key}", key=spec.key)
    return None


def _again(facts: Facts, t: Transition, command: Suspend) -> Suspended | Refusal:
    closed = closed_by(facts, t, command.lease_id, command.worker_key, _meant(command), *_as_sent(command))
    if isinstance(closed, Refusal):
        return closed
    assert closed.answer is not None
    return _answers.decode(closed.answer)


def _meant(command: Suspend) -> bytes:
    """What is kept: the digest of what the request means."""
    same = [replace(w, value=meant(w.value), expire_value=meant(w.expire_value)) for w in command.waits]
    return _digest(command, same, meant(command.checkpoint))


def _as_sent(command: Suspend) -> tuple[bytes, ...]:
    """What 0.2.0 kept, which took values as they were sent, and `null` for one that was absent."""
    nulls = [replace(w, expire_value=w.expire_value or b"null") if _may_bring_null(w) else w for w in command.waits]
    return (
        _digest(command, command.waits, command.checkpoint),
        _digest(command, nulls, command.checkpoint),
    )


def _may_bring_null(wait: WaitSpec) -> bool:
    return wait.kind == "interrupt" and wait.on_expire == "resume"


def _digest(command: Suspend, waits: Sequence[WaitSpec], checkpoint: bytes | None) -> bytes:
    said = (command.attempt_id, command.mode, waits, checkpoint)
    return sha256(b"suspend\n" + _encoder.encode(said)).digest()


def _raw(value: bytes | None) -> Raw:
    return _NULL if value is None else Raw(value)


def _size(value: Raw) -> int:
    return 0 if value is _NULL else len(bytes(value))
