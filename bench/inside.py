"""What a server under measurement uses and says of itself."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bench.client import Connection, data_of, get
from bench.servers import ServerUnderTest

_COMMITS = "oris_runtime_commit_latency_ms_count"
_COMMANDS = "oris_runtime_commit_batch_size_sum"


@dataclass(frozen=True)
class Counts:
    """Since its start."""

    cpu_s: float
    commits: int
    commands: int
    events: int
    written_bytes: int
    """By all its threads, into files."""


def counts(server: ServerUnderTest) -> Counts:
    """As they are now."""
    connection = Connection(server.port)
    metrics = connection.call(get("/metrics")).decode()
    connection.close()
    return Counts(
        server.cpu_s(), _metric(metrics, _COMMITS), _metric(metrics, _COMMANDS), _events(server), _written(server)
    )


def rss_mib(server: ServerUnderTest) -> float:
    """Its memory."""
    found = re.search(r"VmRSS:\s*(\d+) kB", Path(f"/proc/{server.process.pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def watched_sessions(port: int) -> int:
    """How many it watches."""
    connection = Connection(port)
    try:
        return int(data_of(connection.call(get("/v1/admin/status")))["watched_sessions"])
    finally:
        connection.close()


def one_number(server: ServerUnderTest, query: str) -> int:
    """Out of the database, beside the server."""
    with closing(sqlite3.connect(f"file:{server.database}?mode=ro", uri=True)) as connection:
        return int(connection.execute(query).fetchone()[0])


def _events(server: ServerUnderTest) -> int:
    return one_number(server, "SELECT count(*) FROM runtime_events")


def _written(server: ServerUnderTest) -> int:
    found = re.search(r"wchar: (\d+)", Path(f"/proc/{server.process.pid}/io").read_text())
    assert found is not None
    return int(found[1])


def _metric(text: str, name: str) -> int:
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    assert found is not None
    return int(float(found[1]))
