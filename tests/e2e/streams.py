"""Streamed answers by hand: pieces as they come, and Server-Sent Events out of them."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio

from .raw_http import Cut, connect


@dataclass(frozen=True)
class Event:
    """One event, or a comment: then there is nothing but its text."""

    seq: int | None
    kind: str | None
    data: Any
    comment: str | None = None


class Streamed:
    """One answer that is read piece by piece. Every method raises Cut when it is cut off before its end."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.status = 0
        self.headers: dict[str, str] = {}
        self.retry_ms: int | None = None
        self._raw = b""
        self._text = b""

    async def ask(self, path: str, *fields: str) -> None:
        """Send the request, and read the head of its answer."""
        lines = [f"GET {path} HTTP/1.1", "host: localhost", *fields, "", ""]
        try:
            await self.stream.send_all("\r\n".join(lines).encode())
        except trio.BrokenResourceError as error:
            raise Cut from error
        while b"\r\n\r\n" not in self._raw:
            await self._more()
        head, _, self._raw = self._raw.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}

    async def piece(self) -> bytes | None:
        """The next piece; None: this was all."""
        while b"\r\n" not in self._raw:
            await self._more()
        line, _, self._raw = self._raw.partition(b"\r\n")
        size = int(line, 16)
        while len(self._raw) < size + 2:
            await self._more()
        found, self._raw = self._raw[:size], self._raw[size + 2 :]
        return found if size else None

    async def body(self) -> bytes:
        """All of it; for small ones."""
        if "content-length" in self.headers:
            while len(self._raw) < int(self.headers["content-length"]):
                await self._more()
            return self._raw
        found = bytearray()
        while (piece := await self.piece()) is not None:
            found += piece
        return bytes(found)

    async def event(self) -> Event | None:
        """The next event or comment; None: the stream has ended."""
        while True:
            while b"\n\n" not in self._text:
                piece = await self.piece()
                if piece is None:
                    assert not self._text
                    return None
                self._text += piece
            block, _, self._text = self._text.partition(b"\n\n")
            found = self._parse(block.decode())
            if found is not None:
                return found

    async def events(self, after_seq: int = 0) -> list[Event]:
        """All events to the end of the stream, comments apart; each follows the one before it."""
        found = []
        while (event := await self.event()) is not None:
            if event.comment is None:
                after_seq += 1
                assert event.seq == after_seq == event.data["seq"]
                assert event.kind == event.data["event_type"]
                found.append(event)
        return found

    def _parse(self, block: str) -> Event | None:
        fields: dict[str, list[str]] = {}
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
        if "" in fields:
            return Event(None, None, None, fields[""][0])
        if "retry" in fields:
            self.retry_ms = int(fields["retry"][0])
            return None
        return Event(int(fields["id"][0]), fields["event"][0], json.loads("\n".join(fields["data"])))

    async def _more(self) -> None:
        try:
            part = await self.stream.receive_some(65_536)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise Cut from error
        if not part:
            raise Cut
        self._raw += part


@asynccontextmanager
async def streaming(
    address: tuple[str, int], path: str, *fields: str, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Streamed]:
    """An answer on a connection of its own, which is closed afterwards."""
    connection = await connect(address, tls)
    async with connection.stream:
        streamed = Streamed(connection.stream)
        await streamed.ask(path, *fields)
        yield streamed
