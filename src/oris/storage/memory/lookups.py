"""Lookups in dicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from oris.core import lookups as ask
from oris.core.changes import HandedStep
from oris.core.lookups import Lookup, Saved, SettledWait, StoredPayload
from oris.core.model import Step
from oris.core.whole import whole
from oris.ids import JobKey, RunId
from oris.storage.memory.find import latest_steps
from oris.storage.memory.tables import Tables
from oris.storage.stretch import stretch


class MemoryLookups:
    """Answers lookups over one state."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def __call__(self, lookup: Lookup[object]) -> object:
        """The answer to one."""
        tables = self._tables
        match lookup:
            case ask.PayloadAt(job_key, seq):
                return self._payload(job_key, seq)
            case ask.PayloadBytes(job_key, seq):
                return len(tables.payloads.get((job_key, seq), b""))
            case ask.StepsOf():
                return stretch(self._steps(lookup), lookup.limit, lookup.max_bytes, lambda step: len(step.body or b""))
            case ask.SettledWaits(run_id, limit):
                return self._settled(run_id, limit)
            case ask.StepBytes(job_key, run_id, until_seq):
                done = self._succeeded(run_id, until_seq)
                return sum(len(tables.payloads.get((job_key, step.seq), b"")) for step in done)
            case ask.PastRun(run_id):
                return tables.past_runs.get(run_id)
            case ask.SavedAt(job_key, seq):
                return self._saved(job_key, seq)
            case ask.ClaimOf(target):
                return tables.claims.get(target)
            case ask.LetterOf(run_id):
                return tables.dead_letters.get(run_id)
            case _:
                raise NotImplementedError(type(lookup).__name__)

    def _payload(self, job_key: JobKey, seq: int) -> StoredPayload | None:
        body, entry = self._tables.payloads.get((job_key, seq)), self._tables.entries.get((job_key, seq))
        return None if body is None else StoredPayload(body, None if entry is None else entry.payload_digest)

    def _steps(self, wanted: ask.StepsOf) -> Iterator[HandedStep]:
        """What a run has taken over from others, then its own steps: in the order of the thread's events."""
        steps = [step for run_id, until_seq in wanted.sources for step in self._succeeded(run_id, until_seq)]
        for step in (*steps, *latest_steps(self._tables, wanted.run_id)):
            if step.seq > wanted.after_seq:
                yield self._handed(wanted.job_key, step)

    def _handed(self, job_key: JobKey, step: Step) -> HandedStep:
        found = self._payload(job_key, step.seq)
        body = None if found is None else whole(job_key, step.seq, found.body, found.digest)
        return HandedStep(step.action_id, step.status, step.seq, body)

    def _succeeded(self, run_id: RunId, until_seq: int) -> list[Step]:
        steps = latest_steps(self._tables, run_id)
        return [step for step in steps if step.status == "succeeded" and step.seq <= until_seq]

    def _settled(self, run_id: RunId, limit: int) -> Sequence[SettledWait]:
        found = [
            SettledWait(
                wait.settled_ms or 0,
                number,
                wait.wait_id,
                wait.kind,
                wait.key,
                wait.status,
                wait.value_seq,
                wait.value_index,
                wait.settled_seq,
            )
            for number, wait in enumerate(self._tables.waits.values())
            if wait.run_id == run_id and wait.status not in ("pending", "dropped")
        ]
        return found[::-1][:limit]

    def _saved(self, job_key: JobKey, seq: int) -> Saved | None:
        entry = self._tables.entries.get((job_key, seq))
        if entry is None or entry.event_type != "checkpoint_saved" or entry.payload_digest is None:
            return None
        return Saved(entry.run_id, entry.payload_digest, len(self._tables.payloads.get((job_key, seq), b"")))
