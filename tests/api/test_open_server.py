"""A server without credentials answers the programs of its machine, and no web page of anybody else."""

from __future__ import annotations

import pytest

from oris.api.auth import Authenticator
from oris.api.dispatch import Admission, Refusal
from oris.api.head import Head
from oris.api.http import Role
from oris.api.open_server import OpenServer

from .front import CREDENTIALS, TOKENS, Front, make_front

FOREIGN = [
    {"origin": "https://evil.example"},
    {"origin": "http://evil.example:8080"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "file://"},
    {"origin": "http://localhost:3000"},
    {"origin": "http://127.0.0.1:8080"},
    {"origin": "http://localhost.evil.example:8080"},
    {"origin": "http://localhost:8080", "sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": " Cross-Site"},
]
OWN = [
    {},
    {"origin": "http://localhost:8080"},
    {"origin": "HTTP://LOCALHOST:8080"},
    {"sec-fetch-site": "same-origin", "origin": "http://localhost:8080"},
    {"sec-fetch-site": "none"},
]
Asked = tuple[str, str, bytes | None]
"""Method, path, and the length of the body."""
LOOK: Asked = ("GET", "/v1/things/a", None)
WORK: Asked = ("POST", "/v1/work", b"2")
REQUESTS: list[Asked] = [("POST", "/v1/things/a/cancel", b"0"), LOOK, WORK]


def judged(front: Front, asked: Asked, **fields: str) -> str | None:
    """Why a request is refused by its head; None: it is admitted."""
    method, path, length = asked
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    if length is not None:
        sent += [(b"content-length", length), (b"content-type", b"application/json")]
    found = front.dispatcher.admit(Head(method, path, b"", sent))
    if isinstance(found, Admission):
        return None
    assert isinstance(found, Refusal)
    assert found.answer.status == 403, found.answer.body
    return found.answer.body.decode()


@pytest.mark.parametrize("fields", FOREIGN)
@pytest.mark.parametrize("asked", REQUESTS, ids=lambda asked: f"{asked[0]} {asked[1]}")
def test_what_a_page_of_another_origin_asks_is_refused(asked: Asked, fields: dict[str, str]) -> None:
    for front in (make_front(), make_front(Authenticator((), open_server=OpenServer(any_host=True)))):
        refused = judged(front, asked, **({"host": "localhost:8080"} | fields))
        assert refused is not None
        assert '"reason":"foreign_origin"' in refused


@pytest.mark.parametrize("fields", OWN)
@pytest.mark.parametrize("asked", REQUESTS, ids=lambda asked: f"{asked[0]} {asked[1]}")
def test_programs_and_pages_of_the_server_itself_are_answered(asked: Asked, fields: dict[str, str]) -> None:
    assert judged(make_front(), asked, host="localhost:8080", **fields) is None


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost", "localhost"),
        ("http://localhost", "localhost:80"),
        ("http://localhost:80", "localhost"),
        ("https://localhost", "localhost:443"),
        ("http://[::1]:8080", "[::1]:8080"),
        ("http://[::1]", "[::1]:80"),
    ],
)
def test_a_port_that_goes_without_saying_makes_no_other_origin(origin: str, host: str) -> None:
    assert judged(make_front(), LOOK, origin=origin, host=host) is None


@pytest.mark.parametrize(
    ("origin", "host"), [("https://localhost", "localhost:80"), ("http://localhost", "localhost:443")]
)
def test_the_port_of_another_scheme_is_another_origin(origin: str, host: str) -> None:
    assert judged(make_front(), LOOK, origin=origin, host=host) is not None


def test_a_second_origin_lets_no_first_one_in() -> None:
    own, foreign = (b"origin", b"http://localhost"), (b"origin", b"https://evil.example")
    for origins in ([own, foreign], [foreign, own]):
        found = make_front().dispatcher.admit(Head("GET", "/v1/things/a", b"", [(b"host", b"localhost"), *origins]))
        assert isinstance(found, Refusal)
        assert found.answer.status == 403


def test_an_origin_without_a_host_is_foreign() -> None:
    assert judged(make_front(), LOOK, origin="http://localhost") is not None


@pytest.mark.parametrize("host", ["oris:8080", "oris.internal", "evil.example", "192.0.2.8", ""])
def test_where_insecure_is_allowed_any_host_is_answered(host: str) -> None:
    front = make_front(Authenticator((), open_server=OpenServer(any_host=True)))
    assert judged(front, WORK, host=host) is None
    refused = judged(make_front(), WORK, host=host)
    assert refused is not None
    assert "ORIS_ALLOW_INSECURE" in refused


@pytest.mark.parametrize("fields", FOREIGN)
def test_behind_credentials_and_on_public_routes_origins_do_not_matter(fields: dict[str, str]) -> None:
    """No page has a credential that a browser would send by itself."""
    closed = make_front(Authenticator(CREDENTIALS))
    known = {"authorization": f"Bearer {TOKENS[Role.ADMIN]}", "host": "oris.example"}
    assert judged(closed, LOOK, **(known | fields)) is None
    assert judged(make_front(), ("GET", "/healthz", None), **({"host": "localhost"} | fields)) is None
