"""The words that answers are made of, and those that requests may choose from. Each list is written here once.

A list is whole: a client may match on it. A later version may add words. `XWord` is the type of one of the words, which
the program itself writes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, get_args

from msgspec import Meta

from oris.audit_actions import AuditAction
from oris.errors import ErrorCode


def _text(literal: Any) -> str:
    return " ".join(get_args(literal))


def named(title: str, description: str, words: str = "") -> Meta:
    """The name and the description of an enum in the document, and its words where its type has none.

    Answers are typed `Annotated[str, …]`: what is sent comes from typed code, and reading it again would cost each
    answer. Requests are typed `Annotated[Literal[…], …]`, and are checked.
    """
    return Meta(title=title, description=description, extra_json_schema={"enum": words.split()} if words else {})


RunStatusWord: TypeAlias = Literal[
    "scheduled",
    "queued",
    "running",
    "suspended",
    "interrupted",
    "retry_backoff",
    "cancelling",
    "completed",
    "failed",
    "cancelled",
]
_RUN_STATUS = named(
    "RunStatus",
    "The status of a run. `completed`, `failed` and `cancelled` are terminal: they never change.",
    _text(RunStatusWord),
)
RunStatus: TypeAlias = Annotated[str, _RUN_STATUS]
RunStatusAsked: TypeAlias = Annotated[RunStatusWord, _RUN_STATUS]

TerminalStatus: TypeAlias = Annotated[
    Literal["completed", "failed", "cancelled"], named("TerminalStatus", "How an attempt ended.")
]
TimeoutStatus: TypeAlias = Annotated[
    Literal["failed", "cancelled"],
    named("TimeoutStatus", "How a run ends when its time under lease is over."),
]
RetryStrategy: TypeAlias = Annotated[
    Literal["fixed", "exponential"],
    named(
        "RetryStrategy",
        "Whether the pause before a retry stays the same or grows with each one.",
    ),
]
CancelMode: TypeAlias = Annotated[
    Literal["terminate", "graceful"],
    named(
        "CancelMode",
        "`terminate` takes the lease away at once; `graceful` tells the worker and gives it `grace_ms` to finish.",
    ),
]
EventType: TypeAlias = Annotated[
    str,
    named(
        "EventType",
        "The type of an event.",
        "run_created attempt_queued lease_granted step_recorded checkpoint_saved suspended wait_settled"
        " resumed rejected retry_scheduled lease_expired lease_released timed_out cancel_requested cancelled"
        " completed failed dead_lettered",
    ),
]
ExplainReason: TypeAlias = Annotated[
    str,
    named(
        "ExplainReason",
        "Why a run has the status that it has.",
        "waiting_for_worker no_worker_for_workflow workers_quarantined workflow_held tenant_limit"
        " dispatch_off set_aside delayed retry_backoff held worker_silent interrupted suspended done",
    ),
]

PollDecision: TypeAlias = Annotated[
    str,
    named(
        "PollDecision",
        "What a poll came to: `dispatched` has attempts; `noop` has none; `backpressure` says that a limit is reached;"
        " `draining` says that nothing is handed out for now.",
        "dispatched noop backpressure draining",
    ),
]
PollReason: TypeAlias = Annotated[
    str,
    named(
        "PollReason",
        "Why a poll got no work.",
        "worker_limit tenant_limit quarantined session_superseded",
    ),
]
ControlType: TypeAlias = Annotated[
    str,
    named(
        "ControlType",
        "What the worker is told about one of its leases. `graceful_cancel`: finish soon; the others: stop.",
        "cancel graceful_cancel timed_out lost",
    ),
]
LeaseState: TypeAlias = Annotated[
    str,
    named(
        "LeaseState",
        "A lease after a heartbeat. `held`: go on; `cancelling`: finish soon; the others: stop.",
        "held cancelling cancelled timed_out lost",
    ),
]
LeaseEnd: TypeAlias = Annotated[
    Literal["expired", "cancelled", "timed_out", "released", "closed", "superseded"],
    named("LeaseEnd", "How a lease ended."),
]

StepWord: TypeAlias = Literal["started", "succeeded", "failed"]
_STEP_STATUS = named(
    "StepStatus", "The status of a step. `succeeded` is final: do not do the step again.", _text(StepWord)
)
StepState: TypeAlias = Annotated[str, _STEP_STATUS]
StepReported: TypeAlias = Annotated[StepWord, _STEP_STATUS]
ReportWord: TypeAlias = Annotated[
    str,
    named(
        "ReportStatus",
        "Whether the step was recorded now, or was already known.",
        "reported reported_idempotent",
    ),
]
AckWord: TypeAlias = Annotated[
    str,
    named(
        "AckStatus",
        "The result of the ack. `retry_scheduled`: the attempt failed and is retried later.",
        "completed failed cancelled retry_scheduled",
    ),
]

SuspendWord: TypeAlias = Annotated[
    str,
    named(
        "SuspendStatus",
        "The status of the run after the suspend. `queued`: all waits were already settled.",
        "suspended interrupted queued cancelled",
    ),
]
SuspendMode: TypeAlias = Annotated[
    Literal["all", "any"],
    named("SuspendMode", "Whether the run continues when all of its waits are settled, or any of them."),
]
WaitKindWord: TypeAlias = Annotated[str, named("WaitKind", "The kind of a wait.", "time interrupt")]
WaitStatusWord: TypeAlias = Literal["pending", "resumed", "rejected", "expired", "dropped"]
_WAIT_STATUS = named("WaitStatus", "The status of a wait. All except `pending` are final.", _text(WaitStatusWord))
WaitWord: TypeAlias = Annotated[str, _WAIT_STATUS]
WaitStatusAsked: TypeAlias = Annotated[WaitStatusWord, _WAIT_STATUS]
OnExpireWord: TypeAlias = Literal["cancel", "fail", "resume"]
_ON_EXPIRE = named("OnExpire", "What happens to the run if the question expires.", _text(OnExpireWord))
OnExpire: TypeAlias = Annotated[OnExpireWord, _ON_EXPIRE]
OnExpireShown: TypeAlias = Annotated[str, _ON_EXPIRE]
OnRejectWord: TypeAlias = Literal["cancel", "resume"]
_ON_REJECT = named("OnReject", "What happens to the run if the question is rejected.", _text(OnRejectWord))
OnReject: TypeAlias = Annotated[OnRejectWord, _ON_REJECT]
OnRejectShown: TypeAlias = Annotated[str, _ON_REJECT]

ReplayWord: TypeAlias = Literal["pending", "replayed"]
_DEAD_LETTER_STATUS = named("DeadLetterStatus", "Whether a dead letter was replayed.", _text(ReplayWord))
DeadLetterWord: TypeAlias = Annotated[str, _DEAD_LETTER_STATUS]
DeadLetterAsked: TypeAlias = Annotated[ReplayWord, _DEAD_LETTER_STATUS]
DeadLetterReason: TypeAlias = Annotated[
    str,
    named(
        "DeadLetterReason",
        "Why a run ended `failed`.",
        "lease_losses failed retries_exhausted timed_out interrupt_expired",
    ),
]

_AUDIT_ACTION = named("AuditAction", "What was done or tried.", _text(AuditAction))
AuditActionShown: TypeAlias = Annotated[str, _AUDIT_ACTION]
AuditActionAsked: TypeAlias = Annotated[AuditAction, _AUDIT_ACTION]
AuditCategory: TypeAlias = Annotated[
    Literal["control", "all"],
    named(
        "AuditCategory",
        "`control`: records of what people and programs did; `all`: also the records that open chains.",
    ),
]

RoleWord: TypeAlias = Literal["admin", "operator", "client", "worker"]
_ROLE = named("Role", "What a credential may do.", _text(RoleWord))
RoleAsked: TypeAlias = Annotated[RoleWord, _ROLE]
RoleShown: TypeAlias = Annotated[str, _ROLE]

ErrorCodeShown: TypeAlias = Annotated[
    str, named("ErrorCode", "The kind of the error, for programs.", " ".join(ErrorCode))
]
HealthWord: TypeAlias = Annotated[
    Literal["ok", "stalled"], named("Health", "Whether the critical tasks make progress.")
]
ReadinessWord: TypeAlias = Annotated[
    Literal["ready", "not_ready"],
    named("Readiness", "Whether this server should get requests."),
]
