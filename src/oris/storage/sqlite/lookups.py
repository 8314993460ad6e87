"""Lookups in SQLite, one probe each. Inside a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator

from oris.core import lookups as ask
from oris.core.changes import HandedStep
from oris.core.lookups import Lookup, Saved, SettledWait, StoredPayload, Stretch
from oris.core.model import DeadLetter, Job, ReplayClaim, StepStatus
from oris.core.whole import whole
from oris.ids import JobKey
from oris.storage.sqlite import statements as sql
from oris.storage.sqlite.read_statements import DEAD_LETTER, PAST_RUN
from oris.storage.stretch import stretch

JobIds = Callable[[JobKey], int | None]
"""The id by which events and payloads name a job; None matches none of them."""


class SqliteLookups:
    """Answers lookups over one connection."""

    def __init__(self, connection: sqlite3.Connection, job_id: JobIds) -> None:
        self._execute = connection.execute
        self._job_id = job_id

    def __call__(self, lookup: Lookup[object]) -> object:
        """The answer to one. The most frequent ones come first."""
        match lookup:
            case ask.PayloadAt(job_key, seq):
                row = self._execute(sql.PAYLOAD, (self._job_id(job_key), seq)).fetchone()
                return None if row is None else StoredPayload(*row)
            case ask.StepsOf():
                return self._steps(lookup)
            case ask.PayloadBytes(job_key, seq):
                row = self._execute(sql.PAYLOAD_BYTES, (self._job_id(job_key), seq)).fetchone()
                return 0 if row is None else row[0]
            case ask.SettledWaits(run_id, limit):
                return [SettledWait(*row) for row in self._execute(sql.SETTLED_WAITS, (run_id, limit))]
            case _:
                return self._of_replay(lookup)

    def _of_replay(self, lookup: Lookup[object]) -> object:
        match lookup:
            case ask.PastRun(run_id):
                row = self._execute(PAST_RUN, (run_id,)).fetchone()
                return None if row is None else Job(*row[:-1])
            case ask.SavedAt(job_key, seq):
                row = self._execute(sql.SAVED_CHECKPOINT, (self._job_id(job_key), seq)).fetchone()
                return None if row is None else Saved(*row)
            case ask.StepBytes(job_key, run_id, until_seq):
                return self._execute(sql.STEP_BYTES, (self._job_id(job_key), run_id, until_seq)).fetchone()[0]
            case ask.ClaimOf(target):
                row = self._execute(sql.REPLAY_CLAIM, (target,)).fetchone()
                return None if row is None else ReplayClaim(*row)
            case ask.LetterOf(run_id):
                row = self._execute(DEAD_LETTER, (run_id,)).fetchone()
                return None if row is None else DeadLetter(*row)
            case _:
                raise NotImplementedError(type(lookup).__name__)

    def _steps(self, wanted: ask.StepsOf) -> Stretch[HandedStep]:
        rows = self._step_rows(wanted, wanted.limit + 1)
        return stretch(rows, wanted.limit, wanted.max_bytes, lambda step: len(step.body or b""))

    def _step_rows(self, wanted: ask.StepsOf, limit: int) -> Generator[HandedStep]:
        """What a run has taken over from others, then its own steps: in the order of the thread's events."""
        job_id, key, after = self._job_id(wanted.job_key), wanted.job_key, wanted.after_seq
        for source, until_seq in wanted.sources:
            if until_seq > after and limit > 0:
                for row in self._execute(sql.SUCCEEDED_STEPS, (job_id, source, after, until_seq, limit)):
                    limit -= 1
                    yield _step(key, *row)
        for row in self._execute(sql.LATEST_STEPS, (job_id, wanted.run_id, after, limit)):
            yield _step(key, *row)


def _step(
    job_key: JobKey, action_id: str, status: StepStatus, seq: int, body: bytes | None, digest: bytes | None
) -> HandedStep:
    return HandedStep(action_id, status, seq, whole(job_key, seq, body, digest))
