"""What clients can and cannot do to the connections of the real stack."""

from __future__ import annotations

import errno
import gc
import socket
import weakref
from contextlib import ExitStack
from dataclasses import replace
from typing import cast

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from oris.api.account import Share
from oris.api.connections import ENDING_MAX, FRESH_S, Connections
from oris.api.hypercorn_config import checked, hypercorn_config
from oris.api.limits import HttpLimits
from oris.api.listener import ACCEPT_AT_ONCE, _Listener, addresses, open_listeners
from oris.api.persistence import SLACK_S
from oris.api.stream import ClientStream
from oris.errors import ConfigError

from .front import PATIENCE_S, Client, Front, ask, connect, make_front, open_plainly, request, running

pytestmark = pytest.mark.usefixtures("wire")

SILENT_CLIENTS = 300


async def _silent_clients(front: Front) -> list[Client]:
    """Half of them never said a word, half have had an answer; one asks for much and never reads."""
    clients = [await connect(front) for _ in range(SILENT_CLIENTS // 2)]
    for _ in range(SILENT_CLIENTS // 2):
        clients.append(await connect(front))
        reply = await clients[-1].ask(request("GET", "/healthz"))
        assert reply.status == 200
    clients.append(await connect(front))
    await clients[-1].send(request("GET", "/v1/big"))
    await front.witness.entered.wait()
    return clients


async def test_no_connection_is_left_after_the_keep_alive_limit() -> None:
    limits = HttpLimits(send_stall_s=0.2)
    async with running(limits=limits, keep_alive_timeout_s=1.0) as front:
        clients = await _silent_clients(front)
        await front.connections.wait_none()
        assert front.connections.count == 0
        await front.witness.undelivered.wait()
        for client in clients[:-1]:
            assert await client.is_closed()


async def test_a_stop_ends_in_its_grace_with_clients_that_hold_on() -> None:
    limits = HttpLimits(send_stall_s=3 * PATIENCE_S)
    async with running(limits=limits, keep_alive_timeout_s=1000, grace_s=0.1) as front:
        await _silent_clients(front)
        parked = await connect(front)
        await parked.send(request("GET", "/v1/park"))
        assert front.connections.count > 0
        front.stop.set()
        await front.stopped.wait()
        assert front.connections.count == 0
        assert front.witness.undelivered.is_set()


async def test_a_stop_lets_a_request_end_and_closes_its_connection() -> None:
    async with running(grace_s=PATIENCE_S) as front:
        client = await connect(front)
        await client.send(request("GET", "/v1/late"))
        await front.witness.entered.wait()
        front.stop.set()
        await wait_all_tasks_blocked()
        front.witness.release.set()
        assert (await client.receive()).status == 200
        assert await client.is_closed()
        await front.stopped.wait()
        assert not front.witness.undelivered.is_set()


async def test_a_client_that_closes_is_let_go_at_once() -> None:
    async with running(keep_alive_timeout_s=1000) as front:
        fresh, used = await connect(front), await connect(front)
        assert (await used.ask(request("GET", "/healthz"))).status == 200
        await fresh.stream.aclose()
        await used.stream.aclose()
        await front.connections.wait_none()


async def test_nothing_is_left_of_a_connection_that_is_over_for_anybody_to_look_for() -> None:
    """Looks among all objects are rare: memory would grow with each connection that strangers open and close."""
    gc.disable()
    try:
        async with running() as front:
            for ahead in (0, 1, 50):
                client = await connect(front)
                if ahead:
                    await client.send(request("GET", "/healthz") * ahead)
                    await client.receive()
                (left,) = map(weakref.ref, front.connections._open)
                await client.stream.aclose()
                while left() is not None:
                    await trio.lowlevel.checkpoint()
    finally:
        gc.enable()


async def test_connection_close_is_honoured() -> None:
    async with running() as front:
        client = await connect(front)
        reply = await client.ask(request("GET", "/healthz", b"", ("Connection", "close")))
        assert reply.status == 200
        assert await client.is_closed()
        await front.connections.wait_none()


async def test_many_requests_share_a_connection() -> None:
    async with running() as front:
        client = await connect(front)
        for _ in range(20):
            assert (await client.ask(request("GET", "/v1/things/a"))).status == 200
        assert (await client.ask(request("POST", "/v1/echo", b'{"value":1}'))).json["data"] == 1
        assert front.connections.count == 1


async def test_a_connection_too_many_is_told_so_and_closed(wire: str) -> None:
    async with running(limits=HttpLimits(connections_max=2)) as front:
        first, second = await connect(front), await connect(front)
        for parked in (first, second):
            await parked.send(request("GET", "/v1/park"))
        assert front.guard is not None
        while front.guard.places.taken["client"] < 2:
            await trio.lowlevel.checkpoint()
        third = await open_plainly(front)
        if wire == "plain":
            reply = await third.receive()
            assert (reply.status, reply.error["code"]) == (503, "unavailable")
        assert await third.is_closed()
        assert front.connections.turned_away == 1
        await first.stream.aclose()
        await second.stream.aclose()
        await front.connections.wait_none()
        assert (await ask(front, request("GET", "/healthz"))).status == 200


async def test_the_idle_are_closed_first_when_connections_run_short_and_those_of_workers_last() -> None:
    async with running(limits=HttpLimits(connections_max=3)) as front:
        worker, parked, client = await connect(front), await connect(front), await connect(front)
        assert (await worker.ask(request("POST", "/v1/work", b"{}"))).status == 200
        await parked.send(request("GET", "/v1/park"))
        assert (await client.ask(request("GET", "/v1/things/a"))).status == 200
        another = await connect(front)
        assert await client.is_closed()
        assert (await another.ask(request("GET", "/v1/things/a"))).status == 200
        yet_another = await connect(front)
        assert await another.is_closed()
        await yet_another.send(request("GET", "/v1/park"))
        assert (await worker.ask(request("POST", "/v1/work", b"{}"))).status == 200
        last = await connect(front)
        assert await worker.is_closed(), "nobody else is idle"
        assert (await last.ask(request("GET", "/healthz"))).status == 200
        assert (front.connections.turned_away, front.connections.closed_idle) == (0, 3)


async def test_one_whose_next_request_has_begun_to_come_stays_and_an_idle_one_goes() -> None:
    async with running(limits=HttpLimits(connections_max=2)) as front:
        client, other = await connect(front), await connect(front)
        for each in (client, other):
            assert (await each.ask(request("GET", "/v1/things/a"))).status == 200
        whole = request("POST", "/v1/echo", b'{"value":1}')
        await client.send(whole[:20])
        while not front.connections._begun:
            await trio.lowlevel.checkpoint()
        last = await connect(front)
        assert await other.is_closed()
        assert (await last.ask(request("GET", "/healthz"))).status == 200
        await client.send(whole[20:])
        assert (await client.receive()).json["data"] == 1
        assert front.connections.closed_idle == 1


async def test_of_workers_connections_the_one_whose_next_request_has_begun_to_come_stays() -> None:
    async with running(limits=HttpLimits(connections_max=2)) as front:
        begun, idle = await connect(front), await connect(front)
        for each in (begun, idle):
            assert (await each.ask(request("POST", "/v1/work", b"{}"))).status == 200
        whole = request("POST", "/v1/work", b"{}")
        await begun.send(whole[:20])
        while not front.connections._begun:
            await trio.lowlevel.checkpoint()
        last = await connect(front)
        assert await idle.is_closed()
        assert (await last.ask(request("GET", "/healthz"))).status == 200
        await begun.send(whole[20:])
        assert (await begun.receive()).status == 200


class _StandIn:
    of_worker = False
    sends_ahead = False

    def has_unread(self) -> bool:
        return False


async def test_a_head_that_does_not_end_is_closed_before_the_idle(autojump_clock: MockClock) -> None:
    connections = Connections(2)
    begun, idle = (cast("ClientStream", _StandIn()) for _ in range(2))
    for each in (begun, idle):
        connections.add(each)
        connections._rests(each, rests=True)
    connections._begins(begun)
    await trio.sleep(FRESH_S)
    assert connections.make_room() is begun


async def test_where_nothing_was_asked_for_long_is_closed_before_the_idle(autojump_clock: MockClock) -> None:
    connections = Connections(3)
    idle, fresh = (cast("ClientStream", _StandIn()) for _ in range(2))
    connections.add(idle)
    connections._rests(idle, rests=True)
    connections.add(fresh)
    await trio.sleep(FRESH_S)
    assert connections.make_room() is fresh
    assert connections.make_room() is idle
    assert connections.make_room() is None


async def test_connections_that_are_closed_for_others_count_until_their_tasks_are_over(
    autojump_clock: MockClock,
) -> None:
    connections = Connections(ENDING_MAX + 1)
    for _ in range(ENDING_MAX + 1):
        connections.add(cast("ClientStream", _StandIn()))
    await trio.sleep(FRESH_S)
    closed = [connections.make_room() for _ in range(ENDING_MAX)]
    assert None not in closed
    assert (connections.count, connections.is_full) == (ENDING_MAX + 1, False)
    assert connections.make_room() is None, "too many are not over yet"
    connections.discard(cast("ClientStream", closed[0]))
    assert connections.count == ENDING_MAX
    assert connections.make_room() is not None


async def test_a_probe_gets_its_answer_while_others_who_do_not_read_hold_all_the_room() -> None:
    async with running(limits=HttpLimits(answers_in_flight_max_bytes=100)) as front:
        assert front.guard is not None
        Share(front.guard.hold.answers).set(100)
        assert (await ask(front, request("GET", "/metrics"))).status == 200


async def test_a_probe_that_does_not_read_is_cut_for_the_next_one() -> None:
    async with running(limits=HttpLimits(send_stall_s=3 * PATIENCE_S)) as front:
        assert front.guard is not None
        silent = await connect(front)
        await silent.send(request("GET", "/metrics"))
        while not front.guard.hold.probes.held_bytes:
            await trio.lowlevel.checkpoint()
        assert (await ask(front, request("GET", "/metrics"))).status == 200
        await front.connections.wait_none()
        assert front.guard.hold.probes.held_bytes == 0


async def test_strangers_whose_bodies_are_thrown_away_take_no_connection_of_a_worker() -> None:
    """What is refused by its head has no place, so it must not keep its connection either."""
    limits = HttpLimits(connections_max=4, linger_s=PATIENCE_S)
    async with running(limits=limits) as front:
        strangers = [await connect(front) for _ in range(4)]
        for stranger in strangers:
            await stranger.send(request("POST", "/v1/nowhere", b"x" * 100)[:-50])
            assert (await stranger.receive()).status == 404
        worker = await connect(front)
        assert (await worker.ask(request("POST", "/v1/work", b"{}"))).status == 200
        assert await strangers[0].is_closed()
        assert (front.connections.turned_away, front.connections.closed_idle) == (0, 1)


async def test_no_waiting_caller_takes_the_last_place_of_a_worker_or_a_probe() -> None:
    async with running(limits=HttpLimits(connections_max=16)) as front:
        assert front.guard is not None
        for _ in range(front.guard.places.clients_max):
            await (await connect(front)).send(request("GET", "/v1/park"))
        while front.guard.places.taken["client"] < front.guard.places.clients_max:
            await trio.lowlevel.checkpoint()
        late = await connect(front)
        refused = await late.ask(request("GET", "/v1/things/a"))
        assert (refused.status, refused.error["details"]) == (503, {"reason": "inbox_full"})
        assert ("retry-after", "1") in refused.headers
        assert (await late.ask(request("POST", "/v1/work", b"{}"))).status == 200
        assert (await late.ask(request("GET", "/healthz"))).status == 200
        assert front.guard.places.refused == 1


async def test_connections_that_wait_are_accepted_in_one_turn_of_the_loop() -> None:
    front = make_front()
    config = hypercorn_config(HttpLimits(), keep_alive_timeout_s=1)
    listener = _Listener(None, config, HttpLimits(), front.dispatcher.unparsed, lambda error: None)  # type: ignore[arg-type]
    (ours,) = await open_listeners("127.0.0.1", 0)
    async with ours, trio.open_nursery() as nursery:
        with ExitStack() as clients:
            for _ in range(ACCEPT_AT_ONCE):
                clients.enter_context(socket.create_connection(addresses([ours])[0]))
            nursery.start_soon(listener.accept, ours, nursery)
            while not listener.connections.count:
                await trio.lowlevel.checkpoint()
            assert listener.connections.count == ACCEPT_AT_ONCE
        await listener.connections.wait_none()
        nursery.cancel_scope.cancel(reason="seen")


async def test_running_out_of_files_is_waited_for_and_not_spun_on(autojump_clock: MockClock) -> None:
    attempts: list[float] = []

    class Exhausted:
        async def accept(self) -> trio.SocketStream:
            attempts.append(trio.current_time())
            await trio.lowlevel.checkpoint()
            raise OSError(errno.EMFILE, "too many open files")

    front = make_front()
    config = hypercorn_config(HttpLimits(), keep_alive_timeout_s=1)
    listener = _Listener(None, config, HttpLimits(), front.dispatcher.unparsed, lambda error: None)  # type: ignore[arg-type]
    with trio.move_on_after(10):
        async with trio.open_nursery() as nursery:
            await listener.accept(Exhausted(), nursery)  # type: ignore[arg-type]
    assert 2 <= len(attempts) <= 101


async def test_a_taken_port_is_one_clear_line() -> None:
    listeners = await open_listeners("127.0.0.1", 0)
    port = addresses(listeners)[0][1]
    with pytest.raises(ConfigError, match=rf"^cannot listen on 127.0.0.1:{port}: the address is in use$"):
        await open_listeners("127.0.0.1", port)
    for listener in listeners:
        await listener.aclose()


async def test_the_kernel_is_told_how_long_a_client_may_be_silent() -> None:
    async with running(limits=HttpLimits(send_stall_s=7.0)) as front:
        client = await connect(front)
        await client.ask(request("GET", "/healthz"))
        (stream,) = front.connections._open
        assert stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7000


async def test_waiting_for_none_returns_at_once_when_there_is_none() -> None:
    with trio.fail_after(PATIENCE_S):
        await Connections(1).wait_none()


def test_a_setting_that_hypercorn_does_not_have_is_refused() -> None:
    with pytest.raises(AttributeError, match="keep_alive_timout"):
        checked(keep_alive_timout=1)


def test_hypercorn_is_configured_as_measured() -> None:
    limits = replace(HttpLimits(), headers_max_bytes=1000)
    config = hypercorn_config(limits, keep_alive_timeout_s=3)
    assert (config.backlog, config.h2_max_concurrent_streams, config.ssl_handshake_timeout) == (1024, 16, 5)
    assert (config.include_server_header, config.read_timeout, config.keep_alive_timeout) == (False, None, 3 + SLACK_S)
    assert config.log.error_logger is None
    assert config.log.access_logger is None
