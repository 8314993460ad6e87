"""What handlers work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from msgspec import Struct

from oris.api.http import Context
from oris.api.places import Waits
from oris.engine.engine import Engine
from oris.ids import RandomBits, WorkerKey
from oris.observability.spans import Spans


class ApiBounds(Struct, frozen=True):
    """What operators may set about requests."""

    payload_max_bytes: int = 1024 * 1024
    """One input, output, result, error or checkpoint."""
    body_max_bytes: int = 4 * 1024 * 1024
    batch_max: int = 1000
    wait_max_ms: int = 55_000
    lease_ttl_default_s: int = 30
    listeners_max: int = 3000
    """Streams of events that are open at a time."""


class Health(Struct, frozen=True):
    """How the server is, as `healthz`, `readyz` and the status page tell it."""

    alive: bool
    """No critical task stands still."""
    ready: bool
    mode: str
    """serving, or what operators have switched off: submit_off, dispatch_off, drained; else the state of the task tree,
    such as starting; draining once it is asked to stop."""
    store: str
    """ok, low_disk, unavailable or failed."""
    migrations: str
    """The newest migration applied."""
    tasks: dict[str, str]
    """State by name."""


@dataclass(frozen=True)
class Services:
    """The engine, and what the server tells about itself."""

    engine: Engine
    random: RandomBits
    bounds: ApiBounds
    health: Callable[[], Health]
    metrics: Callable[[], bytes]
    status: Callable[[], dict[str, object]]
    spans: Spans | None = None
    """Where spans of runs go; None: nobody listens."""
    openapi: Callable[[], bytes] = bytes
    """The document of the route table that is served."""
    waits: Waits = field(default_factory=Waits)
    """Clients that wait for runs, and streams."""

    def heard(self, worker: WorkerKey, session: str | None) -> None:
        """A worker has called, as this session if it said so."""
        self.engine.heard(worker, session)


Call: TypeAlias = Context[Services]
