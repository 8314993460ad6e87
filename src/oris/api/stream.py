"""A client's connection, as hypercorn uses it, with what hypercorn leaves out.

Hypercorn shields its sending from cancellation, so a client that never reads could hold the server for ever: here each
piece has a deadline, and all of them together, and `abort` ends everything that waits on the socket. It also swallows
what goes wrong while sending, so this remembers it.
"""

from __future__ import annotations

import os
import select
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import trio

from oris.api.arrival import has_arrived, is_reset
from oris.patience import Patience

PIECE_BYTES = 64 * 1024
LEAST_BYTES_PER_S = 64 * 1024
"""Whoever reads an answer more slowly than this, once the stall time is used up, is cut off: what he does not read is
held in memory, and others wait for the room."""
LOOK_OUT_S = 1.0
"""How often the kernel is asked for an end that stands behind something unread: it tells that nobody by itself."""
_HUNG_UP = getattr(select, "POLLRDHUP", select.POLLHUP)  # errors and POLLHUP are always told too
_LINGER_NONE = struct.pack("ii", 1, 0)

Send = Callable[[memoryview], Awaitable[None]]


class ClientStream:
    """A `trio.SocketStream` with a memory. Its `gone` and `lost` are the `Line` of an exchange."""

    def __init__(self, inner: trio.SocketStream, send_stall_s: float) -> None:
        self._inner = inner
        self._send_stall_s = send_stall_s
        self.socket = inner.socket
        self.gone = False
        """The client has ended its side, or the connection is broken."""
        self.lost = False
        """Something was sent that the client cannot have got."""
        self.broken = False
        """Nothing can be sent on it any more: it failed, was reset, or we have closed it. A client that has only ended
        its own side (`gone`) still gets its answers."""
        self._patience = Patience()
        """Of who waits for the answer that is under way, or was last."""
        self.opening = False
        """It is not agreed yet how to speak."""
        self.sends_ahead = False
        """The client has sent more behind the request that is under way, or just answered."""
        self.of_worker = False
        """A worker has called on it."""
        self.resting: dict[ClientStream, Any] | None = None
        """Where it stands among those that nobody waits on; kept by whoever is told in `on_rest`."""
        self.on_begin: Callable[[ClientStream], None] = lambda stream: None
        """Told when the first part of a head has come."""
        self.on_rest: Callable[[ClientStream, bool], None] = lambda stream, rests: None
        """Told when a request begins (False), and when its answer is out and the next may come."""
        self.on_refused: Callable[[ClientStream], None] = lambda stream: None
        """Told when a request is refused that has no place: until its answer is out, and the rest of it thrown away."""

    @property
    def peer(self) -> str:
        """The client's address, for the log; empty when it has gone."""
        try:
            return str(self.socket.getpeername()[0])
        except OSError:
            return ""

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """As trio's; notes the end."""
        try:
            data = await self._inner.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.gone = self.broken = True
            raise
        if not data:
            self.has_ended()
        return data

    async def send_all(self, data: bytes) -> None:
        """Sends piece by piece. The connection breaks when a piece does not get out within the stall time, or all of it
        within that and the time that its size allows."""
        if not data:
            return
        has_ended = self.gone or self._has_hung_up()
        try:
            await self._in_pieces(data, self._send_piece)
            if has_ended and not await has_arrived(self.socket):
                self.lost = True
        except BaseException:
            self.lost = self.broken = True
            raise

    def has_ended(self) -> None:
        """The client will say no more. Whether it still listens, only sending tells: so it is answered at once."""
        self.gone = True
        self._patience.end()

    async def look_out_for_end(self) -> None:
        """Waits for the client's end while nobody reads, and notes it, also behind what is unread."""
        if not self.is_broken():
            with suppress(trio.ClosedResourceError):
                await trio.lowlevel.wait_readable(self.socket)
        while not self.is_broken() and not self._has_hung_up():
            await trio.sleep(LOOK_OUT_S)
        if self.broken:
            self.gone = True
        else:
            self.has_ended()

    def is_waited_on(self, patience: Patience) -> None:
        """A request of it is under way; once the client has ended its side, it waits no longer."""
        self._patience = patience
        if self.gone:
            patience.end()

    def is_broken(self) -> bool:
        """Whether nothing can be sent any more, as far as the kernel knows; `broken` is only what was met already.

        A call of the system, for whoever is about to do more for this client alone.
        """
        if not self.broken:
            self.broken = is_reset(self.socket)
        return self.broken

    def _has_hung_up(self) -> bool:
        """Whether the client's end has arrived and nobody has read it yet."""
        poll = select.poll()
        poll.register(self.socket.fileno(), _HUNG_UP)
        return bool(poll.poll(0))

    def serves_worker(self) -> None:
        """A worker has called on it: of the idle it is closed last."""
        self.of_worker = True

    def is_refused(self) -> None:
        """What was asked for on it is refused, and has no place."""
        self.on_refused(self)

    def has_unread(self) -> bool:
        """Whether something has come that nobody has read yet."""
        if self.socket.fileno() == -1:
            return False
        poll = select.poll()
        poll.register(self.socket.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    async def _send_piece(self, piece: memoryview) -> None:
        await self._in_time(self._send_stall_s, self._inner.send_all, piece)

    async def _in_pieces(self, data: bytes, send: Send) -> None:
        view = memoryview(data)  # a slice of bytes would be a copy for each client that does not read
        if len(data) <= PIECE_BYTES:
            await send(view)
        else:
            limit_s = self._send_stall_s + len(data) / LEAST_BYTES_PER_S
            await self._in_time(limit_s, partial(_one_by_one, send), view)

    async def _in_time(self, limit_s: float, send: Send, data: memoryview) -> None:
        """What is sent here is out in time, or the connection is closed. Raises BrokenResourceError then."""
        with trio.move_on_after(limit_s) as scope:
            await send(data)
        if scope.cancelled_caught:
            self.abort()
            raise trio.BrokenResourceError("the client does not read")

    def send_nowait(self, data: bytes) -> None:
        """Sends what can go at once, for last words that nobody waits for."""
        with suppress(OSError):  # the client has gone, or does not listen
            os.write(self.socket.fileno(), data)

    async def send_eof(self) -> None:
        """Nothing: hypercorn calls it before closing, maybe in the middle of a send, and closing says the same."""
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """As trio's."""
        self.gone = self.broken = True
        await self._inner.aclose()

    def abort(self) -> None:
        """Closes at once, throws away what is not sent, and wakes every task that waits on the socket. Idempotent."""
        self.gone = self.broken = True
        if self.socket.fileno() != -1:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
            self.socket.close()

    def forget(self) -> None:
        """Its task is over: let go of what refers back to it, so that nobody has to look for it as garbage."""

    def release(self) -> None:
        """Makes sure that the socket is closed, what was sent being delivered if it can. Idempotent."""
        self.gone = self.broken = True
        self.socket.close()


async def _one_by_one(send: Send, view: memoryview) -> None:
    for start in range(0, len(view), PIECE_BYTES):
        await send(view[start : start + PIECE_BYTES])
