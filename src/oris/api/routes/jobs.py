"""Submitting jobs; threads and their runs, as clients see them."""

from __future__ import annotations

from oris.api.handlers import detail, events, explain, history, interrupts, replays, submit, threads, timeline
from oris.api.http import AnswerForm, Route
from oris.api.routes.roles import CLIENTS, OPERATORS
from oris.errors import ConflictReason
from oris.wire import history as h
from oris.wire import jobs as j
from oris.wire import pages as p
from oris.wire import replays as r
from oris.wire import waits as i
from oris.wire import workers as w

_OF_THREAD: tuple[ConflictReason, ...] = ("ambiguous_thread", "run_mismatch")
_SUBMITTED = AnswerForm(j.SubmittedView, ("idempotency_mismatch", "run_active"))

JOB_ROUTES = (
    Route(
        "POST",
        "/v1/jobs",
        submit.run,
        CLIENTS,
        _SUBMITTED,
        body=j.JobRequest,
        large_body=True,
        long_poll=True,
        audit_action="job.run",
    ),
    Route(
        "POST",
        "/v1/jobs/run",
        submit.run,
        CLIENTS,
        _SUBMITTED,
        body=j.JobRequest,
        large_body=True,
        long_poll=True,
        audit_action="job.run",
    ),
    Route(
        "POST",
        "/v1/jobs/batch",
        submit.batch,
        CLIENTS,
        AnswerForm(w.ResultsView[j.SubmittedView]),
        body=j.BatchRequest,
        large_body=True,
        audit_action="job.batch",
    ),
    Route("GET", "/v1/jobs", threads.list_jobs, CLIENTS, AnswerForm(p.JobsPage), query=j.JobsQuery),
    Route(
        "GET",
        "/v1/jobs/{thread_id}",
        threads.show,
        CLIENTS,
        AnswerForm(j.JobView, _OF_THREAD),
        query=j.ThreadQuery,
        large_answer=True,
    ),
    Route(
        "GET",
        "/v1/jobs/{thread_id}/runs",
        threads.list_runs,
        CLIENTS,
        AnswerForm(p.RunsPage, _OF_THREAD),
        query=j.RunsQuery,
    ),
    Route(
        "GET",
        "/v1/jobs/{thread_id}/result",
        threads.result,
        CLIENTS,
        AnswerForm(j.ResultView, _OF_THREAD),
        query=j.ResultQuery,
        long_poll=True,
    ),
    Route(
        "GET",
        "/v1/jobs/{thread_id}/explain",
        explain.show,
        CLIENTS,
        AnswerForm(j.ExplainView, _OF_THREAD),
        query=j.ThreadQuery,
    ),
    Route(
        "GET",
        "/v1/jobs/{thread_id}/timeline",
        timeline.page,
        CLIENTS,
        AnswerForm(p.TimelinePage, _OF_THREAD),
        query=h.TimelineQuery,
        large_answer=True,
    ),
    Route(
        "GET",
        "/v1/jobs/{thread_id}/timeline/export",
        timeline.export,
        CLIENTS,
        AnswerForm(h.ExportView, _OF_THREAD),
        query=h.ExportQuery,
    ),
    Route(
        "GET",
        "/v1/jobs/{thread_id}/verify",
        timeline.verify,
        CLIENTS,
        AnswerForm(h.VerifiedView, _OF_THREAD),
        query=j.ThreadQuery,
    ),
    Route(
        "GET",
        "/v1/jobs/{thread_id}/events",
        events.listen,
        CLIENTS,
        AnswerForm(
            None,
            _OF_THREAD,
            media_type="text/event-stream",
            no_content="The run has ended and all its events were sent; do not reconnect.",
        ),
        query=h.EventsQuery,
    ),
    Route(
        "GET",
        "/v1/jobs/{thread_id}/detail",
        detail.show,
        CLIENTS,
        AnswerForm(h.DetailView, _OF_THREAD),
        query=j.ThreadQuery,
        large_answer=True,
    ),
    Route(
        "GET",
        "/v1/jobs/{thread_id}/history",
        history.list_checkpoints,
        CLIENTS,
        AnswerForm(p.CheckpointsPage, _OF_THREAD),
        query=h.HistoryQuery,
        large_answer=True,
    ),
    Route(
        "GET",
        "/v1/jobs/{thread_id}/checkpoints/{checkpoint_id}",
        history.show,
        CLIENTS,
        AnswerForm(h.CheckpointDetailView, _OF_THREAD),
        query=j.ThreadQuery,
        large_answer=True,
    ),
    Route(
        "POST",
        "/v1/jobs/{thread_id}/cancel",
        threads.cancel,
        CLIENTS,
        AnswerForm(j.CancelledView, (*_OF_THREAD, "run_terminal")),
        body=j.CancelRequest,
        audit_action="job.cancel",
    ),
    Route(
        "POST",
        "/v1/jobs/{thread_id}/resume",
        interrupts.resume_thread,
        CLIENTS,
        AnswerForm(
            i.InterruptView,
            (*_OF_THREAD, "interrupt_settled", "resume_mismatch", "several_pending", "nothing_pending"),
        ),
        body=i.ResumeThreadRequest,
        large_body=True,
        audit_action="job.resume",
    ),
    Route(
        "POST",
        "/v1/jobs/{thread_id}/replay",
        replays.replay,
        OPERATORS,
        AnswerForm(r.ReplayedView, (*_OF_THREAD, "replay_in_progress", "run_active")),
        body=r.ReplayRequest,
        audit_action="job.replay",
    ),
)

RUN_ROUTES = (Route("GET", "/v1/runs/{run_id}", threads.show_run, CLIENTS, AnswerForm(j.JobView), large_answer=True),)
