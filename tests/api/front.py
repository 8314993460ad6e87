"""A small API on the real stack, and a client on raw sockets."""

from __future__ import annotations

import json
import random
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from math import inf
from typing import Any, cast

import msgspec
import trio

from oris.api.auth import Authenticator, Credential
from oris.api.connections import Connections
from oris.api.dispatch import Dispatcher, Seen
from oris.api.envelope import ok
from oris.api.http import SMALL_BODY_BYTES, Answer, AnswerForm, Context, Role, Route, RouteTable, Write
from oris.api.hypercorn_config import hypercorn_config
from oris.api.limits import HttpLimits
from oris.api.listener import addresses, open_listeners, serve
from oris.api.quart_app import ApiApp
from oris.api.tls import Credentials, ServerTls
from oris.api.wrapper import Guard
from oris.errors import ApiError, ErrorCode, OutcomeUnknown, Unavailable
from oris.ids import WorkerKey

from ..certificates import Authority


class Wire:
    """How the small API is spoken to: the same tests run with and without TLS."""

    def __init__(self) -> None:
        self.authority = Authority()
        self.credentials: Credentials | None = None


WIRE = Wire()
BODY_MAX_BYTES = SMALL_BODY_BYTES
PATIENCE_S = 20.0


class EchoBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    value: msgspec.Raw
    note: str = ""


class CancelBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    reason: str = "none"
    count: int = 0


class ListOptions(msgspec.Struct, frozen=True):
    limit: int = 50
    status: str | None = None
    since: int | None = None


@dataclass
class Witness:
    """The services of the small API: what its handlers saw."""

    entered: trio.Event = field(default_factory=trio.Event)
    cancelled: trio.Event = field(default_factory=trio.Event)
    release: trio.Event = field(default_factory=trio.Event)
    undelivered: trio.Event = field(default_factory=trio.Event)
    calls: list[Any] = field(default_factory=list)
    workers: list[tuple[str, str | None]] = field(default_factory=list)

    def heard(self, worker: WorkerKey, session: str | None) -> None:
        self.workers.append((worker, session))


Ctx = Context[Witness]


async def echo(context: Ctx, body: EchoBody) -> Answer:
    context.services.calls.append(body)
    return ok(context, bytes(body.value))


async def cancel(context: Ctx, body: CancelBody) -> Answer:
    return ok(context, body)


async def thing(context: Ctx, body: None) -> Answer:
    shown = {"params": context.path_params, "query": context.query, "role": context.caller.role}
    return ok(context, json.dumps(shown).encode(), on_undelivered=context.services.undelivered.set)


async def things(context: Ctx, body: None) -> Answer:
    return ok(context, context.options)


async def healthz(context: Ctx, body: None) -> Answer:
    return Answer(200, b"fine\n", (("content-type", "text/plain"),))


async def metrics(context: Ctx, body: None) -> Answer:
    context.services.entered.set()
    return Answer(200, b"x" * 16 * 1024 * 1024, (("content-type", "text/plain"),))


async def park(context: Ctx, body: None) -> Answer:
    """Waits for as long as its caller does."""
    context.services.entered.set()
    try:
        with context.patience.at_most(inf):
            await trio.Event().wait()
    except trio.Cancelled:
        context.services.cancelled.set()
        raise
    return ok(context, b"null", on_undelivered=context.services.undelivered.set)


async def late(context: Ctx, body: None) -> Answer:
    """Has its answer committed by the time the client has gone, whatever happens to the request."""
    context.services.entered.set()
    with trio.CancelScope(shield=True), trio.move_on_after(PATIENCE_S):
        await context.services.release.wait()
    return ok(context, b"null", on_undelivered=context.services.undelivered.set)


async def big(context: Ctx, body: None) -> Answer:
    context.services.entered.set()
    pad = b'"' + b"x" * 32 * 1024 * 1024 + b'"'
    return ok(context, pad, on_undelivered=context.services.undelivered.set)


async def streamed(context: Ctx, body: None) -> Answer:
    """Two pieces, and between them what the path says."""
    how = context.path_params["how"]

    async def stream(write: Write) -> None:
        if how == "unreadable":
            raise Unavailable("the store is away")
        if how == "broken":
            raise ValueError("the secret reason")
        await write(b"[1,")
        context.services.entered.set()
        try:
            await _between(context, how, write)
        finally:
            context.services.cancelled.set()
        await write(b"2]")

    headers = (("content-type", "application/json"),)
    return Answer(200, b"", headers, on_undelivered=context.services.undelivered.set, stream=stream)


async def _between(context: Ctx, how: str, write: Write) -> None:
    if how == "waits":
        with context.patience.at_most(inf):
            await context.services.release.wait()
    elif how == "endless":
        while True:
            await write(b"0," * 32 * 1024)
            context.services.calls.append(how)
    elif how == "torn":
        raise Unavailable("the store is away")
    elif how == "bug":
        raise ValueError("the secret reason")


