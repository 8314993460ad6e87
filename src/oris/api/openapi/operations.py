"""One operation of the document out of one row of the route table."""

from __future__ import annotations

import inspect
import re
from typing import Any

from oris.api.http import NO_CONTENT, Role, Route
from oris.api.openapi.refusals import refusals_of
from oris.api.openapi.schemas import Schema, Schemas
from oris.wire.names import Name

EVENT_STREAM = "text/event-stream"
PARAMETER = re.compile(r"{(\w+)}")
NAMED = frozenset({"thread_id", "worker_id"})
"""Parameters of a path that are names by the rules of names; the others are ids that the server has made."""

HEADERS: Schema = {
    "X-Request-Id": {"$ref": "#/components/headers/RequestId"},
    "traceparent": {"$ref": "#/components/headers/Traceparent"},
}
SECURITY: list[Schema] = [{"bearer": []}, {"apiKey": []}, {"apiKey": [], "apiKeyId": []}]


def operation(route: Route, schemas: Schemas) -> Schema:
    """All that a caller can know of a route."""
    made: Schema = {
        "operationId": _operation_id(route),
        "tags": [_tag(route)],
        "description": inspect.getdoc(route.handler) or "",
        "parameters": _parameters(route, schemas),
        "responses": _responses(route, schemas),
        "security": [] if route.roles is None else SECURITY,
    }
    if route.body is not None:
        made["requestBody"] = _body(route, schemas)
    if route.roles is not None:
        made["x-oris-roles"] = [role.value for role in Role if role in route.roles]
    if route.audit_action is not None:
        made["x-oris-audit-action"] = route.audit_action
    if route.long_poll:
        made["x-oris-long-poll"] = True
    return made


def _operation_id(route: Route) -> str:
    words = re.findall(r"\w+", route.path.replace("-", "_").replace(".", "_"))
    return "_".join([route.method.lower(), *words])


def _tag(route: Route) -> str:
    first = route.path.removeprefix("/v1/").lstrip("/").partition("/")[0]
    return first if route.path.startswith("/v1/") else "server"


def _parameters(route: Route, schemas: Schemas) -> list[Schema]:
    found: list[Schema] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": schemas.of(Name) if name in NAMED else {"type": "string", "minLength": 1},
        }
        for name in PARAMETER.findall(route.path)
    ]
    if route.query is not None:
        for field, schema in schemas.fields_of(route.query):
            inner = _without_null(schema)
            found.append({"name": field.encode_name, "in": "query", "required": field.required, "schema": inner})
    shared = ["RequestId", "Traceparent"]
    if route.answer.media_type == EVENT_STREAM:
        shared.append("LastEventId")
    found += [{"$ref": f"#/components/parameters/{name}"} for name in shared]
    return found


def _without_null(schema: Schema) -> Schema:
    """A query has no null: what may be missing is missing."""
    kind = schema.get("type")
    if isinstance(kind, list):
        (only,) = (one for one in kind if one != "null")
        return {**schema, "type": only}
    if "anyOf" in schema:
        (only,) = (one for one in schema["anyOf"] if one != {"type": "null"})
        return {**only, **{key: schema[key] for key in schema if key != "anyOf"}}
    return schema


def _body(route: Route, schemas: Schemas) -> Schema:
    assert route.body is not None
    may_be_empty = schemas.takes_empty(route.body)
    empty = " An empty body stands for an empty object." if may_be_empty else ""
    return {
        "required": not may_be_empty,
        "description": f"At most {route.body_max_bytes} bytes.{empty}",
        "content": {"application/json": {"schema": schemas.of(route.body)}},
        "x-oris-max-bytes": route.body_max_bytes,
    }


def _responses(route: Route, schemas: Schemas) -> Schema:
    """The answer's statuses first. One that is both an answer and a refusal (503 of `readyz`) is either."""
    answer = route.answer
    found: dict[str, Any] = dict(refusals_of(route))
    for status in (200, *answer.also):
        content, media_type = _content(route, schemas), answer.media_type or "application/json"
        refused = found.get(str(status))
        if refused is not None:
            name = refused["$ref"].rpartition("/")[2]
            content = {"anyOf": [content, {"$ref": f"#/components/schemas/{name}"}]}
        description = "Success." if status == 200 else "The same, where the news is bad; or a refusal."
        found[str(status)] = {
            "description": description,
            "headers": HEADERS,
            "content": {media_type: {"schema": content}},
        }
    if answer.no_content:
        found[str(NO_CONTENT)] = {"description": answer.no_content, "headers": HEADERS}
    return dict(sorted(found.items()))


def _content(route: Route, schemas: Schemas) -> Schema:
    answer = route.answer
    if answer.data is None:
        return {"type": "string"}
    data = schemas.of(answer.data)
    if answer.media_type:
        return data
    name = "".join(word.capitalize() for word in _operation_id(route).split("_")) + "Response"
    schemas.components[name] = {
        "type": "object",
        "properties": {
            "meta": {"$ref": "#/components/schemas/Meta"},
            "request_id": {"type": "string"},
            "data": data,
        },
        "required": ["meta", "request_id", "data"],
        "additionalProperties": False,
    }
    return {"$ref": f"#/components/schemas/{name}"}
