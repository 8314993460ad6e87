"""The words of the API's contract, docs/api.md: statuses, reasons, events, audit actions.

A word that is not here is not part of the contract. tests/engine/test_words.py compares the list with the words that
the source knows, and with those that a real engine was heard to say.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


WORDS: dict[str, frozenset[str]] = {
    "error": frozenset(
        {
            "400 invalid_argument",
            "401 unauthorized",
            "403 forbidden",
            "404 not_found",
            "405 method_not_allowed",
            "408 timeout",
            "409 conflict",
            "413 payload_too_large",
            "415 unsupported_media_type",
            "429 backpressure",
            "431 headers_too_large",
            "500 internal",
            "503 unavailable",
        }
    ),
    "conflict": _words(
        "idempotency_mismatch run_active run_terminal run_mismatch ambiguous_thread lease_lost lease_owner_mismatch"
        " session_superseded interrupt_settled resume_mismatch several_pending nothing_pending wait_kind_mismatch"
        " replay_in_progress already_replayed dedupe_mismatch"
    ),
    "lease_lost": _words("expired cancelled timed_out released closed superseded"),
    "backpressure": _words("queue_full tenant_queue_full rate_limited"),
    "unavailable": _words("draining inbox_full store_unavailable outcome_unknown"),
    "run status": _words(
        "scheduled queued running suspended interrupted retry_backoff cancelling completed failed cancelled"
    ),
    "explain": _words(
        "waiting_for_worker no_worker_for_workflow workers_quarantined workflow_held tenant_limit dispatch_off delayed"
        " retry_backoff held worker_silent interrupted suspended done"
    ),
    "event": _words(
        "run_created attempt_queued lease_granted step_recorded checkpoint_saved suspended wait_settled resumed"
        " rejected retry_scheduled lease_expired lease_released timed_out cancel_requested cancelled completed failed"
        " dead_lettered"
    ),
    "poll": _words("dispatched noop backpressure draining"),
    "poll reason": _words("worker_limit tenant_limit quarantined"),
    "control": _words("cancel graceful_cancel timed_out lost"),
    "lease state": _words("held cancelling cancelled timed_out lost"),
    "step": _words("started succeeded failed"),
    "report": _words("reported reported_idempotent"),
    "suspend": _words("suspended interrupted queued"),
    "wait kind": _words("time interrupt"),
    "wait status": _words("pending resumed rejected expired dropped"),
    "ack": _words("completed failed cancelled retry_scheduled"),
    "retry strategy": _words("fixed exponential"),
    "dead letter": _words("pending replayed"),
    "dead letter reason": _words("lease_losses"),
    "audit": _words(
        "job.run job.batch job.resume job.replay job.cancel interrupt.resume interrupt.reject dlq.replay"
        " worker.clear_quarantine apikey.create apikey.revoke admin.mode"
    ),
    "role": _words("admin operator client worker"),
}

BEYOND: dict[str, frozenset[str]] = {
    # A worker that suspends what it was asked to end: its run is over.
    "suspend": _words("cancelled"),
    # An ack that fetches too, for a session that is over: the ack is answered, and this is why nothing comes with it.
    "poll reason": _words("session_superseded"),
    # An operator may end the hold of a workflow, and what operators do is audited.
    "audit": _words("workflow.clear_hold"),
    # A damaged run: "its workers are busy" would be wrong.
    "explain": _words("set_aside"),
    # The contract names but the one; the others say how a run came to fail.
    "dead letter reason": _words("failed retries_exhausted timed_out interrupt_expired"),
}
"""Words that are told where the contract leaves room, and why. Those heard have to be here or in WORDS."""

UNHEARD = _words("data_damaged")
"""Reasons that no scenario over the API can bring about: a disk that has damaged a row (tests/e2e/test_damage.py)."""
