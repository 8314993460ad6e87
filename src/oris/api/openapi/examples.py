"""An example for each body that a caller may send. A test decodes them all as the server would."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from oris.ids import attempt_of, checkpoint_id, lease_id, run_id
from oris.wire import admin as a
from oris.wire import jobs as j
from oris.wire import keys as k
from oris.wire import operators as o
from oris.wire import replays as r
from oris.wire import waits as i
from oris.wire import workers as w

_JOB = {"thread_id": "invoice-17", "input": {"pages": 3}, "idempotency_key": "invoice-17-v1"}
_RETRIES = {"strategy": "exponential", "backoff_ms": 1000, "max_retries": 5, "max_backoff_ms": 60000}
_RUN, _OTHER_RUN = run_id(0x0193_5F0C_7E1B_7A44_9D02_51C8_A7F3_0E11), run_id(0x0193_5F0C_9A60_7B3E_8C17_20D4_F0B6_8E22)
_HELD = {"attempt_id": attempt_of(_RUN), "lease_id": lease_id(_RUN, 41, 0x5EED_0001)}
_OTHER = {"attempt_id": attempt_of(_OTHER_RUN), "lease_id": lease_id(_OTHER_RUN, 42, 0x5EED_0002)}
_STEP = {"action_id": "read-page-1", "status": "succeeded", "dedupe_token": "read-page-1", "output": {"words": 312}}
_FAILED = {"type": "Timeout", "message": "the mail server did not answer", "retryable": True}
_FETCH = {"workflows": ["default"], "limit": 1}
_QUESTION = {"key": "approve", "value": {"question": "Pay 42 EUR?"}, "expires_in_ms": 86_400_000}

EXAMPLES: Mapping[type[Struct], Mapping[str, Mapping[str, Any]]] = {
    j.JobRequest: {
        "A job": _JOB,
        "A job with all fields": {
            **_JOB,
            "workflow": "invoices",
            "priority": 10,
            "timeout_policy": {"timeout_ms": 600_000, "on_timeout_status": "failed"},
            "retry_policy": _RETRIES,
            "delay_ms": 5000,
            "metadata": {"customer": "17"},
            "wait_ms": 20000,
        },
    },
    j.BatchRequest: {"Two jobs": {"jobs": [_JOB, {"thread_id": "invoice-18", "input": {"pages": 1}}]}},
    j.CancelRequest: {"Let the worker finish": {"reason": "ordered twice", "mode": "graceful", "grace_ms": 30000}},
    w.PollRequest: {
        "Poll for one attempt": {"worker_id": "w1", "wait_ms": 20000},
        "Poll with a session that is watched": {
            "worker_id": "w1",
            "session": "w1-4711",
            "poll_id": "w1-4711-1",
            "watch": True,
            "limit": 10,
            "workflows": ["invoices"],
            "wait_ms": 20000,
            "lease_ttl_seconds": 30,
        },
    },
    w.HeartbeatRequest: {
        "One lease": {"lease_id": _HELD["lease_id"]},
        "Several leases": {"lease_ids": [_HELD["lease_id"], _OTHER["lease_id"]], "session": "w1-4711"},
    },
    w.ReportRequest: {
        "One step": {**_HELD, **_STEP, "checkpoint": {"values": {"page": 1}}},
        "Several steps": {
            **_HELD,
            "steps": [
                _STEP,
                {"action_id": "send-mail", "status": "failed", "dedupe_token": "send-mail-1", "error": _FAILED},
            ],
        },
    },
    w.AckRequest: {
        "One attempt": {**_HELD, "terminal_status": "completed", "result": {"total": 42}},
        "One failed attempt, and a poll": {
            **_HELD,
            "terminal_status": "failed",
            "error": _FAILED,
            "retry_policy": _RETRIES,
            "poll": _FETCH,
        },
        "Several attempts": {
            "acks": [
                {**_HELD, "terminal_status": "completed", "result": {"total": 42}},
                {**_OTHER, "terminal_status": "failed", "error": _FAILED},
            ],
            "poll": _FETCH,
        },
    },
    w.ReleaseRequest: {"Release a lease": {"lease_ids": [_HELD["lease_id"]], "delay_ms": 1000}},
    i.SuspendRequest: {
        "Wait for a time": {**_HELD, "waits": [{"kind": "time", "key": "tomorrow", "after_ms": 86_400_000}]},
        "Wait for an answer or a time": {
            **_HELD,
            "waits": [
                {"kind": "interrupt", **_QUESTION, "on_expire": "resume", "expire_value": False},
                {"kind": "time", "key": "new-year", "at": "2027-01-01T00:00:00Z"},
            ],
            "mode": "any",
            "checkpoint": {"values": {"page": 3}},
        },
    },
    i.InterruptRequest: {"Ask a question": {**_HELD, "interrupts": [_QUESTION]}},
    i.ResumeRequest: {"Yes": {"value": {"approved": True}}},
    i.ResumeThreadRequest: {"Yes": {"value": {"approved": True}, "key": "approve"}},
    i.RejectRequest: {"No": {"reason": "too expensive"}},
    r.ReplayRequest: {
        "From the state of the latest run": {},
        "From a checkpoint": {"checkpoint_id": checkpoint_id(_RUN, 7)},
    },
    r.ReplayDeadLetterRequest: {"Empty": {}},
    o.ClearQuarantineRequest: {"The worker of a tenant": {"tenant_id": "acme"}},
    o.ClearHoldRequest: {"The workflow of a tenant": {"tenant_id": "acme"}},
    a.ModeRequest: {
        "Drain the cluster": {"submit": False, "dispatch": False, "reason": "upgrade"},
        "Serve again": {"submit": True, "dispatch": True},
    },
    k.CreateKeyRequest: {
        "An admin key, which must be the first key": {"role": "admin"},
        "A key for the workers of a tenant": {
            "role": "worker",
            "tenant_id": "acme",
            "expires_at": "2027-12-31T00:00:00Z",
        },
    },
    k.RevokeKeyRequest: {"Empty": {}},
}
"""By the struct that a body is decoded to."""
