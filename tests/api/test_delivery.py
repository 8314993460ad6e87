"""Who learns that an answer did not arrive, and that a client has left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import trio
from hypercorn.typing import ASGIReceiveEvent, ASGISendEvent

from oris.api.exchange import LINE
from oris.api.quart_app import ApiApp
from oris.api.wrapper import Guard
from oris.patience import Patience

from .front import Front, ask, connect, make_front, request, running

pytestmark = pytest.mark.usefixtures("wire")


async def test_a_reset_cancels_a_parked_handler() -> None:
    async with running() as front:
        client = await connect(front)
        await client.send(request("GET", "/v1/park"))
        await front.witness.entered.wait()
        client.reset()
        await front.witness.cancelled.wait()
        await front.connections.wait_none()
        assert front.observed.seen == []
        assert front.faults.seen == []


async def test_an_answer_whose_client_left_before_it_was_sent_is_undelivered() -> None:
    async with running() as front:
        client = await connect(front)
        await client.send(request("GET", "/v1/late"))
        await front.witness.entered.wait()
        await client.stream.aclose()
        (line,) = front.connections._open
        while not line.gone:
            await trio.lowlevel.checkpoint()
        front.witness.release.set()
        await front.witness.undelivered.wait()
        await front.connections.wait_none()
        assert front.faults.seen == []


async def test_an_answer_cut_off_by_the_end_of_the_server_is_undelivered() -> None:
    async with running() as front:
        client = await connect(front)
        await client.send(request("GET", "/v1/big"))
        await front.witness.entered.wait()
        front.stop.set()
        await front.stopped.wait()
        assert front.witness.undelivered.is_set()


async def test_a_delivered_answer_is_not_called_undelivered() -> None:
    async with running() as front:
        client = await connect(front)
        assert (await client.ask(request("GET", "/v1/things/a"))).status == 200
        assert (await client.ask(request("GET", "/v1/big"))).status == 200
        await client.stream.aclose()
        await front.connections.wait_none()
        assert not front.witness.undelivered.is_set()


async def test_a_client_that_closes_right_after_its_answer_has_got_it() -> None:
    async with running() as front:
        for number in range(50):
            # Half of them close when they have the answer, half are closed by the server and close at the same time.
            closing = [("Connection", "close")] if number % 2 else []
            assert (await ask(front, request("GET", "/v1/things/a", b"", *closing))).status == 200
        await front.connections.wait_none()
        assert not front.witness.undelivered.is_set()


@dataclass
class FakeLine:
    """A connection whose end can be staged."""

    gone: bool = False
    lost: bool = False
    broken: bool = False

    def is_waited_on(self, patience: Patience) -> None:
        """Nothing: it never ends its side alone."""


class Stage:
    """The ASGI side of one request, with a line to be broken at a chosen moment."""

    def __init__(self, path: str = "/v1/things/a") -> None:
        self.line = FakeLine()
        self.sent: list[ASGISendEvent] = []
        self.scope: Any = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
            "state": {LINE: self.line},
        }
        self._to_app, self._app_gets = trio.open_memory_channel[ASGIReceiveEvent](10)
        self._to_app.send_nowait({"type": "http.request", "body": b"", "more_body": False})
        self.on_head: Callable[[], None] = lambda: None
        self.on_final = self.announce_end

    def announce_end(self) -> None:
        """What hypercorn does within the last send."""
        self._to_app.send_nowait({"type": "http.disconnect"})

    def break_line(self) -> None:
        """Nothing can be sent any more."""
        self.line.broken = True

    async def send(self, message: ASGISendEvent) -> None:
        await trio.lowlevel.checkpoint()
        self.sent.append(message)
        if message["type"] == "http.response.start":
            self.on_head()
        if message["type"] == "http.response.body" and not message["more_body"]:
            self.on_final()
            for _ in range(5):
                await trio.lowlevel.checkpoint()
            self.sent.append({"type": "http.response.trailers", "headers": [], "more_trailers": False})

    async def run(self, front: Front) -> None:
        guard = Guard(ApiApp(front.dispatcher), front.dispatcher)
        await guard(self.scope, self._app_gets.receive, self.send)
        self._to_app.close()
        self._app_gets.close()


async def test_the_last_send_runs_to_its_end_though_the_disconnect_is_announced_within_it() -> None:
    front, stage = make_front(), Stage()
    await stage.run(front)
    assert [message["type"] for message in stage.sent] == [
        "http.response.start",
        "http.response.body",
        "http.response.trailers",
    ]
    assert not front.witness.undelivered.is_set()


async def test_a_last_send_that_returned_on_a_dead_line_delivered_nothing() -> None:
    front, stage = make_front(), Stage()
    stage.on_head = stage.break_line
    await stage.run(front)
    assert front.witness.undelivered.is_set()


async def test_a_line_that_broke_within_the_last_send_delivered_nothing() -> None:
    front, stage = make_front(), Stage()

    def break_line() -> None:
        stage.line.lost = True
        stage.announce_end()

    stage.on_final = break_line
    await stage.run(front)
    assert front.witness.undelivered.is_set()


async def test_a_client_that_left_after_the_answer_was_out_has_got_it() -> None:
    front, stage = make_front(), Stage()

    def leave() -> None:
        stage.line.broken = True
        stage.announce_end()

    stage.on_final = leave
    await stage.run(front)
    assert not front.witness.undelivered.is_set()


async def test_a_request_cancelled_at_any_checkpoint_is_delivered_or_says_so() -> None:
    """Cancels at the k-th step of the ASGI conversation, for every k."""
    cut = 0
    for steps in range(200):
        front, stage = make_front(), Stage()
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(cancel_after, steps, scope)
                await stage.run(front)
                nursery.cancel_scope.cancel()
        ended = bool(stage.sent) and stage.sent[-1]["type"] == "http.response.trailers"
        answered = ("/v1/things/{thing_id}", "GET", 200) in front.observed.seen
        assert front.witness.undelivered.is_set() == (answered and not ended)
        if ended:
            break
        cut += 1
    assert ended
    assert cut > 3


async def cancel_after(steps: int, scope: trio.CancelScope) -> None:
    """Cancel when so many other steps have been made."""
    for _ in range(steps):
        await trio.lowlevel.cancel_shielded_checkpoint()
    scope.cancel(reason="the sweep")


async def test_a_callback_that_raises_is_logged_and_breaks_nothing() -> None:
    front, stage = make_front(), Stage()
    front.witness.undelivered = Broken()  # type: ignore[assignment]
    stage.on_head = stage.break_line
    await stage.run(front)
    ((_, error),) = front.faults.seen
    assert str(error) == "a broken callback"


class Broken:
    """Something whose callback has a bug."""

    def set(self) -> None:
        raise RuntimeError("a broken callback")
