"""Names and numbers, and their bounds in the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeAlias

from msgspec import Meta

NAME = r"^(?!\.{1,2}\Z)[A-Za-z0-9._:@=+~-]{1,256}\Z"
TENANT = r"^[A-Za-z0-9._:-]{0,128}\Z"
"""The empty name is that of things without a tenant."""
BOUND_TENANT = r"^[A-Za-z0-9._:-]{1,128}\Z"
RULES: Mapping[str, str] = {
    NAME: 'has to be 1 to 256 letters (A-Z, a-z), digits and . _ : @ = + ~ -, and not "." or ".."',
    TENANT: "has to be at most 128 letters (A-Z, a-z), digits and . _ : -",
    BOUND_TENANT: "has to be 1 to 128 letters (A-Z, a-z), digits and . _ : -",
}
"""What each pattern asks, in words."""

Name: TypeAlias = Annotated[str, Meta(pattern=NAME)]
TenantName: TypeAlias = Annotated[str, Meta(pattern=TENANT)]
BoundTenant: TypeAlias = Annotated[str, Meta(pattern=BOUND_TENANT)]
Token: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]
"""An id that its caller makes up: anything short."""
Text: TypeAlias = Annotated[str, Meta(max_length=1000)]

Priority: TypeAlias = Annotated[int, Meta(ge=0, le=100)]
DurationMs: TypeAlias = Annotated[int, Meta(ge=0, le=365 * 24 * 3600 * 1000)]
PositiveMs: TypeAlias = Annotated[int, Meta(ge=1, le=365 * 24 * 3600 * 1000)]
WaitMs: TypeAlias = Annotated[int, Meta(ge=0, le=3_600_000)]
"""The server's own bound is lower; see `ORIS_WAIT_MAX_MS`."""
TtlSeconds: TypeAlias = Annotated[int, Meta(ge=1, le=3600)]
Seq: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""A number that a database can compare with its own."""
PageLimit: TypeAlias = Annotated[int, Meta(ge=1, le=200)]
