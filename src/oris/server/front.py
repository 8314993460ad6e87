"""The HTTP side of the server: authenticator, dispatcher, guard and listener, built from the settings."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import trio
from hypercorn.typing import ASGIFramework

from oris.api.auth import Authenticator, Credential
from oris.api.auth_limiter import AuthLimiter
from oris.api.connections import Connections
from oris.api.dispatch import Dispatcher, OnForbidden, Seen
from oris.api.http import Role, RouteTable
from oris.api.hypercorn_config import hypercorn_config
from oris.api.key_ring import KeyRing
from oris.api.limits import HttpLimits
from oris.api.listener import serve
from oris.api.open_server import OpenServer
from oris.api.quart_app import ApiApp
from oris.api.services import ApiBounds, Services
from oris.api.tls import ServerTls
from oris.api.wrapper import Guard
from oris.config.settings import Settings
from oris.ids import RandomBits
from oris.observability.logs import Logs
from oris.observability.metrics import Metrics
from oris.observability.spans import Spans
from oris.server.tracing import RequestSpans


def authenticator(settings: Settings, keys: KeyRing | None = None) -> Authenticator:
    """Who may call: those with a static credential or a stored key; everybody on this machine when there are none."""
    open_server = OpenServer([settings.server_addr.host], any_host=settings.allow_insecure)
    return Authenticator(credentials(settings), open_server=open_server, keys=keys)


def credentials(settings: Settings) -> list[Credential]:
    """The static credentials; the audit trail tells the second of a pair from the first, unless they are equal."""
    # Of two that are equal the last is found, so the first of a pair stands last.
    tokens = {"static-next": settings.api_auth_bearer_token_next, "static": settings.api_auth_bearer_token}
    keys = {"static-next": settings.api_auth_api_key_next, "static": settings.api_auth_api_key}
    as_bearer, as_key = Role(settings.api_auth_bearer_role), Role(settings.api_auth_api_key_role)
    return [
        *(Credential("bearer", token.reveal(), as_bearer, name) for name, token in tokens.items() if token is not None),
        *(Credential("api_key", key.reveal(), as_key, name) for name, key in keys.items() if key is not None),
    ]


def api_bounds(settings: Settings, limits: HttpLimits) -> ApiBounds:
    """What the settings say about requests. Listeners leave a quarter of the connections to others."""
    return ApiBounds(
        payload_max_bytes=settings.payload_max_bytes,
        body_max_bytes=settings.body_max_bytes,
        batch_max=settings.batch_max,
        wait_max_ms=settings.wait_max_ms,
        lease_ttl_default_s=settings.lease_ttl_default_seconds,
        listeners_max=min(settings.events_max_listeners, waiting_max(limits)),
    )


def waiting_max(limits: HttpLimits) -> int:
    """How many callers may wait and streams be open: three quarters of the connections."""
    return max(1, limits.connections_max * 3 // 4)


@dataclass(frozen=True)
class Front:
    """One address that answers a route table."""

    dispatcher: Dispatcher[Services]
    settings: Settings
    logs: Logs
    tls: ServerTls | None = None

    @cached_property
    def guard(self) -> Guard:
        """What stands before the application, and keeps the accounts."""
        return Guard(ApiApp(self.dispatcher), self.dispatcher)

    async def serve(
        self,
        listeners: list[trio.SocketListener],
        stop: trio.Event,
        grace_s: float,
        task_status: trio.TaskStatus[Connections] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Answer until `stop`, then for `grace_s` at most."""
        log = self.logs.get("oris.api.listener")
        await serve(
            cast("ASGIFramework", self.guard),
            listeners,
            hypercorn_config(
                self.dispatcher.limits,
                keep_alive_timeout_s=self.settings.http_keep_alive_ms / 1000.0,
                logger=logging.getLogger("hypercorn.error"),
            ),
            limits=self.dispatcher.limits,
            unparsed=self.dispatcher.unparsed,
            on_fault=lambda error: log.error("connection_failed", exc_info=error),
            stop=stop,
            grace_s=grace_s,
            tls=self.tls,
            task_status=task_status,
        )


class RequestLog:
    """What is told of requests: a histogram each; a line for those that change something, and for faults; one line
    for all that came from one address without right credentials within a minute.
    """

    def __init__(self, metrics: Metrics, logs: Logs) -> None:
        self._metrics = metrics
        self._log = logs.get("oris.api")

    def answered(self, seen: Seen) -> None:
        """A request was answered; not yet sent."""
        route = seen.route
        pattern = "none" if route is None else route.path
        elapsed_ms = seen.elapsed_s * 1000.0
        waits = route is not None and route.long_poll
        self._metrics.observe_request(pattern, seen.method, seen.status, elapsed_ms, waits=waits)
        if seen.stranger:
            return  # told of by address and minute
        told = self._log.info if route is not None and route.audit_action is not None else self._log.debug
        told(
            "request",
            request_id=seen.request_id,
            trace_id=None if seen.trace is None else seen.trace.trace_id,
            method=seen.method,
            route=pattern,
            status=seen.status,
            elapsed_ms=round(elapsed_ms, 3),
        )

    def unauthorized(self, address: str, count: int, limited: int) -> None:
        """A minute's requests without right credentials from one address; `limited` of them got 429."""
        self._log.warning("unauthorized", address=address, count=count, limited=limited)

    def failed(self, request_id: str, method: str, path: str, error: BaseException) -> None:
        """A handler raised: a bug."""
        self._log.error("request_failed", request_id=request_id, method=method, path=path, exc_info=error)


def dispatcher(
    table: RouteTable,
    services: Services,
    settings: Settings,
    told: RequestLog,
    callers: Authenticator,
    *,
    clock: Callable[[], float],
    random: RandomBits,
    on_forbidden: OnForbidden,
    limits: HttpLimits,
    limiter: AuthLimiter,
    spans: Spans | None = None,
) -> Dispatcher[Services]:
    """The way of a request through a route table."""
    return Dispatcher(
        table,
        services,
        callers,
        clock=clock,
        rng=random,
        fault_log=told.failed,
        observe=told.answered if spans is None else RequestSpans(spans, told.answered),
        limits=limits,
        on_forbidden=on_forbidden,
        limiter=limiter,
        trusted_proxies=settings.trusted_proxies,
        sampled=None if spans is None else spans.sampled,
    )
