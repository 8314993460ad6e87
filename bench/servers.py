"""The servers under measurement: real processes, and what processor time they use."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.client import BadAnswer
from oris.demo.processes import START_LIMIT_S, Process, Processes, wait_for

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class ServerUnderTest:
    """A running server."""

    process: Process
    port: int
    database: Path
    """Its file, if it has one."""

    def cpu_s(self) -> float:
        """The processor time it has used so far, of all its threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS


@contextlib.contextmanager
def servers() -> Iterator[Servers]:
    """A folder and processes that are gone afterwards. The folder is on the disk that temporary files are on."""
    with tempfile.TemporaryDirectory(prefix="oris-bench-") as name, Processes(Path(name)) as processes:
        folder = Path(name)
        try:
            yield Servers(folder, processes)
        except BadAnswer as error:
            logs = "\n".join(log.read_text(errors="replace") for log in folder.glob("*.log"))
            told = [line for line in logs.splitlines() if '"level":"error"' in line][-3:]
            raise BadAnswer("\n".join([str(error), *told])) from None


class Servers:
    """Starts servers."""

    def __init__(self, folder: Path, processes: Processes) -> None:
        self._folder = folder
        self._processes = processes

    def oris(self) -> ServerUnderTest:
        """Oris with its defaults: SQLite, `synchronous=FULL`, logging to a file."""
        database = self._folder / "oris.db"
        process, address = self._processes.start_server(database)
        return ServerUnderTest(process, int(address.rpartition(":")[2]), database)

    def run(self, name: str, *arguments: str) -> Process:
        """A program of the bench's own."""
        return self._processes.start(name, list(arguments))

    def echo(self) -> ServerUnderTest:
        """The echo route."""
        process = self._processes.start("echo", ["bench.echo"])

        def is_ready() -> bool:
            process.check()
            return "\n" in process.log.read_text()

        wait_for(is_ready, START_LIMIT_S, "the echo server")
        return ServerUnderTest(process, int(process.log.read_text().rpartition(":")[2]), Path())
