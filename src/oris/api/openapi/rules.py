"""What bodies ask beyond their fields: one or a list, this or that. The handlers check it; here it is told."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from oris.api.openapi.schemas import Schema
from oris.wire import jobs as j
from oris.wire import workers as w


def _given(*fields: str) -> Schema:
    """All of these are there, and not null."""
    return {"required": list(fields), "properties": {field: {"not": {"type": "null"}} for field in fields}}


def _one_of(*fields: str) -> Schema:
    return {"oneOf": [_given(field) for field in fields]}


def _fields_or_list(one: tuple[str, ...], optional: tuple[str, ...], listed: str) -> Schema:
    """Either the fields of one item, or a list of them and none beside it."""
    beside = {"anyOf": [_given(field) for field in (*one, *optional)]}
    return {"oneOf": [{**_given(*one), "not": _given(listed)}, {**_given(listed), "not": beside}]}


_NOT_BOTH_TIMES: Schema = {"not": _given("delay_ms", "run_at")}

RULES: Mapping[type[Struct], Schema] = {
    j.BatchedJob: _NOT_BOTH_TIMES,
    j.JobRequest: _NOT_BOTH_TIMES,
    w.HeartbeatRequest: _one_of("lease_id", "lease_ids"),
    w.ReportRequest: _fields_or_list(
        ("action_id", "status", "dedupe_token"), ("output", "error", "checkpoint"), "steps"
    ),
    w.AckRequest: _fields_or_list(
        ("attempt_id", "lease_id", "terminal_status"), ("result", "error", "retry_policy"), "acks"
    ),
}
