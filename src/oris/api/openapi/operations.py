"""One operation of the document out of one row of the route table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct

from oris.api.http import NO_CONTENT, Role, Route
from oris.api.openapi.examples import EXAMPLES
from oris.api.openapi.refusals import refusals_of
from oris.api.openapi.schemas import Schema, Schemas
from oris.api.openapi.words import OPERATIONS, Told
from oris.wire import fields as f

EVENT_STREAM = "text/event-stream"
PARAMETER = re.compile(r"{(\w+)}")
_Made = Annotated[str, Meta(min_length=1)]
"""An id that the server has made."""
PATH: Mapping[str, Any] = {
    "thread_id": f.ThreadId,
    "worker_id": f.WorkerId,
    "workflow": Annotated[_Made, f.about("The workflow.")],
    "run_id": Annotated[_Made, f.about("The run.")],
    "attempt_id": Annotated[_Made, f.about("The attempt.")],
    "checkpoint_id": Annotated[_Made, f.about("The checkpoint.")],
    "interrupt_id": Annotated[_Made, f.about("The interrupt.")],
    "key_id": Annotated[_Made, f.about("The API key.")],
}
"""Parameters of paths. Names that callers have chosen keep the rules of names."""

HEADERS: Schema = {
    "X-Request-Id": {"$ref": "#/components/headers/RequestId"},
    "traceparent": {"$ref": "#/components/headers/Traceparent"},
}
SECURITY: list[Schema] = [{"bearer": []}, {"apiKey": []}, {"apiKey": [], "apiKeyId": []}]


def operation(route: Route, body_max_bytes: int, schemas: Schemas) -> Schema:
    """All that a caller can know of a route."""
    told = told_of(route)
    made: Schema = {
        "operationId": told.operation_id,
        "tags": [told.tag],
        "summary": told.summary,
        "description": told.description,
        "parameters": _parameters(route, schemas),
        "responses": _responses(route, schemas),
        "security": [] if route.roles is None else SECURITY,
    }
    if route.body is not None:
        made["requestBody"] = _body(route.body, body_max_bytes, schemas)
    if route.roles is not None:
        made["x-oris-roles"] = [role.value for role in Role if role in route.roles]
    if route.audit_action is not None:
        made["x-oris-audit-action"] = route.audit_action
    if route.long_poll:
        made["x-oris-long-poll"] = True
    return made


def told_of(route: Route) -> Told:
    """What is said of a route. Raises ValueError where nobody has said it."""
    try:
        return OPERATIONS[f"{route.method} {route.path}"]
    except KeyError:
        raise ValueError(f"say in oris.api.openapi.words what {route.method} {route.path} does") from None


def _parameters(route: Route, schemas: Schemas) -> list[Schema]:
    found = [_parameter(name, "path", True, schemas.of(PATH[name])) for name in PARAMETER.findall(route.path)]
    if route.query is not None:
        for field, schema in schemas.fields_of(route.query):
            found.append(_parameter(field.encode_name, "query", field.required, _without_null(schema)))
    shared = ["RequestId", "Traceparent"]
    if route.answer.media_type == EVENT_STREAM:
        shared.append("LastEventId")
    found += [{"$ref": f"#/components/parameters/{name}"} for name in shared]
    return found


def _parameter(name: str, place: str, required: bool, schema: Schema) -> Schema:
    """A parameter; what its schema says of it goes beside, where readers look for it."""
    inner = {key: value for key, value in schema.items() if key != "description"}
    return {
        "name": name,
        "in": place,
        "required": required,
        "description": schema["description"],
        "schema": inner,
    }


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


def _body(body: type[Struct], max_bytes: int, schemas: Schemas) -> Schema:
    may_be_empty = schemas.takes_empty(body)
    empty = " An empty body is the same as an empty object." if may_be_empty else ""
    return {
        "required": not may_be_empty,
        "description": f"At most {max_bytes} bytes.{empty}",
        "content": {"application/json": {"schema": schemas.of(body), "examples": _examples(body)}},
        "x-oris-max-bytes": max_bytes,
    }


def _examples(body: type[Struct]) -> Schema:
    """By a name, each with a headline: what viewers offer to choose from."""
    told = EXAMPLES[body]
    return {
        "_".join(re.findall(r"\w+", summary.lower())): {"summary": summary, "value": value}
        for summary, value in told.items()
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
        description = (
            "Success." if status == 200 else "The same for a server that is not ready or not healthy, or a refusal."
        )
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
    if "anyOf" in data:
        data = {**data, "description": "One answer, or a list of answers if the body had a list."}
    name = "".join(word.capitalize() for word in told_of(route).operation_id.split("_")) + "Response"
    schemas.components[name] = {
        "type": "object",
        "properties": {
            "meta": {"$ref": "#/components/schemas/Meta"},
            "request_id": schemas.of(f.RequestId),
            "data": data,
        },
        "required": ["meta", "request_id", "data"],
        "additionalProperties": False,
    }
    return {"$ref": f"#/components/schemas/{name}"}
