"""The route table: every route with all that is known of it, a row each.

A new route is a handler, a row here, and its words in `api.openapi.words`; with a body also an example of it in
`api.openapi.examples`. What a row can say is told by `api.http.Route`.
"""

from __future__ import annotations

from oris.api.http import Route, RouteTable
from oris.api.routes.interrupts import INTERRUPTS
from oris.api.routes.jobs import JOBS, RUNS
from oris.api.routes.keys import KEYS
from oris.api.routes.operators import OPERATIONS
from oris.api.routes.server import PROBES, SERVER
from oris.api.routes.workers import WORKER_CALLS

ROUTES: tuple[Route, ...] = (*SERVER, *JOBS, *INTERRUPTS, *RUNS, *WORKER_CALLS, *OPERATIONS, *KEYS)


def route_table(body_max_bytes: int) -> RouteTable:
    """Every route of the API. `body_max_bytes` bounds the large bodies; the others are small by nature."""
    return RouteTable(ROUTES, body_max_bytes)


def metrics_routes() -> RouteTable:
    """What the address for metrics answers."""
    return RouteTable(PROBES)
