"""What bodies ask beyond their fields: one or a list, this or that. The handlers check it; here it is told."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from oris.api.openapi.schemas import Schema
from oris.wire import jobs as j
from oris.wire import waits as i
from oris.wire import workers as w


def _given(*fields: str) -> Schema:
    """All of these are there, and not null."""
    return {"required": list(fields), "properties": {field: {"not": {"type": "null"}} for field in fields}}


def _is(field: str, value: object) -> Schema:
    return {"required": [field], "properties": {field: {"const": value}}}


def _fields_or_list(one: tuple[str, ...], optional: tuple[str, ...], listed: str) -> Schema:
    """Either the fields of one item, or a list of them and none beside it."""
    beside = {"anyOf": [*map(_given, (*one, *optional))]}
    return {"oneOf": [{**_given(*one), "not": _given(listed)}, {**_given(listed), "not": beside}]}


def _of_failure(field: str, good: str) -> Schema:
    """An error comes with `failed` and nothing else, whatever is good with all but `failed`."""
    return {
        "if": _is(field, "failed"),
        "then": {"not": _given(good)},
        "else": {"not": _given("error")},
    }


_NOT_BOTH_TIMES: Schema = {"not": _given("delay_ms", "run_at")}
_EXPIRE_VALUE: Schema = {"if": {"not": _is("on_expire", "resume")}, "then": {"not": _given("expire_value")}}

RULES: Mapping[type[Struct], Schema] = {
    j.BatchedJob: _NOT_BOTH_TIMES,
    j.JobRequest: _NOT_BOTH_TIMES,
    i.TimeWait: {"oneOf": [_given("at"), _given("after_ms")]},
    i.InterruptSpec: _EXPIRE_VALUE,
    i.InterruptWait: _EXPIRE_VALUE,
    w.PollRequest: {"if": _is("watch", True), "then": _given("session")},
    w.Fetch: {"if": _is("watch", True), "then": _given("session")},
    w.HeartbeatRequest: {
        "oneOf": [_given("lease_id"), _given("lease_ids")],
        "if": _is("lease_ids", []),
        "then": _given("session"),
    },
    w.StepRequest: _of_failure("status", "output"),
    w.ReportRequest: {
        **_fields_or_list(("action_id", "status", "dedupe_token"), ("output", "error", "checkpoint"), "steps"),
        **_of_failure("status", "output"),
    },
    w.AckOne: _of_failure("terminal_status", "result"),
    w.AckRequest: {
        **_fields_or_list(("attempt_id", "lease_id", "terminal_status"), ("result", "error", "retry_policy"), "acks"),
        **_of_failure("terminal_status", "result"),
    },
}
"""By struct: what its schema has beside its fields."""

SHAPES: Mapping[str, type[Struct]] = {"AckOne.error": w.AckError, "AckRequest.error": w.AckError}
"""Values of the client's own that are kept as they are and still must have a shape."""
