"""What a replay has to see, row by row; which rows these are, `core.replays.gather` knows."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from oris.core.model import DeadLetter, Job, ReplayClaim
from oris.core.needs import Loaded, Needs
from oris.core.replays import gather
from oris.ids import JobKey, RunId
from oris.storage.sqlite import statements as sql
from oris.storage.sqlite.read_statements import DEAD_LETTER, PAST_RUN


def load_replays(connection: sqlite3.Connection, needs: Needs, loaded: Loaded, ids: Mapping[JobKey, int]) -> None:
    """Load for every replay. `ids` are the rows of the jobs that were found: a thread that is not there has nothing."""
    look = Rows(connection, ids)
    for key, run_id, seq in sorted(needs.replays):
        job = loaded.jobs.get(key)
        if job is not None:
            gather(job, run_id, seq, look, loaded)


class Rows:
    """`Lookup` over a connection."""

    def __init__(self, connection: sqlite3.Connection, ids: Mapping[JobKey, int]) -> None:
        self._execute = connection.execute
        self._ids = ids

    def run(self, run_id: RunId) -> Job | None:
        """A run that a newer one has replaced."""
        row = self._execute(PAST_RUN, (run_id,)).fetchone()
        return None if row is None else Job(*row[:-1])

    def saved(self, key: JobKey, seq: int) -> tuple[RunId, bytes, int] | None:
        """The run, the digest and the size of the checkpoint that an event has saved."""
        row: tuple[RunId, bytes, int] | None = self._execute(sql.SAVED_CHECKPOINT, (self._ids[key], seq)).fetchone()
        return row

    def payload_bytes(self, key: JobKey, seq: int) -> int:
        """The size of an event's payload."""
        row = self._execute(sql.PAYLOAD_BYTES, (self._ids[key], seq)).fetchone()
        return 0 if row is None else int(row[0])

    def step_bytes(self, key: JobKey, run_id: RunId, until_seq: int) -> int:
        """The size of what a run's steps that had succeeded by then have given."""
        (size,) = self._execute(sql.STEP_BYTES, (self._ids[key], run_id, until_seq)).fetchone()
        return int(size)

    def claim(self, target: str) -> ReplayClaim | None:
        """Who has claimed a target last."""
        row = self._execute(sql.REPLAY_CLAIM, (target,)).fetchone()
        return None if row is None else ReplayClaim(*row)

    def dead_letter(self, run_id: RunId) -> DeadLetter | None:
        """The dead letter of a run."""
        row = self._execute(DEAD_LETTER, (run_id,)).fetchone()
        return None if row is None else DeadLetter(*row)
