"""What operators look after: workers, workflows, attempts, dead letters, the audit trail."""

from __future__ import annotations

from oris.api.handlers import attempts, operators, replays, workers, workflows
from oris.api.http import AnswerForm, Route
from oris.api.routes.roles import OPERATORS, READERS
from oris.wire import operators as o
from oris.wire import pages as p
from oris.wire import replays as r

OPERATOR_ROUTES = (
    Route("GET", "/v1/workers", workers.list_workers, OPERATORS, AnswerForm(p.WorkersPage), query=o.WorkersQuery),
    Route("GET", "/v1/workers/{worker_id}", workers.show, OPERATORS, AnswerForm(o.WorkerView), query=o.WorkerQuery),
    Route(
        "POST",
        "/v1/workers/{worker_id}/clear-quarantine",
        workers.clear_quarantine,
        OPERATORS,
        AnswerForm(o.WorkerView),
        body=o.ClearQuarantineRequest,
        audit_action="worker.clear_quarantine",
    ),
    Route(
        "POST",
        "/v1/workflows/{workflow}/clear-hold",
        workflows.clear_hold,
        OPERATORS,
        AnswerForm(o.HoldClearedView),
        body=o.ClearHoldRequest,
        audit_action="workflow.clear_hold",
    ),
    Route(
        "GET",
        "/v1/attempts/{attempt_id}",
        attempts.show,
        OPERATORS,
        AnswerForm(o.AttemptStateView),
        large_answer=True,
    ),
    Route(
        "GET",
        "/v1/attempts/{attempt_id}/steps",
        attempts.steps,
        READERS,
        AnswerForm(o.StepsView, ("lease_lost",)),
        query=o.StepsQuery,
        kind="worker",
        large_answer=True,
    ),
    Route(
        "GET",
        "/v1/attempts/{attempt_id}/retries",
        attempts.retries,
        OPERATORS,
        AnswerForm(o.RetriesView),
        query=o.RetriesQuery,
    ),
    Route(
        "GET",
        "/v1/dlq",
        operators.list_dead_letters,
        OPERATORS,
        AnswerForm(p.DeadLettersPage),
        query=o.DeadLettersQuery,
    ),
    Route(
        "GET",
        "/v1/dlq/{attempt_id}",
        operators.show_dead_letter,
        OPERATORS,
        AnswerForm(o.DeadLetterView),
        large_answer=True,
    ),
    Route(
        "POST",
        "/v1/dlq/{attempt_id}/replay",
        replays.replay_dead_letter,
        OPERATORS,
        AnswerForm(r.DeadLetterReplayedView, ("replay_in_progress", "run_active", "already_replayed")),
        body=r.ReplayDeadLetterRequest,
        audit_action="dlq.replay",
    ),
    Route("GET", "/v1/audit/logs", operators.list_audit, OPERATORS, AnswerForm(p.AuditPage), query=o.AuditQuery),
)
