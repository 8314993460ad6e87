"""A proxy that carries calls to a server, and breaks the connection in place of the answers that are to be lost."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress


class LineBreaker:
    """Listens on a free port as a context; ends with it."""

    def __init__(self, server: tuple[str, int], swallow: Callable[[str, int], bool]) -> None:
        """`swallow(head, nth)`: whether the answer to the nth request of this first line is not let through."""
        self._server = server
        self._swallow = swallow
        self.requests: list[tuple[str, bytes]] = []
        """First line and body of each, in order."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> LineBreaker:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def of(self, ending: str) -> list[bytes]:
        """The bodies sent to paths that end so."""
        return [body for head, body in list(self.requests) if head.split(" ")[1].endswith(ending)]

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with suppress(OSError, EOFError), client, socket.create_connection(self._server) as server:
            inwards, outwards = client.makefile("rb"), server.makefile("rb")
            with inwards, outwards:
                while True:
                    head, body = _message(inwards.readline, inwards.read)
                    first = head.splitlines()[0].decode()
                    self.requests.append((first, body))
                    nth = sum(before == first for before, _ in self.requests)
                    server.sendall(head + body)
                    answer = b"".join(_message(outwards.readline, outwards.read))
                    if self._swallow(first, nth):
                        return
                    client.sendall(answer)


def _message(readline: Callable[[], bytes], read: Callable[[int], bytes]) -> tuple[bytes, bytes]:
    """One message with its body, whose length it tells. Raises EOFError at the end of the stream."""
    head, length = b"", 0
    while not head.endswith(b"\r\n\r\n"):
        line = readline()
        if not line:
            raise EOFError
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        head += line
    return head, read(length)
