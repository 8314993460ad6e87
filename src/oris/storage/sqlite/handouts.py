"""What a granted job carries to its worker: read after the writes, before COMMIT."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Sequence

import msgspec
from msgspec import Raw

from oris.core.changes import Handed, HandedResume, HandedStep, Handout
from oris.core.model import Source
from oris.ids import RunId
from oris.storage.sqlite import statements as sql

_values = msgspec.json.Decoder(list[tuple[Raw, Raw]])
RESUMES_MAX = 1000
"""Settled waits handed out with a grant."""
STEPS_MAX = 1000
"""Steps handed out with a grant; the worker asks for the rest."""
STEPS_MAX_BYTES = 2 * 1024 * 1024
"""Bytes of their outputs; one step goes out whatever its size."""


def read_handout(connection: sqlite3.Connection, handout: Handout, job_id: int) -> Handed:
    """The input, the newest checkpoint and the first of the steps. `job_id` is the job's row."""
    body = _payload(connection, job_id, handout.input_seq)
    checkpoint = _payload(connection, job_id, handout.checkpoint_seq)
    resumes = _resumes(connection, job_id, handout.run_id) if handout.has_waits else ()
    rows = steps_of(connection, job_id, handout.run_id, handout.sources, 0, STEPS_MAX + 1)
    steps: list[HandedStep] = []
    size = 0
    for step in rows:
        size += 0 if step.body is None else len(step.body)
        if steps and (size > STEPS_MAX_BYTES or len(steps) == STEPS_MAX):
            rows.close()
            return Handed(body, checkpoint, tuple(steps), steps_truncated=True, resumes=resumes)
        steps.append(step)
    return Handed(body, checkpoint, tuple(steps), steps_truncated=False, resumes=resumes)


def steps_of(
    connection: sqlite3.Connection,
    job_id: int | None,
    run_id: RunId,
    sources: Sequence[Source],
    after_seq: int,
    limit: int,
) -> Generator[HandedStep]:
    """What a run has taken over from others, then its own steps: in the order of the thread's events, which is both."""
    left = limit
    for source, until_seq in sources:
        if until_seq > after_seq and left > 0:
            for row in connection.execute(sql.SUCCEEDED_STEPS, (job_id, source, after_seq, until_seq, left)):
                left -= 1
                yield HandedStep(*row)
    for row in connection.execute(sql.LATEST_STEPS, (job_id, run_id, after_seq, left)):
        yield HandedStep(*row)


def _resumes(connection: sqlite3.Connection, job_id: int, run_id: RunId) -> tuple[HandedResume, ...]:
    """What the run's waits were settled with, in the order in which they were raised."""
    found: list[HandedResume] = []
    for wait_id, kind, key, status, *place in connection.execute(sql.SETTLED_WAITS, (run_id, RESUMES_MAX)):
        found.append(HandedResume(wait_id, kind, key, status, settled_value(connection, job_id, status, *place)))
    return tuple(found)


def settled_value(
    connection: sqlite3.Connection, job_id: int | None, status: str, value_seq: int, value_index: int, settled_seq: int
) -> bytes | None:
    """What a wait was settled with: somebody's answer, or what its worker has left for the case of none."""
    if settled_seq:
        return _payload(connection, job_id, settled_seq)
    return raised_values(connection, job_id, value_seq, value_index)[1] if status == "expired" else None


def raised_values(
    connection: sqlite3.Connection, job_id: int | None, value_seq: int, value_index: int
) -> tuple[bytes | None, bytes | None]:
    """What a wait was raised with, and what it is settled with when nobody answers."""
    body = _payload(connection, job_id, value_seq)
    if body is None:
        return None, None
    value, on_expiry = _values.decode(body)[value_index]
    return _given(value), _given(on_expiry)


def _given(value: Raw) -> bytes | None:
    body = bytes(value)
    return None if body == b"null" else body


def _payload(connection: sqlite3.Connection, job_id: int | None, seq: int) -> bytes | None:
    if not seq:
        return None
    row = connection.execute(sql.PAYLOAD, (job_id, seq)).fetchone()
    return None if row is None else row[0]
