"""The OpenAPI document: complete, well-formed, and the same as the contract."""

from __future__ import annotations

import ast
import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from oris.api.handlers import server
from oris.api.http import AnswerForm, Role, Route, RouteTable
from oris.api.limits import HttpLimits
from oris.api.openapi.document import openapi_document
from oris.api.openapi.schemas import Schemas, ecma
from oris.api.routes import ROUTES, route_table
from oris.api.services import ApiBounds
from oris.core.replies import conflict
from oris.errors import ConflictReason, ErrorCode
from oris.wire.fields import about, shaped, shapes_of
from oris.wire.names import NAME

from ..contract import document

SRC = Path(__file__).parents[2] / "src"

PAGED = {"next_cursor"}
SUBMITTED = {
    *("thread_id", "run_id", "attempt_id", "status", "interrupts", "result", "error"),
    *("idempotency_key", "idempotent_replay", "trace"),
}
JOB = {
    *("thread_id", "run_id", "status", "workflow", "tenant_id", "priority", "checkpoint_id", "values", "input"),
    *("result", "error", "attempt_id", "attempt_no", "lease", "created_at", "updated_at"),
    *("reason", "metadata", "idempotency_key", "due_at", "trace"),
}
ROW = {
    *("thread_id", "run_id", "workflow", "status", "attempt_no", "priority", "tenant_id", "created_at", "updated_at"),
}
BEATEN = {"worker_id", "lease_id", "lease_expires_at", "leases", "trace"}
WORKER = {
    *("worker_id", "tenant_id", "session", "first_seen_at", "last_seen_at", "active_leases", "incidents"),
    *("quarantined", "quarantined_until", "last_poll_at", "deaf"),
}
DEAD = {
    *("attempt_id", "run_id", "thread_id", "tenant_id", "workflow", "attempt_no", "terminal_status", "reason"),
    *("error", "dead_at", "replay_status", "replay_count", "last_replayed_at", "replay_run_id", "damaged"),
}
POLLED = {
    *("decision", "reason", "attempts", "control", "worker_active_leases", "worker_limit", "tenant_id"),
    *("tenant_active_leases", "tenant_limit", "retry_after_ms", "attempt_id", "lease_id", "lease_expires_at", "trace"),
}
INTERRUPT = {
    *("interrupt_id", "thread_id", "run_id", "attempt_id", "workflow", "tenant_id", "key", "value", "status"),
    *("on_expire", "on_reject", "expires_at", "created_at", "settled_at", "settled_by", "settled_value", "damaged"),
}
KEY = {"key_id", "role", "tenant_id", "created_at", "expires_at", "last_used_at", "revoked_at"}
CONTRACT: dict[str, set[str]] = {
    "GET /healthz": {"status"},
    "GET /readyz": {"status", "mode", "store", "migrations", "tasks"},
    "GET /metrics": set(),
    "GET /openapi.json": set(),
    "GET /v1/capabilities": {"version", "api_version", "features", "limits"},
    "GET /v1/admin/status": {
        *("mode", "reason", "versions", "node_id", "tasks", "store", "admission_level", "queue_depth", "delayed_jobs"),
        *("parked_polls", "watched_sessions", "waiters", "listeners", "connections", "limits", "http"),
        *("modes", "active_leases", "nodes", "retention", "clock_skew_ms"),
    },
    "POST /v1/admin/mode": {"node", "submit", "dispatch", "reason", "set_by", "set_at"},
    "POST /v1/jobs": SUBMITTED,
    "POST /v1/jobs/run": SUBMITTED,
    "POST /v1/jobs/batch": {"results"},
    "GET /v1/jobs": {"jobs"} | PAGED,
    "GET /v1/jobs/{thread_id}": JOB,
    "GET /v1/jobs/{thread_id}/runs": {"runs"} | PAGED,
    "GET /v1/jobs/{thread_id}/result": {"run_id", "status", "result", "error"},
    "GET /v1/jobs/{thread_id}/explain": {
        *("thread_id", "run_id", "status", "reason", "since", "detail", "suggestion"),
    },
    "GET /v1/jobs/{thread_id}/timeline": {"timeline"},
    "GET /v1/jobs/{thread_id}/timeline/export": {
        *("thread_id", "tenant_id", "run_id", "timeline", "events", "head_hash"),
    },
    "GET /v1/jobs/{thread_id}/verify": {"events", "head_hash", "valid", "first_bad_seq"},
    "GET /v1/jobs/{thread_id}/events": set(),
    "GET /v1/jobs/{thread_id}/detail": JOB | {"history", "timeline", "pending_interrupts", "observability"},
    "GET /v1/jobs/{thread_id}/history": {"checkpoints"} | PAGED,
    "GET /v1/jobs/{thread_id}/checkpoints/{checkpoint_id}": {
        *("thread_id", "run_id", "checkpoint_id", "values", "created_at"),
    },
    "POST /v1/jobs/{thread_id}/resume": INTERRUPT,
    "POST /v1/jobs/{thread_id}/replay": {
        *("thread_id", "run_id", "attempt_id", "status", "idempotent_replay", "trace", "checkpoint_id", "result"),
    },
    "POST /v1/dlq/{attempt_id}/replay": {"thread_id", "run_id", "attempt_id", "status", "replay_count"},
    "GET /v1/interrupts": {"interrupts"} | PAGED,
    "GET /v1/interrupts/{interrupt_id}": INTERRUPT,
    "POST /v1/interrupts/{interrupt_id}/resume": INTERRUPT,
    "POST /v1/interrupts/{interrupt_id}/reject": INTERRUPT,
    "POST /v1/jobs/{thread_id}/cancel": {"thread_id", "run_id", "status", "reason"},
    "GET /v1/runs/{run_id}": JOB,
    "POST /v1/workers/poll": POLLED,
    "POST /v1/workers/{worker_id}/heartbeat": BEATEN,
    "POST /v1/workers/{worker_id}/extend-lease": BEATEN,
    "POST /v1/workers/{worker_id}/report-step": {"attempt_id", "status", "checkpoint_id", "trace", "results"},
    "POST /v1/workers/{worker_id}/suspend": {"attempt_id", "status", "waits", "trace"},
    "POST /v1/workers/{worker_id}/interrupt": {"attempt_id", "status", "interrupts", "trace"},
    "POST /v1/workers/{worker_id}/ack": {
        *("attempt_id", "status", "next_retry_at", "next_attempt_no", "trace", "next", "results"),
    },
    "POST /v1/workers/{worker_id}/release": {"released"},
    "GET /v1/workers": {"workers"} | PAGED,
    "GET /v1/workers/{worker_id}": WORKER,
    "POST /v1/workers/{worker_id}/clear-quarantine": WORKER,
    "POST /v1/workflows/{workflow}/clear-hold": {"workflow", "tenant_id", "was_held", "held"},
    "GET /v1/attempts/{attempt_id}": {
        *("attempt_id", "attempt_no", "run_id", "thread_id", "tenant_id", "workflow", "status", "retries"),
        *("lease_losses", "created_at", "updated_at", "worker_id", "lease_expires_at", "fence"),
    },
    "GET /v1/attempts/{attempt_id}/steps": {"steps", "next_after"},
    "GET /v1/attempts/{attempt_id}/retries": {
        *("attempt_id", "current_attempt_no", "current_status", "history", "next_after"),
    },
    "GET /v1/dlq": {"entries"} | PAGED,
    "GET /v1/dlq/{attempt_id}": DEAD,
    "GET /v1/audit/logs": {"logs"} | PAGED,
    "GET /v1/api-keys": {"keys"} | PAGED,
    "POST /v1/api-keys": {"key_id", "secret", "role", "tenant_id", "expires_at"},
    "POST /v1/api-keys/{key_id}/revoke": KEY,
}
"""Names and fields are API: this is the contract, written a second time on purpose. Whoever adds a route adds it here,
with the fields of `data` in its answer.
"""


