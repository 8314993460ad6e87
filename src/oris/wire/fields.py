"""Fields that recur, each with its bounds and with what the OpenAPI document says of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Annotated, TypeAlias

from msgspec import Meta, Raw, Struct
from msgspec.structs import fields

from oris.wire.names import BoundTenant, DurationMs, Name, Seq, TenantName, Token

_SHAPE = "shape"


def about(text: str) -> Meta:
    """What the OpenAPI document says of a field."""
    return Meta(description=text)


def shaped(shape: type[Struct]) -> Meta:
    """A client's own value that is kept as it is, and has to be one of these all the same."""
    return Meta(extra={_SHAPE: shape})


def shape_of(metas: tuple[Meta, ...]) -> type[Struct] | None:
    """What a client's own value has to be; None: any JSON value."""
    shapes: list[type[Struct]] = [meta.extra[_SHAPE] for meta in metas if meta.extra and _SHAPE in meta.extra]
    return shapes[0] if shapes else None


@cache
def shapes_of(struct: type[Struct]) -> Mapping[str, type[Struct]]:
    """The shapes of a struct's fields that have one, by the name of the field in JSON."""
    found = {field.encode_name: shape_of(getattr(field.type, "__metadata__", ())) for field in fields(struct)}
    return {name: shape for name, shape in found.items() if shape is not None}


# What things are called.
ThreadId: TypeAlias = Annotated[
    Name, about("The thread: a name that its client has chosen, for example that of an order.")
]
RunId: TypeAlias = Annotated[Token, about("The run.")]
ExpectedRunId: TypeAlias = Annotated[
    Token, about("This run must be the latest of the thread; otherwise the request is refused with 409 `run_mismatch`.")
]
AttemptId: TypeAlias = Annotated[Token, about("The attempt. Retries and lost leases do not change this id.")]
AttemptNo: TypeAlias = Annotated[int, about("The number of the attempt, from 1. Retries and lost leases raise it.")]
LeaseId: TypeAlias = Annotated[Token, about("The lease: the right to work on the attempt until it expires.")]
WorkerId: TypeAlias = Annotated[Name, about("The worker: a name that the worker has chosen.")]
SessionId: TypeAlias = Annotated[
    Name, about("Names the process of the worker. A new session ends the leases of the session before it.")
]
PollId: TypeAlias = Annotated[
    Name, about("Names this poll. If the answer was lost, the same poll can be sent again and gets the same leases.")
]
Workflow: TypeAlias = Annotated[Name, about("The kind of work. Workers ask for work by this name.")]
TenantId: TypeAlias = Annotated[TenantName, about("The tenant; empty: none.")]
AskedTenantId: TypeAlias = Annotated[
    TenantName, about("The tenant. A credential that is bound to a tenant implies it.")
]
KeyTenantId: TypeAlias = Annotated[BoundTenant, about("The tenant that the key is bound to; null: none.")]
InterruptId: TypeAlias = Annotated[Token, about("The interrupt.")]
WaitId: TypeAlias = Annotated[Token, about("The wait.")]
WaitKey: TypeAlias = Annotated[Name, about("Names the wait within its run. The same key again is the same wait.")]
CheckpointId: TypeAlias = Annotated[Token, about("The checkpoint.")]
ActionId: TypeAlias = Annotated[Token, about("Names the step within its run.")]
DedupeToken: TypeAlias = Annotated[
    Token, about("Identifies the report. The same token with the same content again is harmless.")
]
IdempotencyKey: TypeAlias = Annotated[
    Token, about("Identifies the submit. The same key with the same job again gets the same run.")
]
KeyId: TypeAlias = Annotated[Token, about("The API key, without its secret.")]
RequestId: TypeAlias = Annotated[str, about("The id of the request: the id that was sent, or a new one.")]

# Clients' values.
Input: TypeAlias = Annotated[Raw, about("The input of the job: any JSON value.")]
Result: TypeAlias = Annotated[Raw, about("The result of the job: any JSON value.")]
RunError: TypeAlias = Annotated[Raw, about("The error of the job, as the worker reported it.")]
Output: TypeAlias = Annotated[Raw, about("The output of the step: any JSON value.")]
StepError: TypeAlias = Annotated[Raw, about("The error of the step: any JSON value.")]
CheckpointValues: TypeAlias = Annotated[Raw, about("The state from which the job can continue: any JSON value.")]
Question: TypeAlias = Annotated[Raw, about("The question: any JSON value.")]
Settled: TypeAlias = Annotated[Raw, about("The answer to the wait: any JSON value.")]
Metadata: TypeAlias = Annotated[Raw, about("The job's own labels, as its client sent them.")]

# Numbers and times.
ShownPriority: TypeAlias = Annotated[int, about("Jobs with a higher priority go first.")]
Priority: TypeAlias = Annotated[int, Meta(ge=0, le=100), about("Jobs with a higher priority go first.")]
WaitMs: TypeAlias = Annotated[
    int,
    Meta(ge=0, le=3_600_000),
    about("How long the server may wait before it answers, in milliseconds; 0: it answers at once."),
]
"""The server's own bound is lower; see `ORIS_WAIT_MAX_MS`."""
TtlSeconds: TypeAlias = Annotated[
    int,
    Meta(ge=1, le=3600),
    about("How long a lease lives without a heartbeat, in seconds; null: the default of the server."),
]
PageLimit: TypeAlias = Annotated[int, Meta(ge=1, le=200), about("The most items on the page.")]
Cursor: TypeAlias = Annotated[
    str,
    Meta(min_length=1, max_length=1024),
    about("Where the page begins: the `next_cursor` of the previous page."),
]
NextCursor: TypeAlias = Annotated[str, about("Where the next page begins; null: this is the last one.")]
AfterSeq: TypeAlias = Annotated[Seq, about("Only events after this one.")]
EventSeq: TypeAlias = Annotated[int, about("The number of the event in its thread.")]
BackoffMs: TypeAlias = Annotated[DurationMs, about("The pause before the first retry, in milliseconds.")]
MaxRetries: TypeAlias = Annotated[int, Meta(ge=0, le=10_000), about("The most retries of the run.")]
Moment: TypeAlias = Annotated[datetime, Meta(tz=True)]
CreatedAt: TypeAlias = Annotated[str, about("When it was created.")]
UpdatedAt: TypeAlias = Annotated[str, about("When it last changed.")]
LeaseExpiresAt: TypeAlias = Annotated[str, about("When the lease ends unless a heartbeat renews it.")]
LeaseRemainingMs: TypeAlias = Annotated[int, about("Time until the lease ends, in milliseconds.")]
Fence: TypeAlias = Annotated[
    int, about("Rises with each lease of the thread. The lease with the higher number is the newer one.")
]
IdempotentReplay: TypeAlias = Annotated[bool, about("True: this repeats an earlier answer, and nothing was done.")]
Damaged: TypeAlias = Annotated[bool, about("True: the stored value is damaged and is not shown.")]
