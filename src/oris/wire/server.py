"""What the server tells about itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Struct, field

from oris.wire import fields as f
from oris.wire.words import HealthWord, ReadinessWord


class HealthzView(Struct, frozen=True):
    """Whether the critical tasks move."""

    status: Annotated[HealthWord, f.about("How the server is.")]


class ReadyzView(Struct, frozen=True):
    """Whether requests should come here, and why not."""

    status: Annotated[ReadinessWord, f.about("How the server is.")]
    mode: Annotated[str, f.about("What it does now.")]
    store: Annotated[str, f.about("How its store is.")]
    migrations: Annotated[str, f.about("Whether the database has the form that this version needs.")]
    tasks: Annotated[dict[str, str], f.about("The state of each task, by its name.")]


class LimitsView(Struct, frozen=True):
    """The bounds in force."""

    body_max_bytes: Annotated[int, f.about("The largest body.")]
    payload_max_bytes: Annotated[
        int, f.about("The largest value of a client's own: an input, an output, a result, a checkpoint.")
    ]
    batch_max: Annotated[int, f.about("The most jobs in a batch.")]
    wait_max_ms: Annotated[int, f.about("The longest wait.")]


class CapabilitiesView(Struct, frozen=True):
    """What this version can do, in words that clients may look for."""

    version: Annotated[str, f.about("The version of the server.")]
    api_version: Annotated[Literal["v1"], f.about("The version of this API.")]
    features: Annotated[tuple[str, ...], f.about("What it can do.")]
    limits: Annotated[LimitsView, f.about("The limits in force.")]


class OpenApiDocument(Struct, frozen=True):
    """An OpenAPI document of version 3.1."""

    openapi: Annotated[str, f.about("The version of OpenAPI.")]
    info: Annotated[dict[str, Any], f.about("What this is.")]
    servers: Annotated[list[dict[str, str]], f.about("Where the server is.")]
    tags: Annotated[list[dict[str, str]], f.about("How the operations are grouped.")]
    paths: Annotated[dict[str, Any], f.about("The operations.")]
    components: Annotated[dict[str, Any], f.about("What they refer to.")]
    limits: Annotated[dict[str, int], f.about("The limits in force, by name.")] = field(name="x-oris-limits")
