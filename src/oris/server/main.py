"""Start, serve, stop: the life of a server process, and its exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from random import Random

import trio

from oris.clock import SystemClock
from oris.config.reread import Sources
from oris.config.settings import Settings
from oris.config.version import program_version
from oris.errors import ConfigError, DatabaseLost
from oris.observability.log_stdlib import StdlibBridge, stdlib_logging
from oris.observability.logs import Logs, open_logs
from oris.server.build import HTTP_GRACE_PART, Server
from oris.server.hangup import Hangup
from oris.server.reload import Reloader
from oris.server.tasks import BEAT_S
from oris.server.tracing import FLUSH_S, flush_spans
from oris.server.watchdog import Watchdog
from oris.storage.backends import location
from oris.supervisor import Child, EventKind, Handle, Outcome, RestartBudget, Step, StopPlan, Tree

STALL_S = 30.0
"""No progress for so long is a hang."""
LOOP_STUCK_S = 60.0
"""An event loop that has not turned for so long never will."""


def run(settings: Settings, sources: Sources) -> int:
    """Serve until told to stop; the answer is the exit code. Raises ConfigError when the server cannot start.

    `sources` is where the settings came from, and where a reload looks for them.
    """
    logs = open_logs(settings.log, settings.log_format, sys.stderr.fileno(), SystemClock().wall_ms)
    try:
        with stdlib_logging(logs) as bridge:
            outcome = trio.run(_serve, settings, sources, logs, bridge)
    finally:
        logs.close()
    if outcome.exit_code == 2:
        raise ConfigError(outcome.reason)
    return outcome.exit_code


async def _serve(settings: Settings, sources: Sources, logs: Logs, bridge: StdlibBridge) -> Outcome:
    hard_exit = _HardExit(logs)
    with Watchdog(LOOP_STUCK_S, SystemClock().monotonic_s, lambda: hard_exit(1)) as watchdog:
        server = Server(settings, logs, watchdog)
        await server.listen()
        wall_ms = SystemClock().wall_ms
        reloader = Reloader(
            settings, sources, logs, bridge.apply, server.authenticator, server.tls, wall_ms, server.set_retention
        )
        tree = make_tree(server, reloader)
        server.garbage.begin()
        outcome = await tree.run()
    log = logs.get("oris.server")
    if outcome.exit_code == 2:
        return outcome
    (log.info if outcome.exit_code == 0 else log.error)(
        "server_stopped", exit_code=outcome.exit_code, reason=outcome.reason
    )
    return outcome


def make_tree(server: Server, reloader: Reloader) -> Tree:
    """The task tree: children in the order they are opened, and the list by which they are stopped."""
    events = _Events(server)
    children = (
        # First, so that a signal counts while the store is opened too, however long that takes.
        Child("signals", partial(run_signals, reloader.ask), "critical", grace_s=0.0, stall_after_s=STALL_S),
        Child("reload", reloader.run, "restart", budget=RestartBudget(), grace_s=0.0, stall_after_s=STALL_S),
        Child("store", server.run_store, "critical", start_timeout_s=600.0, stall_after_s=STALL_S * 2),
        Child("committer", server.run_committer, "critical", stall_after_s=STALL_S),
        Child("sweeper", server.run_sweeper, "restart", budget=RestartBudget(), stall_after_s=STALL_S * 2),
        Child("backpressure", server.run_backpressure, "restart", budget=RestartBudget(), stall_after_s=STALL_S),
        Child("keys", server.run_keys, "restart", budget=RestartBudget(), stall_after_s=STALL_S * 2),
        Child("disk", server.run_disk, "restart", budget=RestartBudget(), stall_after_s=STALL_S * 2),
        Child("metrics", server.run_metrics, "restart", budget=RestartBudget(), stall_after_s=STALL_S * 2),
        Child(
            "http",
            server.run_http,
            "critical",
            grace_s=server.settings.drain_limit_ms / 1000.0,
            stall_after_s=STALL_S,
        ),
    )
    tree = Tree(
        children,
        _stop_plan(server),
        draw=Random(int.from_bytes(os.urandom(8), "big")).random,
        on_event=events.told,
        on_error=events.failed,
        hard_exit=_HardExit(server.logs),
    )
    server.tree = tree
    return tree


def _stop_plan(server: Server) -> StopPlan:
    limit_s = server.settings.drain_limit_ms / 1000.0
    background = ("sweeper", "backpressure", "keys", "disk", "metrics", "reload")
    return StopPlan(
        steps=(
            Step("answer parked polls and waits", 1.0, action=server.drain),
            Step("let requests end", limit_s * HTTP_GRACE_PART + 1.0, children=("http",)),
            Step("stop background tasks", 2.0, children=background),
            Step("commit what is queued", max(1.0, limit_s / 4), children=("committer",)),
            Step("send the last spans", FLUSH_S + 1.0, action=partial(flush_spans, server.spans, server.logs)),
            Step("close the store", 5.0, children=("store",)),
        ),
        limit_s=limit_s,
        margin_s=5.0,
    )


async def run_signals(ask_reload: Callable[[], None], handle: Handle, *, task_status: trio.TaskStatus[object]) -> None:
    """SIGTERM or SIGINT: drain and stop; a second one: stop now. SIGHUP: reload, or stop with the terminal."""
    hangup = Hangup()
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        task_status.started()
        while True:
            with trio.move_on_after(BEAT_S):
                number = await anext(signals)
                if number == signal.SIGHUP and not hangup.is_over:
                    ask_reload()
                else:
                    handle.ask_stop(signal.Signals(number).name)
            handle.beat()


class _HardExit:
    """The end of a process whose stop hangs: says so, and is gone. Runs on a thread of its own."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs

    def __call__(self, code: int) -> None:
        """Never returns."""
        self._logs.get("oris.server").error("hard_exit", exit_code=code)
        self._logs.close(0.5)
        os._exit(code)


class _Events:
    """What the tree tells, as log lines and as the restart counter."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._log = server.logs.get("oris.supervisor")
        self._operators_fault = False
        """The failure that is being told is a mistake of the operator's, no story for the log."""

    def told(self, name: str, kind: EventKind, detail: str) -> None:
        """Something happened to a child, a step or the tree."""
        if kind == "restarting":
            self._server.metrics.task_restarts(name).inc()
        if name == "server" and kind == "ready":
            self._ready()
            return
        if kind == "failed" and self._operators_fault:
            return  # said in one line at the end
        level = {"failed": self._log.error, "stalled": self._log.error, "restarting": self._log.warning}
        level.get(kind, self._log.debug)(f"task_{kind}", task=name, detail=detail)

    def failed(self, name: str, error: BaseException) -> None:
        """A child failed: the whole story, once."""
        self._operators_fault = isinstance(error, (ConfigError, DatabaseLost))
        if not self._operators_fault:
            self._log.error("task_error", task=name, exc_info=error)

    def _ready(self) -> None:
        server = self._server
        host, port = server.listeners[0].socket.getsockname()[:2]
        metrics = server.metrics_address
        server.logs.get("oris.server").info(
            "server_ready",
            address=f"{host}:{port}",
            metrics_address=None if metrics is None else f"{metrics[0]}:{metrics[1]}",
            version=program_version(),
            backend=server.settings.runtime_backend,
            database=str(location(server.settings)),
            auth="off" if server.authenticator.is_open else "on",
            tls="off" if server.tls is None else "mutual" if server.tls.asks_clients else "on",
        )
