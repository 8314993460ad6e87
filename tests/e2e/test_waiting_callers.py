"""Callers that wait, streams, strangers and clients that do not read take nothing that workers need."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
import trio

from .process_memory import peak_rss_bytes, rss_bytes
from .raw_http import Cut, connect, connected, request_bytes
from .server_process import data_of, metric, serving
from .waiting_callers import INPUT, MIB, beats_and_acks, submit_kept, waiting

CALLERS = 60


async def test_callers_that_wait_with_large_inputs_shut_out_no_worker(tmp_path: Path) -> None:
    """Their bodies, once committed, are neither counted nor held."""
    seen: Counter[str] = Counter()
    settings = {"ORIS_HTTP_BODIES_MAX_BYTES": str(16 * MIB), "ORIS_INBOX_MAX_BYTES": str(200 * MIB)}
    with serving(tmp_path, **settings) as server:
        async with connected(server.address) as asking:
            await submit_kept(asking, 3)
        async with trio.open_nursery() as nursery:
            connections = await waiting(server, CALLERS, nursery)
            async with server.async_client() as http:
                http_now = data_of(await http.get("/v1/admin/status"))["http"]
            assert (http_now["bodies_bytes"], http_now["waiting"]) == (0, CALLERS)
            await beats_and_acks(server, 3, seen)
            for connection in connections:
                await connection.stream.aclose()
        assert seen == {"heartbeat 200": 24, "report 200": 3, "ack 200": 3, "healthz 200": 3}
        assert server.stop() == 0
        rows = server.check_rows()
        assert [job.losses for job in rows.jobs.values() if job.workflow == "kept"] == [0, 0, 0]


async def waiting_now(address: tuple[str, int]) -> float:
    """How many callers wait, by the metrics: a probe, which always finds a place."""
    while True:
        with suppress(Cut):  # a connection on which nothing has come yet makes room for others
            async with connected(address) as asking:
                page = (await asking.ask("GET", "/metrics")).body.decode()
            return metric(page, 'oris_http_under_way{what="waiting"}')


async def test_workers_and_probes_are_served_when_waiting_callers_take_all_the_connections_they_can(
    tmp_path: Path,
) -> None:
    seen: Counter[str] = Counter()
    with serving(tmp_path, ORIS_HTTP_MAX_CONNECTIONS="64") as server:
        async with trio.open_nursery() as nursery:
            async with connected(server.address) as asking:
                await asking.post("/v1/jobs", {"thread_id": "t", "workflow": "nobody"})
                await submit_kept(asking, 3)

            async def caller() -> None:
                """Comes again and again, after the time that it is told."""
                while True:
                    with suppress(Cut):
                        async with connected(server.address) as connection:
                            await connection.ask("GET", "/v1/jobs/t/result?wait_ms=55000")
                    await trio.sleep(1.0)

            for _ in range(200):
                nursery.start_soon(caller)
            while await waiting_now(server.address) < 48:
                await trio.sleep(0.05)
            await beats_and_acks(server, 3, seen)
            nursery.cancel_scope.cancel()
        assert seen == {"heartbeat 200": 24, "report 200": 3, "ack 200": 3, "healthz 200": 3}


@pytest.mark.parametrize("answers", ["16777216"])
async def test_answers_that_nobody_reads_are_bounded_and_workers_go_on(tmp_path: Path, answers: str) -> None:
    seen: Counter[str] = Counter()
    with serving(tmp_path, ORIS_HTTP_ANSWERS_MAX_BYTES=answers) as server:
        async with connected(server.address) as asking:
            await asking.post("/v1/jobs", {"thread_id": "t", "workflow": "nobody", "input": INPUT})
            await submit_kept(asking, 3)
        before = rss_bytes(server.process.pid)
        greedy = [await connect(server.address) for _ in range(200)]
        for connection in greedy:
            await connection.stream.send_all(request_bytes("GET", "/v1/jobs/t") * 20)
        async with connected(server.address) as asking:
            while not (await asking.ask("GET", "/v1/admin/status")).data["http"]["answers_waiting"]:
                await trio.sleep(0.05)
        await beats_and_acks(server, 3, seen)
        assert seen == {"heartbeat 200": 24, "report 200": 3, "ack 200": 3, "healthz 200": 3}
        assert peak_rss_bytes(server.process.pid) - before < 90 * MIB
        for connection in greedy:
            await connection.stream.aclose()


async def test_workers_that_do_not_read_what_they_were_given_are_given_no_more_and_others_go_on(tmp_path: Path) -> None:
    """Beyond the bound goes one attempt at most, and what the sockets take."""
    seen: Counter[str] = Counter()
    polls, answers = 60, 8
    with serving(tmp_path, ORIS_HTTP_ANSWERS_MAX_BYTES=str(answers * MIB)) as server:
        async with AsyncExitStack() as stack:
            asking = await stack.enter_async_context(connected(server.address))
            await submit_kept(asking, 3)
            for number in range(polls):
                unread = await stack.enter_async_context(connected(server.address))
                fetch = {"worker_id": f"u{number}", "workflows": ["large"], "wait_ms": 50_000}
                await unread.send("POST", "/v1/workers/poll", fetch)
            while (await asking.ask("GET", "/v1/admin/status")).data["parked_polls"] < polls:
                await trio.sleep(0.05)
            for number in range(polls):
                await asking.post("/v1/jobs", {"thread_id": f"t{number}", "workflow": "large", "input": INPUT})
            status = (await asking.ask("GET", "/v1/admin/status")).data
            control = await asking.post("/v1/workers/poll", {"worker_id": "busy", "limit": 0})
        assert answers <= status["active_leases"] <= answers + 2 * 16
        assert status["http"]["answers_bytes"] >= answers * MIB - MIB
        assert control.status == 200
        await beats_and_acks(server, 3, seen)
        assert seen == {"heartbeat 200": 24, "report 200": 3, "ack 200": 3, "healthz 200": 3}


async def test_a_document_that_many_strangers_ask_for_and_do_not_read_is_held_once(tmp_path: Path) -> None:
    with serving(tmp_path, ORIS_API_AUTH_BEARER_TOKEN="the-token-of-this-test") as server:
        before = rss_bytes(server.process.pid)
        strangers = [await connect(server.address) for _ in range(300)]
        for connection in strangers:
            await connection.stream.send_all(request_bytes("GET", "/openapi.json") * 50)
        async with connected(server.address) as asking:
            for _ in range(20):
                assert (await asking.ask("GET", "/healthz")).status == 200
        size = peak_rss_bytes(server.process.pid) - before
        assert size < 60 * MIB, f"{size / MIB:.0f} MiB"
        for connection in strangers:
            await connection.stream.aclose()


async def test_workers_that_do_not_read_keep_nobody_else_waiting_and_no_lease_from_its_poll_id(tmp_path: Path) -> None:
    """Nothing new is given out; whoever asks is told at once, and has again what it has."""
    with serving(tmp_path, ORIS_HTTP_ANSWERS_MAX_BYTES="65536") as server:
        async with connected(server.address) as asking:
            await submit_kept(asking, 3)
            await asking.post("/v1/jobs/run", {"thread_id": "large", "workflow": "large", "input": INPUT})
            poll = {"worker_id": "w", "workflows": ["kept"], "poll_id": "p"}
            held = (await asking.post("/v1/workers/poll", poll)).data
            socket = trio.socket.socket()
            socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
            await socket.connect(server.address)
            async with trio.SocketStream(socket) as deaf:
                await deaf.send_all(
                    request_bytes("POST", "/v1/workers/poll", {"worker_id": "deaf", "workflows": ["large"]})
                )
                while (await asking.ask("GET", "/v1/admin/status")).data["http"]["answers_bytes"] < MIB // 2:
                    await trio.sleep(0.05)
                again = (await asking.post("/v1/workers/poll", poll)).data
                assert again["lease_id"] == held["lease_id"]
                ack = {key: held[key] for key in ("attempt_id", "lease_id")} | {"terminal_status": "completed"}
                done = (await asking.post("/v1/workers/w/ack", {**ack, "poll": {"workflows": ["kept"]}})).data
                assert (done["status"], done["next"]["decision"]) == ("completed", "noop")
                assert (await asking.post("/v1/workers/poll", poll)).data["decision"] == "noop"
            # It has gone, and its lease with it: there is room again.
            polled = (await asking.post("/v1/workers/poll", {**poll, "wait_ms": 20_000})).data
            assert polled["decision"] == "dispatched"
