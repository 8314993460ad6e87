"""From a request to an answer, without sockets.

In two halves, because the first needs only the head and must come before a byte of the body is kept:

    admit(head)      request id, header limits, route, credentials, role, trace, content type, length, query
    run(admission)   body, handler, and whatever goes wrong into the envelope

The ASGI guard calls the first, the Quart adapter the second; the simulator calls `dispatch`, which is both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from oris.api import envelope, strict_json
from oris.api.auth import Authenticator
from oris.api.auth_limiter import AuthLimiter
from oris.api.body_head import check_body_head, too_large
from oris.api.freight import Freight, Hold
from oris.api.head import (
    Head,
    HeadFields,
    check_head,
    last_event_id,
    parse_query,
    query_options,
    read_fields,
    unread,
)
from oris.api.http import (
    NO_CONTENT,
    NOBODY,
    Answer,
    Caller,
    Context,
    Match,
    Route,
    RouteTable,
    Stream,
    Write,
    whole,
)
from oris.api.limits import HttpLimits
from oris.api.no_route import no_route
from oris.api.presented import named_keys
from oris.api.proxies import client_address
from oris.api.worker_calls import HearsWorkers, note_worker
from oris.audit_actions import ControlAction
from oris.config.networks import Networks
from oris.errors import ApiError, ErrorCode, invalid
from oris.ids import RandomBits
from oris.observability.trace import Trace, read_traceparent

S = TypeVar("S", bound=HearsWorkers)

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


class RawRequest(msgspec.Struct, frozen=True):
    """A whole request, for callers without a socket."""

    method: str
    path: str
    """Percent-encoded, without the query."""
    query_string: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """Names in lower case."""
    body: bytes = b""


class Admission(msgspec.Struct, Generic[S], frozen=True):
    """A request whose head is in order."""

    context: Context[S]
    has_body: bool
    content_length: int | None
    """None when the body is chunked, or there is none."""
    started_at_s: float


class Refusal(msgspec.Struct, frozen=True):
    """A request that is not let in, and what it gets."""

    answer: Answer
    has_body: bool


class FaultLog(Protocol):
    """Where exceptions go that are bugs."""

    def __call__(self, request_id: str, method: str, path: str, error: BaseException) -> None: ...


class Seen(msgspec.Struct, frozen=True):
    """An answered request, as metrics and logs are told of it. `route` is None when none was found."""

    route: Route | None
    method: str
    status: int
    elapsed_s: float
    request_id: str
    trace: Trace | None
    """Its place in its trace; None when it was refused before it had one."""
    stranger: bool = False
    """Credentials were missing or wrong: counted by the limiter, and never a line of its own in the log."""


class Observe(Protocol):
    """Called once per answer, before it is sent."""

    def __call__(self, seen: Seen, /) -> None: ...


class OnForbidden(Protocol):
    """Called when a role may not do an audited action, before the 403 is sent."""

    def __call__(self, caller: Caller, action: ControlAction, request_id: str, /) -> None: ...


class Dispatcher(Generic[S]):
    """The route table with all a request needs on its way to a handler and back.

    `clock` gives monotonic seconds; `rng` feeds request ids and span ids. `limiter` counts failed authentication by
    the client's address, which proxies among `trusted_proxies` may tell; None: nobody counts. `sampled` decides which
    traces are kept; None: nobody listens.
    """

    def __init__(
        self,
        table: RouteTable,
        services: S,
        authenticator: Authenticator,
        *,
        clock: Callable[[], float],
        rng: RandomBits,
        fault_log: FaultLog,
        observe: Observe,
        limits: HttpLimits | None = None,
        on_forbidden: OnForbidden | None = None,
        limiter: AuthLimiter | None = None,
        trusted_proxies: Networks | None = None,
        sampled: Callable[[Trace], Trace] | None = None,
    ) -> None:
        self.table = table
        self.limits = limits or HttpLimits()
        self._services = services
        self._authenticator = authenticator
        self._clock = clock
        self._rng = rng
        self._fault_log = fault_log
        self._observe = observe
        self._on_forbidden = on_forbidden
        self._limiter = limiter
        self._sampled = sampled
        self.on_worker_refused: Callable[[], None] = lambda: None
        """Called when a worker's call was refused because there was no room for it."""
        self._trusted_proxies = trusted_proxies or Networks()
        bodies = {route.body for route in table.routes if route.body is not None}
        self._decoders = {body: strict_json.decoder(body) for body in bodies}

    async def dispatch(self, request: RawRequest) -> Answer:
        """Answers a whole request. A checkpoint where the handler has one; raises nothing but Cancelled."""
        head = Head(request.method, request.path, request.query_string, request.headers)
        admitted = self.admit(head)
        if isinstance(admitted, Refusal):
            return admitted.answer
        limit = self.table.body_max_bytes(admitted.context.route)
        if len(request.body) > limit:
            return self.refuse(admitted, too_large(limit))
        admitted.context.freight.put(request.body)
        answer = await self.run(admitted)
        if answer.stream is None:
            return answer
        try:
            return await whole(answer, answer.stream)
        except Exception as error:
            return self.failed(admitted, error)

    def admit(self, head: Head, hold: Hold | None = None) -> Admission[S] | Refusal:
        """Judges a request by its head alone. `hold`: the accounts that its body and its answer count to."""
        started_at_s = self._clock()
        fields = read_fields(head, self._rng)
        route: Route | None = None
        trace: Trace | None = None
        stranger = False
        try:
            check_head(fields, self.limits)
            route, path_params = self._find_route(head)
            caller = NOBODY if route.roles is None else self._authenticate(head, fields, route)
            trace = self._trace(fields)
            check_body_head(fields, route, self.table.body_max_bytes(route))
            query = parse_query(head.query_string)
            options = query_options(query, route.query)
        except ApiError as error:
            stranger = error.code is ErrorCode.UNAUTHORIZED
            refused = self._too_often(head, fields, error) if stranger else error
            answer = envelope.failure(fields.request_id, refused)
        except Exception as error:
            answer = self.fault(fields.request_id, head.method, head.path, error)
        else:
            context = Context(
                fields.request_id,
                trace,
                caller,
                route,
                head.method,
                head.path,
                path_params,
                query,
                options,
                self._services,
                last_event_id(fields.named),
                started_at_s,
                Freight(hold, of_worker=route.of_worker, of_probe=route.of_probe, tenant_id=caller.tenant_id),
            )
            return Admission(context, fields.has_body, fields.content_length, started_at_s)
        elapsed_s = self._clock() - started_at_s
        answer = self._finished(answer, route, head.method, fields.request_id, trace, elapsed_s, stranger=stranger)
        return Refusal(answer, fields.has_body)

    async def run(self, admission: Admission[S]) -> Answer:
        """Decodes the body and asks the handler. Raises nothing but Cancelled.

        No checkpoint lies between the handler's return and this one's: the answer, and with it `on_undelivered`,
        cannot be lost on the way.
        """
        context = admission.context
        try:
            answer = await self._handle(context)
        except BaseExceptionGroup as group:
            answer = self._of_group(context, group)
        except Exception as error:
            answer = self._of_error(context, error)
        context.freight.body_done()
        context.freight.answer_made(0 if answer.shared else len(answer.body))
        return self._complete(admission, answer)

    def failed(self, admission: Admission[S], error: Exception) -> Answer:
        """The answer when something goes wrong after the handler has returned; a bug is logged.

        It is observed as the handler's own was, also when that was under way and nothing else can be said any more.
        """
        return self._complete(admission, self._of_error(admission.context, error))

    async def _handle(self, context: Context[S]) -> Answer:
        """For as long as the caller's credential lets in: who waits when it ends is sent away.

        The decoded body is the handler's alone: this frame stands as long as the caller waits, and must not keep it.
        """
        route, caller = context.route, context.caller
        if route.long_poll:
            with self._authenticator.while_valid(caller):
                return await route.handler(context, self._body(context))
        self._authenticator.check(caller)
        if route.large_answer:
            await context.freight.begin_answer()
        answer = await route.handler(context, self._body(context))
        return answer if answer.stream is None else self._cut_short(caller, answer, answer.stream)

    def _body(self, context: Context[S]) -> msgspec.Struct | None:
        """The body for the handler. A worker's call that came as far as this shows that the worker is alive."""
        body = self._decode(context)
        if context.route.of_worker:
            note_worker(context, body)
        return body

    def _cut_short(self, caller: Caller, answer: Answer, stream: Stream) -> Answer:
        """A stream ends when that does under which it was asked for."""

        async def told(write: Write) -> None:
            with self._authenticator.while_valid(caller):
                await stream(write)

        return msgspec.structs.replace(answer, stream=told)

    def refuse(self, admission: Admission[S], error: ApiError) -> Answer:
        """The answer when an admitted request's body makes it fail."""
        return self._complete(admission, envelope.failure(admission.context.request_id, error))

    def reject(self, head: Head, error: ApiError) -> Answer:
        """The answer to something that is not even looked up: another protocol, bytes that are no request."""
        request_id = read_fields(head, self._rng).request_id
        return self._finished(envelope.failure(request_id, error), None, head.method, request_id, None, 0.0)

    def unparsed(self, status: int) -> Answer:
        """The answer where no request was read: 431 or 400 as the parser suggests, 503 for a connection too many,
        and for 497 a 400 that says what was wrong.
        """
        return self.reject(Head("", "", b"", ()), unread(status))

    def fault(self, request_id: str, method: str, path: str, error: BaseException) -> Answer:
        """Logs a bug and gives the 500 for it."""
        self._fault_log(request_id, method, path, error)
        return envelope.failure(request_id, envelope.internal())

    def _find_route(self, head: Head) -> tuple[Route, Any]:
        found = self.table.match(head.method, head.path)
        if not isinstance(found, Match):
            raise no_route(found, self.table, head.method, head.path)
        return found.route, found.path_params

    def _authenticate(self, head: Head, fields: HeadFields, route: Route) -> Caller:
        caller = self._authenticator.authenticate(fields.named)
        is_too_narrow = route.whole_server and caller.tenant_id is not None
        if route.roles is None or caller.role not in route.roles or is_too_narrow:
            if self._on_forbidden is not None and route.audit_action is not None:
                self._on_forbidden(caller, route.audit_action, fields.request_id)
            details = {"role": caller.role, "method": head.method, "path": head.path}
            what = "is bound to a tenant, but this is for all" if is_too_narrow else "has a role that may not do this"
            raise ApiError(ErrorCode.FORBIDDEN, f"the credential {what}", details)
        return caller

    def _too_often(self, head: Head, fields: HeadFields, error: ApiError) -> ApiError:
        """What a caller without right credentials is told: that, or that it has been told so too often."""
        if self._limiter is None:
            return error
        address = client_address(head.peer, head.headers, self._trusted_proxies)
        retry_after_s = self._limiter.failed(address, named_keys(fields.named))
        if retry_after_s is None:
            return error
        message = "too many requests without correct credentials; try again later"
        return ApiError(ErrorCode.BACKPRESSURE, message, {"reason": "rate_limited"}, retry_after_s=retry_after_s)

    def _trace(self, fields: HeadFields) -> Trace:
        sent = read_traceparent(fields.named.get(b"traceparent", b"").decode("latin-1"))
        trace = Trace.new(self._rng) if sent is None else sent.child(self._rng)
        return trace if self._sampled is None else self._sampled(trace)

    def _decode(self, context: Context[S]) -> msgspec.Struct | None:
        route, body = context.route, context.freight.take()
        if route.body is None:
            if body:
                raise invalid("body", "this route takes no body")
            return None
        known = self._decoders[route.body]
        decoded: msgspec.Struct = strict_json.decode(
            body or known.when_empty, known.decoder, self.limits.json_depth_max
        )
        return decoded

    def _of_error(self, context: Context[S], error: Exception) -> Answer:
        refused = envelope.of_exception(error)
        if refused is None:
            return self.fault(context.request_id, context.method, context.path, error)
        return envelope.failure(context.request_id, refused)

    def _of_group(self, context: Context[S], group: BaseExceptionGroup[BaseException]) -> Answer:
        """A group never leaves: cancellation goes on bare, refusals and bugs become answers."""
        leaving, rest = group.split(lambda e: not isinstance(e, (Exception, BaseExceptionGroup)))
        if rest is not None and (leaving is None or envelope.of_exception(rest) is None):
            answer = self._of_error(context, _only_exceptions(rest))
            if leaving is None:
                return answer
        assert leaving is not None
        raise _first_leaf(leaving)

    def _complete(self, admission: Admission[S], answer: Answer) -> Answer:
        context = admission.context
        elapsed_s = self._clock() - admission.started_at_s
        return self._finished(answer, context.route, context.method, context.request_id, context.trace, elapsed_s)

    def _finished(
        self,
        answer: Answer,
        route: Route | None,
        method: str,
        request_id: str,
        trace: Trace | None,
        elapsed_s: float,
        *,
        stranger: bool = False,
    ) -> Answer:
        known = method if method in _METHODS else "OTHER"
        try:
            self._observe(Seen(route, known, answer.status, elapsed_s, request_id, trace, stranger))
        except Exception as error:  # what is told of an answer must not cost the answer, nor its `on_undelivered`
            self._fault_log(request_id, known, "" if route is None else route.path, error)
        headers = (*answer.headers, ("x-request-id", request_id))
        if trace is not None:
            headers = (*headers, ("traceparent", trace.traceparent))
        if answer.status != NO_CONTENT and not any(name == "content-type" for name, _ in answer.headers):
            headers = (("content-type", "application/json"), *headers)
        return Answer(answer.status, answer.body, headers, answer.on_undelivered, answer.stream, answer.shared)


def _only_exceptions(group: BaseExceptionGroup[BaseException]) -> Exception:
    assert isinstance(group, Exception)  # split() made it from exceptions alone
    return group


def _first_leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
