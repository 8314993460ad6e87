"""How the server itself is: for balancers, scrapers and operators."""

from __future__ import annotations

import msgspec

from oris.api.envelope import ok
from oris.api.http import Answer
from oris.api.services import Call
from oris.config.version import program_version

FEATURES = (
    "jobs.submit",
    "jobs.batch",
    "jobs.cancel.terminate",
    "jobs.idempotency",
    "jobs.retry",
    "jobs.timeout",
    "jobs.delay",
    "jobs.explain",
    "jobs.history",
    "jobs.events",
    "jobs.export",
    "jobs.verify",
    "jobs.retention",
    "workers.poll",
    "workers.poll_id",
    "workers.control",
    "workers.sessions",
    "workers.watch",
    "workers.quarantine",
    "workers.only_threads",
    "workers.ack_and_poll",
    "workers.steps",
    "workers.checkpoints",
    "workers.suspend",
    "interrupts",
    "jobs.cancel.graceful",
    "jobs.replay",
    "dlq.read",
    "dlq.replay",
    "audit.read",
    "auth.stored_keys",
    "admin.mode",
)
"""What this version can do, in words that clients may look for."""


_json = msgspec.json.encode


async def healthz(call: Call, _: None) -> Answer:
    """`GET /healthz`: 503 when a critical task stands still."""
    alive = call.services.health().alive
    return ok(call, _json({"status": "ok" if alive else "stalled"}), status=200 if alive else 503)


async def readyz(call: Call, _: None) -> Answer:
    """`GET /readyz`: 503 while starting, stopping, or without a store."""
    health = call.services.health()
    body = {
        "status": "ready" if health.ready else "not_ready",
        "mode": health.mode,
        "store": health.store,
        "migrations": health.migrations,
        "tasks": health.tasks,
    }
    return ok(call, _json(body), status=200 if health.ready else 503)


async def metrics(call: Call, _: None) -> Answer:
    """`GET /metrics`, in Prometheus' text format."""
    content = "text/plain; version=0.0.4; charset=utf-8"
    return Answer(200, call.services.metrics(), (("content-type", content),))


async def capabilities(call: Call, _: None) -> Answer:
    """`GET /v1/capabilities`."""
    bounds = call.services.bounds
    limits = {
        "body_max_bytes": bounds.body_max_bytes,
        "payload_max_bytes": bounds.payload_max_bytes,
        "batch_max": bounds.batch_max,
        "wait_max_ms": bounds.wait_max_ms,
    }
    return ok(call, _json({"version": program_version(), "api_version": "v1", "features": FEATURES, "limits": limits}))