async def nothing(context: Ctx, body: None) -> Answer:
    return Answer(204, b"")


async def fail(context: Ctx, body: None) -> Answer:
    raise FAILURES[context.path_params["how"]]()


FAILURES: Mapping[str, Callable[[], BaseException]] = {
    "bug": lambda: ValueError("the secret reason"),
    "group": lambda: ExceptionGroup("two", [ValueError("the secret reason"), KeyError("x")]),
    "mixed": lambda: ExceptionGroup("two", [ApiError(ErrorCode.CONFLICT, "no"), KeyError("x")]),
    "wrapped": lambda: ExceptionGroup("one", [ApiError(ErrorCode.CONFLICT, "no", {"reason": "run_active"})]),
    "busy": lambda: ApiError(ErrorCode.BACKPRESSURE, "later", {"reason": "queue_full"}, retry_after_s=7),
    "store": lambda: Unavailable("the store is away"),
    "unknown": lambda: OutcomeUnknown("nobody can tell"),
}

EVERYBODY = frozenset(Role)
ADMINS = frozenset((Role.ADMIN,))
ANYTHING = AnswerForm(Any)

TABLE = RouteTable(
    [
        Route(
            "POST",
            "/v1/echo",
            echo,
            frozenset((Role.ADMIN, Role.CLIENT)),
            ANYTHING,
            EchoBody,
            audit_action="job.run",
        ),
        Route("POST", "/v1/things/{thing_id}/cancel", cancel, EVERYBODY, ANYTHING, CancelBody, large_body=True),
        Route("GET", "/v1/things/{thing_id}", thing, EVERYBODY, ANYTHING, query=ListOptions),
        Route("GET", "/v1/things", things, frozenset((Role.ADMIN, Role.OPERATOR)), ANYTHING, query=ListOptions),
        Route(
            "POST",
            "/v1/work",
            cancel,
            frozenset((Role.ADMIN, Role.WORKER)),
            ANYTHING,
            CancelBody,
            kind="worker",
        ),
        Route("GET", "/v1/park", park, frozenset((Role.ADMIN, Role.WORKER)), ANYTHING, long_poll=True),
        Route("GET", "/v1/late", late, ADMINS, ANYTHING),
        Route("GET", "/v1/big", big, ADMINS, ANYTHING),
        Route("GET", "/v1/stream/{how}", streamed, ADMINS, ANYTHING),
        Route("GET", "/v1/nothing", nothing, ADMINS, ANYTHING),
        Route("GET", "/v1/fail/{how}", fail, ADMINS, ANYTHING),
        Route("GET", "/healthz", healthz, None, ANYTHING, kind="probe"),
        Route("GET", "/metrics", metrics, None, ANYTHING, kind="probe"),
    ]
)

TOKENS = {role: f"token-of-{role}" for role in Role}
CREDENTIALS = tuple(Credential("bearer", token, role, f"the-{role}") for role, token in TOKENS.items())
API_KEY = Credential("api_key", "key-of-operator", Role.OPERATOR, "the-key")


@dataclass
class Faults:
    """A fault log that remembers."""

    seen: list[tuple[str, BaseException]] = field(default_factory=list)

    def __call__(self, request_id: str, method: str, path: str, error: BaseException) -> None:
        self.seen.append((request_id, error))


@dataclass
class Observed:
    """A metrics hook that remembers."""

    seen: list[tuple[str | None, str, int]] = field(default_factory=list)

    def __call__(self, seen: Seen) -> None:
        self.seen.append((None if seen.route is None else seen.route.path, seen.method, seen.status))


@dataclass
class Front:
    """The small API, with or without a socket."""

    dispatcher: Dispatcher[Witness]
    witness: Witness
    faults: Faults
    observed: Observed
    port: int = 0
    connections: Connections = field(default_factory=lambda: Connections(0))
    stop: trio.Event = field(default_factory=trio.Event)
    stopped: trio.Event = field(default_factory=trio.Event)
    guard: Guard | None = None
    clients: list[trio.abc.Stream] = field(default_factory=list)
    tls: ServerTls | None = None
    refused: list[str] = field(default_factory=list)
    """Why there was no TLS with clients."""


def make_front(authenticator: Authenticator | None = None, limits: HttpLimits | None = None) -> Front:
    witness, faults, observed = Witness(), Faults(), Observed()
    dispatcher = Dispatcher(
        TABLE,
        witness,
        authenticator or Authenticator(()),
        clock=lambda: 0.0,
        rng=random.Random(1),
        fault_log=faults,
        observe=observed,
        limits=limits,
    )
    return Front(dispatcher, witness, faults, observed)


