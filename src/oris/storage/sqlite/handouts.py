"""What a granted job carries to its worker: read after the writes, before COMMIT."""

from __future__ import annotations

import sqlite3

from oris.core.changes import Handed, HandedStep, Handout
from oris.storage.sqlite import statements as sql

STEPS_MAX = 1000
"""Steps handed out with a grant; the worker asks for the rest."""
STEPS_MAX_BYTES = 2 * 1024 * 1024
"""Bytes of their outputs; one step goes out whatever its size."""


def read_handout(connection: sqlite3.Connection, handout: Handout, job_id: int) -> Handed:
    """The input, the newest checkpoint and the first of the steps. `job_id` is the job's row."""
    body = _payload(connection, job_id, handout.input_seq)
    checkpoint = _payload(connection, job_id, handout.checkpoint_seq)
    rows = connection.execute(sql.LATEST_STEPS, (job_id, handout.run_id, 0, STEPS_MAX + 1))
    steps: list[HandedStep] = []
    size = 0
    for row in rows:
        step = HandedStep(*row)
        size += 0 if step.body is None else len(step.body)
        if steps and (size > STEPS_MAX_BYTES or len(steps) == STEPS_MAX):
            rows.close()
            return Handed(body, checkpoint, tuple(steps), steps_truncated=True)
        steps.append(step)
    return Handed(body, checkpoint, tuple(steps), steps_truncated=False)


def _payload(connection: sqlite3.Connection, job_id: int, seq: int) -> bytes | None:
    if not seq:
        return None
    row = connection.execute(sql.PAYLOAD, (job_id, seq)).fetchone()
    return None if row is None else row[0]
