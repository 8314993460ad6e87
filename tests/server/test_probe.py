"""The server asks itself whether it answers, whatever it speaks; only silence is a hang."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest
import trio

from oris.api.tls import Credentials, load_credentials
from oris.server import tasks
from oris.server.probe import Probe, ask_encrypted, ask_plainly, probe_for, say_hello
from oris.server.tasks import watch_listener
from oris.supervisor import Handle, TreeStatus

from ..api.front import WIRE, Front, running

LIMIT_S = 20.0
BEATS = 3


class Counted(Handle):
    """A handle that counts the beats."""

    def __init__(self) -> None:
        super().__init__("http", lambda _: None, lambda: TreeStatus("ready", None, (), None))
        self.beats = 0
        self.enough = trio.Event()

    def beat(self) -> None:
        super().beat()
        self.beats += 1
        if self.beats == BEATS:
            self.enough.set()


@pytest.fixture(autouse=True)
def _without_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "BEAT_S", 0.0)


@asynccontextmanager
async def watching(port: int, probe: Probe, served: Callable[[], Sequence[int]] = tuple) -> AsyncIterator[Counted]:
    handle = Counted()
    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_listener, handle, ("127.0.0.1", port), lambda: probe, served)
            yield handle
            nursery.cancel_scope.cancel()


def told(front: Front) -> list[object]:
    return [*front.faults.seen, *front.refused]


async def test_over_http_it_is_a_request() -> None:
    async with running() as front, watching(front.port, probe_for(front.tls)) as handle:
        await handle.enough.wait()
        assert ("/healthz", "GET", 200) in front.observed.seen
        assert told(front) == []


async def test_over_tls_it_is_the_same_request(credentials: Credentials) -> None:
    async with running(credentials=credentials) as front, watching(front.port, probe_for(front.tls)) as handle:
        assert probe_for(front.tls) is ask_encrypted
        await handle.enough.wait()
        assert ("/healthz", "GET", 200) in front.observed.seen
        assert told(front) == []


async def test_where_clients_need_a_certificate_it_is_a_greeting(tmp_path: Path) -> None:
    files = WIRE.authority.write(tmp_path, client_ca=WIRE.authority.write_ca(tmp_path / "ca.pem"))
    async with (
        running(credentials=load_credentials(files)) as front,
        watching(front.port, probe_for(front.tls)) as handle,
    ):
        assert probe_for(front.tls) is say_hello
        await handle.enough.wait()
        assert told(front) == []
        assert front.observed.seen == []


@pytest.mark.parametrize("probe", [ask_plainly, ask_encrypted, say_hello])
async def test_silence_is_no_beat(probe: Probe) -> None:
    async with watching_the_silent(probe) as (handle, asked):
        await asked.wait()
        assert handle.beats == 0


async def test_while_others_are_let_in_and_answered_waiting_for_the_own_turn_is_no_hang() -> None:
    turns = count()

    def served() -> tuple[int, int]:
        now = next(turns)
        return now, now

    async with watching_the_silent(ask_plainly, served) as (handle, asked):
        await asked.wait()
        await handle.enough.wait()


async def test_to_answer_old_connections_alone_is_no_beat_nor_is_to_take_new_ones_alone() -> None:
    for who in (0, 1):
        looks = count()
        looked = trio.Event()

        def served(who: int = who, looks: Iterator[int] = looks, looked: trio.Event = looked) -> tuple[int, int]:
            now = next(looks)
            if now > BEATS:
                looked.set()
            return (now, 0) if who else (0, now)

        async with watching_the_silent(ask_plainly, served) as (handle, asked):
            await asked.wait()
            await looked.wait()
            assert handle.beats == 0


@asynccontextmanager
async def watching_the_silent(
    probe: Probe, served: Callable[[], Sequence[int]] = tuple
) -> AsyncIterator[tuple[Counted, trio.Event]]:
    """Somebody who takes connections and requests, and never answers."""
    asked = trio.Event()

    async def listen(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        asked.set()
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, listen, 0)
        async with watching(listeners[0].socket.getsockname()[1], probe, served) as handle:
            yield handle, asked
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("probe", [ask_plainly, ask_encrypted, say_hello])
async def test_being_cut_is_an_answer(probe: Probe) -> None:
    async def cut(stream: trio.SocketStream) -> None:
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, cut, 0)
        async with watching(listeners[0].socket.getsockname()[1], probe) as handle:
            await handle.enough.wait()
        nursery.cancel_scope.cancel()