@asynccontextmanager
async def running(
    authenticator: Authenticator | None = None,
    limits: HttpLimits | None = None,
    *,
    keep_alive_timeout_s: float = PATIENCE_S,
    grace_s: float = 0.0,
    credentials: Credentials | None = None,
) -> AsyncIterator[Front]:
    """The small API on a loopback port; stopped, within a deadline, at the end. Under TLS if the test says so."""
    front = make_front(authenticator, limits)
    credentials = credentials or WIRE.credentials
    if credentials is not None:
        front.tls = ServerTls(credentials, lambda _peer, reason: front.refused.append(reason))
    limits = front.dispatcher.limits
    front.guard = Guard(ApiApp(front.dispatcher), front.dispatcher)
    config = hypercorn_config(limits, keep_alive_timeout_s=keep_alive_timeout_s)

    async def run(*, task_status: trio.TaskStatus[Connections]) -> None:
        await serve(
            front.guard,  # type: ignore[arg-type]
            listeners,
            config,
            limits=limits,
            unparsed=front.dispatcher.unparsed,
            on_fault=lambda error: front.faults("", "", "", error),
            stop=front.stop,
            grace_s=grace_s,
            tls=front.tls,
            task_status=task_status,
        )
        front.stopped.set()

    listeners = await open_listeners("127.0.0.1", 0)
    front.port = addresses(listeners)[0][1]
    async with trio.open_nursery() as nursery:
        front.connections = await nursery.start(run)
        try:
            with trio.fail_after(PATIENCE_S):
                yield front
        finally:
            front.stop.set()
            with trio.CancelScope(shield=True), trio.fail_after(PATIENCE_S):
                await front.stopped.wait()
                for stream in front.clients:
                    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # the test has closed it
                        await stream.aclose()


@dataclass(frozen=True)
class Reply:
    """An answer as it came over the wire."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        assert self.header("content-type") == "application/json"
        assert self.header("x-request-id") == self.json["request_id"]
        return self.json["error"]


def request(method: str, path: str, body: bytes = b"", *headers: tuple[str, str], token: str | None = None) -> bytes:
    """A request's bytes: JSON when it has a body."""
    names = {name.lower() for name, _ in headers}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    if "host" not in names:
        lines.append("Host: localhost")
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    if body:
        if "content-type" not in names:
            lines.append("Content-Type: application/json")
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class Client:
    """One connection."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._buffer = bytearray()

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def receive(self) -> Reply:
        """The next answer."""
        while b"\r\n\r\n" not in self._buffer:
            await self._more()
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        length = int(next(value for name, value in headers if name == "content-length"))
        self._buffer = bytearray(rest)
        while len(self._buffer) < length:
            await self._more()
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return Reply(int(first.split()[1]), headers, body)

    async def _more(self) -> None:
        data = await self.stream.receive_some(65536)
        assert data, f"closed after {bytes(self._buffer)!r}"
        self._buffer += data

    async def ask(self, data: bytes) -> Reply:
        await self.send(data)
        return await self.receive()

    @property
    def socket(self) -> trio.socket.SocketType:
        """The connection itself, below TLS."""
        stream = self.stream.transport_stream if isinstance(self.stream, trio.SSLStream) else self.stream
        return cast("trio.SocketStream", stream).socket

    def reset(self) -> None:
        """Die: the system answers everything with a reset from now on."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    async def end(self) -> None:
        """Say that nothing more will be asked, and go on listening."""
        if isinstance(self.stream, trio.SSLStream):
            await say_goodbye(self.stream)
        self.socket.shutdown(socket.SHUT_WR)

    async def is_closed(self) -> bool:
        """Waits for the server to close."""
        try:
            return not self._buffer and await self.stream.receive_some(1) == b""
        except trio.BrokenResourceError:
            return True


async def say_goodbye(stream: trio.SSLStream[Any]) -> None:
    """End this side of TLS, and nothing else."""
    with suppress(ssl.SSLWantReadError):  # the server says it when it closes
        stream._ssl_object.unwrap()
    await stream.transport_stream.send_all(stream._outgoing.read())


async def connect(front: Front) -> Client:
    """A client that has agreed on TLS, where there is any."""
    stream: trio.abc.Stream = await trio.open_tcp_stream("127.0.0.1", front.port)
    if front.tls is not None:
        stream = trio.SSLStream(stream, WIRE.authority.client_context(), server_hostname="127.0.0.1")
        await stream.do_handshake()
    front.clients.append(stream)
    return Client(stream)


async def open_plainly(front: Front) -> Client:
    """A client that has not said a word yet."""
    stream = await trio.open_tcp_stream("127.0.0.1", front.port)
    front.clients.append(stream)
    return Client(stream)


async def ask(front: Front, data: bytes) -> Reply:
    """One request on a connection of its own."""
    client = await connect(front)
    async with client.stream:
        return await client.ask(data)
