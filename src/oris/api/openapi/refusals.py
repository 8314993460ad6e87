"""The error envelope, a component for each code, and which refusals a route can answer with."""

from __future__ import annotations

from typing import Any

from oris.api.envelope import STATUS
from oris.api.http import Route
from oris.api.openapi.schemas import REF, Schema, Schemas
from oris.errors import ErrorCode
from oris.wire.fields import RequestId
from oris.wire.refusals import DETAILS

WHEN: dict[ErrorCode, str] = {
    ErrorCode.INVALID_ARGUMENT: "The body, the query or the head is malformed, out of range or has an unknown field.",
    ErrorCode.UNAUTHORIZED: "Credentials are missing or wrong.",
    ErrorCode.FORBIDDEN: "The caller's role may not do this, or a server without credentials refuses it.",
    ErrorCode.NOT_FOUND: "The thing or the route does not exist, or it belongs to another tenant.",
    ErrorCode.METHOD_NOT_ALLOWED: "The path has other methods; `Allow` names them. GET routes answer HEAD too.",
    ErrorCode.TIMEOUT: "The body arrived too slowly.",
    ErrorCode.CONFLICT: "The state does not allow the request.",
    ErrorCode.PAYLOAD_TOO_LARGE: "The body, or a value in it, is over a limit.",
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: "The content type is not `application/json`, or the content is encoded.",
    ErrorCode.BACKPRESSURE: "A limit on the load is reached. Try again after `Retry-After`.",
    ErrorCode.HEADERS_TOO_LARGE: "There are too many header fields, or they are too long.",
    ErrorCode.INTERNAL: "A bug: find it in the server's log by the request id. With details: damaged data.",
    ErrorCode.UNAVAILABLE: "Not possible now. Send it again after `Retry-After`, with the same key, lease or poll id.",
}
_ALWAYS_DETAILED = frozenset(DETAILS) - {ErrorCode.NOT_FOUND, ErrorCode.INTERNAL}
_EXTRA_HEADERS: dict[ErrorCode, dict[str, Schema]] = {
    ErrorCode.UNAUTHORIZED: {"WWW-Authenticate": {"schema": {"type": "string"}}},
    ErrorCode.METHOD_NOT_ALLOWED: {"Allow": {"schema": {"type": "string"}}},
    ErrorCode.BACKPRESSURE: {"Retry-After": {"schema": {"type": "string", "pattern": "^[0-9]+$"}}},
    ErrorCode.UNAVAILABLE: {"Retry-After": {"schema": {"type": "string", "pattern": "^[0-9]+$"}}},
}


def name_of(code: ErrorCode) -> str:
    """`InvalidArgument` for `invalid_argument`: the name of its components."""
    return "".join(word.capitalize() for word in code.split("_"))


def refusal_components(schemas: Schemas, headers: Schema) -> dict[str, Schema]:
    """A response for each code; their schemas go to the others."""
    responses = {}
    for code in ErrorCode:
        schemas.components[name_of(code)] = _envelope(schemas, code)
        responses[name_of(code)] = {
            "description": WHEN[code],
            "headers": {**headers, **_EXTRA_HEADERS.get(code, {})},
            "content": {"application/json": {"schema": {"$ref": REF + name_of(code)}}},
        }
    return responses


def refusals_of(route: Route) -> dict[str, Schema]:
    """The refusals of a route by status."""
    found = {}
    for code in _codes_of(route):
        status = str(STATUS[code])
        found[status] = {"$ref": f"#/components/responses/{name_of(code)}"}
    if route.answer.conflicts:
        found[str(STATUS[ErrorCode.CONFLICT])] = _conflict(route)
    return found


def _codes_of(route: Route) -> list[ErrorCode]:
    codes = [
        ErrorCode.INVALID_ARGUMENT,
        ErrorCode.UNSUPPORTED_MEDIA_TYPE,
        ErrorCode.HEADERS_TOO_LARGE,
        ErrorCode.INTERNAL,
        ErrorCode.UNAVAILABLE,
    ]
    if route.roles is not None:
        codes += [ErrorCode.UNAUTHORIZED, ErrorCode.FORBIDDEN, ErrorCode.BACKPRESSURE]
    if "{" in route.path or _names_another(route):
        codes.append(ErrorCode.NOT_FOUND)
    if route.body is not None:
        codes += [ErrorCode.TIMEOUT, ErrorCode.PAYLOAD_TOO_LARGE]
    return sorted(codes, key=STATUS.__getitem__)


def _names_another(route: Route) -> bool:
    """A tenant or a node, which may not be there, or not for this caller."""
    named = {name for one in (route.query, route.body) if one is not None for name in one.__struct_encode_fields__}
    return not named.isdisjoint(("tenant_id", "node"))


def _envelope(schemas: Schemas, code: ErrorCode) -> Schema:
    error: dict[str, Any] = {
        "type": "object",
        "description": "What is wrong.",
        "properties": {
            "code": {"const": code.value, "description": "The kind of the error, for programs."},
            "message": {"type": "string", "minLength": 1, "description": "What is wrong, for people."},
        },
        "required": ["code", "message"],
        "additionalProperties": False,
    }
    if code in DETAILS:
        error["properties"]["details"] = {**schemas.of(DETAILS[code]), "description": "More information, for programs."}
    if code in _ALWAYS_DETAILED:
        error["required"].append("details")
    return {
        "type": "object",
        "description": WHEN[code],
        "properties": {"request_id": schemas.of(RequestId), "error": error},
        "required": ["request_id", "error"],
        "additionalProperties": False,
    }


def _conflict(route: Route) -> Schema:
    """The 409 of one route: that of all, with the reasons it may have.

    They are told beside the schema: a schema of its own for each route would be a class of its own in each client.
    """
    return {
        "description": f"{WHEN[ErrorCode.CONFLICT]} `details.reason`: {', '.join(route.answer.conflicts)}.",
        "headers": {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}},
        "content": {"application/json": {"schema": {"$ref": REF + name_of(ErrorCode.CONFLICT)}}},
        "x-oris-reasons": list(route.answer.conflicts),
    }
