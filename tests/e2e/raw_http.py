"""HTTP/1.1 by hand: connections that tests can cut, leave silent, or drive faster than a client library would."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio

_READ_BYTES = 65_536


class Cut(Exception):
    """The server, or its process, has closed the connection."""


@dataclass(frozen=True)
class Reply:
    """An answer, read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        """The data of a success."""
        assert self.status == 200, (self.status, self.body)
        return json.loads(self.body)["data"]

    @property
    def reason(self) -> str:
        """The word of a refusal."""
        error = json.loads(self.body)["error"]
        return str(error.get("details", {}).get("reason", error["code"]))


def request_bytes(method: str, path: str, body: object = None, *fields: str) -> bytes:
    """A request with its head, in which `fields` are lines; a body is sent as JSON."""
    head = "".join(f"{line}\r\n" for line in (f"{method} {path} HTTP/1.1", "host: localhost", *fields))
    if body is None:
        return (head + "\r\n").encode()
    content = json.dumps(body).encode()
    return (head + f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n").encode() + content


class Connection:
    """One connection, one request at a time. Every method raises Cut when the other side has gone."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._buffer = b""

    async def ask(self, method: str, path: str, body: object = None, *fields: str) -> Reply:
        """Send a request and read its answer."""
        await self.send(method, path, body, *fields)
        return await self.read()

    async def post(self, path: str, body: object) -> Reply:
        """A write."""
        return await self.ask("POST", path, body)

    async def send(self, method: str, path: str, body: object = None, *fields: str) -> None:
        """Send a request, and do not wait for its answer."""
        try:
            await self.stream.send_all(request_bytes(method, path, body, *fields))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise Cut from error

    async def read(self) -> Reply:
        """The next answer."""
        while b"\r\n\r\n" not in self._buffer:
            await self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers["content-length"])
        while len(self._buffer) < length:
            await self._more()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return Reply(int(first.split()[1]), headers, body)

    async def at_end(self) -> bool:
        """Wait until the server says something or closes; True: it has closed, and said nothing."""
        try:
            await self._more()
        except Cut:
            return True
        return False

    async def _more(self) -> None:
        try:
            part = await self.stream.receive_some(_READ_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise Cut from error
        if not part:
            raise Cut
        self._buffer += part


async def connect(address: tuple[str, int], tls: ssl.SSLContext | None = None) -> Connection:
    """Open a connection. Raises Cut when nobody listens, or when there is no agreement on TLS."""
    try:
        plain = await trio.open_tcp_stream(*address)
    except OSError as error:
        raise Cut from error
    if tls is None:
        return Connection(plain)
    stream = trio.SSLStream(plain, tls, server_hostname=address[0], https_compatible=True)
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError as error:
        plain.socket.close()
        raise Cut from error
    except BaseException:
        plain.socket.close()
        raise
    return Connection(stream)


@asynccontextmanager
async def connected(address: tuple[str, int], tls: ssl.SSLContext | None = None) -> AsyncIterator[Connection]:
    """A connection that is closed afterwards."""
    connection = await connect(address, tls)
    async with connection.stream:
        yield connection
