"""A client's connection under TLS: a `ClientStream` whose bytes are encrypted by trio's `SSLStream` on their way.

The encryption stands above the plain connection, so that whatever TLS itself wants to send has the same deadlines, and
`abort` wakes everything, wherever it waits.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress

import trio

from oris.api.stream import ClientStream


class HandshakeRefused(Exception):
    """There is no TLS with this client; the text is OpenSSL's reason."""

    def __init__(self, reason: str, alert: bytes) -> None:
        super().__init__(reason)
        self.speaks_http = reason == "HTTP_REQUEST"
        """It has sent a request, and not a handshake."""
        self.alert = alert
        """What tells the client why."""


class _EndedBelow(Exception):
    """A client has ended its side of the connection without ending TLS first, as some do (RFC 9112, section 9.8).

    The TLS layer is not told: it would send nothing any more. Nobody can cut a request short so without being noticed,
    because each says how long it is.
    """


class TlsStream(ClientStream):
    """Begins with `handshake`. Before that nothing else may be called but `abort` and `release`."""

    def __init__(self, inner: trio.SocketStream, send_stall_s: float, context: ssl.SSLContext) -> None:
        super().__init__(inner, send_stall_s)
        self.opening = True
        self._sending = False
        self._tls = trio.SSLStream(_Wire(self), context, server_side=True)

    async def handshake(self) -> None:
        """Agree with the client. Raises HandshakeRefused; trio's errors when it has gone."""
        try:
            await self._tls.do_handshake()
        except trio.BrokenResourceError as error:
            cause = error.__cause__
            reason = cause.reason if isinstance(cause, ssl.SSLError) else None
            if reason is None or reason == "UNEXPECTED_EOF_WHILE_READING":
                raise  # it has gone
            # Trio leaves the alert where OpenSSL has put it.
            raise HandshakeRefused(reason, self._tls._outgoing.read()) from error
        self.opening = False

    async def refuse(self, last_words: bytes) -> None:
        """Send something, if that can be done at once, and listen until the client closes.

        Closed with bytes unread, a connection is reset, and the client might never see why. Raises trio's errors.
        """
        self.send_nowait(last_words)
        self.socket.shutdown(socket.SHUT_WR)
        while await super().receive_some():
            pass

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """As trio's; notes the end, be it TLS's or the connection's."""
        try:
            data = bytes(await self._tls.receive_some(max_bytes))
        except _EndedBelow:
            data = b""
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.gone = self.broken = True
            raise
        if not data:
            self.has_ended()
        return data

    async def send_all(self, data: bytes) -> None:
        """Encrypts and sends piece by piece, so that other connections get their turn."""
        self._sending = True
        try:
            await self._in_pieces(data, self._tls.send_all)
        except BaseException:
            self.lost = self.broken = True
            raise
        finally:
            self._sending = False

    def forget(self) -> None:
        """The TLS layer refers to itself, and to the wire below it, which refers to this."""
        vars(self._tls).clear()

    async def aclose(self) -> None:
        """Says goodbye, as HTTP over TLS asks for, if that can be done at once; and closes."""
        self.gone = self.broken = True
        if not self._sending and not self.opening and self.socket.fileno() != -1:
            with suppress(ssl.SSLError):  # the client's own goodbye has not come, or TLS is broken
                self._tls._ssl_object.unwrap()
            # Trio keeps the tickets of TLS 1.3 until something is sent; without them the client takes this for forged.
            self.send_nowait((self._tls._delayed_outgoing or b"") + self._tls._outgoing.read())
        await super().aclose()


class _Wire(trio.abc.Stream):
    """What the TLS layer sends and receives on: the plain methods of the same connection."""

    def __init__(self, stream: TlsStream) -> None:
        self._stream = stream

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        data = await ClientStream.receive_some(self._stream, max_bytes)
        if not data and not self._stream.opening:
            raise _EndedBelow
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await ClientStream.send_all(self._stream, bytes(data))

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await ClientStream.aclose(self._stream)
