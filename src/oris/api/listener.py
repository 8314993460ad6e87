"""The listener: sockets, connections and their end. Hypercorn's protocol server is run once for each connection."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import Protocol, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState

from oris.api.connections import SETTLE_S, Connections
from oris.api.exchange import LINE
from oris.api.http import Answer
from oris.api.http1 import PLAIN_TO_TLS, Http1Server, Unparsed
from oris.api.hypercorn_config import BACKLOG
from oris.api.limits import HttpLimits
from oris.api.stream import ClientStream
from oris.api.tls import ServerTls
from oris.api.tls_stream import HandshakeRefused, TlsStream
from oris.errors import ConfigError

_OUT_OF_FILES = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_OUT_OF_FILES_PAUSE_S = 0.1
SETTLE_PAUSE_S = 0.01
ACCEPT_AT_ONCE = 64
"""Connections accepted in one turn of the event loop, at most."""


class ConnectionFault(Protocol):
    """Where an exception goes that ended a connection, and is a bug."""

    def __call__(self, error: Exception) -> None: ...


async def open_listeners(host: str, port: int) -> list[trio.SocketListener]:
    """Sockets that listen on an address, or on all that a name stands for; port 0: a free one.

    Raises ConfigError with one line when that is not possible. A checkpoint: names are looked up.
    """
    try:
        return await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        reason = "the address is in use" if _is_in_use(error) else str(error)
        raise ConfigError(f"cannot listen on {host}:{port}: {reason}") from error


def addresses(listeners: list[trio.SocketListener]) -> list[tuple[str, int]]:
    """Host and port of each listener."""
    return [cast("tuple[str, int]", listener.socket.getsockname()[:2]) for listener in listeners]


def _waiting(listener: trio.SocketListener, may_take: Callable[[], bool]) -> Iterator[trio.SocketStream]:
    """Connections that wait to be accepted, some of them, without a checkpoint between them.

    Trio accepts one in each turn of the event loop. Under load a turn takes its time, and a heartbeat over a new
    connection would wait for as many turns as there are connections before it.
    """
    ours = listener.socket
    borrowed = socket.socket(ours.family, ours.type, ours.proto, fileno=ours.fileno())
    try:
        borrowed.setblocking(False)  # as it is already
        for _ in range(ACCEPT_AT_ONCE - 1):
            if not may_take():
                return
            try:
                accepted, _address = borrowed.accept()
            except OSError:
                return  # there is none; what else it may be, the next one that is waited for tells
            yield trio.SocketStream(trio.socket.from_stdlib_socket(accepted))
    finally:
        borrowed.detach()


class _Listener:
    """What the tasks of one `serve` have in common."""

    def __init__(
        self,
        app: ASGIFramework,
        config: Config,
        limits: HttpLimits,
        unparsed: Unparsed,
        on_fault: ConnectionFault,
        tls: ServerTls | None = None,
    ) -> None:
        self.connections = Connections(limits.connections_max)
        self.context = WorkerContext(None)
        self._app = ASGIWrapper(app)
        self._config = config
        self._limits = limits
        self._unparsed = unparsed
        self._on_fault = on_fault
        self._tls = tls

    async def accept(self, listener: trio.SocketListener, nursery: trio.Nursery) -> None:
        """Accepts until cancelled. A connection counts from here on, so that the limit is exact."""
        while True:
            try:
                accepted = await listener.accept()
            except OSError as error:
                if error.errno not in _OUT_OF_FILES:
                    raise
                # The connection stays in the backlog, so trying again at once would spin.
                await trio.sleep(_OUT_OF_FILES_PAUSE_S)
                continue
            await self._let_settle()
            self._take(accepted, nursery)
            for another in _waiting(listener, lambda: not self.connections.are_settling):
                self._take(another, nursery)

    async def _let_settle(self) -> None:
        """While there is no place: let those just opened say what they want first, and others get their answers."""
        with trio.move_on_after(SETTLE_S):
            while self.connections.are_settling:
                await trio.sleep(SETTLE_PAUSE_S)

    def _take(self, accepted: trio.SocketStream, nursery: trio.Nursery) -> None:
        if self.connections.is_full:
            longest_idle = self.connections.make_room()
            if longest_idle is None:
                self._turn_away(accepted.socket)
                return
            longest_idle.release()
        stream = self._stream(accepted)
        self.connections.add(stream)
        nursery.start_soon(self._serve, stream)

    async def _serve(self, stream: ClientStream) -> None:
        """One connection from its first byte to its closed socket."""
        state = ConnectionState({LINE: stream})
        try:
            _limit_silence(stream.socket, self._limits.send_stall_s)
            if isinstance(stream, TlsStream) and not await self._agree(stream):
                return
            head_timeout_s = self._limits.head_timeout_s
            await Http1Server(self._app, self._config, self.context, state, stream, self._unparsed, head_timeout_s)
        except OSError:
            pass  # the client was gone before it was served
        except Exception as error:
            self._on_fault(error)
        finally:
            stream.release()
            self.connections.discard(stream)
            stream.forget()

    def _stream(self, accepted: trio.SocketStream) -> ClientStream:
        if self._tls is None:
            return ClientStream(accepted, self._limits.send_stall_s)
        return TlsStream(accepted, self._limits.send_stall_s, self._tls.context)

    async def _agree(self, stream: TlsStream) -> bool:
        """The handshake; False when the connection is over. It has its time, and a stop does not wait for it."""
        assert self._tls is not None
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # it has gone, or the listener stops
            try:
                with trio.move_on_after(self._limits.handshake_s):
                    await stream.handshake()
                    return True
                self._tls.on_refused(stream.peer, "the handshake took too long")
            except HandshakeRefused as refused:
                self._tls.on_refused(stream.peer, str(refused))
                last_words = _raw(self._unparsed(PLAIN_TO_TLS)) if refused.speaks_http else refused.alert
                with trio.move_on_after(self._limits.linger_s):
                    await stream.refuse(last_words)
        return False

    def _turn_away(self, accepted: trio.socket.SocketType) -> None:
        """Says 503 if that is possible without waiting and without TLS, and closes."""
        self.connections.turned_away += 1
        raw = socket.socket(fileno=accepted.detach())
        with raw:
            if self._tls is not None:
                return
            raw.setblocking(False)
            try:
                raw.send(_raw(self._unparsed(503)))
                raw.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it has gone by itself


async def serve(
    app: ASGIFramework,
    listeners: list[trio.SocketListener],
    config: Config,
    *,
    limits: HttpLimits,
    unparsed: Unparsed,
    on_fault: ConnectionFault,
    stop: trio.Event,
    grace_s: float,
    tls: ServerTls | None = None,
    task_status: trio.TaskStatus[Connections] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves until `stop`; then closes what is idle, gives requests `grace_s` to end, and cuts off the rest.

    Started with the open connections, which a gauge may count. Cancelled, it cuts off everything at once. Returns, or
    raises, only after every socket is closed, whatever clients do; the listeners are closed too. With `tls` every
    connection begins with a handshake.
    """
    listener = _Listener(app, config, limits, unparsed, on_fault, tls)
    async with trio.open_nursery() as nursery:
        try:
            async with trio.open_nursery() as accepting:
                for each in listeners:
                    accepting.start_soon(listener.accept, each, nursery)
                task_status.started(listener.connections)
                await stop.wait()
                accepting.cancel_scope.cancel(reason="the listener stops")
            _close_listeners(listeners)
            listener.connections.abort_opening()
            await listener.context.terminated.set()
            with trio.move_on_after(grace_s):
                await listener.connections.wait_none()
        finally:
            _close_listeners(listeners)
            listener.connections.abort_all()
        nursery.cancel_scope.cancel(reason="the listener's grace is over")


def _close_listeners(listeners: list[trio.SocketListener]) -> None:
    for each in listeners:
        each.socket.close()


def _limit_silence(accepted: trio.socket.SocketType, stall_s: float) -> None:
    """Lets the kernel end the connection when what it sent is not acknowledged for this long."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if option is not None:
        accepted.setsockopt(socket.IPPROTO_TCP, option, int(stall_s * 1000))


def _is_in_use(error: BaseException) -> bool:
    """Trio wraps the error when a name stands for several addresses."""
    causes = error.exceptions if isinstance(error, BaseExceptionGroup) else (error,)
    return any(isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE for cause in causes)


def _raw(answer: Answer) -> bytes:
    """An answer as bytes, for a connection that is not served."""
    phrase = HTTPStatus(answer.status).phrase
    lines = [f"HTTP/1.1 {answer.status} {phrase}", *(f"{name}: {value}" for name, value in answer.headers)]
    lines += [f"content-length: {len(answer.body)}", "connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1") + answer.body
