"""Streams of a thread's events over real connections: reconnects, a thousand listeners, deaf ones, a server's end."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import pytest
import trio

from ..certificates import Authority, settings_of
from .calls import Caller
from .process_memory import rss_bytes, sockets
from .raw_http import Connection, Cut, connect, connected
from .server_process import PATIENCE_S, ServerProcess, data_of, error_of, serving
from .streams import Event, Streamed, streaming

MANY = 1000
BYTES_PER_LISTENER = 150_000
STEPS = 400
DEAF = 20
KEPT = {"ORIS_HTTP_KEEP_ALIVE_MS": "3600000"}
"""Connections that wait for others on a busy machine are not closed for it."""


async def call(connection: Connection, path: str, **body: object) -> dict[str, object]:
    data: dict[str, object] = (await connection.post(path, body)).data
    return data


async def start(connection: Connection, thread: str = "t") -> dict[str, object]:
    """A running job; the answer: what each write of its worker carries."""
    await call(connection, "/v1/jobs", thread_id=thread)
    polled = await call(connection, "/v1/workers/poll", worker_id="w", lease_ttl_seconds=3600)
    return {"attempt_id": polled["attempt_id"], "lease_id": polled["lease_id"]}


async def step(connection: Connection, lease: dict[str, object], name: str) -> None:
    said = {"action_id": name, "status": "succeeded", "dedupe_token": "1"}
    await call(connection, "/v1/workers/w/report-step", **lease, **said)


async def finish(connection: Connection, lease: dict[str, object]) -> None:
    await call(connection, "/v1/workers/w/ack", **lease, terminal_status="completed")


async def follow(address: tuple[str, int], random: Random, found: list[Event]) -> None:
    """Read the whole of a thread's events, over connections that break all the time."""
    last_seen = "0"
    while True:
        most = random.randint(1, 60)
        field = () if last_seen == "0" else (f"last-event-id: {last_seen}",)
        async with streaming(address, "/v1/jobs/t/events?after_seq=0", *field) as stream:
            if stream.status == 204:
                return
            assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream")
            for _ in range(most):
                event = await stream.event()
                if event is None:
                    break
                if event.comment is None:
                    found.append(event)
                    last_seen = str(event.seq)


async def test_readers_that_reconnect_while_events_are_written_miss_none_and_see_none_twice(tmp_path: Path) -> None:
    readers: list[list[Event]] = [[] for _ in range(6)]
    with serving(tmp_path, **KEPT) as server:
        async with connected(server.address) as worker:
            lease = await start(worker)
            with trio.fail_after(2 * PATIENCE_S):
                async with trio.open_nursery() as nursery:
                    for number, found in enumerate(readers):
                        nursery.start_soon(follow, server.address, Random(number), found)
                    for number in range(STEPS):
                        await step(worker, lease, f"s{number}")
                    await finish(worker, lease)
        for found in readers:
            assert [event.seq for event in found] == list(range(1, STEPS + 5))
            assert found[-1].kind == "completed"
        assert server.stop() == 0
        assert server.lines("connection_failed") == []
        server.check_rows()


async def test_a_thousand_listeners_of_one_thread_all_hear_everything_in_little_memory(tmp_path: Path) -> None:
    with serving(tmp_path, **KEPT) as server:
        async with connected(server.address) as worker, trio.open_nursery() as nursery:
            lease = await start(worker)
            before = rss_bytes(server.process.pid)
            heard: list[int] = []
            standing = trio.CapacityLimiter(50)

            async def listen(*, task_status: trio.TaskStatus[None]) -> None:
                connection = await connect(server.address)
                async with connection.stream:
                    stream = Streamed(connection.stream)
                    await stream.ask("/v1/jobs/t/events")
                    assert stream.status == 200
                    for seq in (1, 2, 3):
                        event = await stream.event()
                        assert event is not None
                        assert event.seq == seq
                    task_status.started()
                    heard.append(3 + len(await stream.events(after_seq=3)))

            with trio.fail_after(4 * PATIENCE_S):
                async with trio.open_nursery() as opening:

                    async def open_one() -> None:
                        async with standing:
                            await nursery.start(listen)

                    for _ in range(MANY):
                        opening.start_soon(open_one)
                assert (await worker.ask("GET", "/v1/admin/status")).data["listeners"] == MANY
                for number in range(20):
                    await step(worker, lease, f"s{number}")
                held = rss_bytes(server.process.pid) - before
                await finish(worker, lease)
                while len(heard) < MANY:
                    await trio.sleep(0.01)
        assert heard == [24] * MANY
        assert held < MANY * BYTES_PER_LISTENER, held
        assert server.stop() == 0
        server.check_rows()


async def test_a_listener_that_leaves_frees_its_place_at_once(tmp_path: Path) -> None:
    with serving(tmp_path, ORIS_EVENTS_MAX_LISTENERS="2", **KEPT) as server:
        async with connected(server.address) as operator:
            lease = await start(operator)
            idle = sockets(server.process.pid)
            async with streaming(server.address, "/v1/jobs/t/events") as first:
                async with streaming(server.address, "/v1/jobs/t/events"):
                    refused = await operator.ask("GET", "/v1/jobs/t/events")
                    assert (refused.status, refused.reason, refused.headers["retry-after"]) == (503, "inbox_full", "1")
                await listeners(operator, 1)
                assert first.retry_ms is None
                async with streaming(server.address, "/v1/jobs/t/events") as again:
                    assert again.status == 200
            await listeners(operator, 0)
            with trio.fail_after(PATIENCE_S):
                while sockets(server.process.pid) > idle:
                    await trio.sleep(0.01)
            await finish(operator, lease)


