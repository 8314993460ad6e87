"""What the server tells about itself."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field

from oris.wire.words import HealthWord, ReadinessWord


class HealthzView(Struct, frozen=True):
    """Whether the critical tasks move."""

    status: HealthWord


class ReadyzView(Struct, frozen=True):
    """Whether requests should come here, and why not."""

    status: ReadinessWord
    mode: str
    store: str
    migrations: str
    tasks: dict[str, str]
    """State by name."""


class LimitsView(Struct, frozen=True):
    """The bounds in force."""

    body_max_bytes: int
    payload_max_bytes: int
    batch_max: int
    wait_max_ms: int


class CapabilitiesView(Struct, frozen=True):
    """What this version can do, in words that clients may look for."""

    version: str
    api_version: Literal["v1"]
    features: tuple[str, ...]
    limits: LimitsView


class OpenApiDocument(Struct, frozen=True):
    """An OpenAPI document of version 3.1."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
    components: dict[str, Any]
    limits: dict[str, int] = field(name="x-oris-limits")
