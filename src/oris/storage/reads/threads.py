"""What is read of one thread: its runs, its timeline, its steps and its waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from oris.core.chain import Entry
from oris.core.changes import HandedStep
from oris.core.lookups import Stretch
from oris.core.model import ClosedLease, DeadLetter, Job, Wait
from oris.core.replies import RaisedWait
from oris.core.wait_values import WaitValue
from oris.ids import JobKey, LeaseId, RunId, TenantId, ThreadId, WaitId
from oris.storage.pages import Page, Place


class Told(Struct, frozen=True):
    """An event with its payload; None: it never had one, or it was erased."""

    entry: Entry
    payload: bytes | None
    damaged: bool = False
    """The payload is not what was written."""


class SavedCheckpoint(Struct, frozen=True):
    """Where in a timeline a checkpoint was saved."""

    seq: int
    run_id: RunId
    at_ms: int


class StepCounts(Struct, frozen=True):
    """The steps of a run: those whose latest report is a success, and the others."""

    succeeded: int
    open: int


class ThreadReads(Protocol):
    """What clients and workers are told of a thread. See `Reads`."""

    async def tenants_of(self, thread_id: ThreadId) -> Sequence[TenantId]:
        """The tenants that have a thread of this name; at most two are told."""

    async def job(self, job_key: JobKey) -> Job | None:
        """A thread's latest run."""

    async def run(self, run_id: RunId) -> Job | None:
        """A run, the latest of its thread or one before."""

    async def runs(self, job_key: JobKey, after: Place | None, limit: int) -> Page[Job]:
        """A thread's runs."""

    async def payloads(self, job_key: JobKey, seqs: Sequence[int]) -> Mapping[int, bytes]:
        """The payloads of these events, those that have one."""

    async def timeline(self, job_key: JobKey, after_seq: int, limit: int) -> Sequence[Entry]:
        """Events in order, from `after_seq` + 1."""

    async def told(self, job_key: JobKey, after_seq: int, limit: int, max_bytes: int) -> Stretch[Told]:
        """Events in order with their payloads, from `after_seq` + 1; `max_bytes` of data and payloads together."""

    async def checkpoints(self, job_key: JobKey, after: Place | None, limit: int) -> Page[SavedCheckpoint]:
        """The checkpoints of a thread's runs."""

    async def closed_lease(self, lease_id: LeaseId) -> ClosedLease | None:
        """How a lease ended, when it has."""

    async def steps(self, run_id: RunId, after_seq: int, limit: int, max_bytes: int) -> Stretch[HandedStep]:
        """The latest report of each step of a run, by seq, those it has taken over from others included; `max_bytes` of
        outputs and errors together."""

    async def step_counts(self, run_id: RunId) -> StepCounts:
        """How many steps of a run stand as succeeded, and how many do not."""

    async def retries(self, run_id: RunId, after_seq: int, limit: int) -> Stretch[Entry]:
        """The `retry_scheduled` events of a run, in order."""

    async def dead_letter(self, run_id: RunId) -> DeadLetter | None:
        """The dead letter of a run."""

    async def wait(self, wait_id: WaitId) -> Wait | None:
        """One wait."""

    async def wait_values(self, waits: Sequence[Wait], max_bytes: int) -> Sequence[WaitValue]:
        """What waits were raised and settled with: of the first ones, as many as `max_bytes` hold, one at least."""

    async def settled_values(
        self, job_key: JobKey, waits: Sequence[RaisedWait], max_bytes: int
    ) -> Sequence[bytes | None]:
        """What waits of a thread were settled with: of the first ones, as many as `max_bytes` hold, one at least."""
