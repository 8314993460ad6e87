"""From a request to an answer, without a socket."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
import trio

from oris.api.auth import Authenticator, Credential
from oris.api.dispatch import Admission, RawRequest, Refusal
from oris.api.envelope import STATUS, failure, success
from oris.api.head import Head
from oris.api.http import Answer, Role
from oris.api.limits import HttpLimits
from oris.api.open_server import OpenServer
from oris.errors import ApiError, ErrorCode

from .front import API_KEY, BODY_MAX_BYTES, CREDENTIALS, TABLE, TOKENS, Front, make_front

JSON = (b"content-type", b"application/json")
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


async def ask(
    front: Front,
    method: str,
    path: str,
    *headers: tuple[bytes, bytes],
    body: bytes = b"",
    query: bytes = b"",
    token: str | None = None,
) -> tuple[Answer, Any]:
    given = list(headers)
    if token is not None:
        given.append((b"authorization", f"Bearer {token}".encode()))
    if body:
        given.append((b"content-length", b"%d" % len(body)))
        if not any(name == b"content-type" for name, _ in headers):
            given.append(JSON)
    answer = await front.dispatcher.dispatch(RawRequest(method, path, query, tuple(given), body))
    is_json = dict(answer.headers)["content-type"] == "application/json"
    return answer, json.loads(answer.body) if is_json else None


def _code(answered: tuple[Answer, Any]) -> tuple[int, str]:
    answer, decoded = answered
    return answer.status, decoded["error"]["code"]


async def test_a_success_carries_the_clients_bytes_unchanged() -> None:
    front = make_front()
    value = b'{ "b":1.10,\n"a" : 12345678901234567890123, "b":2 }'
    answer, _ = await ask(front, "POST", "/v1/echo", (b"x-request-id", b"r-1"), body=b'{"value": %s}' % value)
    head = b'{"meta":{"status":"ok","api_version":"v1"},"request_id":"r-1","data":'
    assert answer.body == head + value + b"}"


async def test_every_error_code_has_a_status_and_the_envelope() -> None:
    assert set(STATUS) == set(ErrorCode)
    for code in ErrorCode:
        answer = failure("r", ApiError(code, "words", {"reason": "x"}))
        decoded = json.loads(answer.body)
        assert decoded == {
            "request_id": "r",
            "error": {"code": code.value, "message": "words", "details": {"reason": "x"}},
        }
    assert json.loads(failure("r", ApiError(ErrorCode.TIMEOUT, "w")).body)["error"].keys() == {"code", "message"}


def test_a_struct_goes_into_the_envelope_too() -> None:
    class Data(msgspec.Struct):
        x: int

    assert json.loads(success("r", Data(3)))["data"] == {"x": 3}


@pytest.mark.parametrize("given", ["a", "A.b_c:d-9", "x" * 128])
async def test_a_request_id_that_follows_the_rules_is_kept(given: str) -> None:
    answer, decoded = await ask(make_front(), "GET", "/v1/things/a", (b"x-request-id", given.encode()))
    assert decoded["request_id"] == given
    assert dict(answer.headers)["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", 'a"b', "é", "a/b", "a\n"])
async def test_any_other_request_id_is_replaced(given: str) -> None:
    answer, decoded = await ask(make_front(), "GET", "/nowhere", (b"x-request-id", given.encode("latin-1")))
    assert decoded["request_id"] != given
    assert decoded["request_id"].startswith("req_")
    assert dict(answer.headers)["x-request-id"] == decoded["request_id"]


async def test_fresh_request_ids_differ() -> None:
    front = make_front()
    ids = {(await ask(front, "GET", "/v1/things/a"))[1]["request_id"] for _ in range(50)}
    assert len(ids) == 50


async def test_a_trace_is_carried_on_or_started() -> None:
    sent = f"00-{TRACE_ID}-00f067aa0ba902b7-01".encode()
    answer, _ = await ask(make_front(), "GET", "/v1/things/a", (b"traceparent", sent))
    version, trace_id, span_id, _ = dict(answer.headers)["traceparent"].split("-")
    assert (version, trace_id) == ("00", TRACE_ID)
    assert span_id != "00f067aa0ba902b7"
    started, _ = await ask(make_front(), "GET", "/v1/things/a")
    assert TRACE_ID not in dict(started.headers)["traceparent"]


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("route", TABLE.routes, ids=lambda route: f"{route.method} {route.path}")
async def test_a_route_is_open_to_exactly_its_roles(route: Any, role: Role) -> None:
    front = make_front(Authenticator(CREDENTIALS))
    path = route.path.replace("{thing_id}", "a").replace("{how}", "busy")
    allowed = route.roles is None or role in route.roles
    head = Head(route.method, path, b"", ((b"authorization", f"Bearer {TOKENS[role]}".encode()),))
    admitted = front.dispatcher.admit(head)
    if allowed:
        assert isinstance(admitted, Admission)
        assert admitted.context.caller.role == (None if route.roles is None else role)
        return
    assert isinstance(admitted, Refusal)
    error = json.loads(admitted.answer.body)["error"]
    assert (admitted.answer.status, error["code"]) == (403, "forbidden")
    assert error["details"] == {"role": role.value, "method": route.method, "path": path}


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ((b"authorization", b"Bearer nonsense"),),
        ((b"authorization", b"Basic token-of-admin"),),
        ((b"authorization", b"token-of-admin"),),
        ((b"authorization", b"Bearer "),),
        ((b"authorization", b"Bearer key-of-operator"),),
        ((b"x-api-key", b"token-of-admin"),),
        ((b"x-api-key", b""),),
        ((b"x-api-key", b"nonsense"), (b"x-api-key-id", b"k1")),
        ((b"x-api-key", b"nonsense"), (b"authorization", b"Bearer nonsense")),
    ],
)
async def test_missing_or_wrong_credentials_are_401(headers: tuple[tuple[bytes, bytes], ...]) -> None:
    front = make_front(Authenticator((*CREDENTIALS, API_KEY)))
    answer, decoded = await ask(front, "GET", "/v1/things", *headers)
    assert (answer.status, decoded["error"]["code"]) == (401, "unauthorized")
    assert decoded["error"]["details"] == {"supported_auth": ["api_key", "bearer"]}
    schemes = [value for name, value in answer.headers if name == "www-authenticate"]
    assert schemes == ['ApiKey realm="oris"', 'Bearer realm="oris"']


async def test_each_scheme_opens_what_its_role_may() -> None:
    front = make_front(Authenticator((*CREDENTIALS, API_KEY)))
    by_key, decoded = await ask(front, "GET", "/v1/things/a", (b"x-api-key", b"key-of-operator"))
    assert (by_key.status, decoded["data"]["role"]) == (200, "operator")
    lower = await ask(front, "GET", "/v1/things/a", (b"authorization", b"bearer token-of-worker"))
    assert lower[1]["data"]["role"] == "worker"


async def test_a_credentials_tenant_and_name_reach_the_handler() -> None:
    front = make_front(Authenticator([Credential("bearer", "t", Role.CLIENT, "the-shop", "acme")]))
    admitted = front.dispatcher.admit(Head("GET", "/v1/things/a", b"", ((b"authorization", b"Bearer t"),)))
    assert isinstance(admitted, Admission)
    caller = admitted.context.caller
    assert (caller.tenant_id, caller.actor_type, caller.actor_id) == ("acme", "bearer", "the-shop")
    assert "'t'" not in repr(Credential("bearer", "t"))


async def test_an_unknown_route_is_404_before_credentials_are_asked_for() -> None:
    assert _code(await ask(make_front(Authenticator(CREDENTIALS)), "GET", "/v1/secret")) == (404, "not_found")


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "127.0.0.1:80", "127.1.2.3", "[::1]:8080", "LOCALHOST.", "192.0.2.7:1"]
)
async def test_the_open_api_answers_to_local_names_and_its_own_address(host: str) -> None:
    front = make_front(Authenticator((), open_server=OpenServer(["192.0.2.7"])))
    answer, decoded = await ask(front, "GET", "/v1/things/a", (b"host", host.encode()))
    assert (answer.status, decoded["data"]["role"]) == (200, "admin")


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "192.0.2.8", "", "[::2]", "127.0.0.1.nip.io"]
)
async def test_the_open_api_refuses_foreign_names(host: str) -> None:
    front = make_front(Authenticator((), open_server=OpenServer(["192.0.2.7"])))
    answered = await ask(front, "GET", "/v1/things/a", (b"host", host.encode()))
    assert _code(answered) == (403, "forbidden")
    assert answered[1]["error"]["details"] == {"reason": "foreign_host"}


async def test_the_open_api_on_every_address_answers_to_addresses_but_not_to_names() -> None:
    front = make_front(Authenticator((), open_server=OpenServer(["0.0.0.0"])))
    assert (await ask(front, "GET", "/v1/things/a", (b"host", b"192.0.2.8")))[0].status == 200
    assert _code(await ask(front, "GET", "/v1/things/a", (b"host", b"evil.example"))) == (403, "forbidden")


@pytest.mark.parametrize("name", [b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"])
async def test_the_open_api_refuses_what_came_through_a_proxy(name: bytes) -> None:
    answered = await ask(make_front(), "GET", "/v1/things/a", (b"host", b"localhost"), (name, b"for=1.2.3.4"))
    assert _code(answered) == (403, "forbidden")


async def test_behind_credentials_and_on_public_routes_any_host_will_do() -> None:
    foreign = ((b"host", b"oris.example"), (b"x-forwarded-for", b"1.2.3.4"))
    closed = make_front(Authenticator(CREDENTIALS))
    assert (await ask(closed, "GET", "/v1/things/a", *foreign, token=TOKENS[Role.CLIENT]))[0].status == 200
    assert (await ask(make_front(), "GET", "/healthz", *foreign))[0].status == 200


@pytest.mark.parametrize("media_type", [b"text/plain", b"application/jsonx", b"", b"multipart/form-data; boundary=x"])
async def test_a_body_that_is_not_json_by_its_type_is_415(media_type: bytes) -> None:
    answered = await ask(make_front(), "POST", "/v1/echo", (b"content-type", media_type), body=b'{"value":1}')
    assert _code(answered) == (415, "unsupported_media_type")


async def test_json_with_a_charset_is_json() -> None:
    header = (b"content-type", b"Application/JSON; charset=utf-8")
    assert (await ask(make_front(), "POST", "/v1/echo", header, body=b'{"value":1}'))[0].status == 200


@pytest.mark.parametrize("encoding", [b"gzip", b"identity", b"br"])
async def test_any_content_encoding_is_415(encoding: bytes) -> None:
    header = (b"content-encoding", encoding)
    answered = await ask(make_front(), "POST", "/v1/echo", header, body=b'{"value":1}')
    assert _code(answered) == (415, "unsupported_media_type")


async def test_a_body_whose_fields_are_all_optional_may_be_left_out() -> None:
    answer, decoded = await ask(make_front(), "POST", "/v1/things/a/cancel")
    assert (answer.status, decoded["data"]) == (200, {"reason": "none", "count": 0})
    assert _code(await ask(make_front(), "POST", "/v1/echo")) == (400, "invalid_argument")


async def test_a_body_where_none_is_expected_is_refused() -> None:
    assert _code(await ask(make_front(), "GET", "/v1/things/a", body=b"{}")) == (400, "invalid_argument")
    chunked = RawRequest("GET", "/v1/things/a", b"", ((b"transfer-encoding", b"chunked"),), b"{}")
    assert (await make_front().dispatcher.dispatch(chunked)).status == 400


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (b"limit=1&limit=2", "limit"),
        (b"limit=x", "limit"),
        (b"colour=red", "colour"),
        (b"since=null", "since"),
        (b"since=Null", "since"),
        (b"status=%ff", "query"),
        (b"status=\xff", "query"),
        (b"status=%00", "query"),
        (b"&".join(b"k%d=1" % i for i in range(40)), "query"),
    ],
)
async def test_a_bad_query_is_400_and_names_the_field(query: bytes, field: str) -> None:
    answered = await ask(make_front(), "GET", "/v1/things", query=query)
    assert _code(answered) == (400, "invalid_argument")
    assert answered[1]["error"]["details"] == {"field": field}


async def test_a_query_is_decoded_into_the_routes_struct() -> None:
    _, decoded = await ask(make_front(), "GET", "/v1/things", query=b"limit=7&status=a%20b+c")
    assert decoded["data"] == {"limit": 7, "status": "a b c", "since": None}
    assert (await ask(make_front(), "GET", "/v1/park", query=b"x=1"))[0].status == 400


@pytest.mark.parametrize("name", [b"authorization", b"host", b"content-type", b"x-api-key"])
async def test_a_header_that_may_come_once_comes_once(name: bytes) -> None:
    answered = await ask(make_front(), "GET", "/v1/things/a", (name, b"localhost"), (name, b"localhost"))
    assert _code(answered) == (400, "invalid_argument")
    assert answered[1]["error"]["details"] == {"field": name.decode()}


async def test_of_two_request_ids_neither_counts_and_nothing_is_refused() -> None:
    for status, path in ((200, "/v1/things/a"), (200, "/healthz"), (404, "/nowhere")):
        answer, _ = await ask(make_front(), "GET", path, (b"x-request-id", b"one"), (b"x-request-id", b"two"))
        assert answer.status == status
        assert dict(answer.headers)["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    ("how", "status", "code", "details"),
    [
        ("bug", 500, "internal", None),
        ("group", 500, "internal", None),
        ("mixed", 500, "internal", None),
        ("wrapped", 409, "conflict", {"reason": "run_active"}),
        ("busy", 429, "backpressure", {"reason": "queue_full"}),
        ("store", 503, "unavailable", {"reason": "store_unavailable"}),
        ("unknown", 503, "unavailable", {"reason": "outcome_unknown"}),
    ],
)
async def test_what_a_handler_raises_becomes_an_answer(how: str, status: int, code: str, details: Any) -> None:
    front = make_front()
    answer, decoded = await ask(front, "GET", f"/v1/fail/{how}")
    assert (answer.status, decoded["error"]["code"], decoded["error"].get("details")) == (status, code, details)
    assert ("retry-after" in dict(answer.headers)) == (status in (429, 503))
    assert len(front.faults.seen) == (1 if status == 500 else 0)
    assert front.observed.seen == [("/v1/fail/{how}", "GET", status)]


async def test_cancellation_leaves_a_handler_bare_even_out_of_a_group() -> None:
    """A bug beside it is logged; the Cancelled itself arrives as such, and is neither swallowed nor wrapped."""
    front = make_front()
    admitted = front.dispatcher.admit(Head("GET", "/v1/park", b"", ()))
    assert isinstance(admitted, Admission)

    async def tangled(context: Any, body: Any) -> Answer:
        try:
            await trio.sleep_forever()
        except trio.Cancelled as cancelled:
            raise BaseExceptionGroup("both", [ValueError("a bug"), cancelled]) from None

    context = msgspec.structs.replace(
        admitted.context, route=msgspec.structs.replace(admitted.context.route, handler=tangled)
    )
    seen: list[BaseException] = []
    with trio.move_on_after(0) as scope:
        try:
            await front.dispatcher.run(msgspec.structs.replace(admitted, context=context))
        except BaseException as error:
            seen.append(error)
            raise
    assert scope.cancelled_caught
    assert [type(error) for error in seen] == [trio.Cancelled]
    assert len(front.faults.seen) == 1


async def test_limits_hold_without_a_socket_too() -> None:
    front = make_front(limits=HttpLimits(header_fields_max=2))
    headers = [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]
    assert _code(await ask(front, "GET", "/healthz", *headers)) == (431, "headers_too_large")
    large = b"x" * (BODY_MAX_BYTES + 1)
    assert _code(await ask(make_front(), "POST", "/v1/echo", body=large)) == (413, "payload_too_large")


async def test_unknown_methods_have_one_label() -> None:
    front = make_front()
    await ask(front, "BREW", "/v1/things/a")
    assert front.observed.seen == [(None, "OTHER", 405)]


async def test_a_hook_that_breaks_costs_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    front = make_front()

    def broken(*_: object) -> None:
        raise RuntimeError("a broken hook")

    monkeypatch.setattr(front.dispatcher, "_observe", broken)
    answer, _ = await ask(front, "GET", "/v1/things/a")
    assert (answer.status, answer.on_undelivered) == (200, front.witness.undelivered.set)
    assert [str(error) for _, error in front.faults.seen] == ["a broken hook"]


async def test_a_bug_before_the_handler_is_a_500_too(monkeypatch: pytest.MonkeyPatch) -> None:
    front = make_front()

    def broken(*_: object) -> None:
        raise RuntimeError("a broken authenticator")

    monkeypatch.setattr(front.dispatcher._authenticator, "authenticate", broken)
    assert _code(await ask(front, "GET", "/v1/things/a")) == (500, "internal")
    assert [str(error) for _, error in front.faults.seen] == ["a broken authenticator"]


async def test_a_role_refused_an_audited_action_is_told_of() -> None:
    front = make_front(Authenticator(CREDENTIALS))
    told: list[tuple[Role | None, str, str]] = []
    front.dispatcher._on_forbidden = lambda caller, action, request_id: told.append((caller.role, action, request_id))
    request_id = (b"x-request-id", b"r-9")
    body = b'{"value":1}'
    answered = await ask(front, "POST", "/v1/echo", request_id, body=body, token=TOKENS[Role.WORKER])
    assert _code(answered) == (403, "forbidden")
    await ask(front, "GET", "/v1/late", request_id, token=TOKENS[Role.WORKER])
    assert told == [(Role.WORKER, "job.run", "r-9")]