LAST_EVENT_ID = "#/components/parameters/LastEventId"


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every operation, by method and path."""
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def data_fields(operation: dict[str, Any]) -> set[str]:
    """The fields of `data`, those of all forms it may have."""
    (content,) = operation["responses"]["200"]["content"].values()
    components = document()["components"]["schemas"]
    schema = components[content["schema"]["$ref"].rpartition("/")[2]] if "$ref" in content["schema"] else {}
    data = schema.get("properties", {}).get("data", {})
    forms = data.get("anyOf", [data])
    return {
        field for form in forms if "$ref" in form for field in components[form["$ref"].rpartition("/")[2]]["properties"]
    }


def test_the_document_has_the_routes_and_answers_of_the_contract() -> None:
    assert {name: data_fields(operation) for name, operation in operations()} == CONTRACT


def test_every_route_says_all_a_caller_can_know() -> None:
    for route in ROUTES:
        operation = document()["paths"][route.path][route.method.lower()]
        assert operation["operationId"]
        assert operation["description"]
        assert operation["security"] == ([] if route.roles is None else operations_security())
        assert operation.get("x-oris-roles") == (
            None if route.roles is None else [role.value for role in Role if role in route.roles]
        )
        assert operation.get("x-oris-audit-action") == route.audit_action
        assert ("requestBody" in operation) == (route.body is not None)
        named = {one["name"] for one in operation["parameters"] if one.get("in") == "query"}
        assert named == set(route.query.__struct_encode_fields__ if route.query else ())
        assert ("409" in operation["responses"]) == bool(route.answer.conflicts)
    ids = [operation["operationId"] for _, operation in operations()]
    assert len(set(ids)) == len(ids)


def operations_security() -> list[dict[str, list[str]]]:
    """The credentials that are taken, each alternative with its headers."""
    assert set(document()["components"]["securitySchemes"]) == {"bearer", "apiKey", "apiKeyId"}
    return [{"bearer": []}, {"apiKey": []}, {"apiKey": [], "apiKeyId": []}]


def test_every_refusal_has_a_schema_and_every_reason_a_place() -> None:
    components = document()["components"]
    codes = {
        components["schemas"][name]["properties"]["error"]["properties"]["code"]["const"]
        for name in components["responses"]
    }
    assert codes == {code.value for code in ErrorCode}
    reasons = components["schemas"]["ConflictReason"]["enum"]
    assert set(reasons) == set(typing.get_args(ConflictReason))


def _refs(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for inner in node.values():
            yield from _refs(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _refs(inner)


def test_every_reference_leads_somewhere_and_every_component_is_needed() -> None:
    whole = document()
    used = set(_refs(whole))
    for ref in used:
        _, _, kind, name = ref.split("/")
        assert name in whole["components"][kind], ref
    for kind in ("schemas", "responses", "parameters", "headers"):
        unused = {f"#/components/{kind}/{name}" for name in whole["components"][kind]} - used
        # A wrong method has no operation, and every 409 is its route's own.
        assert unused <= {f"#/components/responses/{name}" for name in ("MethodNotAllowed", "Conflict")}


def test_every_schema_is_one_and_every_pattern_is_ecmas() -> None:
    for schema in document()["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    assert ecma(NAME) == r"^(?!\.{1,2}$)[A-Za-z0-9._:@=+~-]{1,256}$"
    assert r"\\Z" not in json.dumps(document())


def _bare(schema: dict[str, Any]) -> dict[str, Any]:
    """Without its description."""
    return {key: value for key, value in schema.items() if key != "description"}


def test_fields_have_their_bounds() -> None:
    schemas = document()["components"]["schemas"]
    job = schemas["JobRequest"]
    assert job["additionalProperties"] is False
    assert job["required"] == ["thread_id"]
    priority = {"type": ["integer", "null"], "minimum": 0, "maximum": 100, "default": 0}
    assert _bare(job["properties"]["priority"]) == priority
    assert _bare(job["properties"]["retry_policy"]) == {
        "anyOf": [{"$ref": "#/components/schemas/RetryPolicyRequest"}, {"type": "null"}]
    }
    assert _bare(schemas["JobRow"]["properties"]["priority"]) == {"type": "integer"}
    assert _bare(job["properties"]["thread_id"]) == {"type": "string", "pattern": ecma(NAME)}
    assert _bare(job["properties"]["input"]) == {"$ref": "#/components/schemas/Json"}
    assert schemas["AckList"]["properties"]["acks"]["maxItems"] == 100
    needed = {
        name: operation["requestBody"]["required"] for name, operation in operations() if "requestBody" in operation
    }
    assert [name for name, is_needed in needed.items() if not is_needed] == [
        "POST /v1/jobs/{thread_id}/cancel",
        "POST /v1/jobs/{thread_id}/replay",
        "POST /v1/interrupts/{interrupt_id}/reject",
        "POST /v1/workers/{worker_id}/clear-quarantine",
        "POST /v1/workflows/{workflow}/clear-hold",
        "POST /v1/dlq/{attempt_id}/replay",
        "POST /v1/api-keys/{key_id}/revoke",
    ]
    assert schemas["JobRow"]["properties"]["created_at"]["format"] == "date-time"


def test_the_limits_in_force_are_those_in_the_document() -> None:
    bounds = ApiBounds(payload_max_bytes=2000, body_max_bytes=5000, batch_max=7, wait_max_ms=9)
    limits = HttpLimits(json_depth_max=11)
    made = json.loads(openapi_document(route_table(5000), bounds, limits))
    schemas = made["components"]["schemas"]
    assert schemas["BatchRequest"]["properties"]["jobs"]["maxItems"] == 7
    assert "maxItems" not in schemas["JobsPage"]["properties"]["jobs"]
    assert schemas["PollRequest"]["properties"]["wait_ms"]["maximum"] == 9
    assert schemas["Json"]["x-oris-max-bytes"] == 2000
    assert made["paths"]["/v1/jobs"]["post"]["requestBody"]["x-oris-max-bytes"] == 5000
    assert made["x-oris-limits"] == {
        **msgspec.structs.asdict(bounds),
        "json_depth_max": 11,
        "header_fields_max": 64,
        "headers_max_bytes": 16384,
        "head_timeout_ms": 5000,
        "body_timeout_ms": 30000,
    }


def test_the_same_table_gives_the_same_bytes() -> None:
    made = {openapi_document(route_table(1000), ApiBounds(), HttpLimits()) for _ in range(2)}
    assert len(made) == 1


def test_a_route_cannot_do_without_a_word_on_its_answer() -> None:
    with pytest.raises(TypeError, match="answer"):
        Route("GET", "/v1/new", server.healthz, None)  # type: ignore[call-arg]


def test_every_reason_of_a_409_is_documented_by_a_route() -> None:
    told = {reason for route in ROUTES for reason in route.answer.conflicts}
    assert told == set(typing.get_args(ConflictReason))


def _untyped_conflicts(source: str) -> list[str]:
    """Where a source makes a 409 by itself, with a reason that no type checks."""
    return [
        ast.unparse(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] in ("ApiError", "Refusal")
        and "ErrorCode.CONFLICT" in map(ast.unparse, node.args)
    ]


def test_every_409_is_made_where_its_reason_is_checked() -> None:
    assert _untyped_conflicts('raise ApiError(ErrorCode.CONFLICT, "no", {"reason": "made_up"})')
    made = {path.relative_to(SRC).as_posix() for path in SRC.rglob("*.py") if _untyped_conflicts(path.read_text())}
    assert made == {"oris/core/replies.py"}


def test_a_reason_that_is_none_is_refused_by_the_type_checker() -> None:
    # Should mypy let it pass, it would complain of the comment.
    assert conflict("made_up", "told").details == {"reason": "made_up"}  # type: ignore[arg-type]


class Inner(msgspec.Struct):
    """A struct in another."""

    when: str


class Odd(msgspec.Struct, forbid_unknown_fields=True):
    """What msgspec's own generator cannot make."""

    own: msgspec.Raw = msgspec.Raw(b"")
    kept: typing.Annotated[msgspec.Raw, about("kept"), shaped(Inner)] = msgspec.Raw(b"")
    either: Inner | Role | None = None
    maybe: typing.Literal["a", "b"] | msgspec.UnsetType | None = msgspec.UNSET
    nothing: tuple[()] = ()
    table: dict[str, Inner] = {}


