"""What the server tells about itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Struct, field

from oris.wire import fields as f
from oris.wire.words import HealthWord, ReadinessWord


class HealthzView(Struct, frozen=True):
    """Whether the critical tasks make progress."""

    status: Annotated[HealthWord, f.about("The state of the server.")]


class ReadyzView(Struct, frozen=True):
    """Whether the server should get requests, and why not."""

    status: Annotated[ReadinessWord, f.about("The state of the server.")]
    mode: Annotated[str, f.about("The mode of the server.")]
    store: Annotated[str, f.about("The state of the store.")]
    migrations: Annotated[str, f.about("The newest migration of the database.")]
    tasks: Annotated[dict[str, str], f.about("The state of each task, by its name.")]


class LimitsView(Struct, frozen=True):
    """The limits in force."""

    body_max_bytes: Annotated[int, f.about("The largest request body, in bytes.")]
    payload_max_bytes: Annotated[int, f.about("The largest input, output, result or checkpoint, in bytes.")]
    batch_max: Annotated[int, f.about("The most jobs in a batch.")]
    wait_max_ms: Annotated[int, f.about("The longest `wait_ms`.")]


class CapabilitiesView(Struct, frozen=True):
    """What this version can do."""

    version: Annotated[str, f.about("The version of the server.")]
    api_version: Annotated[Literal["v1"], f.about("The version of this API.")]
    features: Annotated[tuple[str, ...], f.about("The features that clients can look for.")]
    limits: Annotated[LimitsView, f.about("The limits in force.")]


class OpenApiDocument(Struct, frozen=True):
    """An OpenAPI document of version 3.1."""

    openapi: Annotated[str, f.about("The version of OpenAPI.")]
    info: Annotated[dict[str, Any], f.about("Title, version and description.")]
    servers: Annotated[list[dict[str, str]], f.about("The address of the server.")]
    tags: Annotated[list[dict[str, str]], f.about("How the operations are grouped.")]
    paths: Annotated[dict[str, Any], f.about("The operations.")]
    components: Annotated[dict[str, Any], f.about("The schemas, parameters and headers of the operations.")]
    limits: Annotated[dict[str, int], f.about("The limits in force, by name.")] = field(name="x-oris-limits")
