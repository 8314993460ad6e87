"""Forget: workers and nodes that are gone, and sessions that ended, long ago."""

from __future__ import annotations

from oris.core.changes import Decision
from oris.core.commands import ForgetNodes, ForgetSessions, ForgetWorker
from oris.core.facts import Facts
from oris.core.replies import Forgotten
from oris.core.stamp import Stamp


def forget_worker(facts: Facts, command: ForgetWorker, stamp: Stamp) -> Decision:
    """One that holds a lease, is in quarantine, or has been heard of since, stays."""
    if not facts.knows_worker(command.worker_key):
        return Decision(Forgotten(0))
    row = facts.worker(command.worker_key, stamp.now_ms)
    marks_ms = max(row.session_ms, row.cut_ms, row.granted_ms, row.incident_ms)
    heard_ms = max(row.last_seen_ms, marks_ms + stamp.skew_ms)
    if row.leased or row.quarantined_until_ms > stamp.now_ms or heard_ms >= command.before_ms:
        return Decision(Forgotten(0))
    return Decision(Forgotten(1), forgotten_worker=row.worker_key)


def forget_sessions(facts: Facts, command: ForgetSessions) -> Decision:
    """A session that ended stays so: when that was is looked at by whoever asks."""
    gone = tuple(session for session in command.sessions if facts.is_session_ended(*session))
    return Decision(Forgotten(len(gone)), forgotten_sessions=gone)


def forget_nodes(facts: Facts, command: ForgetNodes) -> Decision:
    """This node stays: its row is the newest, and tells the next start the time."""
    known = {node: facts.node_ms(node) for node in command.node_ids if node != facts.node_id}
    gone = tuple(node for node, at_ms in known.items() if at_ms is not None and at_ms < command.before_ms)
    return Decision(Forgotten(len(gone)), forgotten_nodes=gone)
