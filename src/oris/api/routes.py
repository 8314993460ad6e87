"""The route table: what there is, who may call it, who answers."""

from __future__ import annotations

from oris.api.answers import form_of
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
from oris.api.http import Role, Route, RouteTable
from oris.wire import admin as a
from oris.wire import history as h
from oris.wire import jobs as j
from oris.wire import keys as k
from oris.wire import operators as o
from oris.wire import replays as r
from oris.wire import waits as i
from oris.wire import workers as w

PUBLIC = None
ADMINS = frozenset({Role.ADMIN})
OPERATORS = frozenset({Role.ADMIN, Role.OPERATOR})
CLIENTS = frozenset({Role.ADMIN, Role.OPERATOR, Role.CLIENT})
WORKERS = frozenset({Role.ADMIN, Role.WORKER})
READERS = frozenset({Role.ADMIN, Role.OPERATOR, Role.WORKER})


def route_table(body_max_bytes: int) -> RouteTable:
    """Every route of the API. `body_max_bytes` bounds the large bodies; the others are small by nature."""
    small = min(64 * 1024, body_max_bytes)
    large = body_max_bytes
    thread = "/v1/jobs/{thread_id}"
    worker = "/v1/workers/{worker_id}"
    attempt = "/v1/attempts/{attempt_id}"

    def get(path: str, handler: object, roles: frozenset[Role] | None, **more: object) -> Route:
        return Route("GET", path, handler, roles, form_of(handler), **more)  # type: ignore[arg-type]

    def post(path: str, handler: object, roles: frozenset[Role], **more: object) -> Route:
        return Route("POST", path, handler, roles, form_of(handler), **more)  # type: ignore[arg-type]

    run = {"body": j.JobRequest, "body_max_bytes": large, "long_poll": True, "audit_action": "job.run"}
    work = {"body_max_bytes": large, "urgent": True}
    beat = {"body": w.HeartbeatRequest, **work}
    return RouteTable(
        (
            get("/healthz", server.healthz, PUBLIC, urgent=True),
            get("/readyz", server.readyz, PUBLIC, urgent=True),
            get("/metrics", server.metrics, PUBLIC, urgent=True),
            get("/openapi.json", server.openapi, PUBLIC),
            get("/v1/capabilities", server.capabilities, frozenset(Role)),
            get("/v1/admin/status", admin.status, ADMINS, whole_server=True),
            post(
                "/v1/admin/mode",
                admin.set_mode,
                OPERATORS,
                body=a.ModeRequest,
                body_max_bytes=small,
                audit_action="admin.mode",
                whole_server=True,
            ),
            post("/v1/jobs", submit.run, CLIENTS, **run),
            post("/v1/jobs/run", submit.run, CLIENTS, **run),
            post(
                "/v1/jobs/batch",
                submit.batch,
                CLIENTS,
                body=j.BatchRequest,
                body_max_bytes=large,
                audit_action="job.batch",
            ),
            get("/v1/jobs", threads.list_jobs, CLIENTS, query=j.JobsQuery),
            get(thread, threads.show, CLIENTS, query=j.ThreadQuery, large=True),
            get(f"{thread}/runs", threads.list_runs, CLIENTS, query=j.RunsQuery),
            get(f"{thread}/result", threads.result, CLIENTS, query=j.ResultQuery, long_poll=True),
            get(f"{thread}/explain", explain.show, CLIENTS, query=j.ThreadQuery),
            get(f"{thread}/timeline", timeline.page, CLIENTS, query=h.TimelineQuery, large=True),
            get(f"{thread}/timeline/export", timeline.export, CLIENTS, query=h.ExportQuery),
            get(f"{thread}/verify", timeline.verify, CLIENTS, query=j.ThreadQuery),
            get(f"{thread}/events", events.listen, CLIENTS, query=h.EventsQuery),
            get(f"{thread}/detail", detail.show, CLIENTS, query=j.ThreadQuery, large=True),
            get(f"{thread}/history", history.list_checkpoints, CLIENTS, query=h.HistoryQuery, large=True),
            get(f"{thread}/checkpoints/{{checkpoint_id}}", history.show, CLIENTS, query=j.ThreadQuery, large=True),
            post(
                f"{thread}/cancel",
                threads.cancel,
                CLIENTS,
                body=j.CancelRequest,
                body_max_bytes=small,
                audit_action="job.cancel",
            ),
            post(
                f"{thread}/resume",
                interrupts.resume_thread,
                CLIENTS,
                body=i.ResumeThreadRequest,
                body_max_bytes=large,
                audit_action="job.resume",
            ),
            post(
                f"{thread}/replay",
                replays.replay,
                OPERATORS,
                body=r.ReplayRequest,
                body_max_bytes=small,
                audit_action="job.replay",
            ),
            get("/v1/interrupts", interrupts.list_interrupts, CLIENTS, query=i.InterruptsQuery, large=True),
            get("/v1/interrupts/{interrupt_id}", interrupts.show, CLIENTS, large=True),
            post(
                "/v1/interrupts/{interrupt_id}/resume",
                interrupts.resume,
                CLIENTS,
                body=i.ResumeRequest,
                body_max_bytes=large,
                audit_action="interrupt.resume",
            ),
            post(
                "/v1/interrupts/{interrupt_id}/reject",
                interrupts.reject,
                CLIENTS,
                body=i.RejectRequest,
                body_max_bytes=small,
                audit_action="interrupt.reject",
            ),
            get("/v1/runs/{run_id}", threads.show_run, CLIENTS, large=True),
            post(
                "/v1/workers/poll",
                poll.poll,
                WORKERS,
                body=w.PollRequest,
                body_max_bytes=small,
                long_poll=True,
                urgent=True,
            ),
            post(f"{worker}/heartbeat", leases.heartbeat, WORKERS, **beat),
            post(f"{worker}/extend-lease", leases.heartbeat, WORKERS, **beat),
            post(f"{worker}/report-step", leases.report_step, WORKERS, body=w.ReportRequest, **work),
            post(f"{worker}/suspend", waits.suspend, WORKERS, body=i.SuspendRequest, **work),
            post(f"{worker}/interrupt", waits.interrupt, WORKERS, body=i.InterruptRequest, **work),
            post(f"{worker}/ack", leases.ack, WORKERS, body=w.AckRequest, **work),
            post(
                f"{worker}/release", leases.release, WORKERS, body=w.ReleaseRequest, body_max_bytes=small, urgent=True
            ),
            get("/v1/workers", workers.list_workers, OPERATORS, query=o.WorkersQuery),
            get(worker, workers.show, OPERATORS, query=o.WorkerQuery),
            post(
                f"{worker}/clear-quarantine",
                workers.clear_quarantine,
                OPERATORS,
                body=o.ClearQuarantineRequest,
                body_max_bytes=small,
                audit_action="worker.clear_quarantine",
            ),
            post(
                "/v1/workflows/{workflow}/clear-hold",
                workflows.clear_hold,
                OPERATORS,
                body=o.ClearHoldRequest,
                body_max_bytes=small,
                audit_action="workflow.clear_hold",
            ),
            get(attempt, attempts.show, OPERATORS, large=True),
            get(f"{attempt}/steps", attempts.steps, READERS, query=o.StepsQuery, large=True, urgent=True),
            get(f"{attempt}/retries", attempts.retries, OPERATORS, query=o.RetriesQuery),
            get("/v1/dlq", operators.list_dead_letters, OPERATORS, query=o.DeadLettersQuery),
            get("/v1/dlq/{attempt_id}", operators.show_dead_letter, OPERATORS, large=True),
            post(
                "/v1/dlq/{attempt_id}/replay",
                replays.replay_dead_letter,
                OPERATORS,
                body=r.ReplayDeadLetterRequest,
                body_max_bytes=small,
                audit_action="dlq.replay",
            ),
            get("/v1/audit/logs", operators.list_audit, OPERATORS, query=o.AuditQuery),
            get("/v1/api-keys", keys.list_keys, ADMINS, query=k.KeysQuery),
            post(
                "/v1/api-keys",
                keys.create,
                ADMINS,
                body=k.CreateKeyRequest,
                body_max_bytes=small,
                audit_action="apikey.create",
            ),
            post(
                "/v1/api-keys/{key_id}/revoke",
                keys.revoke,
                ADMINS,
                body=k.RevokeKeyRequest,
                body_max_bytes=small,
                audit_action="apikey.revoke",
            ),
        )
    )


def metrics_routes() -> RouteTable:
    """What the address for metrics answers."""
    return RouteTable(
        (
            Route("GET", "/healthz", server.healthz, PUBLIC, form_of(server.healthz), urgent=True),
            Route("GET", "/readyz", server.readyz, PUBLIC, form_of(server.readyz), urgent=True),
            Route("GET", "/metrics", server.metrics, PUBLIC, form_of(server.metrics), urgent=True),
        )
    )
