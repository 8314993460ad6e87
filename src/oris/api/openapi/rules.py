"""What bodies ask beyond their fields: one or a list, this or that. The handlers check it; here it is told."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import fields

from oris.api.openapi.schemas import Form, Schema
from oris.wire import jobs as j
from oris.wire import waits as i
from oris.wire import workers as w


def _given(*names: str) -> Schema:
    """All of these are there, and not null."""
    return {"required": list(names), "properties": {name: {"not": {"type": "null"}} for name in names}}


def _is(field: str, value: object) -> Schema:
    return {"required": [field], "properties": {field: {"const": value}}}


def _absent(name: str) -> Schema:
    """It is not there, or null."""
    return {"properties": {name: {"type": "null"}}}


def _of_failure(field: str, good: str) -> Schema:
    """An error comes with `failed` and nothing else, whatever is good with all but `failed`."""
    return {
        "if": _is(field, "failed"),
        "then": _absent(good),
        "else": _absent("error"),
    }


def _one_or_list(struct: type[Struct], listed: str, item: type[Struct], one: Form, many: Form) -> tuple[Form, Form]:
    """Either the fields of one item, or a list of items; with either the fields that no item has."""
    always = {field.name for field in fields(struct) if field.required}
    of_item = [field for field in fields(item) if field.name not in always]
    return (
        one._replace(needs=tuple(field.name for field in of_item if field.required), without=(listed,)),
        many._replace(needs=(listed,), without=tuple(field.name for field in of_item)),
    )


_NOT_BOTH_TIMES: Schema = {"not": _given("delay_ms", "run_at")}
_EXPIRE_VALUE: Schema = {"if": {"not": _is("on_expire", "resume")}, "then": _absent("expire_value")}
_OF_STEP = _of_failure("status", "output")
_OF_ACK = _of_failure("terminal_status", "result")

RULES: Mapping[type[Struct], Schema] = {
    j.BatchedJob: _NOT_BOTH_TIMES,
    j.JobRequest: _NOT_BOTH_TIMES,
    # Not `oneOf`: generators take that for a choice of objects, and lose the fields beside it.
    i.TimeWait: {"if": _given("at"), "then": {"not": _given("after_ms")}, "else": _given("after_ms")},
    i.InterruptSpec: _EXPIRE_VALUE,
    i.InterruptWait: _EXPIRE_VALUE,
    w.PollRequest: {"if": _is("watch", True), "then": _given("session")},
    w.Fetch: {"if": _is("watch", True), "then": _given("session")},
    w.ListedStep: _OF_STEP,
    w.ListedAck: _OF_ACK,
}
"""By struct: what its schema has beside its fields."""

FORMS: Mapping[type[Struct], tuple[Form, ...]] = {
    w.HeartbeatRequest: (
        Form("Heartbeat", "Renews one lease.", needs=("lease_id",), without=("lease_ids",)),
        Form(
            "HeartbeatList",
            "Renews several leases. An empty list, with a session, says that the session lives.",
            needs=("lease_ids",),
            without=("lease_id",),
            rule={"if": _is("lease_ids", []), "then": _given("session")},
        ),
    ),
    w.ReportRequest: _one_or_list(
        w.ReportRequest,
        "steps",
        w.ListedStep,
        Form("StepReport", "Records one step.", rule=_OF_STEP),
        Form(
            "StepReportList",
            "Records several steps of one attempt in one commit. Each is accepted or refused on its own.",
        ),
    ),
    w.AckRequest: _one_or_list(
        w.AckRequest,
        "acks",
        w.ListedAck,
        Form("Ack", "Finishes one attempt. With `poll` the same commit grants the next work.", rule=_OF_ACK),
        Form("AckList", "Finishes several attempts in one commit. With `poll` the same commit grants the next work."),
    ),
}
"""By struct: the forms of bodies that are decoded to it, each a schema, so that generators type its fields."""
