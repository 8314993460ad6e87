"""Hostile inputs. Number and seed decide every byte of one; nothing else does.

A *framed* input is one request, however bad, whose end is where it says: many of them may share a connection, and each
has to be answered. A *loose* one may end anywhere, so it gets a connection of its own. A *silent* one leaves its head
unfinished and says no more: the server has to close.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal
from urllib.parse import quote

from oris.api.routes import route_table

from . import bodies

TOKEN = "the-token-of-the-fuzzer"

Shape = Literal["framed", "loose", "silent"]

POSTS = sorted(route.path for route in route_table(1024).routes if route.method == "POST")
ALL_GETS = sorted(route.path for route in route_table(1024).routes if route.method == "GET")
GETS = [path for path in ALL_GETS if not path.endswith("/events")]
"""Those that are answered at once: a stream of events goes on until its client leaves."""


@dataclass(frozen=True)
class Case:
    """One input."""

    number: int
    kind: str
    shape: Shape
    data: bytes
    is_head: bool = False
    """Its answer has a length and no body."""


def case(seed: int, number: int) -> Case:
    """The input of this number under this seed."""
    random = Random(f"{seed}:{number}")
    kind = random.choices(list(_KINDS), [weight for weight, _ in _KINDS.values()])[0]
    shape, data = _KINDS[kind][1](random)
    return Case(number, kind, shape, data, is_head=data.startswith(b"HEAD "))


_Made = tuple[Shape, bytes]
_TEXTS = (
    "",
    "t",
    "..",
    ".",
    "%00",
    "%2e%2e",
    "%2F",
    "%ff",
    "%",
    "%zz",
    "%C3%A9",
    "%ED%A0%80",
    "a%0d%0ab",
    "x" * 256,
    "x" * 257,
    "x" * 4000,
    "null",
    "-1",
    "0",
    "1",
    "200",
    "201",
    "1e3",
    "9223372036854775807",
    "9223372036854775808",
    "1" + "0" * 50,
    "NaN",
    "true",
    "pending",
    "queued",
    "'\"",
    "a+b",
    "a=b",
    "run_" + "0" * 32,
    "att_" + "f" * 32,
    "lse_" + "0" * 52,
    "run_" + "g" * 32,
    "ckp_1",
)
_QUERY_NAMES = (
    "limit",
    "cursor",
    "status",
    "workflow",
    "tenant_id",
    "run_id",
    "after_seq",
    "payloads",
    "wait_ms",
    "lease_id",
    "after",
    "request_id",
    "action",
    "category",
    "actor_id",
    "from_ms",
    "to_ms",
    "nobody",
    "",
    "%00",
    "%ff",
    "l%69mit",
)


def _head(random: Random, method: str, target: str, *fields: str, token: str | None = TOKEN) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "host: localhost", *fields]
    if token is not None:
        lines.append(f"authorization: Bearer {token}")
    if random.random() < 0.1:
        random.shuffle(rest := lines[1:])
        lines[1:] = rest
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _path(random: Random, pattern: str) -> str:
    """A path of this pattern with names in it, most of which exist."""
    number = random.randrange(bodies.LEASES)
    known = {
        "{thread_id}": bodies.thread(random.randrange(bodies.THREADS)),
        "{run_id}": bodies.run(number),
        "{worker_id}": bodies.worker(),
        "{attempt_id}": bodies.attempt(number),
        "{interrupt_id}": f"int_{bodies.run(number)[4:]}_{random.randrange(3)}",
        "{checkpoint_id}": "ckp_1",
        "{key_id}": f"key_{number:032x}",
    }
    for name, value in known.items():
        pattern = pattern.replace(name, value if random.random() < 0.8 else random.choice(_TEXTS))
    return pattern


def _post(random: Random, *fields: str, token: str | None = TOKEN) -> bytes:
    """A request with a body, by length or in chunks."""
    pattern = random.choice(POSTS)
    body = bodies.body(random, pattern)
    fields = ("content-type: application/json", *fields)
    target = _path(random, pattern)
    if random.random() < 0.8:
        return _head(random, "POST", target, *fields, f"content-length: {len(body)}", token=token) + body
    head = _head(random, "POST", target, *fields, "transfer-encoding: chunked", token=token)
    return head + _chunks(random, body)


def _chunks(random: Random, body: bytes) -> bytes:
    size = max(1, len(body) // random.choice((1, 2, 3, 20)))
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    extension = random.choice((b"", b"", b";a=b", b';a="b;c"'))
    chunks = b"".join(b"%x%s\r\n%s\r\n" % (len(part), extension, part) for part in parts)
    return chunks + b"0\r\n" + random.choice((b"", b"", b"x-trailer: 1\r\n")) + b"\r\n"


def _get(random: Random) -> bytes:
    method = random.choice(
        ("GET",) * 20 + ("HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "POST", "BREW", "get", "CONNECT")
    )
    return _head(random, method, _path(random, random.choice(GETS)) + _query(random))


def _query(random: Random) -> str:
    if random.random() < 0.3:
        return ""
    pairs = []
    for _ in range(random.choice((1, 1, 1, 2, 3, 40))):
        value = random.choice(_TEXTS) if random.random() < 0.8 else quote(random.randbytes(6))
        pairs.append(random.choice(_QUERY_NAMES) + random.choice(("=", "=", "=", "", "==")) + value)
    return "?" + random.choice(("&", "&", ";", "&&")).join(pairs)


def _json(random: Random) -> _Made:
    return "framed", _post(random)


def _reads(random: Random) -> _Made:
    return "framed", _get(random)


def _paths(random: Random) -> _Made:
    parts = [
        random.choice((*_TEXTS, "v1", "jobs", "workers", "poll", "healthz")) for _ in range(random.randrange(1, 7))
    ]
    target = random.choice(("/", "/", "//", "/v1/", "", "http://elsewhere/", "*")) + "/".join(parts)
    return "framed", _head(random, random.choice(("GET", "POST", "OPTIONS")), target or "/", "content-length: 0")


_FIELD_VALUES = ("", " ", "\t", "\x80\xff", ",", ";", '"', "a" * 300, "\\", "0", "-1", "*/*", "é", "a,b", "=?utf-8?q?=")
_FIELDS = (
    "content-type",
    "content-encoding",
    "traceparent",
    "tracestate",
    "x-request-id",
    "x-api-key",
    "x-api-key-id",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-proto",
    "host",
    "cookie",
    "last-event-id",
    "accept-encoding",
    "range",
    "if-none-match",
    "te",
    "trailer",
    "origin",
    "expect",
    "x",
)
_SPECIAL = {
    "content-type": ("text/plain", "application/json;charset=utf-16", "APPLICATION/JSON ;", "multipart/form-data"),
    "content-encoding": ("gzip", "identity", "br, gzip"),
    "traceparent": ("00-" + "a" * 32 + "-" + "b" * 16 + "-01", "00-" + "0" * 32 + "-" + "0" * 16 + "-00", "ff-x", "00"),
    "x-request-id": ("req-1", "x" * 128, "x" * 129, "a b", "\x80"),
    "forwarded": ("for=1.2.3.4", 'for="[::1]:80"', "for=unknown, for=_x", 'for="', "for=,;,=" * 20),
    "x-forwarded-for": ("1.2.3.4", "1.2.3.4, 127.0.0.1", "::1", "[::1]:80", "unknown", "," * 200, "1.2.3.4:99999"),
    "host": ("elsewhere", "[::1", "localhost:0", "a" * 300, "\x80"),
    "expect": ("100-continue", "200-ok"),
}


def _headers(random: Random) -> _Made:
    fields = []
    for _ in range(random.choice((1, 1, 2, 3, 10, 70))):
        name = random.choice(_FIELDS)
        value = random.choice((*_FIELD_VALUES, *_SPECIAL.get(name, ()), *_SPECIAL.get(name, ())))
        fields.append(f"{random.choice((name, name.upper()))}: {value}")
    if random.random() < 0.02:
        fields += [f"x-long: {'v' * 1900}"] * 12
    token = random.choice((TOKEN, TOKEN, None, "wrong", TOKEN + "x", "\x80", ""))
    return "framed", _post(random, *fields, token=token)


def _mutated(random: Random) -> _Made:
    data = random.choice((_post, _get))(random)
    if data.startswith(b"HEAD "):
        data = b"GET " + data[5:]
    if random.random() < 0.3:
        return "loose", data[: random.randrange(len(data))]
    head, gap, body = data.partition(b"\r\n\r\n")
    return "loose", bodies.byte_mutated(random, head) + gap + body


_FRAMINGS = (
    ("content-length: 5", "transfer-encoding: chunked"),
    ("content-length: 5", "content-length: 6"),
    ("content-length: 5, 5",),
    ("content-length: +5",),
    ("content-length: -1",),
    ("content-length: 0x5",),
    ("content-length: 99999999999999999999999999",),
    ("content-length: 4194305",),
    ("content-length: 5 ", "x: y"),
    ("transfer-encoding: chunked, chunked",),
    ("transfer-encoding: gzip, chunked",),
    ("transfer-encoding: identity",),
    ("transfer-encoding : chunked",),
    ("transfer-encoding: \tchunked",),
    ("transfer-encoding:\x0bchunked",),
    ("transfer-encoding: chunked\r\n folded",),
    ("transfer-encoding: CHUNKED",),
    ("connection: close", "content-length: 2"),
    ("connection: upgrade", "upgrade: h2c", "http2-settings: AAMAAABkAAQAAP__"),
    ("connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13", "sec-websocket-key: AAAA"),
    ("expect: 100-continue", "content-length: 2"),
)
_LOOSE_BODIES = (
    b"",
    b"{}",
    b"hello",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"2\r\n{}\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n",
    b"ffffffffffffffffffff\r\n",
    b"-1\r\n",
    b"5;" + b"x" * 70_000,
    b"0\r\n" + b"x: y\r\n" * 20_000,
    b"2\n{}\n0\n\n",
    b"1\r\na" * 1000,
    b"2\r\n{}XX0\r\n\r\n",
)


def _framing(random: Random) -> _Made:
    method = random.choice(("POST", "POST", "GET"))
    path = _path(random, random.choice(POSTS if method == "POST" else ALL_GETS))
    fields = random.choice(_FRAMINGS)
    return "loose", _head(random, method, path, "content-type: application/json", *fields) + random.choice(
        _LOOSE_BODIES
    )


_GARBAGE = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    b"PRI * HTTP/2.0\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(64)),
    b"GET /healthz\r\n\r\n",
    b"GET  /healthz  HTTP/1.1\r\nhost: a\r\n\r\n",
    b"GET /healthz HTTP/1.1\nhost: localhost\n\n",
    b"GET /healthz HTTP/1.1\r\n\r\n",
    b"GET /healthz HTTP/1.0\r\n\r\n",
    b"GET /healthz HTTP/0.9\r\n\r\n",
    b"GET /healthz HTTP/3.0\r\nhost: localhost\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx" + b"y" * 70_000,
    b"GET /" + b"z" * 70_000 + b" HTTP/1.1\r\n",
    b"GET /" + b"z" * 10_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n: empty\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx\0y: z\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: a\0b\r\n\r\n",
    b"GET /\xc3\xa9 HTTP/1.1\r\nhost: localhost\r\n\r\n",
    b"GET http://localhost/healthz HTTP/1.1\r\nhost: localhost\r\n\r\n",
    b"CONNECT localhost:80 HTTP/1.1\r\nhost: localhost\r\n\r\n",
    b"\r\n\r\n\r\nGET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n",
    b"*1\r\n$4\r\nPING\r\n",
    b"\0" * 100,
    b"",
)


def _garbage(random: Random) -> _Made:
    way = random.randrange(4)
    if way == 0:
        return "loose", random.randbytes(random.choice((1, 10, 1000, 30_000)))
    data = random.choice(_GARBAGE)
    return "loose", bodies.byte_mutated(random, data) if way == 1 else data


def _pipelined(random: Random) -> _Made:
    """Several requests at once, then something bad."""
    good = b"".join(_head(random, "GET", "/healthz") for _ in range(random.randrange(1, 6)))
    return "loose", good + random.choice((_framing, _garbage, _mutated))(random)[1]


def _silent(random: Random) -> _Made:
    head = _get(random)
    return "silent", head[: random.randrange(len(head) - 3)]


_KINDS: dict[str, tuple[int, Callable[[Random], _Made]]] = {
    "json": (40, _json),
    "reads": (14, _reads),
    "paths": (6, _paths),
    "headers": (12, _headers),
    "mutated": (12, _mutated),
    "framing": (8, _framing),
    "garbage": (5, _garbage),
    "pipelined": (3, _pipelined),
    "silent": (1, _silent),
}
"""Kinds of inputs, and how many of a hundred or so are of each."""
