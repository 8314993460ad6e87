"""A campaign: one real server, many inputs, and what must be true of the server afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import trio

from ..e2e.process_memory import rss_bytes, sockets
from ..e2e.server_process import ServerProcess, data_of, serving, until
from .requests import TOKEN
from .runner import Fuzzer

RSS_GROWTH_MAX_BYTES = 48 * 1024 * 1024
"""What the server may have grown by between the first tenth of the inputs and the end."""
SETTINGS = {
    "ORIS_API_AUTH_BEARER_TOKEN": TOKEN,
    "ORIS_TRUSTED_PROXIES": "127.0.0.1",
    "ORIS_WAIT_MAX_MS": "20",
    "ORIS_HTTP_KEEP_ALIVE_MS": "1000",
    "ORIS_LOG_FORMAT": "json",
}


@dataclass(frozen=True)
class Told:
    """What came of a campaign."""

    inputs: int
    statuses: dict[int, int]
    kinds: dict[str, int]
    closed: int
    rss_before: int
    rss_after: int

    def __str__(self) -> str:
        return (
            f"{self.inputs} inputs; answers {self.statuses}, {self.closed} connections closed without one; "
            f"memory {self.rss_before >> 20} MiB after the first tenth, {self.rss_after >> 20} MiB at the end"
        )


def campaign(folder: Path, seed: int, inputs: int) -> Told:
    """Run it. Raises, in a group or alone, on anything that must not be."""
    with serving(folder, **SETTINGS) as server:
        sockets_before = sockets(server.process.pid)
        numbers = iter(range(inputs))
        fuzzer = Fuzzer(server.address, seed)
        trio.run(fuzzer.prepare)
        trio.run(fuzzer.run, islice(numbers, inputs // 10))
        rss_before = rss_bytes(server.process.pid)
        trio.run(fuzzer.run, numbers)
        rss_after = rss_bytes(server.process.pid)
        until(lambda: sockets(server.process.pid) <= sockets_before, "all connections are closed")
        _still_works(server)
        assert server.stop() == 0
        server.check_rows()
        _nothing_went_wrong(server)
    told = Told(inputs, dict(sorted(fuzzer.statuses.items())), dict(fuzzer.kinds), fuzzer.closed, rss_before, rss_after)
    assert rss_after - rss_before < RSS_GROWTH_MAX_BYTES, told
    return told


def _still_works(server: ServerProcess) -> None:
    """The server is ready, and a job goes its way."""
    headers = {"authorization": f"Bearer {TOKEN}"}
    with server.client(headers=headers) as http:
        assert data_of(http.get("/readyz"))["status"] == "ready"
        data_of(http.post("/v1/admin/mode", json={"submit": True, "dispatch": True}))
        job = {"thread_id": "after-all", "workflow": "after", "tenant_id": "after", "priority": 100}
        submitted = data_of(http.post("/v1/jobs", json=job))
        polled = data_of(http.post("/v1/workers/poll", json={"worker_id": "w", "workflows": ["after"]}))
        ids = {"attempt_id": polled["attempt_id"], "lease_id": polled["lease_id"]}
        assert polled["attempts"][0]["run_id"] == submitted["run_id"]
        data_of(http.post("/v1/workers/w/ack", json=ids | {"terminal_status": "completed"}))


def _nothing_went_wrong(server: ServerProcess) -> None:
    """No bug was logged: neither one of ours, nor one that hypercorn swallowed."""
    wrong = [line for line in server.lines() if line["level"] == "error" or "exception" in line]
    assert wrong == []
    text = server.stderr.read_text()
    assert "Traceback" not in text, text[text.index("Traceback") :][:5000]
    assert all(line.startswith("{") for line in text.splitlines())
