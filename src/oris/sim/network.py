"""The network between clients and server: late, lossy, doubling, and cut when somebody goes away."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import msgspec
import trio
from msgspec import Struct

from oris.api.dispatch import RawRequest
from oris.api.http import Answer, Match
from oris.api.routes import route_table
from oris.ids import NO_TENANT, WorkerId, worker_key
from oris.sim.clock import pause
from oris.sim.faults import Faults
from oris.sim.fleet import Fleet
from oris.sim.server import BODY_MAX_BYTES, Life, Server
from oris.sim.streams import Streams
from oris.sim.trace import Trace
from oris.sim.writing import wordy, written

GIVE_UP_S = 1.0
"""How long a caller waits for an answer beyond the time it asked the server to wait."""

SESSION_MS = 10
"""Within this a new session is known, and its poll waits."""


class Reply(Struct, frozen=True):
    """An answer that arrived."""

    status: int
    data: dict[str, Any]
    """What was asked for; of a refusal, the error."""

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return self.status == 200

    @property
    def reason(self) -> str:
        """Why not: the reason word, else the code."""
        details = self.data.get("details") or {}
        return str(details.get("reason") or self.data.get("code"))


class Network:
    """Carries requests of `client`, `worker` and `operator` callers."""

    def __init__(self, fleet: Fleet, faults: Faults, streams: Streams, trace: Trace, nursery: trio.Nursery) -> None:
        """`nursery` is for copies of requests, which nobody waits for."""
        self._fleet = fleet
        self._faults = faults
        self._latency = streams("latency")
        self._writing = streams("writing")
        self._wordy = streams("wordy")
        self._routes = route_table(BODY_MAX_BYTES)
        self._trace = trace
        self._nursery = nursery
        self._calls = 0
        self._cut_off_until = 0.0
        self._delivered = 0

    def partition(self, seconds: float) -> None:
        """For so long nothing gets through to the server."""
        self._cut_off_until = trio.current_time() + seconds

    async def call(
        self,
        role: Literal["client", "worker", "operator"],
        method: str,
        path: str,
        body: object = None,
        *,
        query: str = "",
        wait_ms: int = 0,
    ) -> Reply | None:
        """One request. None: no answer came, and what became of it is unknown. `wait_ms` as the body says."""
        self._calls += 1
        number = self._calls
        faults = self._faults
        request = self._request(role, method, path, body, query)
        self._trace.note("call", f"{number} {method} {path} {request.body.decode()}")
        if faults.strikes("request_doubled"):
            copy = self._request(role, method, path, body, query)
            self._nursery.start_soon(self._copy, number, copy, faults.long_tail_s("request_doubled"))
        way_s = self._latency.uniform(0.0002, 0.002)
        if faults.strikes("sent_twice"):
            # It arrives together with the first, so that one commit holds both.
            self._nursery.start_soon(self._copy, number, self._request(role, method, path, body, query), way_s)
        reply: Reply | None = None
        with trio.move_on_after(GIVE_UP_S + wait_ms / 1000.0) as patience:
            await pause(way_s)
            if faults.strikes("request_lost"):
                patience.deadline = trio.current_time() + GIVE_UP_S
                await trio.sleep_forever()
            reply = await self._exchange(number, request)
        return reply

    def _request(self, role: str, method: str, path: str, body: object, query: str) -> RawRequest:
        data = b"" if body is None else written(self._worded(method, path, body), self._writing)
        headers: tuple[tuple[bytes, bytes], ...] = ((b"authorization", f"Bearer simulated-{role}".encode()),)
        if data:
            headers = (*headers, (b"content-type", b"application/json"), (b"content-length", str(len(data)).encode()))
        return RawRequest(method, path, query.encode(), headers, data)

    def _worded(self, method: str, path: str, body: object) -> object:
        found = self._routes.match(method, path)
        kind = found.route.body if isinstance(found, Match) else None
        return body if kind is None else wordy(body, kind, self._wordy)

    async def _exchange(self, number: int, request: RawRequest) -> Reply | None:
        faults = self._faults
        if faults.strikes("request_delayed"):
            await pause(faults.long_tail_s("request_delayed"))
        hang_up_s = faults.how("client_gone").expovariate(20.0) if faults.strikes("client_gone") else None
        answer = await self._deliver(number, request, hang_up_s)
        if answer is None:
            return None
        if faults.strikes("reply_lost"):
            self._lose(answer, "reply_lost")
            await trio.sleep_forever()
        try:
            if faults.strikes("reply_delayed"):
                await pause(faults.long_tail_s("reply_delayed"))
            await pause(self._latency.uniform(0.0002, 0.002))
        except trio.Cancelled:
            # Who stops waiting closes the connection: sometimes the server has sent it all by then.
            self._lose(answer, "gone")
            raise
        found = msgspec.json.decode(answer.body)
        self._trace.note("reply", f"{number} {answer.status} {answer.body.decode()}")
        return Reply(answer.status, found["data"] if answer.status == 200 else found["error"])

    async def _copy(self, number: int, request: RawRequest, after_s: float) -> None:
        """The same request once more, after a while, perhaps in other bytes; its answer goes nowhere."""
        await pause(after_s)
        with trio.move_on_after(10.0):
            answer = await self._deliver(number, request, None)
            if answer is not None:
                self._lose(answer, "request_doubled")

    async def _deliver(self, number: int, request: RawRequest, hang_up_s: float | None) -> Answer | None:
        """At the server; None when there is none, or it dies, or the caller hangs up."""
        server = self._fleet.any()
        life = server.life
        if trio.current_time() < self._cut_off_until:
            self._trace.saw("partitioned")
            return None
        if life is None:
            self._trace.saw("server not there")
            return None
        assert life.dispatcher is not None
        answer: Answer | None = None
        scope = trio.CancelScope()
        if hang_up_s is not None:
            scope.deadline = trio.current_time() + hang_up_s
        life.connections[scope] = None
        try:
            with scope, self._registered(request, server, life):
                answer = await life.dispatcher.dispatch(request)
        finally:
            life.connections.pop(scope, None)
        if answer is None or life.dead:
            return None
        server.answered(request.path, answer)
        self._trace.note("answer", f"{number} {answer.status}")
        return answer

    def _registered(self, request: RawRequest, server: Server, life: Life) -> AbstractContextManager[None]:
        """While a poll for work is at the server, L2 watches over it."""
        if request.path != "/v1/workers/poll" or life.engine is None:
            return nullcontext()
        body = msgspec.json.decode(request.body)
        if not body["limit"] or not body["wait_ms"]:
            return nullcontext()
        self._delivered += 1
        key = worker_key(NO_TENANT, WorkerId(body["worker_id"]))
        # A session is opened first, in a commit of its own.
        opens_ms = SESSION_MS if body.get("session") is not None else 0
        return server.prompt.waits(self._delivered, key, life.engine.clock.now_ms() + opens_ms)

    def _lose(self, answer: Answer, kind: str) -> None:
        """The answer does not arrive; only sometimes does the server notice."""
        if answer.on_undelivered is not None and self._faults.how(kind).random() < 0.5:
            answer.on_undelivered()
