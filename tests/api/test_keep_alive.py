"""How long a connection on which nothing is asked is kept, and what its client is told of that."""

from __future__ import annotations

import pytest
from trio.testing import MockClock, wait_all_tasks_blocked

from oris.api import hypercorn_config
from oris.api.limits import HttpLimits
from oris.api.persistence import SLACK_S
from oris.config import Settings

from .front import connect, request, running

pytestmark = pytest.mark.usefixtures("wire")


async def test_an_idle_connection_is_kept_a_little_longer_than_its_client_was_told(mock_clock: MockClock) -> None:
    async with running(keep_alive_timeout_s=4.0) as front:
        client = await connect(front)
        for _ in range(2):
            reply = await client.ask(request("GET", "/healthz"))
            assert (reply.status, reply.header("keep-alive")) == (200, "timeout=4")
            await wait_all_tasks_blocked()
            mock_clock.jump(4.0 + SLACK_S / 2)
        assert (await client.ask(request("GET", "/healthz"))).status == 200
        await wait_all_tasks_blocked()
        mock_clock.jump(4.0 + SLACK_S)
        assert await client.is_closed()


async def test_half_an_empty_line_begins_no_head(mock_clock: MockClock) -> None:
    async with running(keep_alive_timeout_s=10.0, limits=HttpLimits(head_timeout_s=2.0)) as front:
        client = await connect(front)
        for _ in range(2):
            await client.send(b"\r")
            await wait_all_tasks_blocked()
            await client.send(b"\n")
            await wait_all_tasks_blocked()
            mock_clock.jump(4.0)
            assert (await client.ask(request("GET", "/healthz"))).status == 200


async def test_less_than_a_second_is_not_told() -> None:
    async with running(keep_alive_timeout_s=0.9) as front:
        reply = await (await connect(front)).ask(request("GET", "/healthz"))
        assert (reply.header("connection"), reply.header("keep-alive")) == (None, None)


async def test_a_server_that_stops_says_that_it_closes() -> None:
    async with running(grace_s=20) as front:
        client = await connect(front)
        await client.send(request("GET", "/v1/late"))
        await front.witness.entered.wait()
        front.stop.set()
        await wait_all_tasks_blocked()
        front.witness.release.set()
        assert (await client.receive()).header("connection") == "close"
        assert await client.is_closed()


async def test_the_last_answer_of_a_connection_says_that_it_closes_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hypercorn_config, "REQUESTS_MAX", 3)
    async with running(keep_alive_timeout_s=10) as front:
        client = await connect(front)
        said = []
        for _ in range(3):
            reply = await client.ask(request("GET", "/healthz"))
            said.append([value for name, value in reply.headers if name in ("connection", "keep-alive")])
        assert said == [["keep-alive", "timeout=10"], ["keep-alive", "timeout=10"], ["close"]]
        assert await client.is_closed()


def test_clients_and_proxies_that_keep_connections_for_a_minute_are_never_cut_by_default() -> None:
    assert Settings().http_keep_alive_ms == 75_000
