"""The whole document. It depends on the route table and on the limits in force, and on nothing else."""

from __future__ import annotations

import msgspec
from msgspec.structs import asdict

from oris.api.http import RouteTable
from oris.api.limits import HttpLimits
from oris.api.openapi.operations import HEADERS, operation
from oris.api.openapi.refusals import refusal_components
from oris.api.openapi.rules import FORMS, RULES
from oris.api.openapi.schemas import ANY_JSON, Schema, Schemas
from oris.api.openapi.words import TAGS
from oris.api.services import ApiBounds
from oris.config.version import program_version
from oris.wire.jobs import BatchRequest

_ABOUT = """\
Durable jobs over HTTP. Workers poll for jobs and hold them under leases. Requests and answers are JSON in UTF-8; times
are RFC 3339 in UTC with milliseconds. Every answer has the envelope that its schema shows. An error has a `code` for
programs and a `message` for people. Unknown fields in bodies and queries are refused. Null means absent for every
optional field. Strings must not contain NUL. GET routes answer HEAD too. An unknown path is 404 and a wrong method 405,
with the same envelope. If no credential was ever configured, the API is open."""

_REQUEST_ID: Schema = {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"}
_TRACEPARENT: Schema = {
    "type": "string",
    "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
    "examples": ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
}


def openapi_document(table: RouteTable, bounds: ApiBounds, limits: HttpLimits) -> bytes:
    """The document as JSON."""
    schemas = Schemas(_bounds(bounds), RULES, FORMS)
    schemas.components[ANY_JSON] = {
        "description": f"Any JSON value of at most {bounds.payload_max_bytes} bytes, kept byte for byte.",
        "x-oris-max-bytes": bounds.payload_max_bytes,
    }
    schemas.components["Meta"] = {
        "type": "object",
        "description": "The beginning of every successful answer.",
        "properties": {
            "status": {"const": "ok", "description": "The request succeeded."},
            "api_version": {"const": "v1", "description": "The version of this API."},
        },
        "required": ["status", "api_version"],
        "additionalProperties": False,
    }
    responses = refusal_components(schemas, HEADERS)
    paths: dict[str, Schema] = {}
    for route in table.routes:
        paths.setdefault(route.path, {})[route.method.lower()] = operation(route, table.body_max_bytes(route), schemas)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Oris",
                "version": program_version(),
                "description": _ABOUT,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/", "description": "The server that this document comes from."}],
            "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
            "paths": paths,
            "components": {
                "schemas": dict(sorted(schemas.components.items())),
                "responses": responses,
                "parameters": _parameters(),
                "headers": _headers(),
                "securitySchemes": _security_schemes(),
            },
            "x-oris-limits": {
                **asdict(bounds),
                "json_depth_max": limits.json_depth_max,
                "header_fields_max": limits.header_fields_max,
                "headers_max_bytes": limits.headers_max_bytes,
                "head_timeout_ms": int(limits.head_timeout_s * 1000),
                "body_timeout_ms": int(limits.body_timeout_s * 1000),
            },
        }
    )


def _bounds(bounds: ApiBounds) -> dict[str, Schema]:
    """What the settings allow of what the structs would."""
    return {
        "wait_ms": {"maximum": bounds.wait_max_ms},
        f"{BatchRequest.__name__}.jobs": {"maxItems": bounds.batch_max},
    }


def _parameters() -> dict[str, Schema]:
    return {
        "RequestId": {
            "name": "X-Request-Id",
            "in": "header",
            "required": False,
            "description": "An id for the request, used in the answer and in the log. A malformed id is replaced.",
            "schema": {"type": "string"},
        },
        "Traceparent": {
            "name": "traceparent",
            "in": "header",
            "required": False,
            "description": "The caller's span, as W3C Trace Context defines it. A malformed value is ignored.",
            "schema": {"type": "string", "examples": _TRACEPARENT["examples"]},
        },
        "LastEventId": {
            "name": "Last-Event-ID",
            "in": "header",
            "required": False,
            "description": "The `id` of the last event that the client read. It has precedence over `after_seq`.",
            "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
        },
    }


def _headers() -> dict[str, Schema]:
    return {
        "RequestId": {"description": "The request's id.", "required": True, "schema": _REQUEST_ID},
        "Traceparent": {
            "description": "The server's span; missing if the request was refused before it had one.",
            "schema": _TRACEPARENT,
        },
    }


def _security_schemes() -> dict[str, Schema]:
    return {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "The configured token, or a stored key as `<key_id>.<secret>`.",
        },
        "apiKey": {
            "type": "apiKey",
            "in": "header",
            "name": "X-Api-Key",
            "description": "The configured key, or with `X-Api-Key-Id` the secret of a stored key.",
        },
        "apiKeyId": {
            "type": "apiKey",
            "in": "header",
            "name": "X-Api-Key-Id",
            "description": "The id of a stored key, sent together with `X-Api-Key`.",
        },
    }
