"""The demo's processes: each starts with a log of its own, and all are gone when the demo ends, however it ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

START_LIMIT_S = 15.0
STOP_LIMIT_S = 10.0
LOOK_S = 0.05
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class DemoFailed(Exception):
    """Something does not hold; the text says what."""


class Process:
    """One child with its log file."""

    def __init__(self, name: str, arguments: list[str], log: Path) -> None:
        # A group of its own: Ctrl-C goes to the demo alone, which then stops its children in order.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("ORIS_")}
        self.name = name
        self.log = log
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                process_group=0,
            )

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; minus the signal's number if one ended it."""
        return self._popen.poll()

    def check(self) -> None:
        """Raises DemoFailed if it has ended."""
        if self.exit_code is not None:
            last = "\n".join(self.log.read_text(errors="replace").splitlines()[-5:])
            raise DemoFailed(f"{self.name} ended with {self.exit_code}:\n{last}")

    def freeze(self) -> None:
        """Stop it where it is (SIGSTOP); returns when it stands."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """`kill -9`; returns when it is gone."""
        if self.exit_code is None:
            os.killpg(self.pid, signal.SIGKILL)
            self._popen.wait(STOP_LIMIT_S)

    def end(self) -> int:
        """Ask it to end, and make it end if it takes too long; its exit code."""
        if self.exit_code is None:
            os.killpg(self.pid, signal.SIGTERM)
            try:
                return self._popen.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._popen.wait()


class Processes:
    """All children of a demo; as a context manager it leaves none behind."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._all: list[Process] = []

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        with ignoring_signals():
            for process in self._all:
                process.kill()

    def start(self, name: str, arguments: list[str]) -> Process:
        """Run `python -m <arguments>`."""
        process = Process(name, arguments, self._folder / f"{name}.log")
        self._all.append(process)
        return process

    def start_server(self, database: Path) -> tuple[Process, str]:
        """A server on a free port, and its address once it is ready."""
        arguments = ["oris", "--server-addr", "127.0.0.1:0", "--sqlite-db", str(database), "--log-format", "json"]
        server = self.start("server", arguments)
        found: list[str] = []

        def is_ready() -> bool:
            server.check()
            found.extend(_ready_address(server.log))
            return bool(found)

        wait_for(is_ready, START_LIMIT_S, "the server to become ready")
        return server, found[0]


def wait_for(condition: Callable[[], bool], limit_s: float, what: str) -> None:
    """Look again and again until it holds. Raises DemoFailed after the limit."""
    give_up_s = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > give_up_s:
            raise DemoFailed(f"waited {limit_s:.0f} s for {what}, without success")
        time.sleep(LOOK_S)


@contextlib.contextmanager
def ending_on_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the demo as Ctrl-C does."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    yield from _with_handlers(end)


@contextlib.contextmanager
def ignoring_signals() -> Iterator[None]:
    """For the short while in which the children are ended."""
    yield from _with_handlers(signal.SIG_IGN)


def _with_handlers(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> Iterator[None]:
    before = [(number, signal.signal(number, handler)) for number in _ENDING]
    try:
        yield
    finally:
        for number, old in before:
            signal.signal(number, old)


def _ready_address(log: Path) -> list[str]:
    lines = log.read_text().split("\n")[:-1]
    told = [json.loads(line) for line in lines if line.startswith("{")]
    return [line["address"] for line in told if line["event"] == "server_ready"]
