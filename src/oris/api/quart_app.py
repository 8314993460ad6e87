"""The Quart-Trio application: it takes admitted requests to their handlers.

`asgi_http_class` is where Quart turns an ASGI request into a call. Ours hands the exchange straight to the dispatcher,
which has found the route already. Going on through Quart's router, contexts and signals makes a request about half as
dear again and decides nothing new. What does not come through the guard is Quart's, and gets the envelope too.
"""

from __future__ import annotations

from typing import Any, cast

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable
from quart import Response
from quart_trio import QuartTrio
from quart_trio.asgi import TrioASGIHTTPConnection
from werkzeug.exceptions import HTTPException

from oris.api.dispatch import Dispatcher
from oris.api.exchange import EXCHANGE, Exchange, encoded_headers
from oris.api.head import Head
from oris.api.streaming import send_stream
from oris.errors import ApiError, ErrorCode


class ApiConnection(TrioASGIHTTPConnection):
    """One request of an `ApiApp`."""

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Runs the handler and sends its answer; a disconnect cancels whatever of it is going on."""
        exchange = cast("Exchange | None", cast("dict[str, Any]", self.scope["state"]).get(EXCHANGE))
        if exchange is None:
            await super().__call__(receive, send)
            return
        app = cast("ApiApp", self.app)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_on_disconnect, receive, nursery.cancel_scope)
            answer = await app.dispatcher.run(exchange.admission)
            # From here on the guard answers for it; no checkpoint may come in between.
            exchange.answer = answer
            if answer.stream is not None:
                await send_stream(exchange, answer, answer.stream, send)
            else:
                headers = encoded_headers(answer)
                await send({"type": "http.response.start", "status": answer.status, "headers": headers})
                await send({"type": "http.response.body", "body": answer.body, "more_body": False})
            nursery.cancel_scope.cancel(reason="the answer is sent")


class ApiApp(QuartTrio):
    """The application behind the guard. Without a guard before it, it knows no route."""

    asgi_http_class = ApiConnection

    def __init__(self, dispatcher: Dispatcher[Any]) -> None:
        super().__init__("oris", static_folder=None)
        self.dispatcher = dispatcher
        self.register_error_handler(HTTPException, self._no_route)

    async def _no_route(self, error: HTTPException) -> Response:
        refused = ApiError(ErrorCode.NOT_FOUND, "no such route")
        answer = self.dispatcher.reject(Head("", "", b"", ()), refused)
        return Response(answer.body, answer.status, dict(answer.headers))


async def _cancel_on_disconnect(receive: ASGIReceiveCallable, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel(reason="the client has gone")
