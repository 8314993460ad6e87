"""How the server itself is: for balancers, scrapers and operators."""

from __future__ import annotations

from typing import Literal

from oris.api.envelope import ok
from oris.api.http import Answer
from oris.api.services import Call
from oris.config.version import program_version
from oris.wire.server import CapabilitiesView, HealthzView, LimitsView, ReadyzView

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


async def healthz(call: Call, _: None) -> Answer:
    """`GET /healthz`: 503 when a critical task stands still."""
    alive = call.services.health().alive
    return ok(call, HealthzView("ok" if alive else "stalled"), status=200 if alive else 503)


async def readyz(call: Call, _: None) -> Answer:
    """`GET /readyz`: 503 while starting, stopping, or without a store."""
    health = call.services.health()
    word: Literal["ready", "not_ready"] = "ready" if health.ready else "not_ready"
    view = ReadyzView(word, health.mode, health.store, health.migrations, health.tasks)
    return ok(call, view, status=200 if health.ready else 503)


async def metrics(call: Call, _: None) -> Answer:
    """`GET /metrics`, in Prometheus' text format."""
    content = "text/plain; version=0.0.4; charset=utf-8"
    return Answer(200, call.services.metrics(), (("content-type", content),))


async def capabilities(call: Call, _: None) -> Answer:
    """`GET /v1/capabilities`."""
    bounds = call.services.bounds
    limits = LimitsView(bounds.body_max_bytes, bounds.payload_max_bytes, bounds.batch_max, bounds.wait_max_ms)
    return ok(call, CapabilitiesView(program_version(), "v1", FEATURES, limits))


async def openapi(call: Call, _: None) -> Answer:
    """`GET /openapi.json`: the document that is generated from the route table, as it is, without the envelope."""
    return Answer(200, call.services.openapi(), shared=True)
