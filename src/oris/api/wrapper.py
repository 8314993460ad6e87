"""The ASGI guard, outermost around the application. Three things that nothing inside could do:

- It judges a request by its head and reads the body itself, within limits, before the application sees anything.
- It holds `http.disconnect` back until the last part of the answer has been sent. Hypercorn announces the end of its
  own answer as a disconnect, quart-trio takes that for a client that left and cancels the tasks that were about to
  close or recycle the connection: no connection would ever be closed.
- It knows whether an answer was sent to its end, and tells the answer if not.

It also keeps the accounts: who is under way, and what bodies and answers hold, with room for workers in each.
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

from oris.api.account import Account
from oris.api.body_head import too_large
from oris.api.dispatch import Admission, Dispatcher, Refusal
from oris.api.exchange import EXCHANGE, GO_ON, LINE, Exchange, Line, encoded_headers
from oris.api.freight import COUNTED_BYTES, Hold
from oris.api.head import Head
from oris.api.http import Answer, Route
from oris.api.places import Places
from oris.errors import ApiError, ErrorCode, invalid

WORKERS_PART = 4
"""A quarter of what bodies and answers may take is for workers alone."""


class Guard:
    """An ASGI application around another one. One per server: it holds the accounts of all requests."""

    def __init__(self, app: ASGIFramework, dispatcher: Dispatcher[Any], places: Places | None = None) -> None:
        self._app = app
        self._dispatcher = dispatcher
        limits = self._limits = dispatcher.limits
        self.places = places or Places(limits.connections_max)
        table = dispatcher.table
        largest = max((table.body_max_bytes(route) for route in table.routes if route.body is not None), default=0)
        bodies, answers = limits.bodies_in_flight_max_bytes, limits.answers_in_flight_max_bytes
        # A client's body of full size has to fit beside the workers' part.
        bodies_reserve = min(bodies // WORKERS_PART, max(0, bodies - largest))
        self.hold = Hold(Account(bodies, bodies_reserve), Account(answers, answers // WORKERS_PART))

    @property
    def bodies_in_flight_bytes(self) -> int:
        """What the bodies of all requests hold."""
        return self.hold.bodies.held_bytes

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        line: Line | None = cast("dict[str, Any]", scope["state"]).get(LINE)
        if line is not None and line.broken:
            return  # since its head was read; nobody would get the answer
        path = scope["raw_path"].decode("ascii")
        client = scope.get("client")
        peer = "" if client is None else client[0]
        head = Head(scope["method"], path, scope["query_string"], scope["headers"], peer)
        if not scope["http_version"].startswith("1."):
            error = invalid("version", "only HTTP/1.0 and HTTP/1.1 are supported")
            await _send_refusal(self._dispatcher.reject(head, error), receive, send, linger_s=0)
            return
        admitted = self._dispatcher.admit(head, self.hold)
        if isinstance(admitted, Refusal):
            await self._turn_away(admitted, line, receive, send)
            return
        route = admitted.context.route
        if line is not None:
            line.is_waited_on(admitted.context.patience)
            if route.of_worker:
                line.serves_worker()
        place = self.places.enter(route.kind)
        if place is None:
            answer = self._dispatcher.refuse(
                admitted, self._no_room(route, "too many requests at once; try again later")
            )
            await self._turn_away(Refusal(answer, admitted.has_body), line, receive, send)
            return
        try:
            if await self._read_body(admitted, scope, receive):
                await self._run(admitted, scope, receive, send)
        except ApiError as error:
            admitted.context.freight.body_done()
            refusal = self._dispatcher.refuse(admitted, error)
            await _send_refusal(refusal, receive, send, self._limits.linger_s)
        finally:
            admitted.context.freight.release()
            self.places.leave(place)

    async def _turn_away(
        self, refusal: Refusal, line: Line | None, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Refuse what gets no place among the requests under way: should connections run short, its own is let go."""
        if line is not None:
            line.is_refused()
        await _send_refusal(refusal.answer, receive, send, self._limits.linger_s if refusal.has_body else None)

    def _no_room(self, route: Route, message: str) -> ApiError:
        """503; a worker that is refused is not to blame for what it could not say."""
        if route.of_worker:
            self._dispatcher.on_worker_refused()
        return ApiError(ErrorCode.UNAVAILABLE, message, {"reason": "inbox_full"}, retry_after_s=1)

    async def _read_body(self, admission: Admission[Any], scope: HTTPScope, receive: ASGIReceiveCallable) -> bool:
        """Take the whole body in; False when the client left. Raises ApiError 408, 413, 503."""
        if not admission.has_body:
            return (await receive())["type"] == "http.request"
        freight, route = admission.context.freight, admission.context.route
        held = freight.upload
        assert held is not None
        if not held.take(admission.content_length or 0):
            raise self._no_room(route, "no room for the body; try again later")
        held.set(0)
        go_on = cast("dict[str, Any]", scope["state"]).get(GO_ON)
        if go_on is not None:
            await go_on()
        limit = self._dispatcher.table.body_max_bytes(route)
        body = bytearray()  # a list of parts would cost many times what a body of tiny chunks holds
        with trio.move_on_after(self._limits.body_timeout_s):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return False
                part = message["body"]
                if len(body) + len(part) > limit:
                    raise too_large(limit)
                if not held.take(len(part)):
                    raise self._no_room(route, "no room for the body; try again later")
                body += part
                if not message["more_body"]:
                    freight.put(bytes(body))
                    return True
        raise ApiError(ErrorCode.TIMEOUT, "the body arrived too slowly")

    async def _run(
        self,
        admission: Admission[Any],
        scope: HTTPScope,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
    ) -> None:
        """The application, with its last word watched. Raises only Cancelled."""
        state = cast("dict[str, Any]", scope["state"])
        exchange = Exchange(admission, state.get(LINE))
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


class _Receive:
    """The end of the body, which has been read; then the disconnect.

    That comes at once while the handler works, but not before the answer's last part is out.
    """

    def __init__(self, exchange: Exchange, receive: ASGIReceiveCallable) -> None:
        self._exchange = exchange
        self._receive = receive
        self._is_body_given = False

    async def __call__(self) -> ASGIReceiveEvent:
        if not self._is_body_given:
            self._is_body_given = True
            return {"type": "http.request", "body": b"", "more_body": False}
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
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        size = len(message.get("body", b""))
        if size <= COUNTED_BYTES or (exchange.answer is not None and exchange.answer.shared):
            await self._pass_on(message)
            return
        freight = exchange.admission.context.freight
        if not await freight.count_piece(size, exchange.cut):
            exchange.cut()  # clients that do not read hold all the room there is
        try:
            await self._pass_on(message)
        finally:
            freight.piece_taken()

    async def _pass_on(self, message: ASGISendEvent) -> None:
        exchange = self._exchange
        if message.get("more_body", False):
            await self._send(message)
            return
        exchange.ending = True
        was_broken = exchange.is_line_broken()
        try:
            await self._send(message)
            # Hypercorn swallows what goes wrong on the socket, so returning is not enough.
            exchange.delivered = not was_broken and not exchange.is_line_lost()
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
