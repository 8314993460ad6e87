"""One server, put together: what the tasks of the tree share, and what they do."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from functools import partial
from random import Random

import trio

from oris.api.auth_limiter import AuthLimiter
from oris.api.connections import Connections
from oris.api.http import Caller, RouteTable
from oris.api.key_ring import KeyRing
from oris.api.limits import HttpLimits
from oris.api.listener import addresses, open_listeners
from oris.api.openapi.document import openapi_document
from oris.api.places import Waits
from oris.api.routes import metrics_routes, route_table
from oris.api.services import Health, Services
from oris.api.tls import ServerTls, load_credentials
from oris.audit_actions import ControlAction
from oris.clock import EngineClock, SystemClock
from oris.config.settings import Settings
from oris.config.version import program_version
from oris.core.audit import Audit
from oris.core.limits import Limits
from oris.engine.bounds import CommitBounds
from oris.engine.engine import Engine, EngineSettings
from oris.engine.unit import Unit
from oris.errors import DatabaseLost, DataDamaged, StoreError
from oris.ids import NodeId, node_id
from oris.observability.logs import Logs
from oris.observability.metrics import Metrics
from oris.observability.otel import open_spans
from oris.server.disk import DiskWatch
from oris.server.front import Front, RequestLog, api_bounds, authenticator, dispatcher, waiting_max
from oris.server.garbage import Garbage
from oris.server.gauges import front_gauges, refresh_gauges
from oris.server.keys import keep_keys, learn_keys
from oris.server.limits import METRICS_CONNECTIONS_MAX, claim_machine, http_limits, tell_limits
from oris.server.meter import Meter
from oris.server.probe import probe_for
from oris.server.reload import tls_files, warn_of_certificate
from oris.server.retention import mind_gap, retention_rules
from oris.server.status import front_status, status_page
from oris.server.tasks import BEAT_S, first, until_stopping, watch_listener
from oris.server.tracing import TracingMeter
from oris.server.watchdog import Watchdog
from oris.storage.backends import open_store
from oris.storage.open_store import OpenStore
from oris.supervisor import Handle, Tree

HTTP_GRACE_PART = 0.5
"""The part of the drain limit that requests under way get."""


class Server:
    """Holds what the children build when they start. Each `run_*` is one child of the tree."""

    def __init__(self, settings: Settings, logs: Logs, watchdog: Watchdog) -> None:
        self.settings = settings
        self.watchdog = watchdog
        self.logs = logs
        self.random = Random(int.from_bytes(os.urandom(16), "big"))
        self.metrics = Metrics(program_version(), SystemClock().monotonic_s)
        self.clock = EngineClock(SystemClock())
        self.machine = claim_machine()
        self.told = RequestLog(self.metrics, logs)
        self.limiter = AuthLimiter(
            SystemClock().monotonic_s, self.told.unauthorized, self.metrics.http_unauthorized.inc
        )
        self.garbage = Garbage(SystemClock().monotonic_s)
        name = f"{socket.gethostname()}:{settings.server_addr.port}"
        self.node_id = node_id(name, self.random.getrandbits(32))
        """Of this start; the name stays."""
        self.keys = KeyRing(self.clock.calendar_ms)
        self.authenticator = authenticator(settings, self.keys)
        self.tls: ServerTls | None = None
        """How the API's address is encrypted; the one for metrics alone is not."""
        self.listeners: list[trio.SocketListener] = []
        self.metrics_listeners: list[trio.SocketListener] = []
        self.metrics_address: tuple[str, int] | None = None
        """Where metrics are served alone, once they are."""
        self.connections: Connections | None = None
        self.waits = Waits()
        self.front: Front | None = None
        """The API's, once it is served."""
        self.store: OpenStore | None = None
        self.tree: Tree | None = None
        self._engine: Engine | None = None
        self.disk: DiskWatch | None = None
        self._openapi = b""
        self.spans = open_spans(
            os.environ,
            program_version(),
            lambda text: logs.get("oris.server").warning("tracing_off", detail=text),
            monotonic_s=SystemClock().monotonic_s,
            wall_ns=SystemClock().wall_ns,
        )

    @property
    def engine(self) -> Engine:
        """The engine; there is one once the store is open."""
        assert self._engine is not None
        return self._engine

    async def listen(self) -> None:
        """Read the TLS files and take the addresses before anything is started. Raises ConfigError."""
        files = tls_files(self.settings)
        if files is not None:
            loaded = load_credentials(files)
            warn_of_certificate(self.logs.get("oris.server").warning, loaded, SystemClock().wall_ms())
            self.tls = ServerTls(loaded, self._no_tls)
        address = self.settings.server_addr
        self.listeners = await open_listeners(address.host, address.port)
        metrics = self.settings.metrics_addr
        if metrics is not None:
            self.metrics_listeners = await open_listeners(metrics.host, metrics.port)

    async def run_store(self, handle: Handle, *, task_status: trio.TaskStatus[object]) -> None:
        """Open the store and build the engine on it; close it last."""
        settings = self.settings
        store = await open_store(settings, self.clock.now_ms, self.node_id)
        try:
            high_water_ms = await store.high_water_ms()
            self.clock.start_after(high_water_ms)
            for warning in store.warnings:
                self.logs.get("oris.storage").warning("store_warning", detail=warning)
            for warning in store.database_warnings:
                self.logs.get("oris.storage").warning("database_warning", detail=warning)
            store.on_damage = self._tell_damage
            await learn_keys(self.keys, store.reads, settings, self.clock.calendar_ms())
            told = (self.metrics, self.logs, self.clock.now_ms)
            meter = Meter(*told) if self.spans is None else TracingMeter(self.spans, *told)
            self.store = store
            self._engine = Engine(store, self.clock, self.random, meter, engine_settings(settings, self.node_id))
            self._engine.admission.no_room = store.no_room
            mind_gap(self._engine.retention, self.clock.now_ms(), high_water_ms, self.logs)
            self._engine.on_key = self.keys.put
            self.disk = DiskWatch(store, self._engine.committer, self.metrics, self.logs)
            task_status.started()
            while not handle.stopping.is_set() and not store.failed.is_set():
                with trio.move_on_after(BEAT_S):
                    await first(handle.stopping, store.failed)
                await self._store_answers(store)
                handle.beat()
            store.look_for_database()  # what happened since the last look, which is the last
            if store.lost:
                # No story for the log: this one line says it all.
                self.logs.get("oris.storage").error("database_lost", detail=store.failure)
                raise DatabaseLost("a file of the database was moved or deleted")
            if store.failure is not None:
                raise StoreError(f"the database has failed: {store.failure}")
        finally:
            await store.aclose()

    async def run_committer(self, handle: Handle, *, task_status: trio.TaskStatus[object]) -> None:
        """Commit until asked to stop; then what is queued."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._stop_committer, handle)
            await self.engine.committer.run(handle.beat, task_status)
            nursery.cancel_scope.cancel(reason="the committer has ended")

    async def run_sweeper(self, handle: Handle, *, task_status: trio.TaskStatus[object]) -> None:
        """Make deadlines happen."""
        await until_stopping(handle, partial(self.engine.sweeper.run, handle.beat, task_status))

    async def run_backpressure(self, handle: Handle, *, task_status: trio.TaskStatus[object]) -> None:
        """Watch the load."""

        def beat() -> None:
            handle.beat()
            self.watchdog.beat()

        try:
            await until_stopping(handle, partial(self.engine.monitor.run, beat, task_status))
        finally:
            self.watchdog.rest()

    async def run_metrics(self, handle: Handle, *, task_status: trio.TaskStatus[object]) -> None:
        """Refresh the gauges, look for garbage, and serve the metrics on their own address if there is one."""

        def beat() -> None:
            handle.beat()
            self.limiter.tick()
            self.garbage.look()
            front_gauges(self.metrics, front_status(self))

        async def both() -> None:
            async with trio.open_nursery() as nursery:
                if self.settings.metrics_addr is not None:
                    limits = http_limits(self.settings, self.machine)
                    limits = replace(limits, connections_max=METRICS_CONNECTIONS_MAX)
                    front = self._front(metrics_routes(), limits)
                    await nursery.start(front.serve, await self._metrics_sockets(), trio.Event(), 0.0)
                task_status.started()
                reads = self.engine.reads
                await refresh_gauges(self.metrics, self.logs, reads, self.clock, beat)

        await until_stopping(handle, both)

    async def run_disk(self, handle: Handle, *, task_status: trio.TaskStatus[object]) -> None:
        """Watch the store's disk."""
        assert self.disk is not None
        task_status.started()
        await until_stopping(handle, partial(self.disk.run, handle.beat))

    async def run_keys(self, handle: Handle, *, task_status: trio.TaskStatus[object]) -> None:
        """Write when keys were used, and look for what others have done to them."""
        task_status.started()
        await until_stopping(handle, partial(keep_keys, self.keys, self.engine, self.logs, handle.beat))

    async def _metrics_sockets(self) -> list[trio.SocketListener]:
        """Those taken before the start; serving closes them, so a restarted task takes the same address again."""
        if self.metrics_address is None:
            self.metrics_address = addresses(self.metrics_listeners)[0]
            return self.metrics_listeners
        return await open_listeners(*self.metrics_address)

    async def run_http(self, handle: Handle, *, task_status: trio.TaskStatus[Connections]) -> None:
        """Serve the API until asked to stop, then for the grace."""
        limits = http_limits(self.settings, self.machine)
        tell_limits(self.settings, self.machine, limits, self.logs)
        table = route_table(self.settings.body_max_bytes)
        self._openapi = openapi_document(table, api_bounds(self.settings, limits), limits)
        self.waits.limit = waiting_max(limits)
        front = self.front = self._front(table, limits, self.tls)
        answers = front.guard.hold.answers
        self.engine.answers_have_room(answers.left_for)
        answers.on_given_back = self.engine.answers_taken
        grace_s = self.settings.drain_limit_ms / 1000.0 * HTTP_GRACE_PART
        try:
            async with trio.open_nursery() as nursery:
                connections: Connections
                connections = await nursery.start(front.serve, self.listeners, handle.stopping, grace_s)
                self.connections = connections
                task_status.started(connections)
                probe = partial(probe_for, self.tls)
                address = addresses(self.listeners)[0]
                nursery.start_soon(watch_listener, handle, address, probe, connections.served)
        finally:
            self.limiter.flush()

    def set_retention(self, settings: Settings) -> None:
        """How long things are kept is another from now on. Before there is an engine, it is too early to keep less."""
        if self._engine is not None:
            self._engine.retention.set_rules(retention_rules(settings))

    async def drain(self) -> None:
        """Let nothing new in, and answer everybody who is parked. Harmless before there is an engine."""
        await trio.lowlevel.checkpoint()
        if self._engine is not None:
            self._engine.drain()

    def health(self) -> Health:
        """How the server is."""
        assert self.tree is not None
        status = self.tree.status()
        tasks = {child.name: child.state for child in status.children}
        critical = ("store", "committer", "http")
        store = self.store_word()
        draining = self._engine is not None and self._engine.admission.draining
        mode = self.engine.admission.modes.word if status.state == "ready" else str(status.state)
        return Health(
            alive=all(tasks[name] in ("running", "stopping") for name in critical) and not self._has_failed(),
            ready=status.state == "ready" and store in ("ok", "low_disk") and not draining,
            mode="draining" if draining else mode,
            store=store,
            migrations="none" if self.store is None else self.store.schema_title,
            tasks=dict(tasks),
        )

    def store_word(self) -> str:
        """ok; low_disk: no new runs are taken, all else goes on; unavailable: it has refused a commit, and since then
        neither another one nor a probe has succeeded; failed for good."""
        if self.store is None or self._has_failed():
            return "failed"
        if self.engine.committer.failed_at_s is not None:
            return "unavailable"
        return "low_disk" if self.store.no_room() else "ok"

    def _tell_damage(self, error: DataDamaged) -> None:
        tenant, _, thread = error.job_key.partition("/")
        log = self.logs.get("oris.storage")
        log.error("data_damaged", tenant_id=tenant, thread_id=thread, seq=error.seq, detail=str(error))

    def _has_failed(self) -> bool:
        return self.store is not None and self.store.failure is not None

    def _front(self, table: RouteTable, limits: HttpLimits, tls: ServerTls | None = None) -> Front:
        settings = self.settings
        services = Services(
            engine=self.engine,
            random=self.random,
            bounds=api_bounds(settings, limits),
            health=self.health,
            metrics=self.metrics.render,
            status=partial(status_page, self),
            spans=self.spans,
            openapi=lambda: self._openapi,
            waits=self.waits,
        )
        made = dispatcher(
            table,
            services,
            settings,
            self.told,
            self.authenticator,
            clock=SystemClock().monotonic_s,
            random=self.random,
            on_forbidden=self._audit_forbidden,
            limits=limits,
            limiter=self.limiter,
            spans=self.spans,
        )
        made.on_worker_refused = self.engine.worker_refused
        return Front(made, settings, self.logs, tls)

    def _no_tls(self, peer: str, reason: str) -> None:
        """A client with which there is no TLS: anybody can be one at any rate, so it is no warning."""
        self.logs.get("oris.api.listener").debug("tls_refused", peer=peer, reason=reason)

    def _audit_forbidden(self, caller: Caller, action: ControlAction, request_id: str) -> None:
        """A caller tried what its role may not: a record of its own. One that finds no room is only logged."""
        audit = Audit(
            caller.actor_type,
            caller.actor_id,
            str(caller.role or ""),
            caller.tenant_id or "",
            "http",
            action,
            "route",
            "",
            request_id,
            refusal="forbidden",
        )
        try:
            self.engine.committer.post(Unit("write", [], audit=audit))
        except StoreError as error:
            self.logs.get("oris.api").warning("audit_lost", request_id=request_id, action=action, error=str(error))

    async def _store_answers(self, store: OpenStore) -> None:
        """Read something. An error is an answer too, and told where it matters; only silence is a hang."""
        try:
            await store.high_water_ms()
        except StoreError as error:
            self.logs.get("oris.storage").debug("store_busy", error=str(error))

    async def _stop_committer(self, handle: Handle) -> None:
        await handle.stopping.wait()
        self.engine.committer.stop()


def engine_settings(settings: Settings, node: NodeId) -> EngineSettings:
    """The engine's part of the settings."""
    delayed_max = settings.max_delayed_jobs or 10 * settings.max_queue_depth
    return EngineSettings(
        limits=Limits(
            max_lease_losses=settings.max_lease_losses,
            queue_max=settings.max_queue_depth,
            tenant_queue_max=settings.max_tenant_queue_depth or _half(settings.max_queue_depth),
            fairness="fifo" if settings.fairness == "fifo" else "round_robin",
            delayed_max=delayed_max,
            tenant_delayed_max=settings.max_tenant_delayed_jobs or _half(delayed_max),
        ),
        worker_limit=settings.max_active_leases_per_worker,
        tenant_limit=settings.max_active_leases_per_tenant,
        disconnect_grace_ms=settings.disconnect_grace_ms,
        inbox_max_commands=settings.inbox_max_commands,
        inbox_max_bytes=settings.inbox_max_bytes,
        bounds=CommitBounds(max_commands=settings.commit_max_commands),
        retention=retention_rules(settings),
        node_id=node,
    )


def _half(whole: int) -> int:
    """What one tenant may have of it: it cannot take all."""
    return max(1, whole // 2)
