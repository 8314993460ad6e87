"""Callers without right credentials: what they cost, what they are told, and what is told of them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import httpx
import pytest
import trio

from oris.api.auth_limiter import FAILURES_PER_ADDRESS, FAILURES_PER_KEY_ID

from .process_memory import peak_rss_bytes, rss_bytes
from .raw_http import Connection, Cut, Reply, connect
from .server_process import data_of, error_of, metric, serving, until

TOKEN = "the-right-token"
RIGHT = {"authorization": f"Bearer {TOKEN}"}
WRONG = {"authorization": "Bearer wrong"}
MIB = 1024 * 1024
CLIENTS = 200
BODY = b" " * (14 * MIB)
RSS_MAX_BYTES = 160 * MIB
"""The stated limit. The bodies together are 2.8 GB; an idle server has 55 MiB, two hundred connections that are read
from and thrown away make it 105 to 110."""


def ask(http: httpx.Client, headers: dict[str, str]) -> int:
    """The status of a request with these headers."""
    return http.get("/v1/jobs", headers=headers).status_code


async def _push(address: tuple[str, int], seen: Counter[object], started: trio.Event, ready: list[int]) -> None:
    """Begin a large body together with all others, and read what is said to it."""
    connection = await connect(address)
    async with connection.stream:
        ready[0] += 1
        if ready[0] == CLIENTS:
            started.set()
        await started.wait()
        head = (
            "POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            f"content-length: {len(BODY)}\r\n\r\n"
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_send_all, connection, head.encode())
            try:
                reply = await connection.read()
                seen[reply.status, reply.headers.get("connection")] += 1
                assert await connection.at_end()
            except Cut:
                seen["cut"] += 1
            nursery.cancel_scope.cancel(reason="the server has closed")


async def _send_all(connection: Connection, head: bytes) -> None:
    try:
        await connection.stream.send_all(head)
        await connection.stream.send_all(BODY)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return  # refused and closed, as it should be


def test_two_hundred_bodies_of_14_mb_without_credentials_cost_no_memory(tmp_path: Path) -> None:
    with serving(tmp_path, ORIS_API_AUTH_BEARER_TOKEN=TOKEN, ORIS_BODY_MAX_BYTES=str(16 * MIB)) as server:
        before = rss_bytes(server.process.pid)
        seen: Counter[object] = Counter()

        async def all_at_once() -> None:
            started, ready = trio.Event(), [0]
            with trio.fail_after(60):
                async with trio.open_nursery() as nursery:
                    for _ in range(CLIENTS):
                        nursery.start_soon(_push, server.address, seen, started, ready)

        trio.run(all_at_once)
        peak = peak_rss_bytes(server.process.pid)
        assert seen.total() == CLIENTS
        assert seen[401, "close"] + seen[429, "close"] > 0
        assert set(seen) <= {(401, "close"), (429, "close"), "cut"}
        assert peak < RSS_MAX_BYTES, f"{before / MIB:.0f} MiB before, {peak / MIB:.0f} MiB at most"
        assert server.stop() == 0


def test_who_fails_too_often_has_to_wait_and_right_credentials_pass_all_the_same(tmp_path: Path) -> None:
    with serving(tmp_path, ORIS_API_AUTH_BEARER_TOKEN=TOKEN) as server, server.client() as http:
        statuses = [ask(http, WRONG) for _ in range(FAILURES_PER_ADDRESS)]
        assert statuses == [401] * FAILURES_PER_ADDRESS
        refused = http.post("/v1/jobs", json={"thread_id": "t"}, headers=WRONG)
        assert error_of(refused) == (429, "backpressure", {"reason": "rate_limited"})
        assert 1 <= int(refused.headers["retry-after"]) <= 3
        assert error_of(http.get("/v1/jobs"))[0] == 429
        assert ask(http, RIGHT) == 200
        assert http.get("/healthz").status_code == 200
        assert ask(http, WRONG) == 429
        page = http.get("/metrics").text
        assert metric(page, "oris_http_unauthorized_total") == FAILURES_PER_ADDRESS + 3
        assert server.stop() == 0
        (line,) = server.lines("unauthorized")
        assert (line["address"], line["count"], line["limited"]) == ("127.0.0.1", FAILURES_PER_ADDRESS + 3, 3)
        assert [told for told in server.lines("request") if told["status"] in (401, 429)] == []
        assert [record.action for record in server.snapshot().audit] == []


def test_a_trusted_proxys_word_counts_and_no_other(tmp_path: Path) -> None:
    settings = {"ORIS_API_AUTH_BEARER_TOKEN": TOKEN, "ORIS_LOG_FORMAT": "json"}
    spoofed = [WRONG | {"x-forwarded-for": f"203.0.113.{n}"} for n in range(FAILURES_PER_ADDRESS + 1)]
    with serving(_folder(tmp_path, "direct"), **settings) as server, server.client() as http:
        assert [ask(http, headers) for headers in spoofed] == [401] * FAILURES_PER_ADDRESS + [429]
        assert server.stop() == 0
        assert [line["address"] for line in server.lines("unauthorized")] == ["127.0.0.1"]
    settings["ORIS_TRUSTED_PROXIES"] = "10.0.0.0/8,127.0.0.0/8"
    with serving(_folder(tmp_path, "proxied"), **settings) as server, server.client() as http:
        assert {ask(http, headers) for headers in spoofed} == {401}
        one = WRONG | {"x-forwarded-for": "198.51.100.1, 203.0.113.99, 10.0.0.1"}
        assert [ask(http, one) for _ in range(FAILURES_PER_ADDRESS + 1)] == [401] * FAILURES_PER_ADDRESS + [429]
        assert ask(http, RIGHT | {"x-forwarded-for": "203.0.113.99"}) == 200
        assert server.stop() == 0
        told = {line["address"]: line["count"] for line in server.lines("unauthorized")}
        assert told["203.0.113.99"] == FAILURES_PER_ADDRESS + 1
        assert len(told) == len(spoofed) + 1


def test_without_credentials_a_trusted_proxy_is_refused_too_and_the_operator_told(tmp_path: Path) -> None:
    with serving(tmp_path, ORIS_TRUSTED_PROXIES="127.0.0.1") as server, server.client() as http:
        refused = http.get("/v1/jobs", headers={"x-forwarded-for": "203.0.113.5"})
        assert error_of(refused) == (403, "forbidden", {"reason": "forwarded_header"})
        assert "ORIS_TRUSTED_PROXIES has no effect" in server.stderr.read_text()


@pytest.mark.parametrize(
    "wrong",
    [
        {"x-api-key-id": "the-id", "x-api-key": "wrong"},
        {"authorization": "Bearer the-id.wrong"},
        {"authorization": "Bearer the-id.wrong", "x-api-key-id": "{n}", "x-api-key": "wrong"},
    ],
    ids=["in two fields", "in one field", "beside others"],
)
def test_a_key_id_is_limited_from_many_addresses(tmp_path: Path, wrong: dict[str, str]) -> None:
    settings = {"ORIS_API_AUTH_API_KEY": TOKEN, "ORIS_TRUSTED_PROXIES": "127.0.0.1"}
    with serving(tmp_path, **settings) as server, server.client() as http:
        statuses = [
            ask(
                http, {name: value.format(n=n) for name, value in wrong.items()} | {"x-forwarded-for": f"203.0.113.{n}"}
            )
            for n in range(FAILURES_PER_KEY_ID + 1)
        ]
        assert statuses == [401] * FAILURES_PER_KEY_ID + [429]
        assert ask(http, {"x-api-key": TOKEN}) == 200


LIMITED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
sys.argv[0] = "oris"
runpy.run_module("oris", run_name="__main__")
"""


