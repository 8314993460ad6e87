"""The status page for operators."""

from __future__ import annotations

import platform
from functools import cache
from typing import Protocol

from msgspec.structs import asdict

from oris.api.connections import Connections
from oris.api.places import Waits
from oris.api.services import Health
from oris.config.settings import Settings
from oris.config.version import program_version
from oris.engine.engine import Engine
from oris.ids import NodeId, name_of_node
from oris.server.disk import DiskWatch
from oris.server.front import Front
from oris.server.retention import retention_status
from oris.storage.migrate import migrations_folder, read_migrations
from oris.storage.open_store import OpenStore
from oris.supervisor import Tree


class Serving(Protocol):
    """The server, as far as its status page looks at it."""

    settings: Settings
    node_id: NodeId
    tree: Tree | None
    store: OpenStore | None
    disk: DiskWatch | None
    connections: Connections | None
    front: Front | None
    waits: Waits

    @property
    def engine(self) -> Engine:
        """What does the work."""

    def health(self) -> Health:
        """As `readyz` tells it."""

    def store_word(self) -> str:
        """The store's state in a word."""


def status_page(server: Serving) -> dict[str, object]:
    """What the program knows of itself; what only the store knows is not here."""
    assert server.tree is not None
    tree = server.tree.status()
    engine, settings = server.engine, server.settings
    limits = engine.settings.limits
    return {
        "mode": server.health().mode,
        "reason": tree.reason,
        "versions": versions(),
        "node_id": name_of_node(server.node_id),
        "tasks": [
            {
                "name": child.name,
                "state": child.state,
                "restarts": child.restarts,
                "last_error": child.last_error,
                "since_beat_ms": None if child.since_beat_s is None else int(child.since_beat_s * 1000),
            }
            for child in tree.children
        ],
        "store": _store(server),
        "clock_skew_ms": engine.clock.skew_ms(),
        "admission_level": engine.admission.level,
        "parked_polls": len(engine.demand),
        "watched_sessions": engine.watched_sessions,
        "waiters": len(engine.waiters),
        "listeners": len(engine.listeners),
        "connections": 0 if server.connections is None else server.connections.count,
        "http": front_status(server),
        "retention": retention_status(engine.retention.rules),
        "limits": {
            "max_active_leases_per_worker": settings.max_active_leases_per_worker,
            "max_active_leases_per_tenant": settings.max_active_leases_per_tenant,
            "max_queue_depth": settings.max_queue_depth,
            "max_tenant_queue_depth": limits.tenant_queue_max,
            "max_delayed_jobs": limits.delayed_max,
            "max_tenant_delayed_jobs": limits.tenant_delayed_max,
            "max_lease_losses": settings.max_lease_losses,
        },
    }


def front_status(server: Serving) -> dict[str, int]:
    """Who is under way at the API's address, what is held for them, and what had to be refused or closed."""
    if server.front is None or server.connections is None:
        return {}
    guard, connections, waits = server.front.guard, server.connections, server.waits
    bodies, answers, taken = guard.hold.bodies, guard.hold.answers, guard.places.taken
    return {
        "connections_max": connections.limit,
        "clients": taken["client"],
        "polls": taken["poll"],
        "waiting": waits.taken,
        "waiting_max": waits.limit,
        "bodies_bytes": bodies.held_bytes,
        "bodies_max_bytes": bodies.limit_bytes,
        "answers_bytes": answers.held_bytes,
        "answers_max_bytes": answers.limit_bytes,
        "answers_waiting": answers.waiting,
        "closed_idle": connections.closed_idle,
        "turned_away": connections.turned_away,
        "refused_requests": guard.places.refused,
        "refused_waits": waits.refused,
        "refused_bodies": bodies.refused,
        "refused_answers": answers.refused,
    }


def _store(server: Serving) -> dict[str, object]:
    """How the store is, in words and numbers."""
    assert server.disk is not None
    space = server.disk.space
    return {
        "state": server.store_word(),
        "failure": None if server.store is None else server.store.failure,
        "disk": server.disk.words(),
        "space": None if space is None else asdict(space),
    }


@cache
def versions() -> dict[str, str]:
    """What runs: the program, its API, the newest migration of a database that it opens, and its Python."""
    newest = read_migrations(migrations_folder("sqlite"))[-1]
    return {"program": program_version(), "api": "v1", "schema": newest.title, "python": platform.python_version()}
