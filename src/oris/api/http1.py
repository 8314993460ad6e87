"""Hypercorn's HTTP/1.1, kept to HTTP/1.1.

Hypercorn changes to HTTP/2 when a client asks or begins with its preface, and to websockets. Here none of it happens,
with or without TLS: an `Upgrade` is passed over, as HTTP allows, and the preface reaches the guard as a request for a
version it refuses.
Bytes that are no request are answered with the envelope, and an answer's head leaves together with its first part:
one packet and one system call less for each request. Whatever else RFC 9112 allows a client is read as it says.

A client may send many requests at once. They are looked at one by one, each once the answer before it is taken, and
none any more once nothing can be sent: hypercorn would go on answering all of them to nobody. A client that has ended
its own side alone is told from one that has gone by what sending meets, and gets all its answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import h11
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.events import Body, EndBody, Request, Response
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.trio.tcp_server import MAX_RECV, TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState, H11SendableEvent

from oris.api.exchange import GO_ON, encoded_headers
from oris.api.http import Answer
from oris.api.persistence import CLOSES, kept, may_persist
from oris.api.stream import ClientStream
from oris.api.target import origin_form
from oris.api.tls_stream import TlsStream

Unparsed = Callable[[int], Answer]
"""The answer where no request was read; the argument is the status that hypercorn or the listener suggests."""
_HEADS_BYTES = 16 * 1024
"""As much is read at a time where no body is expected: what a client has sent ahead is kept until it is its turn."""
_JOINED_BYTES = 16 * 1024
"""A body up to this size leaves in one piece with the head."""
_EMPTY_MAX_BYTES = 64
"""More than that behind a request is not read on for, though it be empty lines."""
_EMPTY_LINES = re.compile(rb"\A(?:\r?\n)+")
PLAIN_TO_TLS = 497
"""What the listener suggests, a word of nginx's, when HTTP came where TLS is spoken."""


