"""Hypercorn's HTTP/1.1, kept to HTTP/1.1.

Hypercorn changes to HTTP/2 when a client asks or begins with its preface; here neither happens, with or without TLS: an
`Upgrade` to h2c is ignored, as HTTP allows, and the preface reaches the guard as a request for a version it refuses.
Bytes that are no request are answered with the envelope, and an answer's head leaves together with its first part:
one packet and one system call less for each request.
"""

from __future__ import annotations

from collections.abc import Callable

import h11
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState, H11SendableEvent

from oris.api.exchange import encoded_headers
from oris.api.http import Answer
from oris.api.stream import ClientStream
from oris.api.tls_stream import TlsStream

Unparsed = Callable[[int], Answer]
"""The answer where no request was read; the argument is the status that hypercorn or the listener suggests."""
PLAIN_TO_TLS = 497
"""What the listener suggests, a word of nginx's, when HTTP came where TLS is spoken."""


class Http1Protocol(H11Protocol):
    """The protocol of one connection, in place of the one that `wrapper` holds."""

    def __init__(self, wrapper: ProtocolWrapper, unparsed: Unparsed) -> None:
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
        self._unsent = b""

    async def _send_in_order(self, event: Event) -> None:
        is_answering = self.stream is not None and self.connection.our_state is h11.SEND_BODY
        if isinstance(event, Closed) and is_answering:
            # The reader has met something wrong behind the request. The answer under way goes first, its end closes.
            return
        await self._to_server(event)

    async def _check_protocol(self, event: h11.Request) -> None:
        """Never changes to another protocol."""

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        try:
            data = self.connection.send(event)
        except h11.LocalProtocolError:
            if self.connection.their_state is h11.ERROR:
                return  # an answer to a client that has broken the protocol meanwhile
            raise
        if isinstance(event, h11.Response):
            self._unsent = data or b""
            return
        data, self._unsent = self._unsent + (data or b""), b""
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
    ) -> None:
        super().__init__(app, config, context, state, stream)  # type: ignore[arg-type]
        self._unparsed = unparsed

    @property
    def protocol(self) -> ProtocolWrapper:
        """The protocol in use."""
        return self._protocol

    @protocol.setter
    def protocol(self, wrapper: ProtocolWrapper) -> None:
        # `TCPServer.run` makes the wrapper, which has no other place to choose the protocol. It takes our stream for
        # one without TLS, because the handshake is not its business; applications are told of the scheme.
        wrapper.ssl = isinstance(self.stream, TlsStream)
        wrapper.protocol = Http1Protocol(wrapper, self._unparsed)
        self._protocol = wrapper

    async def _read_data(self) -> None:
        await super()._read_data()
        # The client has closed, but the task that waits for the keep-alive limit would hold the connection until then.
        await self.idle_task.stop()
