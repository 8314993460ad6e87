"""The words of the HTTP front, without a framework: who calls, what is asked, what is answered, which routes exist.

Handlers, the Quart adapter, the simulator and the documentation all speak these. Nothing here knows the engine:
`services` is whatever the server was put together from, and only handlers know its type.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any, Generic, TypeAlias, TypeVar
from urllib.parse import unquote

import msgspec

from oris.api.freight import Freight
from oris.api.places import Kind
from oris.audit_actions import ControlAction
from oris.errors import ConflictReason
from oris.ids import KeyId
from oris.observability.trace import Trace
from oris.patience import Patience

S = TypeVar("S")
"""The services a handler works with."""


class Role(StrEnum):
    """What a credential may do; the matrix itself is in the route table."""

    ADMIN = "admin"
    OPERATOR = "operator"
    CLIENT = "client"
    WORKER = "worker"


class Caller(msgspec.Struct, frozen=True):
    """Who is calling. `role` is None only on a public route, where no credential is looked at."""

    role: Role | None
    tenant_id: str | None
    """The tenant the credential is bound to; None when it may name any."""
    actor_type: str
    """`bearer`, `api_key` or `anonymous`; goes into the audit record."""
    actor_id: str
    key_id: KeyId | None = None
    """The stored key it calls with; None for static credentials and anybody."""
    static: int | None = None
    """The static credential it calls with, by a number that means this secret and no other for as long as it is
    configured."""


NOBODY = Caller(role=None, tenant_id=None, actor_type="anonymous", actor_id="anonymous")
"""The caller of a public route."""


NO_CONTENT = 204
"""The status of an answer that has no body, nor the header fields of one."""
Write: TypeAlias = Callable[[bytes], Awaitable[None]]
"""Sends one piece of a body and returns when the client's connection has taken it."""
Stream: TypeAlias = Callable[[Write], Awaitable[None]]
"""Writes a body piece by piece, and returns at its end. It is called once, or never when nobody is there any more."""


class Answer(msgspec.Struct, frozen=True):
    """What goes back: the whole body, already encoded; or, with `stream`, one that is written piece by piece.

    A stream is called without a checkpoint after its handler has returned, and may be cancelled wherever it waits. What
    it raises cuts the answer off, so that nobody takes it for whole; before its first piece it is answered as usual.
    It writes itself, instead of being iterated over, so that it may hold what it needs in `with` blocks.

    `on_undelivered` is called at most once, synchronously, when the answer did not reach the client's socket: the
    client went away, the request was cancelled, the server stopped. It must neither block nor raise.
    A `content-type` among `headers` replaces the JSON one. Header names are lower case.
    """

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    on_undelivered: Callable[[], None] | None = None
    stream: Stream | None = None
    shared: bool = False
    """The body is one object for all who ask for it: it is not counted."""


async def whole(answer: Answer, stream: Stream) -> Answer:
    """The same answer with its body in one piece, for callers without a socket. Raises what the stream raises."""
    body = bytearray()

    async def write(piece: bytes) -> None:
        body.extend(piece)

    await stream(write)
    return Answer(answer.status, bytes(body), answer.headers, answer.on_undelivered)


class AnswerForm(msgspec.Struct, frozen=True):
    """What a route answers when it is not refused, as the OpenAPI document tells it."""

    data: Any
    """The type of `data` in the envelope: a struct, or a union of structs. Under a `media_type` of its own the answer
    is no envelope but this; None: text.
    """
    conflicts: tuple[ConflictReason, ...] = ()
    """The reasons a 409 of this route may have; none: it has no 409."""
    also: tuple[int, ...] = ()
    """Statuses beside 200 that come with the same form."""
    media_type: str = ""
    no_content: str = ""
    """When the answer is a 204 instead; empty: never."""


SMALL_BODY_BYTES = 64 * 1024
"""The most of a body without payloads."""


class Route(msgspec.Struct, frozen=True):
    """One row of the route table (`api.routes`)."""

    method: str
    path: str
    """A pattern: `/v1/jobs/{thread_id}`. A literal segment goes before a parameter."""
    handler: Callable[[Any, Any], Awaitable[Answer]]
    """`async (context, body) -> Answer`; `body` is the decoded struct, or None when the route takes none."""
    roles: frozenset[Role] | None
    """Who may call it; None: public."""
    answer: AnswerForm
    body: type[msgspec.Struct] | None = None
    query: type[msgspec.Struct] | None = None
    """Decoded into `Context.options`; a query field it does not name is refused, and without it all are."""
    large_body: bool = False
    """Its body carries payloads: it may be as large as the operator allows. Others are small by nature."""
    large_answer: bool = False
    """Its answers carry payloads: one is made only once there is room for it."""
    kind: Kind = "client"
    """Who calls. For workers and probes room is kept that no waiting client, stream or stranger can take; a worker that
    gives its name is noted as heard of."""
    long_poll: bool = False
    """Its time is parked time and has a histogram of its own."""
    audit_action: ControlAction | None = None
    """What is written to the audit trail: what the handler commits, what it refuses, and a caller that may not."""
    whole_server: bool = False
    """It concerns the server with all its tenants: refused to a credential that is bound to one."""

    @property
    def of_worker(self) -> bool:
        """Workers call it, polling or not."""
        return self.kind in ("worker", "poll")

    @property
    def of_probe(self) -> bool:
        """It tells how the server is, whoever asks."""
        return self.kind == "probe"