class Http1Protocol(H11Protocol):
    """The protocol of one connection, in place of the one that `wrapper` holds."""

    def __init__(self, wrapper: ProtocolWrapper, unparsed: Unparsed, line: ClientStream) -> None:
        super().__init__(
            wrapper.app,
            wrapper.config,
            wrapper.context,
            wrapper.task_group,
            wrapper.state,
            wrapper.ssl,
            wrapper.client,
            wrapper.server,
            self._send_in_order,
        )
        self._to_server = wrapper.send
        self._unparsed = unparsed
        self._line = line
        self._unsent = b""
        self._may_go_on = False
        self._may_persist = False
        self.in_head = False
        """Something has come of a head, and not yet its end."""

    async def handle(self, event: Event) -> None:
        """As hypercorn's. The time of a head begins with its first byte, however long the connection was idle."""
        if isinstance(event, RawData) and self._ends_with_this_answer():
            return  # and nothing of it is kept
        await super().handle(event)
        if isinstance(event, Closed):
            await self.can_read.set()  # who waits for the end of the answer, which may never come now, need not
        if isinstance(event, RawData) and event.data and self.stream is None and not self.in_head:
            self.in_head = bool(self.connection.trailing_data[0].strip(b"\r\n"))
            if self.in_head:
                self._line.on_begin(self._line)
                await self._to_server(Updated(idle=True))

    async def _send_in_order(self, event: Event) -> None:
        is_answering = self.stream is not None and self.connection.our_state is h11.SEND_BODY
        if isinstance(event, Closed) and is_answering:
            # The reader has met something wrong behind the request. The answer under way goes first, its end closes.
            return
        await self._to_server(event)

    async def all_answered(self) -> None:
        """Wait until all that has come whole is answered. A checkpoint only if it waits."""
        while self.stream is not None and self.connection.their_state not in (h11.SEND_BODY, h11.ERROR):
            await self.can_read.clear()
            await self.can_read.wait()

    @property
    def read_bytes(self) -> int:
        """How much to read at a time."""
        return MAX_RECV if self.connection.their_state is h11.SEND_BODY else _HEADS_BYTES

    async def _handle_events(self) -> None:
        """As hypercorn's, without other protocols, and not beyond the last request that can be answered."""
        while not self._ends_with_this_answer() and self._skip_empty_lines():
            try:
                event = self.connection.next_event()
            except h11.RemoteProtocolError as error:
                if self.connection.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
                    await self._send_error_response(error.error_status_hint)
                await self.send(Closed())
                return
            if isinstance(event, h11.Request):
                await self.send(Updated(idle=False))
                await self._create_stream(event)
            elif event is h11.PAUSED:
                if not await self._is_next():
                    return
            elif self.stream is None or not isinstance(event, h11.Data | h11.EndOfMessage):
                self._line.sends_ahead = False
                return
            elif isinstance(event, h11.Data):
                await self.stream.handle(Body(stream_id=STREAM_ID, data=event.data))
            else:
                await self.stream.handle(EndBody(stream_id=STREAM_ID))

    def _ends_with_this_answer(self) -> bool:
        """Whether the connection does, so that nothing counts that comes behind the request: as the client wants it,
        or because what it has sent is no HTTP."""
        return self.connection.their_state in (h11.MUST_CLOSE, h11.CLOSED, h11.ERROR)

    def _skip_empty_lines(self) -> bool:
        """Drops what some clients send behind a body, or before their first line. False when half of one has come."""
        if self.connection.their_state is not h11.IDLE:
            return True
        come, has_ended = self.connection.trailing_data
        begun = _EMPTY_LINES.sub(b"", come)
        if len(begun) < len(come):
            # The parser takes an empty line for a request's; between two requests a new parser knows as much.
            self.connection = h11.Connection(h11.SERVER, self.config.h11_max_incomplete_size)
            if begun:
                self.connection.receive_data(begun)
            if has_ended:
                self.connection.receive_data(b"")
        return begun != b"\r" or has_ended

    async def _is_next(self) -> bool:
        """Waits for the answer under way, with more behind its request. Whether that is to be looked at."""
        behind = self.connection.trailing_data[0]
        if len(behind) <= _EMPTY_MAX_BYTES and not behind.strip(b"\r\n"):
            # Only empty lines behind it, or nothing: the parser also pauses where a change of protocols is offered.
            return False
        await self.can_read.clear()
        if not self._line.broken:
            self._line.sends_ahead = True
            await self._wait_for_answer()
        if self.connection.their_state is not h11.IDLE:
            return False
        has_come = bool(self.connection.trailing_data[0])
        return not (has_come and self._line.is_broken())

    async def _wait_for_answer(self) -> None:
        if self.connection.our_state is h11.DONE:
            # All of it is on its way, and meets what becomes of the client. Fast clients often come just here.
            await self.can_read.wait()
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._look_out)
            await self.can_read.wait()
            nursery.cancel_scope.cancel(reason="the answer is out")

    async def _look_out(self) -> None:
        """While nobody reads: what is under way ends with a connection that breaks, and its waits with the client's
        side of it."""
        await self._line.look_out_for_end()
        if self._line.broken:
            await self.handle(Closed())

    async def _create_stream(self, request: h11.Request) -> None:
        """As hypercorn's, but never a websocket: whose broken handshakes it would answer by itself."""
        self.in_head = self._may_go_on = False
        self._may_persist = may_persist(request)
        self._line.on_rest(self._line, False)
        self.stream = HTTPStream(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        target, fields = origin_form(request.target, list(request.headers))
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=fields,
                http_version=request.http_version.decode(),
                method=request.method.decode("ascii").upper(),
                raw_path=target,
                state=ConnectionState({**self.connection_state, GO_ON: self._go_on}),
            )
        )
        self.keep_alive_requests += 1
        await self.context.mark_request()

    async def _maybe_recycle(self) -> None:
        # Before the next request, which may have come already, is looked at.
        self._line.on_rest(self._line, True)
        if self._line.broken:
            await self._close_stream()
            await self.send(Closed())
        else:
            await super()._maybe_recycle()

    async def stream_send(self, event: StreamEvent) -> None:
        """As hypercorn's. An answer's head also says how long the connection is kept, or that it is closed."""
        if isinstance(event, Response) and not any(name == b"connection" for name, _ in event.headers):
            event = replace(event, headers=[*event.headers, *self._persistence()])
        await super().stream_send(event)

    def _persistence(self) -> list[tuple[bytes, bytes]]:
        if self.context.terminated.is_set():
            return CLOSES
        if not self._may_persist or self.keep_alive_requests >= self.config.keep_alive_max_requests:
            return []  # the parser says that it is closed, or hypercorn does
        if self._line.gone and not self.connection.trailing_data[0]:
            return CLOSES  # all that the client has asked for is answered then
        return kept(self.config)

    async def _go_on(self) -> None:
        """Says 100 to a client that waits for it before it sends its body."""
        self._may_go_on = True
        if self.connection.they_are_waiting_for_100_continue:
            await self._send_h11_event(h11.InformationalResponse(status_code=100, headers=[]))

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        if isinstance(event, h11.InformationalResponse) and not self._may_go_on:
            return  # hypercorn says 100 before anybody has looked at the head
        try:
            data = self.connection.send(event)
        except h11.LocalProtocolError:
            if self.connection.their_state is h11.ERROR:
                return  # an answer to a client that has broken the protocol meanwhile
            raise
        if isinstance(event, h11.Response):
            self._unsent = data or b""
            return
        head, self._unsent = self._unsent, b""
        if head and data and len(data) > _JOINED_BYTES:
            # Joining copies, and a client may take long to read: that would be a copy for each.
            await self.send(RawData(data=head))
            head = b""
        data = head + data if head and data else head or data or b""
        if data:
            await self.send(RawData(data=data))

    async def _send_error_response(self, status_code: int) -> None:
        answer = self._unparsed(status_code)
        headers = [*encoded_headers(answer), (b"connection", b"close"), *self.config.response_headers("h11")]
        await self._send_h11_event(h11.Response(status_code=answer.status, headers=headers))
        await self._send_h11_event(h11.Data(data=answer.body))
        await self._send_h11_event(h11.EndOfMessage())


