"""What workers call: polls, and what they write under their leases."""

from __future__ import annotations

from oris.api.handlers import leases, poll, waits
from oris.api.http import AnswerForm, Route
from oris.api.routes.roles import WORKERS
from oris.wire import waits as i
from oris.wire import workers as w

_RENEWED = AnswerForm(w.HeartbeatView, ("lease_lost", "lease_owner_mismatch", "session_superseded"))

WORKER_ROUTES = (
    Route(
        "POST",
        "/v1/workers/poll",
        poll.poll,
        WORKERS,
        AnswerForm(w.PollView, ("session_superseded",)),
        body=w.PollRequest,
        kind="poll",
        long_poll=True,
    ),
    Route(
        "POST",
        "/v1/workers/{worker_id}/heartbeat",
        leases.heartbeat,
        WORKERS,
        _RENEWED,
        body=w.HeartbeatRequest,
        large_body=True,
        kind="worker",
    ),
    Route(
        "POST",
        "/v1/workers/{worker_id}/extend-lease",
        leases.heartbeat,
        WORKERS,
        _RENEWED,
        body=w.HeartbeatRequest,
        large_body=True,
        kind="worker",
    ),
    Route(
        "POST",
        "/v1/workers/{worker_id}/report-step",
        leases.report_step,
        WORKERS,
        AnswerForm(w.ReportedView | w.ResultsView[w.ReportedView], ("lease_lost", "dedupe_mismatch")),
        body=w.ReportRequest,
        large_body=True,
        kind="worker",
    ),
    Route(
        "POST",
        "/v1/workers/{worker_id}/suspend",
        waits.suspend,
        WORKERS,
        AnswerForm(i.SuspendedView, ("lease_lost", "wait_kind_mismatch")),
        body=i.SuspendRequest,
        large_body=True,
        kind="worker",
    ),
    Route(
        "POST",
        "/v1/workers/{worker_id}/interrupt",
        waits.interrupt,
        WORKERS,
        AnswerForm(i.InterruptedView, ("lease_lost", "wait_kind_mismatch")),
        body=i.InterruptRequest,
        large_body=True,
        kind="worker",
    ),
    Route(
        "POST",
        "/v1/workers/{worker_id}/ack",
        leases.ack,
        WORKERS,
        AnswerForm(w.AckedView | w.AckResultsView, ("lease_lost", "session_superseded")),
        body=w.AckRequest,
        large_body=True,
        kind="worker",
    ),
    Route(
        "POST",
        "/v1/workers/{worker_id}/release",
        leases.release,
        WORKERS,
        AnswerForm(w.ReleasedView, ("lease_lost",)),
        body=w.ReleaseRequest,
        kind="worker",
    ),
)
