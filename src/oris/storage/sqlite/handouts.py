"""What a granted job carries to its worker: read after the writes, before COMMIT."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Sequence

from oris.core.changes import RESUMES_MAX, Handed, HandedResume, HandedStep, Handout, handed_wait_bytes
from oris.core.model import Source, StepStatus
from oris.errors import DataDamaged
from oris.ids import JobKey, RunId
from oris.storage.sqlite import statements as sql
from oris.storage.sqlite.wait_values import WaitValues
from oris.storage.sqlite.whole import whole

HANDED_MAX_BYTES = 4 * 1024 * 1024
"""What an attempt carries, about: the input and the checkpoint, then the values of its waits, then its steps."""
STEPS_MAX = 1000
"""Steps handed out with a grant; the worker asks for the rest."""
STEPS_MAX_BYTES = 2 * 1024 * 1024
"""Bytes of their outputs, if the rest leaves as much; one step goes out whatever its size."""
RAISES_MAX_BYTES = 16 * 1024 * 1024
"""Bytes of suspensions that are read for what they say of the case that nobody answers; one is read in any case."""
WAITS_AT_ONCE = 100
"""Waits of one suspension."""


def read_handout(connection: sqlite3.Connection, handout: Handout, job_id: int) -> Handed:
    """The input, the newest checkpoint, the newest settled waits, the first of the steps. `job_id`: the job's row.

    Raises DataDamaged: an attempt that goes on from something else is worse than one that does not go on.
    """
    try:
        return _handed(connection, handout, job_id)
    except DataDamaged as error:
        raise DataDamaged(error.job_key, error.seq, handout.run_id) from None


def _handed(connection: sqlite3.Connection, handout: Handout, job_id: int) -> Handed:
    key = handout.job_key
    body = _payload(connection, key, job_id, handout.input_seq)
    checkpoint = _payload(connection, key, job_id, handout.checkpoint_seq)
    room = HANDED_MAX_BYTES - len(body or b"") - len(checkpoint or b"")
    resumes: tuple[HandedResume, ...] = ()
    left_out = False
    if handout.has_waits:
        resumes, left_out = _resumes(connection, key, job_id, handout.run_id, room)
        room -= sum(handed_wait_bytes(resume.key, resume.value) for resume in resumes)
    steps, more = _first_steps(connection, handout, job_id, min(room, STEPS_MAX_BYTES))
    return Handed(body, checkpoint, steps, steps_truncated=more, resumes=resumes, resumes_truncated=left_out)


def _first_steps(
    connection: sqlite3.Connection, handout: Handout, job_id: int, room: int
) -> tuple[tuple[HandedStep, ...], bool]:
    """The first steps that fit, one at least; and whether there are more."""
    rows = steps_of(connection, handout.job_key, job_id, handout.run_id, handout.sources, 0, STEPS_MAX + 1)
    steps: list[HandedStep] = []
    for step in rows:
        room -= 0 if step.body is None else len(step.body)
        if steps and (room < 0 or len(steps) == STEPS_MAX):
            rows.close()
            return tuple(steps), True
        steps.append(step)
    return tuple(steps), False


def steps_of(
    connection: sqlite3.Connection,
    job_key: JobKey,
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
                yield _step(job_key, *row)
    for row in connection.execute(sql.LATEST_STEPS, (job_id, run_id, after_seq, left)):
        yield _step(job_key, *row)


def _step(
    job_key: JobKey, action_id: str, status: StepStatus, seq: int, body: bytes | None, digest: bytes | None
) -> HandedStep:
    return HandedStep(action_id, status, seq, whole(job_key, seq, body, digest))


def _resumes(
    connection: sqlite3.Connection, job_key: JobKey, job_id: int, run_id: RunId, room: int
) -> tuple[tuple[HandedResume, ...], bool]:
    """What the run's waits were settled with, those settled last that fit, in the order in which they were raised; and
    whether older ones were left out. The wait that was settled last goes out whatever its size.

    A run waits for one suspension at a time, so what was raised later was settled later, but for the waits of one
    suspension: it is enough to look at so many more.
    """
    rows = connection.execute(sql.SETTLED_WAITS, (run_id, RESUMES_MAX + WAITS_AT_ONCE)).fetchall()
    rows.sort(key=lambda row: row[:2], reverse=True)
    values = WaitValues(connection, job_key, job_id)
    found: list[tuple[int, HandedResume]] = []
    raises_room = RAISES_MAX_BYTES
    for _, number, wait_id, kind, key, status, *place in rows[:RESUMES_MAX]:
        value_seq, _, settled_seq = place
        answer_bytes, raise_bytes = values.unread_bytes(status, value_seq, settled_seq)
        raises_room -= raise_bytes
        if found and (raises_room < 0 or handed_wait_bytes(key) + answer_bytes > room):
            break
        value = values.settled(status, *place)
        room -= handed_wait_bytes(key, value)
        if found and room < 0:
            break
        found.append((number, HandedResume(wait_id, kind, key, status, value)))
    found.sort(key=lambda resume: resume[0])
    return tuple(resume for _, resume in found), len(found) < len(rows)


def _payload(connection: sqlite3.Connection, job_key: JobKey, job_id: int | None, seq: int) -> bytes | None:
    if not seq:
        return None
    row = connection.execute(sql.PAYLOAD, (job_id, seq)).fetchone()
    return None if row is None else whole(job_key, seq, *row)