class Http1Server(TCPServer):
    """Hypercorn's server of one connection, with the protocol above in place of its own."""

    def __init__(
        self,
        app: AppWrapper,
        config: Config,
        context: WorkerContext,
        state: ConnectionState,
        stream: ClientStream,
        unparsed: Unparsed,
        head_timeout_s: float,
    ) -> None:
        super().__init__(app, config, context, state, stream)  # type: ignore[arg-type]
        self._line = stream
        self._unparsed = unparsed
        self._head_timeout_s = head_timeout_s
        self._protocol: ProtocolWrapper | None = None

    async def run(self) -> None:
        """As hypercorn's. Server and protocol refer to each other, and to all that was read: at the end they are taken
        apart, or memory would grow with each connection until somebody looks for garbage."""
        try:
            await super().run()
        finally:
            wrapper, self._protocol = self._protocol, None
            if wrapper is not None:
                vars(wrapper.protocol).clear()

    @property
    def protocol(self) -> ProtocolWrapper:
        """The protocol in use."""
        assert self._protocol is not None
        return self._protocol

    @protocol.setter
    def protocol(self, wrapper: ProtocolWrapper) -> None:
        # `TCPServer.run` makes the wrapper, which has no other place to choose the protocol. It takes our stream for
        # one without TLS, because the handshake is not its business; applications are told of the scheme.
        wrapper.ssl = isinstance(self.stream, TlsStream)
        wrapper.protocol = Http1Protocol(wrapper, self._unparsed, self._line)
        self._protocol = wrapper

    async def _idle_timeout(self) -> None:
        """As hypercorn's, with a time of its own for a head that has begun."""
        protocol = self.protocol.protocol
        if isinstance(protocol, Http1Protocol) and protocol.in_head:
            with trio.move_on_after(self._head_timeout_s):
                await self.context.terminated.wait()
            with trio.CancelScope(shield=True):
                await self._initiate_server_close()
        else:
            await super()._idle_timeout()

    async def _read_data(self) -> None:
        """As hypercorn's, but what has been read is not kept while the next is waited for."""
        while await self._read_part():
            pass
        if not self._line.broken:
            # The client has ended its side, and may still listen: what it has asked for, it gets.
            await cast("Http1Protocol", self.protocol.protocol).all_answered()
        await self.protocol.handle(Closed())
        # The client has closed, but the task that waits for the keep-alive limit would hold the connection until then.
        await self.idle_task.stop()

    async def _read_part(self) -> bool:
        """False at the end."""
        try:
            data = await self._line.receive_some(cast("Http1Protocol", self.protocol.protocol).read_bytes)
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            return False
        await self.protocol.handle(RawData(bytes(data)))
        return bool(data) and not self._line.broken
