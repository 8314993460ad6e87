"""The route table: every route with all that is known of it, a row each.

A new route is a handler, a row here, and its words in `api.openapi.words`; with a body also an example of it in
`api.openapi.examples`. What a row can say is told by `api.http.Route`. A new audit action is added to
`audit_actions`, a new reason for a 409 to `errors`, with its page in docs/errors.
"""

from __future__ import annotations

from oris.api.http import Route, RouteTable
from oris.api.routes.interrupts import INTERRUPT_ROUTES
from oris.api.routes.jobs import JOB_ROUTES, RUN_ROUTES
from oris.api.routes.keys import KEY_ROUTES
from oris.api.routes.operators import OPERATOR_ROUTES
from oris.api.routes.server import PROBE_ROUTES, SERVER_ROUTES
from oris.api.routes.workers import WORKER_ROUTES

ROUTES: tuple[Route, ...] = (
    *SERVER_ROUTES,
    *JOB_ROUTES,
    *INTERRUPT_ROUTES,
    *RUN_ROUTES,
    *WORKER_ROUTES,
    *OPERATOR_ROUTES,
    *KEY_ROUTES,
)


def route_table(body_max_bytes: int) -> RouteTable:
    """Every route of the API. `body_max_bytes` bounds the large bodies; the others are small by nature."""
    return RouteTable(ROUTES, body_max_bytes)


def metrics_routes() -> RouteTable:
    """What the address for metrics answers."""
    return RouteTable(PROBE_ROUTES)
