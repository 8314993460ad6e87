"""The ASGI guard, outermost around the application. Three things that nothing inside could do:

- It judges a request by its head and reads the body itself, within limits, before the application sees anything.
- It holds `http.disconnect` back until the last part of the answer has been sent. Hypercorn announces the end of its
  own answer as a disconnect, quart-trio takes that for a client that left and cancels the tasks that were about to
  close or recycle the connection: no connection would ever be closed.
- It knows whether an answer was sent to its end, and tells the answer if not.
"""

from __future__ import annotations

from typing import Any, cast

import trio
from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    HTTPScope,
    Scope,
)

from oris.api.body_head import too_large
from oris.api.dispatch import Admission, Dispatcher, Refusal
from oris.api.exchange import EXCHANGE, GO_ON, LINE, Exchange, encoded_headers
from oris.api.head import Head
from oris.api.http import Answer
from oris.errors import ApiError, ErrorCode, invalid


class Guard:
    """An ASGI application around another one. One per server: it also counts the bodies held for all requests."""

    def __init__(self, app: ASGIFramework, dispatcher: Dispatcher[Any]) -> None:
        self._app = app
        self._dispatcher = dispatcher
        self._limits = dispatcher.limits
        self.bodies_in_flight_bytes = 0

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        path = scope["raw_path"].decode("ascii")
        client = scope.get("client")
        peer = "" if client is None else client[0]
        head = Head(scope["method"], path, scope["query_string"], scope["headers"], peer)
        if scope["http_version"] not in ("1.0", "1.1"):
            error = invalid("version", "there is only HTTP/1.1")
            await _send_refusal(self._dispatcher.reject(head, error), receive, send, linger_s=0)
            return
        admitted = self._dispatcher.admit(head)
        if isinstance(admitted, Refusal):
            linger_s = self._limits.linger_s if admitted.has_body else None
            await _send_refusal(admitted.answer, receive, send, linger_s)
            return
        held = _Held(self)
        try:
            body = await self._read_body(admitted, scope, receive, held)
            if body is not None:
                await self._run(admitted, body, scope, receive, send)
        except ApiError as error:
            refusal = self._dispatcher.refuse(admitted, error)
            await _send_refusal(refusal, receive, send, self._limits.linger_s)
        finally:
            held.release()

    async def _read_body(
        self, admission: Admission[Any], scope: HTTPScope, receive: ASGIReceiveCallable, held: _Held
    ) -> bytes | None:
        """The whole body; None when the client left. Raises ApiError 408, 413, 503."""
        if not admission.has_body:
            message = await receive()
            return b"" if message["type"] == "http.request" else None
        held.check(admission.content_length or 0)
        go_on = cast("dict[str, Any]", scope["state"]).get(GO_ON)
        if go_on is not None:
            await go_on()
        limit = admission.context.route.body_max_bytes
        body = bytearray()  # a list of parts would cost many times what a body of tiny chunks holds
        with trio.move_on_after(self._limits.body_timeout_s):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return None
                part = message["body"]
                if len(body) + len(part) > limit:
                    raise too_large(limit)
                held.take(len(part))
                body += part
                if not message["more_body"]:
                    return bytes(body)
        raise ApiError(ErrorCode.TIMEOUT, "the body came too slowly")

    async def _run(
        self,
        admission: Admission[Any],
        body: bytes,
        scope: HTTPScope,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
    ) -> None:
        """The application, with its last word watched. Raises only Cancelled."""
        state = cast("dict[str, Any]", scope["state"])
        exchange = Exchange(admission, body, state.get(LINE))
        state[EXCHANGE] = exchange
        try:
            await self._app(scope, _Receive(exchange, receive), _Send(exchange, send))
        except Exception as error:
            answer = self._dispatcher.failed(admission, error)
            if not exchange.started:
                await _send_refusal(answer, receive, send, linger_s=None)
        finally:
            self._settle(exchange)

    def _settle(self, exchange: Exchange) -> None:
        try:
            exchange.settle()
        except Exception as error:
            context = exchange.admission.context
            self._dispatcher.fault(context.request_id, context.method, context.path, error)


class _Held:
    """The bytes one request holds of what all may hold."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._size = 0

    def check(self, size: int) -> None:
        """Raises ApiError 503 when this many more would be too many."""
        guard = self._guard
        if guard.bodies_in_flight_bytes + size > guard._limits.bodies_in_flight_max_bytes:
            details = {"reason": "inbox_full"}
            raise ApiError(ErrorCode.UNAVAILABLE, "too many bodies at once", details, retry_after_s=1)

    def take(self, size: int) -> None:
        """Counts bytes that have come. Raises ApiError 503."""
        self.check(size)
        self._guard.bodies_in_flight_bytes += size
        self._size += size

    def release(self) -> None:
        """Gives all back."""
        self._guard.bodies_in_flight_bytes -= self._size
        self._size = 0


class _Receive:
    """The body, then the disconnect: at once while the handler works, but not before the answer's last part is out."""

    def __init__(self, exchange: Exchange, receive: ASGIReceiveCallable) -> None:
        self._exchange = exchange
        self._receive = receive
        self._is_body_given = False

    async def __call__(self) -> ASGIReceiveEvent:
        if not self._is_body_given:
            self._is_body_given = True
            return {"type": "http.request", "body": self._exchange.body, "more_body": False}
        message = await self._receive()
        if self._exchange.ending:
            await self._exchange.ended.wait()
        return message


class _Send:
    """Passes the answer on and notes how far it got."""

    def __init__(self, exchange: Exchange, send: ASGISendCallable) -> None:
        self._exchange = exchange
        self._send = send

    async def __call__(self, message: ASGISendEvent) -> None:
        exchange = self._exchange
        exchange.started = True
        if message["type"] != "http.response.body" or message.get("more_body", False):
            await self._send(message)
            return
        exchange.ending = True
        was_gone = exchange.is_line_gone()
        try:
            await self._send(message)
            # Hypercorn swallows what goes wrong on the socket, so returning is not enough.
            exchange.delivered = not was_gone and not exchange.is_line_lost()
        finally:
            exchange.ended.set()


async def _send_refusal(
    answer: Answer, receive: ASGIReceiveCallable, send: ASGISendCallable, linger_s: float | None
) -> None:
    """Answers without the application.

    With `linger_s` the connection is closed afterwards, because a body was not read: what still comes of it is thrown
    away for that long, or the client might be reset before it has read the answer.
    """
    headers = encoded_headers(answer)
    if linger_s is not None:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if linger_s is not None:
        await send({"type": "http.response.body", "body": answer.body, "more_body": True})
        with trio.move_on_after(linger_s):
            await _discard(receive)
        async with trio.open_nursery() as nursery:
            # Hypercorn queues what it reads, and the end of the answer behind it: a full queue would block the end.
            nursery.start_soon(_discard, receive)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            nursery.cancel_scope.cancel(reason="the refusal is sent")
    else:
        await send({"type": "http.response.body", "body": answer.body, "more_body": False})


async def _discard(receive: ASGIReceiveCallable) -> None:
    while True:
        message = await receive()
        if message["type"] != "http.request" or not message["more_body"]:
            return
