"""Sessions: one process at a time works under a worker's name. The newest one that comes is it."""

from __future__ import annotations

from msgspec.structs import replace

from oris.core.changes import Decision
from oris.core.commands import DropSession, OpenSession
from oris.core.facts import Facts
from oris.core.model import EndedSession, Worker
from oris.core.quarantine import with_ended_session
from oris.core.replies import SessionDropped, SessionOpened, session_superseded
from oris.core.stamp import Stamp


def open_session(facts: Facts, command: OpenSession, stamp: Stamp) -> Decision:
    """Only the worker's row changes: leases of the session before are over by that, and swept in bounded batches."""
    worker = facts.worker(command.worker_key, stamp.now_ms)
    if worker.session == command.session:
        return Decision(SessionOpened(command.session, None), worker=worker)
    if facts.is_session_ended(command.worker_key, command.session):
        return Decision(session_superseded())
    before = worker.session
    row = replace(
        worker if before is None else _without_leases(facts, worker, stamp.now_ms),
        session=command.session,
        session_ms=stamp.now_ms,
        granted_ms=0,
        last_seen_ms=stamp.date_ms,
    )
    ended = None if before is None else EndedSession(command.worker_key, before, stamp.now_ms)
    return Decision(SessionOpened(command.session, before), worker=row, ended_session=ended)


def drop_session(facts: Facts, command: DropSession, stamp: Stamp) -> Decision:
    """The session itself goes on, should it be heard of again; what it held is lost."""
    worker = facts.worker(command.worker_key, stamp.now_ms)
    if worker.session != command.session or not worker.leased:
        return Decision(SessionDropped(cut=False))
    row = replace(_without_leases(facts, worker, stamp.now_ms), cut_ms=stamp.now_ms)
    return Decision(SessionDropped(cut=True), worker=row)


def _without_leases(facts: Facts, worker: Worker, now_ms: int) -> Worker:
    """One incident for all that it held; a process that held nothing has ended in peace."""
    if not worker.leased or not worker.granted_ms:
        return worker
    return with_ended_session(worker, now_ms, facts.limits.quarantine)
