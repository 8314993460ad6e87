"""How the server is, what it can do, and what is switched on."""

from __future__ import annotations

from oris.api.handlers import admin, server
from oris.api.http import AnswerForm, Route
from oris.api.routes.roles import ADMINS, ANY_ROLE, OPERATORS, PUBLIC
from oris.wire import admin as a
from oris.wire import server as s

PROBE_ROUTES = (
    Route("GET", "/healthz", server.healthz, PUBLIC, AnswerForm(s.HealthzView, also=(503,)), kind="probe"),
    Route("GET", "/readyz", server.readyz, PUBLIC, AnswerForm(s.ReadyzView, also=(503,)), kind="probe"),
    Route("GET", "/metrics", server.metrics, PUBLIC, AnswerForm(None, media_type="text/plain"), kind="probe"),
)
"""What the address for metrics answers, too."""

SERVER_ROUTES = (
    *PROBE_ROUTES,
    Route(
        "GET",
        "/openapi.json",
        server.openapi,
        PUBLIC,
        AnswerForm(s.OpenApiDocument, media_type="application/json"),
    ),
    Route("GET", "/v1/capabilities", server.capabilities, ANY_ROLE, AnswerForm(s.CapabilitiesView)),
    Route("GET", "/v1/admin/status", admin.status, ADMINS, AnswerForm(a.StatusView), whole_server=True),
    Route(
        "POST",
        "/v1/admin/mode",
        admin.set_mode,
        OPERATORS,
        AnswerForm(a.ModeView),
        body=a.ModeRequest,
        whole_server=True,
        audit_action="admin.mode",
    ),
)
