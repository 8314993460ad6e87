"""What the ASGI guard and the application know in common about one request, and how an answer is seen to its end.

The guard puts an `Exchange` into `scope["state"]`; the Quart adapter takes the admitted request from it and leaves the
answer in it. An answer that is not known to have reached the socket when the exchange is settled was not delivered.
"""

from __future__ import annotations

from typing import Any, Protocol

import trio

from oris.api.dispatch import Admission
from oris.api.http import NO_CONTENT, Answer
from oris.patience import Patience

EXCHANGE = "oris.exchange"
"""The key of the exchange in the ASGI state of a request."""
GO_ON = "oris.go_on"
"""The key, in the ASGI state of a request, of what lets a client send its body that has asked first."""
LINE = "oris.line"
"""The key of the `Line` in the ASGI state of a connection."""


class Line(Protocol):
    """What is known of the client's connection; the listener's stream."""

    @property
    def lost(self) -> bool:
        """Something was sent that the client cannot have got."""

    @property
    def broken(self) -> bool:
        """Nothing can be sent on it any more."""

    def abort(self) -> None:
        """Close at once."""

    def is_waited_on(self, patience: Patience) -> None:
        """A request of it is under way; once the client has ended its side, it waits no longer."""

    def serves_worker(self) -> None:
        """A worker has called on it."""

    def is_refused(self) -> None:
        """What was asked for on it is refused, and has no place: nobody waits for more than to read that."""


class Exchange:
    """One admitted request, from the end of its body to the end of its answer."""

    def __init__(self, admission: Admission[Any], line: Line | None) -> None:
        self.admission = admission
        self.answer: Answer | None = None
        self.started = False
        """The head of the answer is on its way."""
        self.ending = False
        """The last part of the answer is on its way."""
        self.ended = trio.Event()
        """The last part has been sent, or sending it has failed."""
        self.delivered = False
        self._line = line

    def is_line_broken(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._line is not None and self._line.broken

    def is_line_lost(self) -> bool:
        """Whether something was sent into the void."""
        return self._line is not None and self._line.lost

    def cut(self) -> None:
        """Close the connection: the answer cannot be sent."""
        if self._line is not None:
            self._line.abort()

    def settle(self) -> None:
        """Calls the answer's `on_undelivered` unless it was delivered. Synchronous; for a `finally`."""
        answer, self.answer = self.answer, None
        if answer is not None and answer.on_undelivered is not None and not self.delivered:
            answer.on_undelivered()


def encoded_headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    """The header fields of an answer as ASGI wants them, its length among them where it has one."""
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    if answer.stream is None and answer.status != NO_CONTENT:
        headers.append((b"content-length", b"%d" % len(answer.body)))
    return headers
