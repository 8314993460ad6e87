"""What the document says of each operation: its name for generated clients, a headline, and what a caller should know.

An operation that is in the route table must be here: the document cannot be made without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Told(NamedTuple):
    """The words of one operation."""

    operation_id: str
    """Generated clients name their functions after it: it is API, like a path."""
    tag: str
    """Generated clients group by it."""
    summary: str
    description: str


TAGS: Mapping[str, str] = {
    "jobs": "Submit jobs, look at them, wait for them, cancel them. For clients.",
    "workers": "Poll for work, keep leases alive, report steps, acknowledge. For workers.",
    "attempts": "The steps and retries of an attempt. For workers and operators.",
    "interrupts": "Questions of runs, and the answers. For clients.",
    "dead-letters": "Runs that ended `failed`, and how to replay them. For operators.",
    "operators": "Manage workers and workflows, and read the audit trail. For operators.",
    "admin": "Switch the modes of the server, see its status, manage API keys. For administrators.",
    "server": "The health of the server and its capabilities. All except the capabilities are public.",
}

OPERATIONS: Mapping[str, Told] = {
    "GET /healthz": Told(
        "get_health",
        "server",
        "Check that the server is alive",
        "Answers 503 when a critical task makes no progress. The process should then be restarted.",
    ),
    "GET /readyz": Told(
        "get_readiness",
        "server",
        "Check that the server is ready",
        "Answers 503 while the server starts or stops, or when its store does not answer.",
    ),
    "GET /metrics": Told(
        "get_metrics",
        "server",
        "Show metrics for Prometheus",
        "All metrics, in the text format of Prometheus.",
    ),
    "GET /openapi.json": Told(
        "get_openapi",
        "server",
        "Show this document",
        "The OpenAPI document of this server, with the limits that are in force. It is sent without the envelope.",
    ),
    "GET /v1/capabilities": Told(
        "get_capabilities",
        "server",
        "Show what this version can do",
        "The version, the features that clients can look for, and the limits in force.",
    ),
    "GET /v1/admin/status": Told(
        "get_status",
        "admin",
        "Show the status page",
        "Tasks, store, modes, limits, depths and nodes. This is also answered when the store does not answer: values"
        " that only the store knows are then null.",
    ),
    "POST /v1/admin/mode": Told(
        "set_mode",
        "admin",
        "Switch submits and dispatch off or on",
        "The switches are durable. They are for the whole cluster, unless a node is named. With `submit` off, new jobs"
        " are refused with 503, and repeats are still answered. With `dispatch` off, polls are answered `draining`."
        " Heartbeats, reports, acks, timers and answers to interrupts continue.",
    ),
    "POST /v1/jobs": Told(
        "submit_job",
        "jobs",
        "Submit a job",
        "The job is durable before the answer. With an `idempotency_key`, the same request again gets the same run,"
        " with `idempotent_replay: true`. A thread has at most one active run: a second one is refused with 409"
        " `run_active`. With `wait_ms`, the answer waits until the run ends or asks a question.",
    ),
    "POST /v1/jobs/run": Told(
        "run_job",
        "jobs",
        "Submit a job (the same as `POST /v1/jobs`)",
        "The job is durable before the answer. With an `idempotency_key`, the same request again gets the same run,"
        " with `idempotent_replay: true`. A thread has at most one active run: a second one is refused with 409"
        " `run_active`. With `wait_ms`, the answer waits until the run ends or asks a question.",
    ),
    "POST /v1/jobs/batch": Told(
        "submit_batch",
        "jobs",
        "Submit several jobs",
        "All jobs go into one commit. Each job is accepted or refused on its own; `results` has the results in the"
        " same order. Only a malformed job refuses the whole batch.",
    ),
    "GET /v1/jobs": Told(
        "list_jobs",
        "jobs",
        "List threads",
        "One row for each thread, with its latest run, newest first.",
    ),
    "GET /v1/jobs/{thread_id}": Told(
        "get_job",
        "jobs",
        "Show a thread's latest run",
        "The run in full: status, input, result, checkpoint, lease.",
    ),
    "GET /v1/jobs/{thread_id}/runs": Told(
        "list_runs",
        "jobs",
        "List a thread's runs",
        "All runs of the thread, newest first.",
    ),
    "GET /v1/jobs/{thread_id}/result": Told(
        "get_result",
        "jobs",
        "Wait for a run's result",
        "The result of the run that is the latest now. With `wait_ms`, the answer waits until the run ends or asks a"
        " question.",
    ),
    "GET /v1/jobs/{thread_id}/explain": Told(
        "explain_job",
        "jobs",
        "Explain why the latest run has its status",
        "The reason as a word for programs and as a sentence for people, with a suggestion what to do.",
    ),
    "GET /v1/jobs/{thread_id}/timeline": Told(
        "get_timeline",
        "jobs",
        "Show a page of a thread's timeline",
        "The events of the thread in order, after the event `after_seq`.",
    ),
    "GET /v1/jobs/{thread_id}/timeline/export": Told(
        "export_timeline",
        "jobs",
        "Export a thread's timeline",
        "The whole timeline in one document, with all values that are needed to verify its chain.",
    ),
    "GET /v1/jobs/{thread_id}/verify": Told(
        "verify_timeline",
        "jobs",
        "Verify a thread's timeline",
        "Checks the hash chain of the thread's events, and names the first event that differs from what was written.",
    ),
    "GET /v1/jobs/{thread_id}/events": Told(
        "listen_to_events",
        "jobs",
        "Listen to a thread's events",
        "The timeline as Server-Sent Events, as it grows, until the run that is the latest now has ended. Resume with"
        " the header `Last-Event-ID` or with `after_seq`.",
    ),
    "GET /v1/jobs/{thread_id}/detail": Told(
        "get_job_detail",
        "jobs",
        "Show a thread's latest run with its history",
        "The run in full, with its checkpoints, its latest 200 events, its open interrupts, and figures about it. The"
        " parts are read one after the other, so a change in between may show in only some of them.",
    ),
    "GET /v1/jobs/{thread_id}/history": Told(
        "list_checkpoints",
        "jobs",
        "List a thread's checkpoints",
        "All checkpoints of the thread, newest first, without their values.",
    ),
    "GET /v1/jobs/{thread_id}/checkpoints/{checkpoint_id}": Told(
        "get_checkpoint",
        "jobs",
        "Show a checkpoint",
        "The checkpoint with its values.",
    ),
    "POST /v1/jobs/{thread_id}/cancel": Told(
        "cancel_job",
        "jobs",
        "Cancel a thread's latest run",
        "The cancel is durable before the answer. A run that no worker holds ends at once. If a worker holds it,"
        " `terminate` takes the lease away; `graceful` tells the worker and gives it `grace_ms` to finish. Repeating a"
        " cancel is harmless. A run that has completed or failed is 409 `run_terminal`.",
    ),
    "POST /v1/jobs/{thread_id}/resume": Told(
        "resume_job",
        "jobs",
        "Answer the question of a thread",
        "Answers the only open interrupt of the latest run, or the one with `key`. Without a `key`, several open"
        " interrupts are 409 `several_pending`.",
    ),
    "POST /v1/jobs/{thread_id}/replay": Told(
        "replay_job",
        "jobs",
        "Run a finished thread again",
        "Starts a new run from a checkpoint, or from the state in which the latest run ended. Steps that have"
        " succeeded are kept and not repeated. A replay that has completed is not done again: the same request gets"
        " the same answer.",
    ),
    "GET /v1/interrupts": Told(
        "list_interrupts",
        "interrupts",
        "List interrupts",
        "The questions of runs, newest first.",
    ),
    "GET /v1/interrupts/{interrupt_id}": Told(
        "get_interrupt",
        "interrupts",
        "Show an interrupt",
        "The question, and its answer if there is one.",
    ),
    "POST /v1/interrupts/{interrupt_id}/resume": Told(
        "resume_interrupt",
        "interrupts",
        "Answer an interrupt",
        "The value is durable before the answer. The run is queued if it waits for nothing else. The same value again"
        " is harmless; another value is 409 `resume_mismatch`.",
    ),
    "POST /v1/interrupts/{interrupt_id}/reject": Told(
        "reject_interrupt",
        "interrupts",
        "Reject an interrupt",
        "`on_reject` says what happens to the run: by default it is cancelled.",
    ),
    "GET /v1/runs/{run_id}": Told(
        "get_run",
        "jobs",
        "Show a run",
        "The run in full, also if it is not the latest of its thread.",
    ),
    "POST /v1/workers/poll": Told(
        "poll",
        "workers",
        "Poll for work",
        "Grants up to `limit` attempts, each under a lease. With `wait_ms`, the call waits until there is work or a"
        " control message. With a `poll_id`, a poll whose answer was lost can be sent again and gets the same leases."
        " A worker that disconnects while it waits gets no lease.",
    ),
    "POST /v1/workers/{worker_id}/heartbeat": Told(
        "heartbeat",
        "workers",
        "Keep leases alive",
        "Renews one lease or several, and tells the state of each. Send a heartbeat about three times within the time"
        " of a lease. A single lease that is not live is 409 `lease_lost`: stop working on it. In a list, its `state`"
        " says so.",
    ),
    "POST /v1/workers/{worker_id}/extend-lease": Told(
        "extend_lease",
        "workers",
        "Keep leases alive (the same as `heartbeat`)",
        "Renews one lease or several, and tells the state of each. Send a heartbeat about three times within the time"
        " of a lease. A single lease that is not live is 409 `lease_lost`: stop working on it. In a list, its `state`"
        " says so.",
    ),
    "POST /v1/workers/{worker_id}/report-step": Told(
        "report_step",
        "workers",
        "Record a step",
        "Records one step or several steps of an attempt, each with its output or error, and optionally a checkpoint."
        " A step that was recorded as `succeeded` is passed to the next attempt, which must not do it again. The same"
        " `dedupe_token` with the same content again is harmless.",
    ),
    "POST /v1/workers/{worker_id}/suspend": Told(
        "suspend",
        "workers",
        "Suspend an attempt",
        "Releases the lease until the waits are settled: a time, or an answer to a question. Then the attempt is"
        " queued again and continues with its steps and the answers. The same request again gets the same answer.",
    ),
    "POST /v1/workers/{worker_id}/interrupt": Told(
        "interrupt",
        "workers",
        "Suspend an attempt with questions",
        "The same as `suspend`, only with questions.",
    ),
    "POST /v1/workers/{worker_id}/ack": Told(
        "ack",
        "workers",
        "Finish an attempt",
        "Finishes one attempt or several, each with its result or error. With `poll` the same commit grants the next"
        " work. The same request again gets the same answer.",
    ),
    "POST /v1/workers/{worker_id}/release": Told(
        "release",
        "workers",
        "Release leases",
        "The attempts are offered again, at once or after `delay_ms`. A release does not count as a failure. If the"
        " caller holds none of the leases, the request is refused with the reason.",
    ),
    "GET /v1/workers": Told(
        "list_workers",
        "operators",
        "List workers",
        "Every worker that was granted a lease at least once or has named a session, newest first.",
    ),
    "GET /v1/workers/{worker_id}": Told(
        "get_worker",
        "operators",
        "Show a worker",
        "When the worker last called, what it holds, and whether it is in quarantine.",
    ),
    "POST /v1/workers/{worker_id}/clear-quarantine": Told(
        "clear_quarantine",
        "operators",
        "End the quarantine of a worker",
        "Ends the quarantine of a worker that repeatedly lost its leases. It is harmless if the worker is not in"
        " quarantine.",
    ),
    "POST /v1/workflows/{workflow}/clear-hold": Told(
        "clear_hold",
        "operators",
        "End the hold of a workflow",
        "Ends the hold of a workflow whose workers all crashed. It is harmless if the workflow is not held.",
    ),
    "GET /v1/attempts/{attempt_id}": Told(
        "get_attempt",
        "attempts",
        "Show an attempt",
        "The state of the attempt, and the worker that holds it.",
    ),
    "GET /v1/attempts/{attempt_id}/steps": Told(
        "list_steps",
        "attempts",
        "List an attempt's steps",
        "The recorded steps in order, after the step `after`. A worker whose poll had `steps_truncated` must read the"
        " missing steps here before it continues, and names its live lease.",
    ),
    "GET /v1/attempts/{attempt_id}/retries": Told(
        "list_retries",
        "attempts",
        "List an attempt's retries",
        "The scheduled retries, in order.",
    ),
    "GET /v1/dlq": Told(
        "list_dead_letters",
        "dead-letters",
        "List dead letters",
        "The runs that ended `failed`, newest first.",
    ),
    "GET /v1/dlq/{attempt_id}": Told(
        "get_dead_letter",
        "dead-letters",
        "Show a dead letter",
        "Why the run failed, and whether it was replayed.",
    ),
    "POST /v1/dlq/{attempt_id}/replay": Told(
        "replay_dead_letter",
        "dead-letters",
        "Run a dead letter again",
        "Starts a new run from the state in which the failed run ended, with all its retries again. Steps that have"
        " succeeded are kept and not repeated.",
    ),
    "GET /v1/audit/logs": Told(
        "list_audit_records",
        "operators",
        "List audit records",
        "Who did what, when, and with which result, newest first.",
    ),
    "GET /v1/api-keys": Told(
        "list_api_keys",
        "admin",
        "List API keys",
        "All stored keys, newest first, also revoked keys. Secrets are not shown.",
    ),
    "POST /v1/api-keys": Told(
        "create_api_key",
        "admin",
        "Make an API key",
        "The answer has the secret, which is never shown again.",
    ),
    "POST /v1/api-keys/{key_id}/revoke": Told(
        "revoke_api_key",
        "admin",
        "Revoke an API key",
        "The key is refused from the moment of the answer.",
    ),
}
"""By method and path."""
