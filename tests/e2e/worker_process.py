"""Workers in processes of their own, that write down what they are handed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .server_process import PATIENCE_S, ServerProcess

SCRIPT = Path(__file__).with_name("recording_worker.py")


class WorkerProcess:
    """One process; see recording_worker.py for what it does. Several may share a file."""

    def __init__(self, server: ServerProcess, name: str, workflow: str, file: Path, conduct: str) -> None:
        self.name = name
        self.file = file
        command = [sys.executable, str(SCRIPT), server.url, name, workflow, str(file), conduct]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)

    def handed(self) -> list[dict[str, Any]]:
        """The attempts it was given so far, in order."""
        whole = self.file.read_bytes().rpartition(b"\n")[0] if self.file.exists() else b""
        lines = [json.loads(line) for line in whole.splitlines()]
        return [line["attempt"] for line in lines if line["worker"] == self.name]

    def kill(self) -> None:
        """`kill -9`, and reap it. Harmless when it is over."""
        self._process.kill()
        self._process.wait(PATIENCE_S)
        assert self._process.stdin is not None
        self._process.stdin.close()


@contextmanager
def working(
    server: ServerProcess, name: str, workflow: str, file: Path, conduct: str = "finish"
) -> Iterator[WorkerProcess]:
    """A worker that is killed afterwards."""
    worker = WorkerProcess(server, name, workflow, file, conduct)
    try:
        yield worker
    finally:
        worker.kill()
