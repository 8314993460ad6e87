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
    "attempts": "What an attempt has done: its steps and retries. For workers and operators.",
    "interrupts": "Questions that runs wait for, and the answers to them. For clients.",
    "dead-letters": "Runs that ended `failed`, and how to replay them. For operators.",
    "operators": "Look after workers and workflows; read the audit trail. For operators.",
    "admin": "Switch the server's modes, see how it is, manage API keys. For administrators.",
    "server": "How the server is and what it can do. All but the capabilities are public.",
}

OPERATIONS: Mapping[str, Told] = {
    "GET /healthz": Told(
        "get_health",
        "server",
        "Is the server alive",
        "Answers 503 when a critical task stands still: the process should be restarted.",
    ),
    "GET /readyz": Told(
        "get_readiness",
        "server",
        "Should requests come here",
        "Answers 503 while the server starts or stops, or when its store does not answer.",
    ),
    "GET /metrics": Told(
        "get_metrics",
        "server",
        "Metrics for Prometheus",
        "All metrics, in the text format of Prometheus.",
    ),
    "GET /openapi.json": Told(
        "get_openapi",
        "server",
        "This document",
        "The OpenAPI document of this server, with the limits that are in force. It is sent without the envelope.",
    ),
    "GET /v1/capabilities": Told(
        "get_capabilities",
        "server",
        "What this version can do",
        "The version, the features that clients may look for, and the limits in force.",
    ),
    "GET /v1/admin/status": Told(
        "get_status",
        "admin",
        "The status page",
        "Tasks, store, modes, limits, depths, nodes. It is answered when the store does not answer, too: what only the"
        " store knows is null then.",
    ),
    "POST /v1/admin/mode": Told(
        "set_mode",
        "admin",
        "Switch submits and dispatch off or on",
        "The switch is durable and is for the whole cluster, unless a node is named. Without `submit`, new jobs are"
        " refused with 503, and repeats are still answered. Without `dispatch`, polls answer `draining`. Heartbeats,"
        " reports, acks, timers and answers to interrupts go on.",
    ),
    "POST /v1/jobs": Told(
        "submit_job",
        "jobs",
        "Submit a job",
        "The job is durable before this is answered. With an `idempotency_key`, the same request again gets the same"
        " run, with `idempotent_replay: true`. A thread has at most one active run: a second one is refused with 409"
        " `run_active`. With `wait_ms`, the answer waits for the run to end or to ask a question.",
    ),
    "POST /v1/jobs/run": Told(
        "run_job",
        "jobs",
        "Submit a job (the same as `POST /v1/jobs`)",
        "The job is durable before this is answered. With an `idempotency_key`, the same request again gets the same"
        " run, with `idempotent_replay: true`. A thread has at most one active run: a second one is refused with 409"
        " `run_active`. With `wait_ms`, the answer waits for the run to end or to ask a question.",
    ),
    "POST /v1/jobs/batch": Told(
        "submit_batch",
        "jobs",
        "Submit several jobs",
        "All jobs go into one commit. Each is accepted or refused on its own, and `results` tells it in the same"
        " order. Only a malformed job refuses the whole batch.",
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
        "The result of the run that is the latest when this is asked. With `wait_ms`, the answer waits for the run to"
        " end or to ask a question.",
    ),
    "GET /v1/jobs/{thread_id}/explain": Told(
        "explain_job",
        "jobs",
        "Why does the run stand where it stands",
        "The reason as a word for programs and in a sentence for people, with a suggestion what to do.",
    ),
    "GET /v1/jobs/{thread_id}/timeline": Told(
        "get_timeline",
        "jobs",
        "Show a page of a thread's timeline",
        "The events of the thread in their order, from the one after `after_seq`.",
    ),
    "GET /v1/jobs/{thread_id}/timeline/export": Told(
        "export_timeline",
        "jobs",
        "Export a thread's timeline",
        "The timeline as it is now, in one document, with all that is needed to verify its chain elsewhere.",
    ),
    "GET /v1/jobs/{thread_id}/verify": Told(
        "verify_timeline",
        "jobs",
        "Verify a thread's timeline",
        "Checks the chain of hashes over the thread's events, and names the first event that is not as it was written.",
    ),
    "GET /v1/jobs/{thread_id}/events": Told(
        "listen_to_events",
        "jobs",
        "Listen to a thread's events",
        "The timeline as Server-Sent Events, while it happens, until the run has ended that is the latest now. Resume"
        " with the header `Last-Event-ID` or with `after_seq`.",
    ),
    "GET /v1/jobs/{thread_id}/detail": Told(
        "get_job_detail",
        "jobs",
        "Show a thread's latest run with its past",
        "The run in full, with its checkpoints, its latest 200 events, its open interrupts, and figures about it. The"
        " parts are read one after the other: what happens meanwhile may show in some of them only.",
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
        "Durable before it is answered. A run that is not under way ends at once. `terminate` takes the lease of one"
        " that is; `graceful` tells its worker and gives it `grace_ms` to finish. Cancelling again is harmless; a run"
        " that has ended is 409 `run_terminal`.",
    ),
    "POST /v1/jobs/{thread_id}/resume": Told(
        "resume_job",
        "jobs",
        "Answer the question a thread waits for",
        "Answers the only open interrupt of the latest run, or the one with `key`. Several without a `key` are 409"
        " `several_pending`.",
    ),
    "POST /v1/jobs/{thread_id}/replay": Told(
        "replay_job",
        "jobs",
        "Run a finished thread again",
        "Starts a new run from a checkpoint, or from where the latest run ended. The steps that had succeeded are kept"
        " and not repeated. A replay that has completed is answered again; it is never done twice.",
    ),
    "GET /v1/interrupts": Told(
        "list_interrupts",
        "interrupts",
        "List interrupts",
        "The questions that runs have asked, newest first.",
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
        "The answer is durable before this is answered, and its run is queued when it waits for nothing else. The"
        " same answer again is harmless; another one is 409 `resume_mismatch`.",
    ),
    "POST /v1/interrupts/{interrupt_id}/reject": Told(
        "reject_interrupt",
        "interrupts",
        "Say no to an interrupt",
        "What becomes of the run is what `on_reject` says: by default it is cancelled.",
    ),
    "GET /v1/runs/{run_id}": Told(
        "get_run",
        "jobs",
        "Show a run",
        "The run in full, be it its thread's latest or not.",
    ),
    "POST /v1/workers/poll": Told(
        "poll",
        "workers",
        "Ask for work",
        "Hands out up to `limit` attempts, each under a lease. With `wait_ms`, the call is parked until there is work"
        " or a control message. Name a `poll_id` so that a poll whose answer was lost can be sent again and gets the"
        " same leases. A worker that goes away while parked takes nothing.",
    ),
    "POST /v1/workers/{worker_id}/heartbeat": Told(
        "heartbeat",
        "workers",
        "Keep leases alive",
        "Renews one lease or several, and tells the state of each. Send one about every third of the lease's time. A"
        " single lease that is not live is 409 `lease_lost`: stop working on it. In a list it is told as its `state`.",
    ),
    "POST /v1/workers/{worker_id}/extend-lease": Told(
        "extend_lease",
        "workers",
        "Keep leases alive (the same as `heartbeat`)",
        "Renews one lease or several, and tells the state of each. Send one about every third of the lease's time. A"
        " single lease that is not live is 409 `lease_lost`: stop working on it. In a list it is told as its `state`.",
    ),
    "POST /v1/workers/{worker_id}/report-step": Told(
        "report_step",
        "workers",
        "Record a step",
        "Records one step or several of an attempt, each with its output or error, and perhaps a checkpoint. A step"
        " that was recorded as `succeeded` is handed to whoever goes on, and need not be done again. The same"
        " `dedupe_token` with the same content again is harmless.",
    ),
    "POST /v1/workers/{worker_id}/suspend": Told(
        "suspend",
        "workers",
        "Wait without a worker",
        "Gives the lease back until the waits are settled: a time, or an answer to a question. The attempt is then"
        " queued again and goes on with its steps and the answers. The same request again gets the same answer.",
    ),
    "POST /v1/workers/{worker_id}/interrupt": Told(
        "interrupt",
        "workers",
        "Ask people, and wait",
        "The same as `suspend` with questions alone.",
    ),
    "POST /v1/workers/{worker_id}/ack": Told(
        "ack",
        "workers",
        "Finish an attempt",
        "Ends one attempt or several, each with its result or error. With `poll` the same commit fetches what comes"
        " next. The same request again gets the same answer.",
    ),
    "POST /v1/workers/{worker_id}/release": Told(
        "release",
        "workers",
        "Give leases back",
        "The attempts are offered again, at once or after `delay_ms`. It does not count as a failure. When none of"
        " the leases is the caller's, it is refused with the reason.",
    ),
    "GET /v1/workers": Told(
        "list_workers",
        "operators",
        "List workers",
        "Every worker that was ever handed something or has named a session, newest first.",
    ),
    "GET /v1/workers/{worker_id}": Told(
        "get_worker",
        "operators",
        "Show a worker",
        "When it was seen, what it holds, and whether it is in quarantine.",
    ),
    "POST /v1/workers/{worker_id}/clear-quarantine": Told(
        "clear_quarantine",
        "operators",
        "Trust a worker again",
        "Ends the quarantine of a worker that lost its leases again and again. It is harmless for one that is in none.",
    ),
    "POST /v1/workflows/{workflow}/clear-hold": Told(
        "clear_hold",
        "operators",
        "Hand out a workflow again",
        "Ends the hold of a workflow whose workers all crashed. It is harmless for one that is not held.",
    ),
    "GET /v1/attempts/{attempt_id}": Told(
        "get_attempt",
        "attempts",
        "Show an attempt",
        "Where the attempt stands, and who works on it.",
    ),
    "GET /v1/attempts/{attempt_id}/steps": Told(
        "list_steps",
        "attempts",
        "List an attempt's steps",
        "The recorded steps in their order, from the one after `after`. A worker whose poll said `steps_truncated` must"
        " read the rest here before it goes on, and names its live lease.",
    ),
    "GET /v1/attempts/{attempt_id}/retries": Told(
        "list_retries",
        "attempts",
        "List an attempt's retries",
        "The retries that were scheduled, in their order.",
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
        "Starts a new run from where the failed one ended, with all its retries again. The steps that had succeeded"
        " are kept and not repeated.",
    ),
    "GET /v1/audit/logs": Told(
        "list_audit_records",
        "operators",
        "List audit records",
        "Who did what, when, and what came of it, newest first.",
    ),
    "GET /v1/api-keys": Told(
        "list_api_keys",
        "admin",
        "List API keys",
        "All stored keys, newest first, revoked ones too. No secret is shown.",
    ),
    "POST /v1/api-keys": Told(
        "create_api_key",
        "admin",
        "Make an API key",
        "The answer holds the secret; it is never shown again.",
    ),
    "POST /v1/api-keys/{key_id}/revoke": Told(
        "revoke_api_key",
        "admin",
        "Revoke an API key",
        "Once this is answered, nobody gets in with the key.",
    ),
}
"""By method and path."""