class Context(msgspec.Struct, Generic[S], frozen=True):
    """One request, as its handler sees it."""

    request_id: str
    trace: Trace
    caller: Caller
    route: Route
    method: str
    path: str
    """As sent, still percent-encoded, without the query."""
    path_params: Mapping[str, str]
    query: Mapping[str, str]
    options: Any
    """The decoded `Route.query` struct; None when the route declares none."""
    services: S
    last_event_id: str | None = None
    """Where a client that reads a stream of events has got to, if it says so."""
    started_at_s: float = 0.0
    """On the dispatcher's monotonic clock."""
    freight: Freight = msgspec.field(default_factory=Freight)
    """The body, and what the request holds of the accounts."""
    patience: Patience = msgspec.field(default_factory=Patience)
    """How long the caller waits for something to happen."""


class Match(msgspec.Struct, frozen=True):
    """The route of a request and what its path says."""

    route: Route
    path_params: Mapping[str, str]


class NotFound(msgspec.Struct, frozen=True):
    """No route has this path."""


class MethodNotAllowed(msgspec.Struct, frozen=True):
    """Routes have this path, but not this method."""

    allowed: tuple[str, ...]
    pattern: str
    """How most literally the path is read: `/v1/jobs/{thread_id}`."""


class _Shape:
    """All routes whose patterns are the same but for the names of their parameters."""

    def __init__(self, literals: tuple[tuple[int, str], ...]) -> None:
        self.literals = literals
        self.routes: dict[str, tuple[Route, tuple[tuple[int, str], ...]]] = {}

    def fits(self, segments: list[str]) -> bool:
        return all(segments[index] == text for index, text in self.literals)


_NO_PARAMS: Mapping[str, str] = {}
_NOT_FOUND = NotFound()


class RouteTable:
    """Finds a route by method and path. Built once; ValueError when two routes claim the same requests.

    `body_max_bytes` bounds the large bodies.
    """

    def __init__(self, routes: Iterable[Route], body_max_bytes: int = 4 * 1024 * 1024) -> None:
        self.routes = tuple(routes)
        self._large_body_bytes = body_max_bytes
        self._small_body_bytes = min(SMALL_BODY_BYTES, body_max_bytes)
        self._exact: dict[tuple[str, str], Match] = {}
        self._shapes: dict[int, list[_Shape]] = {}
        for route in self.routes:
            self._add(route)
        for shapes in self._shapes.values():
            # More literals first: `/v1/jobs/batch` is asked before `/v1/jobs/{thread_id}`.
            shapes.sort(key=lambda shape: (-len(shape.literals), shape.literals))

    def _add(self, route: Route) -> None:
        segments = route.path.split("/")
        literals = tuple((i, text) for i, text in enumerate(segments) if not text.startswith("{"))
        params = tuple((i, text[1:-1]) for i, text in enumerate(segments) if text.startswith("{"))
        shapes = self._shapes.setdefault(len(segments), [])
        shape = next((shape for shape in shapes if shape.literals == literals), None)
        if shape is None:
            shape = _Shape(literals)
            shapes.append(shape)
        if route.method in shape.routes:
            raise ValueError(f"two routes for {route.method} {route.path}")
        shape.routes[route.method] = (route, params)
        if not params:
            self._exact[route.method, route.path] = Match(route, _NO_PARAMS)

    def body_max_bytes(self, route: Route) -> int:
        """How large the body of a request to this route may be."""
        return self._large_body_bytes if route.large_body else self._small_body_bytes

    def match(self, method: str, path: str) -> Match | NotFound | MethodNotAllowed:
        """The route for a method and a path as sent (percent-encoded, no query). HEAD is answered by GET's route.

        A method is part of the match: when the more literal pattern lacks it, the next pattern that fits is asked,
        so a thread may be called `batch`.
        """
        if method == "HEAD":
            method = "GET"
        exact = self._exact.get((method, path))
        if exact is not None:
            return exact
        segments = path.split("/")
        if "%" in path:
            try:
                segments = [unquote(segment, errors="strict") for segment in segments]
            except UnicodeDecodeError:
                return _NOT_FOUND
        if "" in segments[1:]:
            return _NOT_FOUND  # nothing is named so: a slash too many
        allowed: set[str] = set()
        patterns: list[str] = []
        for shape in self._shapes.get(len(segments), ()):
            if not shape.fits(segments):
                continue
            found = shape.routes.get(method)
            if found is not None:
                route, params = found
                return Match(route, {name: segments[index] for index, name in params})
            allowed.update(shape.routes)
            patterns += (route.path for route, _ in shape.routes.values())
        return MethodNotAllowed(tuple(sorted(allowed)), patterns[0]) if patterns else _NOT_FOUND
