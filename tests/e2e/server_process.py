"""A server in a process of its own, over a real database file, reached over real HTTP.

The rows of every server that has ended are checked, whatever its test was about: by `serving`, and at the end of each
test by conftest.py for those that were started otherwise. A test whose rows cannot hold says why (`unchecked`).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import trio

from oris.core.invariants import Snapshot, check_all

from ..contract import async_check, check
from ..stores import rows_of_server, server_environment
from .left_behind import check_left_behind

T = TypeVar("T")
Line = dict[str, Any]

PATIENCE_S = 30.0
"""How long any condition may take on a busy machine."""
PROGRAM = ("-m", "oris")


def until(condition: Callable[[], T | None], what: str, within_s: float = PATIENCE_S) -> T:
    """The first true answer of a condition on another process. Fails with `what` when there is none in time."""
    give_up_at = time.monotonic() + within_s
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < give_up_at, f"not within {within_s:g} s: {what}"
        time.sleep(0.005)


def clean_environment(**settings: str) -> dict[str, str]:
    """This process's environment without anything that would configure a server, and with these settings."""
    foreign = ("ORIS_", "OTEL_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign) and name != "RUST_LOG"}
    return kept | settings


class ServerProcess:
    """One process. `folder` keeps its database and its log; a second one may be started there after the first."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        program: Sequence[str] = PROGRAM,
        unchecked: str | None = None,
        **settings: str,
    ) -> None:
        self.folder = folder
        self.unchecked = unchecked
        """Why its rows need not hold afterwards."""
        self.database = Path(settings.get("ORIS_SQLITE_DB", folder / "oris.db"))
        self.stderr = folder / "stderr.log"
        defaults = {"ORIS_SERVER_ADDR": "127.0.0.1:0", **server_environment(self.database)}
        with self.stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, *program, *arguments],
                cwd=folder,
                env=clean_environment(**(defaults | settings)),
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
            )
        STARTED.append(self)

    def wait_ready(self) -> None:
        """Until it says that it serves. Fails with its log when it ends instead."""
        until(self._ready_or_over, "server_ready")
        assert self.line("server_ready"), f"the server ended instead: {self.stderr.read_text()}"

    def _ready_or_over(self) -> bool:
        return self.line("server_ready") is not None or self.process.poll() is not None

    def lines(self, event: str | None = None) -> list[Line]:
        """The log lines so far, all or those of one event."""
        whole = self.stderr.read_text().rpartition("\n")[0].splitlines()
        lines = [json.loads(text) for text in whole if text.startswith("{")]
        return [line for line in lines if event in (None, line["event"])]

    def line(self, event: str) -> Line | None:
        """The first log line of an event."""
        return next(iter(self.lines(event)), None)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        ready = self.line("server_ready")
        assert ready is not None
        host, _, port = str(ready["address"]).rpartition(":")
        return host, int(port)

    @property
    def url(self) -> str:
        """The same, for HTTP clients."""
        host, port = self.address
        ready = self.line("server_ready")
        assert ready is not None
        return f"{'http' if ready['tls'] == 'off' else 'https'}://{host}:{port}"

    def client(self, **more: Any) -> httpx.Client:
        """An HTTP client of this server; every answer is held against the OpenAPI document."""
        hooks = {"response": [check]}
        return httpx.Client(base_url=self.url, timeout=PATIENCE_S, event_hooks=hooks, **({"verify": False} | more))

    def async_client(self, **more: Any) -> httpx.AsyncClient:
        """The same for async tests."""
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        hooks = {"response": [async_check]}
        return httpx.AsyncClient(
            base_url=self.url, timeout=PATIENCE_S, limits=limits, event_hooks=hooks, verify=False, **more
        )

    async def async_until(self, http: httpx.AsyncClient, condition: Callable[[Line], bool], what: str) -> Line:
        """The first status page of the server that fulfils a condition."""
        with trio.move_on_after(PATIENCE_S):
            while True:
                status: Line = data_of(await http.get("/v1/admin/status"))
                if condition(status):
                    return status
        raise AssertionError(f"not within {PATIENCE_S:g} s: {what}")

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def wait_end(self, within_s: float = PATIENCE_S) -> int:
        """The exit code, once it has ended."""
        return self.process.wait(within_s)

    def stop(self) -> int:
        """Ask it to end, and wait for that."""
        self.signal()
        return self.wait_end()

    def kill(self) -> None:
        """`kill -9`, and reap it. Harmless when it is over."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def snapshot(self) -> Snapshot:
        """All rows of the database."""
        return rows_of_server(self.database)

    def check_rows(self) -> Snapshot:
        """All rows, after every invariant was checked on them."""
        rows = self.snapshot()
        assert check_all(rows) == []
        return rows


STARTED: list[ServerProcess] = []
"""Those whose rows nobody has looked at since they ended."""


def check_ended() -> None:
    """Look at the rows of all that have ended, unless another server is at work on them."""
    running = {server.database for server in STARTED if server.process.poll() is None}
    ended = [server for server in STARTED if server.database not in running]
    STARTED[:] = [server for server in STARTED if server.database in running]
    excused = {server.database for server in ended if server.unchecked is not None}
    for database in {server.database for server in ended} - excused:
        if database.is_file():
            check_left_behind(database)


@contextmanager
def serving(
    folder: Path,
    *arguments: str,
    program: Sequence[str] = PROGRAM,
    unchecked: str | None = None,
    **settings: str,
) -> Iterator[ServerProcess]:
    """A server that is ready; it is ended, reaped and its rows are checked afterwards, whatever happens."""
    server = ServerProcess(folder, *arguments, program=program, unchecked=unchecked, **settings)
    try:
        server.wait_ready()
        yield server
    finally:
        server.kill()
    check_ended()


def data_of(response: httpx.Response) -> Any:
    """The data in a success's envelope."""
    body = response.json()
    assert response.status_code == 200, body
    assert body["meta"] == {"status": "ok", "api_version": "v1"}
    assert body["request_id"] == response.headers["x-request-id"]
    return body["data"]


def error_of(response: httpx.Response) -> tuple[int, str, dict[str, Any]]:
    """Status, code and details of a refusal's envelope."""
    body = response.json()
    assert set(body) == {"request_id", "error"}, body
    assert body["request_id"] == response.headers["x-request-id"]
    error = body["error"]
    assert error["message"]
    return response.status_code, error["code"], error.get("details", {})


def metric(text: str, name: str) -> float:
    """One sample of a page of metrics; 0 when it is not there."""
    for line in text.splitlines():
        if line.startswith(name + " "):
            return float(line.rpartition(" ")[2])
    return 0.0
