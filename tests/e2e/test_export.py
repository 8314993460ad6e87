"""The timeline of a hundred thousand events: exported, verified and listened to in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
import trio

from oris.core.invariants import check_all
from oris.core.model import Lane
from oris.ids import NO_TENANT

from ..auditor import check_export
from ..storage.driver import Driver, ack, report, submit, want
from ..storage.sqlite_harness import SqliteHarness
from ..stores import server_environment
from .process_memory import peak_rss_bytes
from .server_process import ServerProcess, data_of, serving
from .streams import streaming

EVENTS = 100_000
LANE = Lane(NO_TENANT, "default")
BATCH = 2000
BODY = b'{"output": "' + b"x" * 200 + b'"}'
MORE_BYTES = 24 * 1024 * 1024
"""What reading the whole may add to the most the process ever had; the document alone is larger."""


async def write_events(folder: Path) -> None:
    """A finished run with so many events, made in the store itself by the real rules."""
    harness = SqliteHarness(folder, inline=True)
    await harness.open()
    try:
        driver = Driver(harness)
        await driver.commit(submit("t", tenant=""), submit("small", tenant=""))
        job = (await driver.commit(wants=[want()], lanes=[LANE])).job()
        for start in range(0, EVENTS - 5, BATCH):
            numbers = range(start, min(start + BATCH, EVENTS - 4))
            await driver.commit(*(report(job, f"s{number}", BODY) for number in numbers))
        await driver.commit(ack(job))
        assert check_all(await harness.snapshot()) == []
    finally:
        await harness.aclose()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server on that store, warmed up by the same calls on a small thread."""
    folder = tmp_path_factory.mktemp("long")
    trio.run(write_events, folder)
    why = "they were checked when they were written; the server only reads them"
    # What was written is of another year.
    settings = {**server_environment(folder / "store.db"), "ORIS_RETENTION_DAYS": "0"}
    with serving(folder, unchecked=why, **settings) as running, running.client() as http:
        for what in ("timeline/export?payloads=true", "verify", "detail"):
            data_of(http.get(f"/v1/jobs/small/{what}"))
        yield running
        assert running.stop() == 0


async def test_a_hundred_thousand_events_are_exported_as_one_document_in_bounded_memory(server: ServerProcess) -> None:
    before = peak_rss_bytes(server.process.pid)
    async with streaming(server.address, "/v1/jobs/t/timeline/export?payloads=true") as stream:
        assert stream.headers["content-type"] == "application/json"
        document = await stream.body()
    grown = peak_rss_bytes(server.process.pid) - before
    assert len(document) > 2 * MORE_BYTES
    assert grown < MORE_BYTES
    whole = json.loads(document)
    assert whole["request_id"] == stream.headers["x-request-id"]
    data = whole["data"]
    timeline = data["timeline"]
    assert data["events"] == len(timeline) == EVENTS
    assert [event["seq"] for event in timeline] == list(range(1, EVENTS + 1))
    # What was exported proves itself: payloads by their digests.
    for event in timeline[1000:1010]:
        assert event["payload_digest"] == sha256(BODY).hexdigest()
        assert event["payload"] == json.loads(BODY)
    assert timeline[-1]["hash"] == data["head_hash"]


async def test_an_exported_timeline_can_be_verified_by_whoever_has_it(server: ServerProcess) -> None:
    async with streaming(server.address, "/v1/jobs/small/timeline/export?payloads=true") as stream:
        document = await stream.body()
    assert check_export(document)["events"] == 2


async def test_a_client_that_leaves_in_the_middle_of_an_export_leaves_nothing(server: ServerProcess) -> None:
    for _ in range(10):
        async with streaming(server.address, "/v1/jobs/t/timeline/export?payloads=true") as stream:
            assert await stream.piece()
    with server.client() as http:
        assert data_of(http.get("/v1/jobs/small/timeline"))["timeline"]
    assert server.lines("request_failed") == server.lines("connection_failed") == []


async def test_a_hundred_thousand_events_are_verified_in_bounded_memory(server: ServerProcess) -> None:
    before = peak_rss_bytes(server.process.pid)
    with server.client() as http:
        found = data_of(http.get("/v1/jobs/t/verify"))
        assert (found["events"], found["valid"]) == (EVENTS, True)
        detail = data_of(http.get("/v1/jobs/t/detail"))
    assert peak_rss_bytes(server.process.pid) - before < MORE_BYTES
    assert len(detail["timeline"]) == 200
    assert detail["observability"]["replay_cost"]["steps_kept"] == EVENTS - 4
    assert detail["observability"]["after_seq"] == EVENTS - 2000


async def test_a_hundred_thousand_events_are_streamed_in_bounded_memory(server: ServerProcess) -> None:
    before = peak_rss_bytes(server.process.pid)
    async with streaming(server.address, "/v1/jobs/t/events") as stream:
        assert len(await stream.events()) == EVENTS
    assert peak_rss_bytes(server.process.pid) - before < MORE_BYTES
