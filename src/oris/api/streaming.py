"""How an answer is sent that writes itself piece by piece."""

from __future__ import annotations

from hypercorn.typing import ASGISendCallable

from oris.api.exchange import Exchange, encoded_headers
from oris.api.http import Answer, Stream


class ClientGone(Exception):
    """What was written last cannot have reached the client: there is nobody to write for."""


async def send_stream(exchange: Exchange, answer: Answer, stream: Stream, send: ASGISendCallable) -> None:
    """Sends a streamed answer. The head goes out with the first piece; a HEAD request gets no more than the head.

    A slow client slows the stream down, a piece at a time: nothing is kept for it beyond what its socket takes. Raises
    what the stream raises; cut short in whatever way, the answer has no end.
    """

    async def head() -> None:
        headers = encoded_headers(answer)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})

    async def write(piece: bytes) -> None:
        if not piece:
            return
        if not exchange.started:
            await head()
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        if exchange.is_line_lost():
            raise ClientGone

    if exchange.admission.context.method != "HEAD":
        try:
            await stream(write)
        except ClientGone:
            return
    if not exchange.started:
        await head()
    await send({"type": "http.response.body", "body": b"", "more_body": False})
