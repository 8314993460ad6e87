"""One small file per command; this one chooses among them."""

from __future__ import annotations

from typing import assert_never

from oris.core import commands as c
from oris.core.changes import Decision
from oris.core.decide.ack import ack
from oris.core.decide.cancel import cancel
from oris.core.decide.clear_hold import clear_hold
from oris.core.decide.clear_quarantine import clear_quarantine
from oris.core.decide.create_key import create_key
from oris.core.decide.erase import erase
from oris.core.decide.forget import forget_nodes, forget_sessions, forget_worker
from oris.core.decide.heartbeat import heartbeat
from oris.core.decide.note_key_uses import note_key_uses
from oris.core.decide.prune import prune
from oris.core.decide.prune_audit import prune_audit
from oris.core.decide.release import release
from oris.core.decide.replay import replay, replay_dead_letter
from oris.core.decide.report import report
from oris.core.decide.resume import reject, resume, resume_thread
from oris.core.decide.revoke_key import revoke_key
from oris.core.decide.session import drop_session, open_session
from oris.core.decide.set_mode import set_mode
from oris.core.decide.submit import submit
from oris.core.decide.suspend import suspend
from oris.core.decide.sweep import sweep
from oris.core.facts import Facts
from oris.core.mode import CLUSTER
from oris.core.model import Lane
from oris.core.needs import Needs
from oris.core.replies import LifeShown
from oris.core.stamp import Stamp
from oris.ids import LeaseId, idempotency_key, run_of, run_of_lease, run_of_wait


def decide(facts: Facts, command: c.Command, stamp: Stamp) -> Decision:
    """What a command does. Deadlines that are due are applied first; the facts are not touched."""
    match command:
        case c.Submit():
            return submit(facts, command, stamp)
        case c.Replay():
            return replay(facts, command, stamp)
        case c.ReplayDeadLetter():
            return replay_dead_letter(facts, command, stamp)
        case c.Heartbeat():
            return heartbeat(facts, command, stamp)
        case c.Ack():
            return ack(facts, command, stamp)
        case c.ReportStep():
            return report(facts, command, stamp)
        case c.Release():
            return release(facts, command, stamp)
        case c.Cancel():
            return cancel(facts, command, stamp)
        case c.Sweep():
            return sweep(facts, command, stamp)
        case c.Suspend():
            return suspend(facts, command, stamp)
        case c.Resume():
            return resume(facts, command, stamp)
        case c.ResumeThread():
            return resume_thread(facts, command, stamp)
        case c.Reject():
            return reject(facts, command, stamp)
        case c.OpenSession():
            return open_session(facts, command, stamp)
        case c.DropSession():
            return drop_session(facts, command, stamp)
        case c.ClearQuarantine():
            return clear_quarantine(facts, command, stamp)
        case c.ClearHold():
            return clear_hold(facts, command)
        case c.CreateKey():
            return create_key(facts, command, stamp)
        case c.RevokeKey():
            return revoke_key(facts, command, stamp)
        case c.NoteKeyUses():
            return note_key_uses(facts, command, stamp)
        case c.SetMode():
            return set_mode(facts, command, stamp)
        case c.Prune() | c.Erase() | c.ForgetWorker() | c.ForgetSessions() | c.ForgetNodes() | c.PruneAudit():
            return _decide_old(facts, command, stamp)
        case c.ShowLife():
            return Decision(LifeShown(), sign_of_life=True)
        case _:
            assert_never(command)


Old = c.Prune | c.Erase | c.ForgetWorker | c.ForgetSessions | c.ForgetNodes | c.PruneAudit
"""What retention asks for."""


def _decide_old(facts: Facts, command: Old, stamp: Stamp) -> Decision:
    match command:
        case c.Prune():
            return prune(facts, command, stamp)
        case c.Erase():
            return erase(facts, command)
        case c.ForgetWorker():
            return forget_worker(facts, command, stamp)
        case c.ForgetSessions():
            return forget_sessions(facts, command)
        case c.ForgetNodes():
            return forget_nodes(facts, command)
        case c.PruneAudit():
            return prune_audit(facts, command)
        case _:
            assert_never(command)


def add_needs(needs: Needs, command: c.Command) -> None:
    """What a command has to see."""
    match command:
        case c.Submit():
            _add_submit(needs, command)
        case c.Cancel() | c.Sweep():
            needs.jobs.add(command.job_key)
        case c.Replay():
            needs.total = True
            needs.jobs.add(command.job_key)
            of_run, seq = command.checkpoint or ("", 0)
            needs.replays.add((command.job_key, of_run, seq))
        case c.ReplayDeadLetter():
            needs.total = True
            needs.jobs.add(command.job_key)
            needs.replays.add((command.job_key, command.run_id, 0))
        case c.ReportStep():
            _add_lease(needs, command.lease_id)
            run = run_of(command.attempt_id)
            if run is not None:
                needs.steps.add((run, command.action_id))
        case c.Heartbeat() | c.Ack() | c.Release():
            _add_lease(needs, command.lease_id)
        case c.Suspend():
            _add_lease(needs, command.lease_id)
            run = run_of_lease(command.lease_id)
            if run is not None:
                needs.wait_keys.update((run, spec.key) for spec in command.waits)
        case c.Resume() | c.Reject():
            needs.waits.add(command.wait_id)
            run = run_of_wait(command.wait_id)
            if run is not None:
                needs.runs.add(run)
        case c.ResumeThread():
            needs.jobs.add(command.job_key)
            if command.key is None:
                needs.interrupts.add(command.job_key)
            else:
                needs.questions.add((command.job_key, command.key))
        case c.OpenSession():
            needs.workers.add(command.worker_key)
            needs.ended_sessions.add((command.worker_key, command.session))
        case c.DropSession() | c.ClearQuarantine():
            needs.workers.add(command.worker_key)
        case c.ClearHold():
            needs.lanes.add(Lane(command.tenant_id, command.workflow))
        case c.CreateKey() | c.RevokeKey():
            needs.api_keys.add(command.key_id)
        case c.NoteKeyUses():
            needs.api_keys.update(key_id for key_id, _ in command.used)
        case c.ShowLife():
            pass
        case c.SetMode():
            if command.node != CLUSTER:
                needs.node_names.add(command.node)
        case c.Prune() | c.Erase() | c.ForgetWorker() | c.ForgetSessions() | c.ForgetNodes() | c.PruneAudit():
            _add_old(needs, command)
        case _:
            assert_never(command)


def _add_submit(needs: Needs, command: c.Submit) -> None:
    needs.total = True
    needs.jobs.add(command.job_key)
    needs.tenants.add(command.tenant_id)
    needs.lanes.add(Lane(command.tenant_id, command.workflow))
    if command.idempotency_key is not None:
        needs.idempotent.add(idempotency_key(command.tenant_id, command.idempotency_key))


def _add_old(needs: Needs, command: Old) -> None:
    """What retention has to see."""
    match command:
        case c.Prune():
            needs.jobs.add(command.job_key)
        case c.Erase():
            needs.pruned_runs.add(command.run_id)
        case c.ForgetWorker():
            needs.workers.add(command.worker_key)
        case c.ForgetSessions():
            needs.ended_sessions.update(command.sessions)
        case c.ForgetNodes():
            needs.nodes.update(command.node_ids)
        case c.PruneAudit():
            needs.audit_places.add((command.anchor.chain_id, command.anchor.seq))
        case _:
            assert_never(command)


def _add_lease(needs: Needs, lease: LeaseId) -> None:
    run = run_of_lease(lease)
    if run is not None:
        needs.runs.add(run)
        needs.closed.add(lease)
