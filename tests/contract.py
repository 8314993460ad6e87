"""Every JSON answer that a test gets is held against the OpenAPI document: status, schema, no field too many."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from oris.api.http import Match, MethodNotAllowed
from oris.api.limits import HttpLimits
from oris.api.openapi.document import openapi_document
from oris.api.routes import route_table
from oris.api.services import ApiBounds

TABLE = route_table(ApiBounds().body_max_bytes)


@cache
def document() -> dict[str, Any]:
    """The document of a server with the default settings."""
    read: dict[str, Any] = json.loads(openapi_document(TABLE, ApiBounds(), HttpLimits()))
    return read


def problems(method: str, path: str, status: int, body: Any) -> list[str]:
    """How an answer differs from what the document says."""
    validator = _validator(*_place(method, path, status))
    if validator is None:
        return [f"{method} {path}: {status} is not documented"]
    found = [error.message for error in validator.iter_errors(body)]
    if status == 409:
        reason, reasons = body["error"]["details"]["reason"], _reasons(method, path)
        found += [] if reason in reasons else [f"the reason {reason} is not among {reasons}"]
    return [f"{method} {path} {status}: {message}" for message in found]


def _reasons(method: str, path: str) -> list[str]:
    """The reasons that the 409 of a route may have."""
    path, method, status = _place(method, path, 409)
    reasons: list[str] = document()["paths"][path][method]["responses"][status]["x-oris-reasons"]
    return reasons


def check(response: httpx.Response) -> None:
    """For an event hook of a client whose answers have been read."""
    if _is_checked(response.headers):
        response.read()
        _check(response)


async def async_check(response: httpx.Response) -> None:
    """The same for async clients."""
    if _is_checked(response.headers):
        await response.aread()
        _check(response)


def _is_checked(headers: Mapping[str, str]) -> bool:
    """Whole JSON answers; what is streamed has no length."""
    return headers.get("content-type") == "application/json" and "content-length" in headers


def _check(response: httpx.Response) -> None:
    request = response.request
    if request.method == "HEAD":
        return
    path = request.url.raw_path.decode().partition("?")[0]
    found = problems(request.method, path, response.status_code, response.json())
    assert found == [], found


def _place(method: str, path: str, status: int) -> tuple[str, str, str]:
    """Where in the document the schema of an answer is."""
    match = TABLE.match(method, path)
    if isinstance(match, Match):
        return match.route.path, match.route.method.lower(), str(status)
    return "", "", "MethodNotAllowed" if isinstance(match, MethodNotAllowed) and status == 405 else str(status)


_UNMATCHED = {"400": "InvalidArgument", "404": "NotFound", "431": "HeadersTooLarge", "503": "Unavailable"}


@cache
def _validator(path: str, method: str, status: str) -> Draft202012Validator | None:
    whole = document()
    if path:
        response = whole["paths"][path][method]["responses"].get(status)
        if response is None:
            return None
        if "$ref" in response:
            response = whole["components"]["responses"][response["$ref"].rpartition("/")[2]]
        schema = response["content"]["application/json"]["schema"]
    else:
        schema = {"$ref": f"#/components/schemas/{_UNMATCHED.get(status, status)}"}
    return Draft202012Validator({**schema, "components": {"schemas": _strict_components()}})


@cache
def _strict_components() -> dict[str, Any]:
    """Clients must bear fields they do not know; tests need not. Details may grow."""
    schemas: dict[str, Any] = {}
    for name, schema in document()["components"]["schemas"].items():
        is_closed = schema.get("type") == "object" and "properties" in schema
        schemas[name] = {**schema, "additionalProperties": False} if is_closed else schema
    return schemas