def test_structs_are_walked_where_msgspec_gives_up() -> None:
    with pytest.raises(TypeError):
        msgspec.json.schema(Odd)
    schemas = Schemas({"maybe": {"description": "one of two"}}, {Inner: {"minProperties": 1}})
    assert shapes_of(Odd) == {"kept": Inner}
    assert schemas.of(Odd) == {"$ref": "#/components/schemas/Odd"}
    assert schemas.components == {
        "Inner": {
            "type": "object",
            "description": "A struct in another.",
            "properties": {"when": {"type": "string"}},
            "required": ["when"],
            "minProperties": 1,
        },
        "Odd": {
            "type": "object",
            "description": "What msgspec's own generator cannot make.",
            "properties": {
                "own": {"$ref": "#/components/schemas/Json"},
                "kept": {"anyOf": [{"$ref": "#/components/schemas/Inner"}, {"type": "null"}], "description": "kept"},
                "either": {
                    "anyOf": [
                        {"$ref": "#/components/schemas/Inner"},
                        {"type": "string", "enum": ["admin", "operator", "client", "worker"]},
                        {"type": "null"},
                    ]
                },
                "maybe": {"type": ["string", "null"], "enum": ["a", "b", None], "description": "one of two"},
                "nothing": {"type": ["array", "null"], "maxItems": 0},
                "table": {
                    "type": ["object", "null"],
                    "additionalProperties": {"$ref": "#/components/schemas/Inner"},
                },
            },
            "additionalProperties": False,
        },
    }


def test_a_table_of_one_route_is_enough() -> None:
    route = Route("GET", "/healthz", server.healthz, None, AnswerForm(None, media_type="text/plain"))
    made = json.loads(openapi_document(RouteTable([route]), ApiBounds(), HttpLimits()))
    assert list(made["paths"]) == ["/healthz"]
    assert made["paths"]["/healthz"]["get"]["responses"]["200"]["content"] == {
        "text/plain": {"schema": {"type": "string"}}
    }


def test_a_stream_is_resumed_by_a_header_that_is_in_the_document() -> None:
    streams = [name for name, operation in operations() if {"$ref": LAST_EVENT_ID} in operation["parameters"]]
    assert streams == ["GET /v1/jobs/{thread_id}/events"]
    assert document()["components"]["parameters"]["LastEventId"]["name"] == "Last-Event-ID"