async def listeners(operator: Connection, count: int) -> None:
    """Until so many listen."""
    with trio.fail_after(PATIENCE_S):
        while (await operator.ask("GET", "/v1/admin/status")).data["listeners"] != count:
            await trio.sleep(0.01)


@pytest.mark.parametrize("encrypted", [False, True])
async def test_a_stopping_server_ends_its_streams_in_order_and_they_go_on_at_the_next_one(
    tmp_path: Path, encrypted: bool
) -> None:
    settings: dict[str, str] = {}
    tls = None
    if encrypted:
        authority = Authority()
        settings, tls = settings_of(authority.write(tmp_path / "tls")), authority.client_context()
    with serving(tmp_path, **KEPT, **settings) as server:
        async with connected(server.address, tls) as worker:
            lease = await start(worker)
            async with streaming(server.address, "/v1/jobs/t/events", tls=tls) as stream:
                before = [await stream.event() for _ in range(3)]
                assert [event.seq for event in before if event is not None] == [1, 2, 3]
                assert stream.retry_ms is not None
                assert 1000 <= stream.retry_ms < 2024
                server.signal()
                with trio.fail_after(PATIENCE_S):
                    assert await stream.event() is None
        assert await trio.to_thread.run_sync(server.wait_end) == 0
        assert server.line("hard_exit") is None
    with serving(tmp_path, **KEPT, **settings) as server:
        async with connected(server.address, tls) as worker:
            async with streaming(server.address, "/v1/jobs/t/events", "last-event-id: 3", tls=tls) as stream:
                await step(worker, lease, "s")
                await finish(worker, lease)
                assert [event.kind for event in await stream.events(after_seq=3)] == ["step_recorded", "completed"]
            async with streaming(server.address, "/v1/jobs/t/events", "last-event-id: 5", tls=tls) as stream:
                assert stream.status == 204
        assert server.stop() == 0
        server.check_rows()


async def test_clients_that_never_read_are_not_written_for_and_cannot_keep_the_server_from_ending(
    tmp_path: Path,
) -> None:
    """More events than sockets hold: a stream that waits for its client still stands, although its run is over."""
    pad = "x" * 240
    with serving(tmp_path, ORIS_DRAIN_LIMIT_MS="6000", **KEPT) as server:
        async with connected(server.address) as worker, AsyncExitStack() as stack:
            lease = await start(worker)
            for turn in range(100):
                named = [f"{turn}-{number}-{pad}" for number in range(100)]
                steps = [{"action_id": name, "status": "succeeded", "dedupe_token": pad} for name in named]
                await call(worker, "/v1/workers/w/report-step", **lease, steps=steps)
            await finish(worker, lease)
            before = rss_bytes(server.process.pid)
            for path in ("/v1/jobs/t/events", "/v1/jobs/t/timeline/export"):
                for _ in range(DEAF):
                    deaf = await stack.enter_async_context(connected(server.address))
                    await deaf.send("GET", path)
            for _ in range(50):
                assert (await worker.ask("GET", "/v1/jobs/t")).status == 200
            await listeners(worker, DEAF)
            assert rss_bytes(server.process.pid) - before < 48 * 1024 * 1024
            server.signal()
            assert await trio.to_thread.run_sync(server.wait_end, 8.0) == 0
        assert server.lines("connection_failed") == server.lines("request_failed") == []
        server.check_rows()


def test_the_events_of_a_thread_that_is_not_there_are_not_found(caller: Caller) -> None:
    assert error_of(caller.get("/v1/jobs/nobody/events"))[:2] == (404, "not_found")


async def test_a_killed_servers_stream_is_cut_off_and_goes_on_without_a_gap(tmp_path: Path) -> None:
    with serving(tmp_path, **KEPT) as server:
        async with connected(server.address) as worker:
            lease = await start(worker)
            async with streaming(server.address, "/v1/jobs/t/events") as stream:
                for seq in (1, 2, 3):
                    event = await stream.event()
                    assert event is not None
                    assert event.seq == seq
                server.kill()
                with pytest.raises(Cut):
                    await stream.event()
    with serving(tmp_path, **KEPT) as server:
        async with connected(server.address) as worker:
            await finish(worker, lease)
        async with streaming(server.address, "/v1/jobs/t/events?after_seq=3") as stream:
            assert [event.kind for event in await stream.events(after_seq=3)] == ["completed"]
        with server.client() as http:
            assert data_of(http.get("/v1/jobs/t/verify"))["valid"] is True
        assert server.stop() == 0
        server.check_rows()


def test_how_many_listen_is_told(server: ServerProcess) -> None:
    with server.client() as http:
        assert data_of(http.get("/v1/admin/status"))["listeners"] == 0