def test_the_limit_on_open_files_is_raised_and_told(tmp_path: Path) -> None:
    with serving(tmp_path, program=("-c", LIMITED.format(soft=200, hard=5000))) as server:
        limits = Path(f"/proc/{server.process.pid}/limits").read_text()
        (line,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
        assert line.split()[3:5] == ["5000", "5000"]
        told = server.line("limits")
        assert told is not None
        assert (told["open_files"], told["connections_max"]) == (5000, 4096)
        assert server.line("too_few_open_files") is None


def test_more_connections_than_files_are_a_warning_and_are_turned_away_in_time(tmp_path: Path) -> None:
    with serving(tmp_path, program=("-c", LIMITED.format(soft=150, hard=150))) as server:
        told = server.line("too_few_open_files")
        assert told is not None
        assert (told["http_max_connections"], told["connections_max"]) == (4096, 22)

        async def crowd() -> None:
            async with trio.open_nursery() as nursery:
                connections = [await connect(server.address) for _ in range(60)]
                for connection in connections:
                    nursery.start_soon(connection.stream.aclose)

        trio.run(crowd)
        with server.client() as http:
            until(lambda: _submits(http), "a job is taken: files are left for the store")
        assert server.stop() == 0


def _submits(http: httpx.Client) -> bool:
    try:
        answer = http.post("/v1/jobs", json={"thread_id": "t", "idempotency_key": "k"})
    except httpx.TransportError:
        return False  # the crowd is not gone yet
    if answer.status_code == 503:
        assert error_of(answer)[2] == {"reason": "inbox_full"}
        return False  # nor yet
    return bool(data_of(answer))


def test_bodies_in_flight_are_as_many_as_the_setting_says(tmp_path: Path) -> None:
    with serving(tmp_path, ORIS_BODY_MAX_BYTES="4096", ORIS_HTTP_BODIES_MAX_BYTES="5000") as server:
        told = server.line("limits")
        assert told is not None
        assert told["bodies_max_bytes"] == 5000

        async def two() -> None:
            first, second = await connect(server.address), await connect(server.address)
            refused: list[tuple[Connection, Reply]] = []

            async def first_answer(connection: Connection) -> None:
                refused.append((connection, await connection.read()))
                nursery.cancel_scope.cancel()

            async with first.stream, second.stream:
                body = json.dumps({"thread_id": "t", "input": "x" * 4000})[:4000].encode()
                head = "POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
                for connection in (first, second):
                    await connection.stream.send_all(f"{head}content-length: 4000\r\n\r\n".encode() + body[:-1])
                with trio.fail_after(30):
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(first_answer, first)
                        nursery.start_soon(first_answer, second)
                    ((connection, reply),) = refused
                    assert (reply.status, reply.reason) == (503, "inbox_full")
                    assert reply.headers["retry-after"] == "1"
                    other = second if connection is first else first
                    await other.stream.send_all(body[-1:])
                    assert (await other.read()).status == 400, "it was read whole, and is no JSON"

        trio.run(two)


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder
