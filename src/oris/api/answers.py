"""What each handler answers when it is not refused, and its reasons for a 409. The OpenAPI document comes from here.

A handler that is in the route table must be here: the table cannot be built without it.
"""

from __future__ import annotations

from collections.abc import Mapping

from oris.api.handlers import (
    admin,
    attempts,
    detail,
    events,
    explain,
    history,
    interrupts,
    keys,
    leases,
    operators,
    poll,
    replays,
    server,
    submit,
    threads,
    timeline,
    waits,
    workers,
    workflows,
)
from oris.api.http import AnswerForm
from oris.errors import ConflictReason
from oris.wire import admin as a
from oris.wire import history as h
from oris.wire import jobs as j
from oris.wire import keys as k
from oris.wire import operators as o
from oris.wire import pages as p
from oris.wire import replays as r
from oris.wire import server as s
from oris.wire import waits as i
from oris.wire import workers as w

_OF_THREAD: tuple[ConflictReason, ...] = ("ambiguous_thread", "run_mismatch")
_OF_ANSWER: tuple[ConflictReason, ...] = ("interrupt_settled", "resume_mismatch")
_OF_REPLAY: tuple[ConflictReason, ...] = ("replay_in_progress", "run_active")
_OF_WAIT: tuple[ConflictReason, ...] = ("lease_lost", "wait_kind_mismatch")

FORMS: Mapping[object, AnswerForm] = {
    server.healthz: AnswerForm(s.HealthzView, also=(503,)),
    server.readyz: AnswerForm(s.ReadyzView, also=(503,)),
    server.metrics: AnswerForm(None, media_type="text/plain"),
    server.openapi: AnswerForm(s.OpenApiDocument, media_type="application/json"),
    server.capabilities: AnswerForm(s.CapabilitiesView),
    admin.status: AnswerForm(a.StatusView),
    admin.set_mode: AnswerForm(a.ModeView),
    submit.run: AnswerForm(j.SubmittedView, ("idempotency_mismatch", "run_active")),
    submit.batch: AnswerForm(w.ResultsView[j.SubmittedView]),
    threads.list_jobs: AnswerForm(p.JobsPage),
    threads.show: AnswerForm(j.JobView, _OF_THREAD),
    threads.list_runs: AnswerForm(p.RunsPage, _OF_THREAD),
    threads.result: AnswerForm(j.ResultView, _OF_THREAD),
    timeline.page: AnswerForm(p.TimelinePage, _OF_THREAD),
    timeline.export: AnswerForm(h.ExportView, _OF_THREAD),
    timeline.verify: AnswerForm(h.VerifiedView, _OF_THREAD),
    events.listen: AnswerForm(
        None,
        _OF_THREAD,
        media_type="text/event-stream",
        no_content="The run is over and all of it was told: there is nothing to come back for.",
    ),
    detail.show: AnswerForm(h.DetailView, _OF_THREAD),
    history.list_checkpoints: AnswerForm(p.CheckpointsPage, _OF_THREAD),
    history.show: AnswerForm(h.CheckpointDetailView, _OF_THREAD),
    threads.cancel: AnswerForm(j.CancelledView, (*_OF_THREAD, "run_terminal")),
    threads.show_run: AnswerForm(j.JobView),
    explain.show: AnswerForm(j.ExplainView, _OF_THREAD),
    replays.replay: AnswerForm(r.ReplayedView, (*_OF_THREAD, *_OF_REPLAY)),
    interrupts.list_interrupts: AnswerForm(p.InterruptsPage),
    interrupts.show: AnswerForm(i.InterruptView),
    interrupts.resume: AnswerForm(i.InterruptView, _OF_ANSWER),
    interrupts.reject: AnswerForm(i.InterruptView, ("interrupt_settled",)),
    interrupts.resume_thread: AnswerForm(
        i.InterruptView, (*_OF_THREAD, *_OF_ANSWER, "several_pending", "nothing_pending")
    ),
    poll.poll: AnswerForm(w.PollView, ("session_superseded",)),
    leases.heartbeat: AnswerForm(w.HeartbeatView, ("lease_lost", "lease_owner_mismatch", "session_superseded")),
    leases.report_step: AnswerForm(w.ReportedView | w.ResultsView[w.ReportedView], ("lease_lost", "dedupe_mismatch")),
    waits.suspend: AnswerForm(i.SuspendedView, _OF_WAIT),
    waits.interrupt: AnswerForm(i.InterruptedView, _OF_WAIT),
    leases.ack: AnswerForm(w.AckedView | w.AckResultsView, ("lease_lost", "session_superseded")),
    leases.release: AnswerForm(w.ReleasedView, ("lease_lost",)),
    workers.list_workers: AnswerForm(p.WorkersPage),
    workers.show: AnswerForm(o.WorkerView),
    workers.clear_quarantine: AnswerForm(o.WorkerView),
    workflows.clear_hold: AnswerForm(o.HoldClearedView),
    attempts.show: AnswerForm(o.AttemptStateView),
    attempts.steps: AnswerForm(o.StepsView, ("lease_lost",)),
    attempts.retries: AnswerForm(o.RetriesView),
    operators.list_dead_letters: AnswerForm(p.DeadLettersPage),
    operators.show_dead_letter: AnswerForm(o.DeadLetterView),
    replays.replay_dead_letter: AnswerForm(r.DeadLetterReplayedView, (*_OF_REPLAY, "already_replayed")),
    operators.list_audit: AnswerForm(p.AuditPage),
    keys.list_keys: AnswerForm(p.KeysPage),
    keys.create: AnswerForm(k.KeyCreatedView),
    keys.revoke: AnswerForm(k.KeyView),
}


def form_of(handler: object) -> AnswerForm:
    """The form of a handler's answers. Raises ValueError when nobody has named it."""
    try:
        return FORMS[handler]
    except KeyError:
        name = getattr(handler, "__qualname__", repr(handler))
        raise ValueError(f"say in oris.api.answers what {name} answers") from None
