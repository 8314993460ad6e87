"""A cheap load client: many kept connections, one epoll, requests made by generators.

It shares the machine with the server it measures, so it parses no more of an answer than it must. A script is a
generator that yields a request and is sent the body of its answer; it ends when it returns.
"""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Callable, Generator, Iterable
from typing import Any

Script = Generator[bytes, bytes, None]
_RECEIVE_BYTES = 1 << 18
LIMIT_S = 120.0


class BadAnswer(Exception):
    """An answer that is not a 200."""


class Connection:
    """One kept connection: a request out, its answer in."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def send(self, request: bytes) -> None:
        """Blocks only when the socket's buffer is full."""
        self.socket.sendall(request)

    def receive(self) -> bytes | None:
        """Read once; the body if the answer is whole. Raises BadAnswer."""
        part = self.socket.recv(_RECEIVE_BYTES)
        if not part:
            raise BadAnswer("the server closed the connection")
        self._received += part
        end = self._received.find(b"\r\n\r\n") + 4
        if end < 4:
            return None
        length = _content_length(self._received[:end])
        if len(self._received) < end + length:
            return None
        answer, self._received = self._received, b""
        if answer[9:12] != b"200":
            raise BadAnswer(answer.decode(errors="replace"))
        return answer[end:]

    def call(self, request: bytes) -> bytes:
        """Send, and wait for the answer's body."""
        self.send(request)
        return self.wait()

    def wait(self) -> bytes:
        """Wait for the answer to what was sent."""
        self.socket.settimeout(LIMIT_S)
        while (body := self.receive()) is None:
            pass
        return body

    def close(self) -> None:
        """Hang up."""
        self.socket.close()


def _next(script: Script, body: bytes) -> bytes | None:
    try:
        return script.send(body)
    except StopIteration:
        return None


def _content_length(head: bytes) -> int:
    at = head.lower().index(b"content-length:") + 15
    return int(head[at : head.index(b"\r\n", at)])


def post(path: str, body: bytes) -> bytes:
    """A whole request."""
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


def get(path: str) -> bytes:
    """A whole request without a body."""
    return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode()


def post_json(path: str, body: dict[str, Any]) -> bytes:
    """The same, for what is not sent by the thousand."""
    return post(path, json.dumps(body).encode())


def data_of(answer: bytes) -> dict[str, Any]:
    """The `data` of an answer."""
    data: dict[str, Any] = json.loads(answer)["data"]
    return data


def drive(port: int, scripts: Iterable[Script], until: Callable[[], bool] = lambda: False) -> int:
    """Run each script on a connection of its own until all have returned or `until()` holds; how many answers came.

    Raises BadAnswer for an answer other than 200, and when all takes longer than two minutes.
    """
    poller = select.epoll()
    running: dict[int, tuple[Connection, Script]] = {}
    answers = 0
    give_up_s = time.perf_counter() + LIMIT_S
    try:
        for script in scripts:
            connection = Connection(port)
            running[connection.socket.fileno()] = (connection, script)
            poller.register(connection.socket, select.EPOLLIN)
            connection.send(next(script))
        while running:
            for number, _ in poller.poll(1.0):
                connection, script = running[number]
                body = connection.receive()
                if body is None:
                    continue
                answers += 1
                request = _next(script, body)
                if until():
                    return answers
                if request is None:
                    poller.unregister(number)
                    del running[number]
                    connection.close()
                else:
                    connection.send(request)
            if time.perf_counter() > give_up_s:
                raise BadAnswer(f"{len(running)} connections have not finished in {LIMIT_S:.0f} s")
    finally:
        poller.close()
        for connection, _ in running.values():
            connection.close()
    return answers
